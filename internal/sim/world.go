package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// World is machines and their networks, under a virtual clock, and a first
// [Reconciler] beside them.
type World struct {
	*Reconciler
	Time  time.Time
	Nodes []*Node
	Trace []string // what was done to the machines, in order
	// Broken are the invariants that were broken, each in a sentence. A test
	// fails on any.
	Broken []string
	Inits  int // how often Vault was asked

	rand  *rand.Rand
	ops   int
	kept  map[string]string // what the key stores hold, by its name; they are nobody's alone
	spec  desired.Cluster
	cross func(where string) // hears of every boundary that a reconciler comes to; nil: nobody listens
}

// NewWorld is an empty world whose choices follow the seed.
func NewWorld(seed uint64) *World {
	w := &World{Time: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC), rand: rand.New(rand.NewPCG(seed, 0)), kept: map[string]string{}}
	w.Reconciler = w.NewReconciler("sim")
	return w
}

// AddNode adds a bare machine.
func (w *World) AddNode(name, address string) *Node {
	n := newNode(name, address)
	w.Nodes = append(w.Nodes, n)
	return n
}

// Node finds a machine by name.
func (w *World) Node(name string) *Node {
	for _, n := range w.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Use sets the spec that the machines' Vaults are part of.
func (w *World) Use(spec desired.Cluster) { w.spec = spec }

// each runs in an order that the seed chooses.
func (w *World) each(n int, do func(int)) {
	for _, i := range w.rand.Perm(n) {
		do(i)
	}
}

type clock struct{ w *World }

func (c clock) Now() time.Time { return c.w.Time }

func (c clock) Sleep(ctx context.Context, d time.Duration) error {
	c.w.Pass(d)
	return ctx.Err()
}

// Pass lets time go by, second by second.
func (w *World) Pass(d time.Duration) {
	for end := w.Time.Add(d); w.Time.Before(end); {
		w.Time = w.Time.Add(min(time.Second, end.Sub(w.Time)))
		w.tick()
	}
}

// tick lets the rafts move on, and servers without data find a leader through
// retry_join.
func (w *World) tick() {
	var servers []*Vault
	for _, n := range w.Nodes {
		servers = append(servers, &n.Vault)
	}
	for _, n := range w.Nodes {
		n.goOn(w)
	}
	for _, r := range w.rafts() {
		r.Tick(servers, w.Time)
	}
	for _, n := range w.Nodes {
		if !n.Vault.Up || n.Vault.Raft != nil {
			continue
		}
		for _, r := range w.rafts() {
			if r.Leader != "" {
				n.Vault.Raft = r // the challenge is fetched: initialised and sealed
				break
			}
		}
	}
}

func (w *World) rafts() []*Raft {
	var out []*Raft
	for _, n := range w.Nodes {
		if r := n.Vault.Raft; r != nil && !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// reach tells whoever listens that a reconciler came to a boundary: before or
// after something that outlives it, or amid a call.
func (w *World) reach(where string) {
	if w.cross != nil {
		w.cross(where)
	}
}

// Look is the probe of one machine.
func (w *World) Look(_ context.Context, t actual.Target) actual.Node {
	n := w.Node(t.Node)
	if n == nil {
		return actual.Node{Name: t.Node, At: w.Time, Unknown: map[actual.Phase]string{actual.PhaseDNS: "no such host"}}
	}
	seen := n.look(t, w.Time)
	if n.Down || !n.Vault.Up {
		return seen
	}
	seen.Vault = w.lookVault(n)
	for _, peer := range t.Peers {
		seen.Machine.PeersReach[peer] = w.answers(peer)
	}
	if r := n.Vault.Raft; t.Credential && r != nil && r.Leader != "" && n.Vault.Open && (r.Root || w.opens(r)) {
		w.lookRaft(&seen, r)
	}
	return seen
}

// answers tells what a TCP connection to host:port gets.
func (w *World) answers(address string) string {
	for _, n := range w.Nodes {
		if address == n.Address+":8200" && n.Vault.Up || address == n.Address+":8201" && n.Vault.Open {
			return "open"
		}
		if address == n.Address+":8201" && !n.Down {
			return "refused"
		}
	}
	return "silent"
}

func (w *World) lookVault(n *Node) *actual.Vault {
	v := &actual.Vault{Initialized: n.Vault.Raft != nil, Sealed: !n.Vault.Open, SealType: "shamir", Version: n.Vault.Version, StorageType: "raft", Removed: n.Vault.Removed}
	r := n.Vault.Raft
	if r == nil {
		return v
	}
	v.Threshold, v.Shares = r.Thresh, r.Shares
	if !n.Vault.Open {
		return v
	}
	v.ClusterID, v.Leader, v.Applied, v.Committed = r.ID, r.Leader == n.Vault.ID, n.Vault.Applied, r.Index
	for _, m := range w.Nodes {
		if m.Vault.Raft == r && m.Vault.ID == r.Leader {
			v.LeaderAddress = "https://" + m.Address + ":8200"
		}
	}
	return v
}

func (w *World) lookRaft(seen *actual.Node, r *Raft) {
	seen.Raft = &actual.Raft{Autopilot: &actual.Autopilot{Healthy: true, HealthyServers: map[string]bool{}}}
	for _, n := range w.Nodes {
		p := r.Members[n.Vault.ID]
		if n.Vault.Raft != r || p == nil {
			continue
		}
		seen.Raft.Servers = append(seen.Raft.Servers, actual.Server{ID: n.Vault.ID, Address: n.Address + ":8201", Voter: p.Voter, Leader: r.Leader == n.Vault.ID})
		seen.Raft.Autopilot.HealthyServers[n.Vault.ID] = n.Vault.Open
	}
	seen.Audit.Devices = map[string]actual.Device{}
	for path, d := range r.Devices {
		seen.Audit.Devices[path] = actual.Device{Type: d.Type, Options: d.Options}
	}
}

var _ apply.Clock = clock{}
