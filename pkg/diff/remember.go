package diff

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	goversion "github.com/hashicorp/go-version"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Remember folds a look into the memory: who the cluster is, who its members
// are, which process was seen open, and what a person did on purpose. The
// result is saved before anything is done.
//
// A person's will is inferred so. The same process that was seen unsealed is
// sealed now: somebody sealed it. A service that was seen active is cleanly
// stopped in the same boot, and no act of ours is under way there: somebody
// stopped it. Both stick, also through reboots, until the node is seen unsealed
// (or running) again, which only a person can have done.
func Remember(m Memory, want desired.Cluster, have []actual.Node, now time.Time) Memory {
	m.Members = slices.Clone(m.Members)
	for _, n := range want.Nodes {
		i := m.member(n.Name)
		m.Members[i].Address, m.Members[i].ID = n.Address, n.ID
	}
	if id := identityOf(have); id != "" && m.ClusterID == "" {
		m.ClusterID, m.Known = id, true
	}
	leader := leaderOf(have)
	for _, n := range have {
		i := m.member(n.Name)
		m.Members[i] = rememberNode(m, m.Members[i], n, leader)
		if n.Vault != nil && n.Vault.Leader && newer(n.Vault.Version, m.Newest) {
			m.Newest = n.Vault.Version
		}
	}
	m.Leaves = slices.DeleteFunc(slices.Clone(m.Leaves), func(l Leave) bool {
		return !l.Until.IsZero() && !now.Before(l.Until)
	})
	slices.SortFunc(m.Members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return m
}

// Converged is the memory once a spec was seen to hold everywhere.
func (m Memory) Converged(want desired.Cluster, commit string, now time.Time) Memory {
	if m.Good.Digest == want.Digest && m.Good.Commit == commit && !m.Good.Since.IsZero() {
		return m
	}
	m.Good = Standing{Cluster: want.Name, Commit: commit, Digest: want.Digest, Since: now}
	m.CAs = nil
	if want.CA != nil {
		m.CAs = [][]byte{want.CA}
	}
	return m
}

// member is the index of a name among the members, which are extended if need
// be.
func (m *Memory) member(name string) int {
	i := slices.IndexFunc(m.Members, func(x Member) bool { return x.Name == name })
	if i < 0 {
		m.Members = append(m.Members, Member{Name: name})
		return len(m.Members) - 1
	}
	return i
}

// identityOf is the cluster_id that all unsealed nodes agree on, or "".
func identityOf(have []actual.Node) string {
	id := ""
	for _, n := range have {
		if n.Vault == nil || n.Vault.Sealed || n.Vault.ClusterID == "" {
			continue
		}
		if id != "" && id != n.Vault.ClusterID {
			return ""
		}
		id = n.Vault.ClusterID
	}
	return id
}

func rememberNode(m Memory, x Member, n actual.Node, leader *actual.Node) Member {
	process := processOf(n)
	if n.Data != nil && n.Data.State != actual.DataUsed && !x.Joined && x.Run == "" && process == "" && n.Process != nil {
		x.Empty = true // seen empty while nothing ran, before our first start
	}
	if n.Data != nil && n.Data.State == actual.DataUsed && x.Device == "" && x.Joined {
		x.Device = n.Data.Device
	}
	if process != "" && process != x.Run {
		x.Run, x.Index = process, 0
		if leader != nil && leader.Name != n.Name {
			x.Index = leader.Vault.Committed
		}
	}
	if n.Vault != nil && process != "" {
		switch {
		case !n.Vault.Sealed:
			x.Open = process
			if x.Will == WillSealed {
				x.Will = WillNone
			}
			if m.ClusterID != "" && n.Vault.ClusterID == m.ClusterID && leader != nil {
				x.Joined = true
			}
		case x.Open == process && !n.Vault.Removed:
			x.Will = WillSealed
		}
	}
	return rememberService(m, x, n)
}

func rememberService(m Memory, x Member, n actual.Node) Member {
	if n.Service == nil || n.Machine == nil {
		return x
	}
	switch serviceState(*n.Service) {
	case "active":
		x.Ran = n.Machine.BootID
		if x.Will == WillStopped {
			x.Will = WillNone
		}
	case "inactive":
		clean := n.Service.Result == "" || n.Service.Result == "success"
		if clean && x.Ran != "" && x.Ran == n.Machine.BootID && !m.acting(n.Name) {
			x.Will = WillStopped
		}
	}
	return x
}

// acting says that a try of ours that may have stopped the service of a node
// has no outcome that tells.
func (m Memory) acting(node string) bool {
	for _, t := range m.Tries {
		if t.Node == node && (t.Action == ActionRestart || t.Action == ActionStart) && t.Outcome != OutcomeDone && t.Outcome != OutcomeStale {
			return true
		}
	}
	return false
}

// processOf names the process of a node so that no other process, in this boot
// or the next, has the same name; "" when none runs or it is Unknown.
func processOf(n actual.Node) string {
	if n.Process == nil || n.Process.PID == 0 || n.Machine == nil {
		return ""
	}
	start := n.Process.Started.UTC().Format(time.RFC3339)
	if n.Service != nil && n.Service.InvocationID != "" {
		start = n.Service.InvocationID // does not move when the clock does
	}
	return fmt.Sprintf("%s/%d/%s", n.Machine.BootID, n.Process.PID, start)
}

// newer says that version a is higher than b. What does not parse is never
// newer.
func newer(a, b string) bool {
	va, err := goversion.NewVersion(a)
	if err != nil {
		return false
	}
	vb, err := goversion.NewVersion(b)
	return err != nil || va.GreaterThan(vb)
}
