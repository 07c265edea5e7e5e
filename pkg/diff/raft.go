package diff

import (
	"slices"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// A node serves when it was itself seen unsealed, belongs to the cluster that
// we remember, and agrees with a leader that was itself seen to lead. A leader
// that only others talk about does not count: after a cold start standbys name
// one that is still sealed (reference: Vault 1.21, sys/leader).
func raftFacts(v view, have []actual.Node, m Memory) {
	leader := leaderOf(have)
	for _, n := range have {
		if n.Vault == nil {
			if v.is(n.Name, keyAPI, "silent") {
				v.put(n.Name, keyServing, no)
				v.put(n.Name, keyRole, "none")
			}
			continue
		}
		serves := leader != nil && !n.Vault.Sealed && !n.Vault.Removed &&
			n.Vault.ClusterID == leader.Vault.ClusterID &&
			(m.ClusterID == "" || m.ClusterID == n.Vault.ClusterID) &&
			(n.Name == leader.Name || n.Vault.LeaderAddress == leader.Vault.LeaderAddress)
		v.put(n.Name, keyServing, word(serves))
		v.put(n.Name, keyRole, roleOf(n, leader, serves))
		if serves {
			v.put(n.Name, keyCaughtUp, word(n.Name == leader.Name || n.Vault.Applied >= m.Member(n.Name).Index))
		}
	}
	membershipFacts(v, have, m)
}

// leaderOf is the one node that says of itself that it leads; nil when none
// does, or two do.
func leaderOf(have []actual.Node) *actual.Node {
	var leader *actual.Node
	for i, n := range have {
		if n.Vault == nil || n.Vault.Sealed || !(n.Vault.Leader || n.Vault.StorageType == "file") {
			continue // storage of a single node has no leader, and needs none
		}
		if leader != nil {
			return nil // two leaders: the network is split, believe neither
		}
		leader = &have[i]
	}
	return leader
}

func roleOf(n actual.Node, leader *actual.Node, serves bool) string {
	switch {
	case leader != nil && n.Name == leader.Name:
		return "leader"
	case serves:
		return "follower"
	}
	return "none"
}

// membershipFacts tells who votes, from raft's own configuration; without the
// credential it stays Unknown.
func membershipFacts(v view, have []actual.Node, m Memory) {
	raft := membership(have)
	if raft == nil {
		return
	}
	v.put("", keyRaft, yes)
	voter := map[string]bool{}
	for _, s := range raft.Servers {
		voter[s.ID] = s.Voter
	}
	claims := map[string]int{}
	for _, n := range have {
		claims[serverID(n)]++
	}
	for _, n := range have {
		id := serverID(n)
		if claims[id] > 1 {
			continue // two nodes under one ID: raft knows one of them, and not which
		}
		v.put(n.Name, keyVoter, word(voter[id]))
		if _, in := voter[id]; !in && m.Member(n.Name).Joined {
			v.put(n.Name, keyRemoved, yes)
		}
		if raft.Autopilot != nil {
			healthy, ok := raft.Autopilot.HealthyServers[id]
			v.put(n.Name, keyHealthy, word(ok && healthy))
		}
	}
	known := map[string]bool{}
	for _, n := range have {
		known[serverID(n)] = true
	}
	for _, s := range raft.Servers {
		if !known[s.ID] && s.Voter {
			v.put("", keyStranger+s.ID, yes) // counts among the voters, is never seen
		}
	}
}

// membership is raft's configuration as the leader tells it, else as any node
// that serves does.
func membership(have []actual.Node) *actual.Raft {
	if leader := leaderOf(have); leader != nil && leader.Raft != nil {
		return leader.Raft
	}
	for _, n := range have {
		if n.Raft != nil {
			return n.Raft
		}
	}
	return nil
}

// serverID is the raft node_id of a seen node. Node IDs are derived from node
// names unless the spec overrides them; the look carries the ID it was given.
func serverID(n actual.Node) string {
	if n.ID != "" {
		return n.ID
	}
	return n.Name
}

// CaughtUp says that a node is known to have caught up with its leader since
// its process was started.
func CaughtUp(facts []Fact, node string) bool {
	return slices.Contains(facts, Fact{node, keyCaughtUp, yes})
}
