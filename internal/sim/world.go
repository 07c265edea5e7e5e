package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// World is machines, their networks and one reconciler's state, under a virtual
// clock. It fills every port of a turn.
type World struct {
	Time  time.Time
	Nodes []*Node
	Trace []string // what was done to the machines, in order
	// Broken are the invariants that were broken, each in a sentence. A test
	// fails on any.
	Broken []string
	Inits  int

	rand   *rand.Rand
	memory map[string][]byte // as the store would keep it
	revs   map[string]uint64
	epoch  uint64
	ops    int
	spec   desired.Cluster
}

// NewWorld is an empty world whose choices follow the seed.
func NewWorld(seed uint64) *World {
	return &World{Time: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC), rand: rand.New(rand.NewPCG(seed, 0)),
		memory: map[string][]byte{}, revs: map[string]uint64{}}
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

// Ports are the world as a turn needs it.
func (w *World) Ports() loop.Ports {
	return loop.Ports{Host: w.Look, Each: w.each, Store: store{w}, Lease: w.lease, Hands: w.Do, Clock: clock{w},
		Op: func() string { w.ops++; return "op-" + strconv.Itoa(w.ops) }}
}

// each runs in an order that the seed chooses.
func (w *World) each(n int, do func(int)) {
	for _, i := range w.rand.Perm(n) {
		do(i)
	}
}

func (w *World) lease(context.Context, string) (uint64, func(), error) {
	w.epoch++
	return w.epoch, func() {}, nil
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
	if r := n.Vault.Raft; t.Credential && r != nil && r.Leader != "" && n.Vault.Open && (r.Cred || r.Root) {
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

// store keeps memories as bytes, so that nothing is shared by reference.
type store struct{ w *World }

func (s store) Load(_ context.Context, cluster string) (m diff.Memory, rev uint64, err error) {
	if b := s.w.memory[cluster]; b != nil {
		err = json.Unmarshal(b, &m)
	}
	return m, s.w.revs[cluster], err
}

func (s store) Save(_ context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error) {
	if rev != s.w.revs[cluster] {
		return 0, loop.ErrConflict
	}
	b, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("marshal memory: %w", err)
	}
	s.w.memory[cluster] = b
	s.w.revs[cluster]++
	return s.w.revs[cluster], nil
}

func (s store) Append(ctx context.Context, cluster string, try diff.Try) error {
	return s.w.Change(ctx, cluster, func(m diff.Memory) diff.Memory { return m.Record(try) })
}

// Change changes the memory of a cluster, as a person's command does.
func (w *World) Change(ctx context.Context, cluster string, change func(diff.Memory) diff.Memory) error {
	s := store{w}
	m, rev, err := s.Load(ctx, cluster)
	if err != nil {
		return err
	}
	_, err = s.Save(ctx, cluster, change(m), rev)
	return err
}

var _ apply.Clock = clock{}
