package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Reconciler is what outlives the process of one reconciler: its state folder.
// The process itself is [Reconciler.Ports], made anew for each.
type Reconciler struct {
	w      *World
	holder string
	memory map[string][]byte // by cluster, as the store would keep it
	revs   map[string]uint64
	epoch  uint64
}

// NewReconciler is a reconciler with an empty state folder. Holder is who it is
// to the nodes.
func (w *World) NewReconciler(holder string) *Reconciler {
	return &Reconciler{w: w, holder: holder, memory: map[string][]byte{}, revs: map[string]uint64{}}
}

// Ports are the world as a turn of this reconciler needs it.
func (r *Reconciler) Ports() loop.Ports {
	w := r.w
	return loop.Ports{Host: w.Look, Each: w.each, Store: store{r}, Lease: r.lease, Hands: r.Do, Clock: clock{w},
		Op: func() string { w.ops++; return "op-" + strconv.Itoa(w.ops) }}
}

func (r *Reconciler) lease(context.Context, string) (uint64, func(), error) {
	r.epoch++
	return r.epoch, func() {}, nil
}

// Takeover has all nodes obey this reconciler, above the highest epoch that one
// of them saw.
func (r *Reconciler) Takeover() error {
	for _, n := range r.w.Nodes {
		r.epoch = max(r.epoch, n.Epoch)
	}
	r.epoch++
	for _, n := range r.w.Nodes {
		if err := n.guard("takeover", r.epoch, r.holder); err != nil {
			return err
		}
	}
	return nil
}

// fenced is what a node says to whom it does not obey.
type fenced struct {
	node, holder string
	epoch        uint64
}

func (f fenced) Error() string {
	return fmt.Sprintf("%s obeys epoch %d of %s", f.node, f.epoch, f.holder)
}

func (f fenced) Busy() string { return f.Error() }

func (f fenced) Unwrap() error { return apply.ErrRefused }

// guard is that of the node script: a lower epoch is refused, and so is another
// holder. Only a takeover changes the holder, by a higher epoch.
func (n *Node) guard(verb string, epoch uint64, holder string) error {
	stranger := n.Holder != "" && n.Holder != holder
	if epoch < n.Epoch || stranger && (verb != "takeover" || epoch == n.Epoch) {
		return fenced{n.Name, n.Holder, n.Epoch}
	}
	n.Epoch, n.Holder = epoch, holder
	return nil
}

// store keeps memories as bytes, so that nothing is shared by reference.
type store struct{ r *Reconciler }

func (s store) Load(_ context.Context, cluster string) (m diff.Memory, rev uint64, err error) {
	if b := s.r.memory[cluster]; b != nil {
		err = json.Unmarshal(b, &m)
	}
	return m, s.r.revs[cluster], err
}

func (s store) Save(_ context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error) {
	if rev != s.r.revs[cluster] {
		return 0, loop.ErrConflict
	}
	b, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("marshal memory: %w", err)
	}
	s.r.w.reach("before a save of the memory")
	s.r.memory[cluster] = b
	s.r.revs[cluster]++
	s.r.w.reach("after a save of the memory")
	return s.r.revs[cluster], nil
}

func (s store) Append(ctx context.Context, cluster string, try diff.Try) error {
	return s.r.Change(ctx, cluster, func(m diff.Memory) diff.Memory { return m.Record(try) })
}

// Change changes the memory of a cluster, as a person's command does.
func (r *Reconciler) Change(ctx context.Context, cluster string, change func(diff.Memory) diff.Memory) error {
	s := store{r}
	m, rev, err := s.Load(ctx, cluster)
	if err != nil {
		return err
	}
	_, err = s.Save(ctx, cluster, change(m), rev)
	return err
}

var _ apply.Hands = (*Reconciler)(nil).Do
