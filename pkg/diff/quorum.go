package diff

import (
	"fmt"
	"slices"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Quorum: of n voters, n/2+1 must serve for the cluster to serve at all. Who
// votes is raft's own configuration; where it cannot be read, everybody who was
// ever seen as a member and every node of the spec. A voter that was not seen counts as not serving, and
// so does one that no node of the spec accounts for. The gate covers taking
// down a serving voter, nothing else: the voters that remain, each seen to
// serve and to have caught up, must be a quorum. Only the learning rules allow
// less.

// electorate is who votes in a cluster.
type electorate struct {
	voters    []string // names of nodes, sorted
	strangers int      // voters that no known node accounts for
}

func electorateOf(v view, m Memory, want desired.Cluster) electorate {
	var e electorate
	if v.is("", keyRaft, yes) {
		for node, facts := range v {
			if node != "" && facts[keyVoter] == yes {
				e.voters = append(e.voters, node)
			}
		}
		for key := range v[""] {
			if len(key) > len(keyStranger) && key[:len(keyStranger)] == keyStranger {
				e.strangers++
			}
		}
		slices.Sort(e.voters)
		return e
	}
	for _, member := range m.Members {
		if member.Joined {
			e.voters = append(e.voters, member.Name)
		}
	}
	for _, n := range want.Nodes {
		if !n.Absent && !slices.Contains(e.voters, n.Name) {
			e.voters = append(e.voters, n.Name)
		}
	}
	slices.Sort(e.voters)
	return e
}

func (e electorate) size() int   { return len(e.voters) + e.strangers }
func (e electorate) quorum() int { return e.size()/2 + 1 }

// serving are the voters that were seen to serve.
func (e electorate) serving(v view) []string {
	var names []string
	for _, n := range e.voters {
		if v.is(n, keyServing, yes) {
			names = append(names, n)
		}
	}
	return names
}

// lost says that the cluster has no quorum of serving voters.
func (e electorate) lost(v view) bool { return len(e.serving(v)) < e.quorum() }

// gate says whether a node may be taken down: the facts that must still hold
// when it is, or why not. A wait means that time may open it.
func (e electorate) gate(v view, node string, rules desired.Rules) (needs []Fact, block *Block, wait *Wait) {
	if !slices.Contains(e.voters, node) || !v.is(node, keyServing, yes) {
		return nil, nil, nil // taking it down costs nobody a voter
	}
	ready, behind := 0, ""
	for _, other := range e.serving(v) {
		if other == node {
			continue
		}
		if !v.is(other, keyCaughtUp, yes) || v.is(other, keyHealthy, no) {
			behind = other
			continue
		}
		ready++
		needs = append(needs, v.known(other, keyServing, keyCaughtUp, keyRemoved)...)
	}
	switch {
	case ready >= e.quorum():
		return needs, nil, nil
	case rules == desired.RulesLearning:
		return needs, nil, nil // such a cluster may accept the gap
	case behind != "":
		return nil, nil, &Wait{Node: node, Reason: WaitSettling,
			Detail: fmt.Sprintf("%s has not caught up yet, or autopilot does not call it healthy", behind)}
	}
	return nil, &Block{Node: node, Reason: ReasonQuorum,
		Detail: fmt.Sprintf("taking %s down would leave %d serving of %d voters, and %d are a quorum", node, ready, e.size(), e.quorum()),
		Lift:   "bring the other voters back first: every one of them must be seen unsealed and following one leader"}, nil
}

// describe says how many voters serve, for people.
func (e electorate) describe(v view) string {
	unseen := e.strangers
	for _, n := range e.voters {
		if _, known := v.get(n, keyServing); !known {
			unseen++
		}
	}
	return fmt.Sprintf("%d of %d voters were seen to serve, %d could not be seen, and %d are a quorum", len(e.serving(v)), e.size(), unseen, e.quorum())
}

// returning says that enough voters are open or on their way up to be a quorum
// soon.
func (e electorate) returning(v view) bool {
	n := 0
	for _, name := range e.voters {
		if v.is(name, keySealed, no) || v.is(name, keyService, "changing") {
			n++
		}
	}
	return n >= e.quorum()
}
