package diff

import (
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Birth (init) is the one act that cannot be repeated and whose answer exists
// once. A node that says it is not initialised proves nothing: one whose peers
// are out of reach says the same, and init on it makes a second cluster. So a
// cluster is born only when a person approved it here, every node was seen, and
// this reconciler itself saw every data folder empty before it first started
// Vault there. An init whose answer is missing freezes the cluster for good.

// birthing says that the ceremony has begun and is not over.
func (s *situation) birthing() bool {
	phase, _ := s.v.get("", keyBirth)
	switch BirthPhase(phase) {
	case BirthIntent, BirthKeys, BirthCredential, BirthConfirmed:
		return true
	}
	return false
}

// phase is how far the ceremony is on these facts.
func (s *situation) phase() BirthPhase {
	phase, _ := s.v.get("", keyBirth)
	return BirthPhase(phase)
}

// shares says that the reconciler holds shares of this cluster that it stored
// and read back.
func (s *situation) shares() bool {
	switch s.phase() {
	case BirthKeys, BirthCredential, BirthConfirmed, BirthDone:
		return s.want.Keys.HeldBy == desired.HeldByReconciler
	}
	return false
}

// mayBear says that nothing speaks against the birth of this cluster; every
// reason against it is a block of its own.
func (s *situation) mayBear() bool {
	switch s.phase() {
	case BirthIntent:
		return true // asked for already, with all of this seen
	case BirthNone:
	default:
		s.block("", ReasonStateLost, "the ceremony of this cluster got as far as "+string(s.phase())+", and the cluster is not known",
			"have a person unseal a node, or restore the state folder from its backup")
		return false
	}
	if s.want.ClusterID != "" {
		return false // it was born before, which frozen says
	}
	before := s.stops
	for _, n := range s.want.Nodes {
		s.virgin(n)
	}
	if !s.want.Manages(desired.ConcernSeal) {
		s.block("", ReasonUnapproved, "seal is not among the concerns in manage, so this cluster is not born by us", "add seal to manage")
	} else if _, ok := s.memory.leave(LeaveInit, "", s.now); !ok {
		s.block("", ReasonUnapproved, "this cluster was never initialised, and nobody approved that it is",
			"reconciler approve --init "+s.want.Name)
	}
	return s.stops == before
}

// virgin blocks by whatever speaks against this node never having held data.
func (s *situation) virgin(n desired.Node) {
	if !s.v.is(n.Name, keyReach, yes) {
		s.block(n.Name, ReasonUnknown, n.Name+" could not be seen, and a cluster is born only when every node was",
			"make the node reachable; reconciler status says in which phase the look ended")
		return
	}
	data, known := s.v.get(n.Name, keyData)
	proven := s.v.is(n.Name, keyEmptied, yes)
	switch {
	case s.v.is(n.Name, keyInit, yes):
		s.block(n.Name, ReasonInitialized, "Vault on "+n.Name+" says that it was initialised before, and not by this reconciler",
			"pin its cluster_id in the spec to adopt it, or correct the address")
	case !known:
		s.block(n.Name, ReasonUnknown, "the data folder "+s.want.Storage.Path+" on "+n.Name+" could not be read",
			"let the reconciler read it: the sudoers line of docs/operations.md")
	case data != "empty" && !proven:
		s.block(n.Name, ReasonDataNotEmpty, s.want.Storage.Path+" on "+n.Name+" is not empty, and this reconciler did not see it empty before Vault first ran there",
			"if what lies there is of no value, a person stops Vault and empties it; otherwise correct the address in the spec")
	case !proven && s.v.is(n.Name, keyService, "active"):
		s.block(n.Name, ReasonDataNotEmpty, s.want.Service.Name+" already runs on "+n.Name+", started by somebody else",
			"stop it and empty its data folder if it is of no value, or correct the address in the spec")
	}
}

// ceremony is the next act on the cluster as a whole: the birth, its audit
// devices, its credential, the end of its root token.
func (s *situation) ceremony() (Step, bool) {
	if s.unbuilt() {
		return Step{}, false
	}
	if !s.v.is("", keyKnown, yes) {
		return s.bear()
	}
	if !s.settled() || !s.mayAct(s.leader()) {
		return Step{}, false
	}
	if step, ok := s.audit(); ok {
		return step, true
	}
	if s.birthing() && !s.audited() {
		return Step{}, false
	}
	leader := s.leader()
	switch s.phase() {
	case BirthKeys:
		return Step{Node: leader, Action: ActionCredential, Effect: EffectNone,
			Why:   "the reconciler gets its own least-privilege credential, proven on another node",
			Needs: append(s.v.known(leader, keyRole, keyIdentity), s.v.known("", keyBirth)...),
			Goal:  []Fact{{"", keyBirth, string(BirthCredential)}}}, true
	case BirthCredential:
		s.block("", ReasonConfirm, "the shares are encrypted to "+people(s.memory.Birth.Holders)+", and nobody has proven yet that they can be read; the root token is kept until then",
			"one of them runs: reconciler keys confirm "+s.want.Name+" --identity FILE")
	case BirthConfirmed:
		return Step{Node: leader, Action: ActionRevoke, Effect: EffectNone,
			Why:   "a human way in is proven, so the root token of the birth goes",
			Needs: append(s.v.known(leader, keyRole, keyIdentity), s.v.known("", keyBirth)...),
			Goal:  []Fact{{"", keyBirth, string(BirthDone)}}}, true
	}
	return Step{}, false
}

func people(names []string) string {
	if len(names) == 0 {
		return "the holders of reconciler.yaml"
	}
	out := names[0]
	for _, n := range names[1:] {
		out += ", " + n
	}
	return out
}

// bear is the init step, once every node runs an empty Vault and reaches its
// peers. An init that was begun goes on with the same nonce.
func (s *situation) bear() (Step, bool) {
	if s.phase() == BirthIntent {
		seed := s.memory.Birth.Seed
		if !s.mayAct(seed) {
			s.block(seed, ReasonUnknown, "init was begun on "+seed+", which cannot be asked for its answer now",
				"make the node reachable, and lift what holds it")
			return Step{}, false
		}
		return Step{Node: seed, Action: ActionInit, Effect: EffectOneWay, Why: "init was begun and its answer is not stored yet",
			Needs: []Fact{{seed, keyReach, yes}}, Goal: []Fact{{"", keyBirth, string(BirthKeys)}}}, true
	}
	if !s.mayBear() || len(s.want.Nodes) == 0 || len(s.nodes()) < len(s.want.Nodes) {
		return Step{}, false
	}
	seed := s.want.Nodes[0].Name
	step := Step{Node: seed, Action: ActionInit, Effect: EffectOneWay, Why: "the cluster is born: init on " + seed,
		Goal: []Fact{{"", keyBirth, string(BirthKeys)}}}
	for _, n := range s.want.Nodes {
		for _, need := range []Fact{{n.Name, keyService, "active"}, {n.Name, keyAPI, "up"}, {n.Name, keyInit, no}, {n.Name, keyEmptied, yes}, {n.Name, keyPeers, "open"}} {
			if need.Key == keyPeers && len(s.want.Nodes) == 1 {
				continue
			}
			step.Needs = append(step.Needs, need)
			if !s.v.is(need.Node, need.Key, need.Value) {
				s.unready(need)
				return Step{}, false
			}
		}
	}
	return step, true
}

// unready says why the birth cannot happen on this look.
func (s *situation) unready(need Fact) {
	switch need.Key {
	case keyPeers:
		s.block(need.Node, ReasonUnreachable, "from "+need.Node+" not every other node answers on its API and cluster addresses",
			"open 8200 and 8201 between the nodes")
	default:
		s.wait(need.Node, WaitBooting, "Vault on "+need.Node+" does not answer yet", time.Time{})
	}
}

// unseal opens a sealed node with shares that the reconciler holds. While the
// cluster is born, nodes join one at a time.
func (s *situation) unseal(n desired.Node) (Step, bool) {
	if !s.v.is(n.Name, keySealed, yes) || !s.v.is("", keyKnown, yes) || s.v.is(n.Name, keyRemoved, yes) {
		s.removed(n)
		return Step{}, false
	}
	if s.v.is(n.Name, keyInit, no) {
		s.wait(n.Name, WaitJoin, n.Name+" has not reached the cluster through retry_join yet", time.Time{})
		return Step{}, false
	}
	if s.want.Seal.Kind != "shamir" || !s.manages(n.Name, desired.ConcernSeal, "seal", "sealed", "unsealed") {
		return Step{}, false
	}
	if !s.shares() {
		s.block(n.Name, ReasonNoShares, n.Name+" is sealed, and this reconciler holds no shares of the cluster",
			"a person unseals it: vault operator unseal on the node")
		return Step{}, false
	}
	if vault := s.have[n.Name].Vault; vault != nil && !s.forecast && vault.Threshold != s.want.Keys.Threshold {
		s.block(n.Name, ReasonForeign, "the seal of "+n.Name+" does not have the threshold of this cluster's shares, so no share is sent to it",
			"correct keys in the spec, or find out whose data lies on the node")
		return Step{}, false
	}
	if !s.v.is(n.Name, keyMember, yes) && !s.admits(n) {
		return Step{}, false
	}
	return Step{Node: n.Name, Action: ActionUnseal, Effect: EffectNone, Why: s.whySealed(n.Name),
		Needs: s.v.known(n.Name, keySealed, keyInit, keyWill, keyHold, keyRemoved, keyService),
		Goal:  []Fact{{n.Name, keySealed, no}}}, true
}

// whySealed tells people why a node is to be unsealed: it is sealed, or it will
// be once the plan has restarted it.
func (s *situation) whySealed(node string) string {
	if now := s.have[node].Vault; s.forecast && now != nil && !now.Sealed {
		return "comes back sealed from its restart"
	}
	return "sealed, and not by a person"
}

// admits says that it is this node's turn to join: the seed first, and the
// next one only when everybody open serves and votes.
func (s *situation) admits(n desired.Node) bool {
	if n.Name == s.memory.Birth.Seed && s.leader() == "" {
		return true
	}
	if s.leader() == "" {
		s.wait(n.Name, WaitJoin, n.Name+" joins once the cluster has a leader", time.Time{})
		return false
	}
	for _, other := range s.want.Nodes {
		open := s.v.is(other.Name, keySealed, no)
		if open && (!s.serves(other.Name) || s.v.is(other.Name, keyVoter, no)) {
			s.wait(n.Name, WaitJoin, n.Name+" joins once "+other.Name+" votes", time.Time{})
			return false
		}
		if !open && s.v.is(other.Name, keySealed, yes) && s.v.is(other.Name, keyInit, yes) && other.Name < n.Name &&
			!s.v.is(other.Name, keyMember, yes) && s.memory.Member(other.Name).Will == WillNone {
			return false // one at a time, in order
		}
	}
	return true
}

func (s *situation) removed(n desired.Node) {
	if s.v.is(n.Name, keyRemoved, yes) {
		s.block(n.Name, ReasonRemoved, n.Name+" was removed from raft; its data must not come back",
			"give the node a new node_id and an empty data folder, or take it out of the spec")
	}
}

// settled says that every node that may serve does; what does not is waited
// for by name.
func (s *situation) settled() bool {
	ok := true
	for _, n := range s.want.Nodes {
		switch {
		case n.Absent:
		case s.v.is(n.Name, keySealed, no) && !s.serves(n.Name):
			s.wait(n.Name, WaitSettling, n.Name+" is unsealed and does not follow a leader yet", time.Time{})
			ok = false
		case s.v.is(n.Name, keyVoter, no) && s.serves(n.Name):
			s.wait(n.Name, WaitSettling, n.Name+" does not vote yet: autopilot watches a new server first", time.Time{})
			ok = false
		case s.v.is(n.Name, keyCaughtUp, no):
			s.wait(n.Name, WaitSettling, n.Name+" has not caught up with its leader yet", time.Time{})
			ok = false
		}
	}
	if s.birthing() {
		for _, n := range s.want.Nodes {
			ok = ok && s.serves(n.Name)
		}
	}
	return ok
}

// mayAct says that a node was seen and no person wants it left alone.
func (s *situation) mayAct(name string) bool {
	return slices.ContainsFunc(s.nodes(), func(n desired.Node) bool { return n.Name == name })
}

// leader is the name of the leader, or "".
func (s *situation) leader() string {
	for _, n := range s.want.Nodes {
		if s.v.is(n.Name, keyRole, "leader") {
			return n.Name
		}
	}
	return ""
}
