package diff

import (
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Memory is what neither the repo nor the nodes can tell of one cluster: the
// fold of its journal and of its looks. It holds no secret.
type Memory struct {
	Known     bool              `json:"known"` // false: new, or lost; nothing is initialised or unsealed unasked
	ClusterID string            `json:"cluster_id,omitempty"`
	Birth     Birth             `json:"birth"`
	Accepted  Accepted          `json:"accepted,omitzero"` // the spec that is in force
	Good      Standing          `json:"good"`              // the last spec that was converged on
	CAs       [][]byte          `json:"cas,omitempty"`     // PEM of Good
	Members   []Member          `json:"members,omitempty"` // by name; all ever in raft, also those that the spec dropped
	Tries     []Try             `json:"tries,omitempty"`   // the last of each step ID
	Secrets   map[string]string `json:"secrets,omitempty"` // "age:…" or "secret:…" → digest of the plaintext that was placed
	Newest    string            `json:"newest,omitempty"`  // highest version that was ever active
	Leaves    []Leave           `json:"leaves,omitempty"`
	Drifts    []Episode         `json:"drifts,omitempty"` // that are there, or were lately
}

// Accepted is the spec that is in force: the last that could be read and that
// this machine allows. It stays in force while git is gone, and while a newer
// commit is broken. Commit is the first that had it.
type Accepted struct {
	Commit string `json:"commit"`
	Digest string `json:"digest"`
}

// Standing is a spec that a cluster converged on. Since is zero while it is
// not in sync; First is when it first was.
type Standing struct {
	Cluster string    `json:"cluster,omitempty"`
	Commit  string    `json:"commit,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	First   time.Time `json:"first,omitzero"`
}

// BirthPhase is how far the ceremony came. Closed set, in order.
type BirthPhase string

const (
	BirthNone       BirthPhase = ""           // never begun
	BirthIntent     BirthPhase = "intent"     // about to ask Vault to initialise
	BirthKeys       BirthPhase = "keys"       // shares and root token stored encrypted, read back
	BirthCredential BirthPhase = "credential" // our own credential works from another node
	BirthConfirmed  BirthPhase = "confirmed"  // a human way in is proven
	BirthDone       BirthPhase = "done"       // root token revoked
	BirthLost       BirthPhase = "lost"       // an answer is missing: frozen until a person acts
)

// Birth is the ceremony's journal.
type Birth struct {
	Phase    BirthPhase `json:"phase,omitempty"`
	Nonce    string     `json:"nonce,omitempty"`
	Seed     string     `json:"seed,omitempty"` // the node that is asked
	At       time.Time  `json:"at,omitzero"`
	Evidence string     `json:"evidence,omitempty"` // of BirthLost
	Holders  []string   `json:"holders,omitempty"`  // people to whom a threshold is encrypted
	// Confirmed is the holder who proved that theirs opens.
	Confirmed string `json:"confirmed,omitempty"`
}

// Will is what a person did on purpose. Closed set; a machine's accident is
// WillNone.
type Will string

const (
	WillNone    Will = ""
	WillSealed  Will = "sealed"  // sealed by hand in an unchanged process
	WillStopped Will = "stopped" // clean stop, not ours, same boot
)

// Member is what is remembered of one node.
type Member struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"`
	ID      string `json:"id,omitempty"`      // raft node_id
	Machine string `json:"machine,omitempty"` // machine-id of the host
	Data    string `json:"data,omitempty"`    // path of the data folder
	// Empty: its data folder was proven empty before Vault was first started
	// there by us.
	Empty  bool   `json:"empty,omitempty"`
	Joined bool   `json:"joined,omitempty"` // was seen as a member of the cluster
	Device string `json:"device,omitempty"` // of its data folder, once used
	Will   Will   `json:"will,omitempty"`   // sticks until a person lifts it
	Open   string `json:"open,omitempty"`   // process last seen unsealed: boot/pid/start
	Shut   string `json:"shut,omitempty"`   // the same process, seen sealed once since
	// Settled is the last act of ours after whose end the service was seen active:
	// a stop after it is not ours.
	Settled string `json:"settled,omitempty"`
	Pinned  string `json:"pinned,omitempty"` // digest of the locked program that was last seen at vault.path
	Ran     string `json:"ran,omitempty"`    // boot in which the service was last seen active
	Run     string `json:"run,omitempty"`    // process last seen: boot/pid/start
	Acted   string `json:"acted,omitempty"`  // Run when our last start or restart began
	// Index is the leader's index when Run was first seen: below it the node
	// has not caught up.
	Index uint64 `json:"index,omitempty"`
}

// Outcome of a try. Closed set.
type Outcome string

const (
	OutcomeIntent  Outcome = "intent" // about to act; alone it means that nobody knows
	OutcomeDone    Outcome = "done"
	OutcomeFailed  Outcome = "failed"
	OutcomeUnknown Outcome = "unknown"
	OutcomeStale   Outcome = "stale" // needs no longer held; nothing was done
)

// Try is one attempt at one step.
type Try struct {
	Op       string    `json:"op"`   // operation ID, new for each attempt
	Step     string    `json:"step"` // Step.ID
	Node     string    `json:"node"`
	Action   Action    `json:"action"`
	Outcome  Outcome   `json:"outcome"`
	Evidence string    `json:"evidence,omitempty"`
	Epoch    uint64    `json:"epoch"`
	Count    int       `json:"count"`         // attempts at this step ID so far
	Cut      int       `json:"cut,omitempty"` // attempts just before it whose end nobody lived to see
	At       time.Time `json:"at"`
	Before   *Try      `json:"before,omitempty"` // of an intent: the last try of the step, which stands again if nothing is done
}

// LeaveKind is what a person allowed or forbade. Closed set.
type LeaveKind string

const (
	LeaveInit     LeaveKind = "init"     // the cluster may be born
	LeaveHold     LeaveKind = "hold"     // hands off
	LeaveRetry    LeaveKind = "retry"    // forget failed tries before At
	LeaveApproval LeaveKind = "approval" // what Covers says may be done for the spec of Digest, until it is in force
	LeaveHeal     LeaveKind = "heal"     // put back now what somebody changed; of one turn, never stored
)

// Leave is a person's word to the reconciler, given on its own host.
type Leave struct {
	Kind   LeaveKind `json:"kind"`
	Node   string    `json:"node,omitempty"` // empty: the cluster
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"`
	Digest string    `json:"digest,omitempty"` // of an approval
	Covers []Cover   `json:"covers,omitempty"`
}

// Member finds what is remembered of a node; the zero Member if nothing.
func (m Memory) Member(name string) Member {
	for _, x := range m.Members {
		if x.Name == name {
			return x
		}
	}
	return Member{Name: name}
}

// Accept is the memory once a spec of a commit is acted on. A spec of no commit,
// such as a folder's, leaves no trace: there would be no way back to it.
func (m Memory) Accept(want desired.Cluster, commit string) Memory {
	if commit != "" && m.Accepted.Digest != want.Digest {
		m.Accepted = Accepted{Commit: commit, Digest: want.Digest}
		m.Good.Since, m.Good.First = time.Time{}, time.Time{} // also where it was this very spec once
	}
	return m
}

// left says that a spec was good once, that another was in force since, and that nobody
// has seen it hold again: what differs from it may be what we did for the other.
func (m Memory) left(want desired.Cluster) bool {
	return m.Accepted.Digest == want.Digest && m.Good.First.IsZero()
}

// Asked is the memory for a turn that a person asks for: drift is put back now.
func (m Memory) Asked(now time.Time) Memory {
	m.Leaves = append(slices.Clone(m.Leaves), Leave{Kind: LeaveHeal, At: now})
	return m
}

// Unsure says that something was seen once that only a second look can tell from
// an accident of timing: a seal by hand.
func (m Memory) Unsure() bool {
	return slices.ContainsFunc(m.Members, func(x Member) bool { return x.Shut != "" && x.Will == WillNone })
}

// leave finds a leave of a kind for a node, or for the cluster, that is in
// force at now.
func (m Memory) leave(kind LeaveKind, node string, now time.Time) (Leave, bool) {
	for _, l := range m.Leaves {
		if l.Kind == kind && (l.Node == "" || l.Node == node) && (l.Until.IsZero() || now.Before(l.Until)) {
			return l, true
		}
	}
	return Leave{}, false
}

// Record folds one try into the memory: the last of each step ID is kept. A stale
// one did nothing, so what the last try came to still stands.
func (m Memory) Record(t Try) Memory {
	if t.Outcome == OutcomeStale {
		last, ok := m.try(t.Step)
		if !ok || last.Op != t.Op {
			return m
		}
		m.Tries = slices.DeleteFunc(slices.Clone(m.Tries), func(x Try) bool { return x.Step == t.Step })
		if last.Before != nil {
			m.Tries = append(m.Tries, *last.Before)
		}
		return m
	}
	m.Tries = append(slices.DeleteFunc(slices.Clone(m.Tries), func(x Try) bool { return x.Step == t.Step }), t)
	if t.Outcome == OutcomeIntent && (t.Action == ActionStart || t.Action == ActionRestart) {
		m.Members = slices.Clone(m.Members)
		for i, x := range m.Members {
			if x.Name == t.Node {
				m.Members[i].Acted = x.Run
			}
		}
	}
	return m
}

// forget drops what failed of an action on a node: what it was to reach has
// been reached since.
func (m Memory) forget(node string, action Action) Memory {
	m.Tries = slices.DeleteFunc(slices.Clone(m.Tries), func(t Try) bool {
		return t.Node == node && t.Action == action && (t.Outcome == OutcomeFailed || t.Outcome == OutcomeUnknown)
	})
	return m
}

// try is the last attempt at a step.
func (m Memory) try(step string) (Try, bool) {
	for _, t := range m.Tries {
		if t.Step == step {
			return t, true
		}
	}
	return Try{}, false
}
