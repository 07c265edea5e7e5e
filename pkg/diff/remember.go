package diff

import (
	"cmp"
	"fmt"
	"math"
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
// sealed now, at two looks: somebody sealed it. A service that was seen active
// is stopped in the same boot and did not fail, and no act of ours is under way
// there: somebody stopped it. A seal sticks through reboots, until the node is
// seen unsealed, which only a person can have done; a stop until the next boot.
func Remember(m Memory, want desired.Cluster, have []actual.Node, now time.Time) Memory {
	m.Members = slices.Clone(m.Members)
	raft := membership(have)
	for _, n := range want.Nodes {
		i := m.member(n.Name)
		if x := m.Members[i]; replaced(x, n, raft) {
			m.Members[i] = Member{Name: n.Name}
		}
		m.Members[i].Address = n.Address
		if !m.Members[i].Joined || m.Members[i].ID == "" {
			m.Members[i].ID = n.ID
		}
	}
	if id := identityOf(have); id != "" && m.adopts(want, id, now) {
		m.ClusterID, m.Known = id, true
	}
	leader := leaderOf(have)
	for _, n := range have {
		i := m.member(n.Name)
		m.Members[i] = rememberNode(m, m.Members[i], want, n, leader, now)
		if n.Vault != nil && n.Vault.Leader && n.Vault.ClusterID == m.ClusterID && newer(n.Vault.Version, m.Newest) {
			m.Newest = n.Vault.Version
		}
		m = m.reached(n, now)
	}
	m.Leaves = slices.DeleteFunc(slices.Clone(m.Leaves), func(l Leave) bool {
		used := l.Kind == LeaveInit && m.Birth.Phase != BirthNone && m.Birth.Phase != BirthIntent
		used = used || l.Kind == LeaveApproval && now.Sub(l.At) > keepsApproval
		return used || (!l.Until.IsZero() && !now.Before(l.Until))
	})
	slices.SortFunc(m.Members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return m
}

// replaced says that a person put another server in a member's place: the spec
// names it anew, and raft knows the old one no more.
func replaced(x Member, n desired.Node, raft *actual.Raft) bool {
	return x.Joined && x.ID != "" && x.ID != n.ID && raft != nil &&
		!slices.ContainsFunc(raft.Servers, func(s actual.Server) bool { return s.ID == x.ID })
}

// adopts says that the open cluster is the one that the spec means. While a
// birth is allowed and not over, an open cluster is a stranger.
func (m Memory) adopts(want desired.Cluster, id string, now time.Time) bool {
	if m.ClusterID != "" || (want.ClusterID != "" && want.ClusterID != id) {
		return false
	}
	if _, ok := m.leave(LeaveInit, "", now); ok {
		return m.Birth.Phase != BirthNone && m.Birth.Phase != BirthIntent
	}
	return m.Birth.Phase != BirthIntent
}

// reached drops failures that a look has overtaken: the node was opened, or has
// run for long.
func (m Memory) reached(n actual.Node, now time.Time) Memory {
	if n.Vault != nil && !n.Vault.Sealed {
		m = m.forget(n.Name, ActionUnseal)
	}
	if n.Process != nil && n.Process.PID != 0 && now.Sub(n.Process.Started) > 10*time.Minute {
		m = m.forget(n.Name, ActionStart)
	}
	return m
}

// Converged is the memory once a spec was seen to hold everywhere.
func (m Memory) Converged(want desired.Cluster, commit string, now time.Time) Memory {
	if m.Good.Digest == want.Digest && m.Good.Commit == commit && !m.Good.Since.IsZero() && !m.Good.First.IsZero() {
		return m
	}
	m.Tries = m.lastStarts()
	m.Leaves = slices.DeleteFunc(slices.Clone(m.Leaves), func(l Leave) bool {
		return l.Kind == LeaveApproval && l.Digest == want.Digest // it was of what is done now
	})
	m.Secrets = m.wantedSecrets(want)
	good := Standing{Cluster: want.Name, Commit: commit, Digest: want.Digest, Since: now, First: now}
	if m.Good.Digest == want.Digest { // a commit that wants the same begins nothing anew
		good.First = m.Good.First
		if !m.Good.Since.IsZero() {
			good.Since = m.Good.Since
		}
		if good.First.IsZero() {
			good.First = good.Since
		}
	}
	m.Good = good
	m.CAs = nil
	if want.CA != nil {
		m.CAs = [][]byte{want.CA}
	}
	return m
}

// Differing is the memory of a cluster that was not found to be as wanted.
func (m Memory) Differing() Memory {
	m.Good.Since = time.Time{}
	return m
}

// lastStarts are the tries that still tell something once nothing is left to
// do: when we last started or restarted a node.
func (m Memory) lastStarts() []Try {
	var kept []Try
	for _, t := range m.Tries {
		if t.Action == ActionStart || t.Action == ActionRestart {
			kept = slices.DeleteFunc(kept, func(x Try) bool { return x.Node == t.Node && x.Action == t.Action })
			kept = append(kept, t)
		}
	}
	return slices.DeleteFunc(kept, func(t Try) bool {
		return t.Outcome == OutcomeFailed || t.Outcome == OutcomeUnknown || t.Outcome == OutcomeStale
	})
}

// wantedSecrets are the digests of what was placed, as far as the spec still
// names it.
func (m Memory) wantedSecrets(want desired.Cluster) map[string]string {
	var kept map[string]string
	for _, n := range want.Nodes {
		for _, p := range n.Puts {
			if placed, ok := m.Secrets[p.Digest]; ok {
				if kept == nil {
					kept = map[string]string{}
				}
				kept[p.Digest] = placed
			}
		}
	}
	return kept
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

func rememberNode(m Memory, x Member, want desired.Cluster, n actual.Node, leader *actual.Node, now time.Time) Member {
	process := processOf(n)
	x = proveEmpty(m, x, want, n, process)
	if n.Machine != nil && n.Binary != nil && n.Binary.Digest != "" && n.Binary.Digest == want.Artefacts[n.Machine.Platform].Binary {
		x.Pinned = n.Binary.Digest
	}
	if n.Data != nil && n.Data.State == actual.DataUsed && x.Device == "" && x.Joined {
		x.Device = n.Data.Device
	}
	known := process != "" && process == x.Run
	if process != "" && process != x.Run {
		x.Run, x.Index = process, math.MaxUint64 // until a leader tells
	}
	if x.Index == math.MaxUint64 && leader != nil {
		x.Index = leader.Vault.Committed
		if leader.Name == n.Name {
			x.Index = 0
		}
	}
	if n.Vault != nil && process != "" {
		x = rememberSeal(m, x, n, process, known, leader, now)
	}
	return rememberService(m, x, n, process, now)
}

// proveEmpty notes that a data folder was empty while nothing ran and before our
// first start there. The proof is of this machine and this path: another of
// either begins anew.
func proveEmpty(m Memory, x Member, want desired.Cluster, n actual.Node, process string) Member {
	if n.Machine == nil {
		return x
	}
	if x.Machine != "" && (x.Machine != n.Machine.MachineID || x.Data != want.Storage.Path) {
		x.Empty, x.Run, x.Open, x.Shut, x.Ran, x.Will = false, "", "", "", "", WillNone
	}
	x.Machine, x.Data = n.Machine.MachineID, want.Storage.Path
	if n.Data == nil || n.Process == nil || x.Joined {
		return x
	}
	switch {
	case n.Data.State != actual.DataUsed && process == "":
		// Nothing is there and nothing runs: whatever ran before left no trace,
		// and whoever stopped it made room.
		x.Empty, x.Run, x.Open, x.Shut, x.Ran, x.Will = true, "", "", "", "", WillNone
	case n.Data.State == actual.DataUsed && m.lastAct(n.Name).Op == "":
		x.Empty = false // used, and nothing of ours ever ran there
	}
	return x
}

// rememberSeal tells a person's seal from a restart. The API is read beside the
// probe, so one look may pair an old process with a new answer: a seal sticks
// when the same process was seen sealed twice. Known says that the process was
// this one at the look before, too.
func rememberSeal(m Memory, x Member, n actual.Node, process string, known bool, leader *actual.Node, now time.Time) Member {
	switch {
	case !n.Vault.Sealed:
		x.Shut = ""
		if known || x.Open == "" {
			x.Open = process
		}
		if x.Will == WillSealed {
			x.Will = WillNone
		}
		if m.ClusterID != "" && n.Vault.ClusterID == m.ClusterID && leader != nil {
			x.Joined = true
		}
	case x.Open != process || n.Vault.Removed || m.stillActing(x, now):
		x.Shut = ""
	case x.Shut == process:
		x.Will = WillSealed
	default:
		x.Shut = process
	}
	return x
}

func rememberService(m Memory, x Member, n actual.Node, process string, now time.Time) Member {
	if n.Service == nil || n.Machine == nil {
		return x
	}
	if x.Will == WillStopped && x.Ran != n.Machine.BootID {
		x.Will = WillNone // the machine was booted since: what was stopped then is not kept down now
	}
	switch serviceState(*n.Service) {
	case "active":
		x.Ran = n.Machine.BootID
		// Another process than the one that was there is what the act was to bring.
		if t := m.lastAct(n.Name); t.Op != "" && (!t.underWay(now) || process != "" && process != x.Acted) {
			x.Settled = t.Op
		}
		if x.Will == WillStopped {
			x.Will = WillNone
		}
	case "inactive":
		if x.Ran != "" && x.Ran == n.Machine.BootID && !m.acting(x) {
			x.Will = WillStopped
		}
	}
	return x
}

// acting says that the last act of ours that may have stopped the service of a
// node has no outcome that tells, and that the service was not seen active
// since.
func (m Memory) acting(x Member) bool {
	t := m.lastAct(x.Name)
	return t.Op != "" && t.Op != x.Settled && t.Outcome != OutcomeDone && t.Outcome != OutcomeStale
}

// stillActing says that our last start or restart of a node may go on: its end
// was not told, and what it was to bring was not seen.
func (m Memory) stillActing(x Member, now time.Time) bool {
	t := m.lastAct(x.Name)
	return t.underWay(now) && t.Op != x.Settled
}

// lastAct is the latest start or restart of a node.
func (m Memory) lastAct(node string) Try {
	var last Try
	for _, t := range m.Tries {
		if t.Node == node && (t.Action == ActionRestart || t.Action == ActionStart) && !t.At.Before(last.At) {
			last = t
		}
	}
	return last
}

// underWay says that a try may still act: longer than hands and goal are
// waited for, it does not.
func (t Try) underWay(now time.Time) bool {
	return t.Outcome == OutcomeIntent && now.Sub(t.At) < time.Hour
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
