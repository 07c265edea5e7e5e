package sim

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// try converges where steps may fail, and returns what it came to.
func (r *run) try(spec loop.Spec) loop.Turned {
	r.t.Helper()
	r.spec = spec
	r.Use(spec.Cluster)
	last := loop.Converge(context.Background(), r.Ports(), spec, nil)
	if last.Err != nil {
		r.t.Fatal(last.Err)
	}
	if len(r.Broken) > 0 {
		r.t.Fatal(strings.Join(r.Broken, "\n"))
	}
	return last
}

func TestAReloadThatNobodyCanSeeIsARollWithTheLeaderLast(t *testing.T) {
	before := born(t, 3)
	for seed := range uint64(5) {
		r := before.copy(seed)
		leader := r.Nodes[0].Vault.Raft.Leader
		for _, n := range r.Nodes {
			n.Mute = true
		}
		r.cut()
		last := r.try(r.fleet("1.21.0", "  log_level: debug\n  ui: true"))
		if got := r.done(); got["reload"] != 3 || got["restart"] != 3 || got["unseal"] != 3 || !last.Plan.Empty() {
			t.Fatalf("seed %d: want each reload followed by a restart, got %v, plan %+v", seed, r.Trace, last.Plan)
		}
		for i, line := range r.Trace {
			if node, ok := strings.CutPrefix(line, "reload "); ok && r.Trace[i+1] != "restart "+node {
				t.Errorf("seed %d: after %q comes %q", seed, line, r.Trace[i+1])
			}
		}
		if at := lastOf(r.Trace, "restart"); at != "restart "+leader {
			t.Errorf("seed %d: the leader was %s, and the last restart is %q", seed, leader, at)
		}
	}
}

func TestWhatVaultRefusesGoesNoFurtherThanOneNodeAndTakesNobodyDown(t *testing.T) {
	before := born(t, 3)
	for seed := range uint64(5) {
		r := before.copy(seed)
		bad, worse := r.fleet("1.21.0", "  log_level: debug\n  ui: true"), r.fleet("1.21.0", "  log_level: warn\n  ui: true")
		for i, n := range r.Nodes {
			n.Unusable = map[string]bool{}
			for _, p := range slices.Concat(bad.Cluster.Nodes[i].Puts, worse.Cluster.Nodes[i].Puts) {
				n.Unusable[p.Digest] = p.Path == bad.Cluster.Service.ConfigPath
			}
		}
		r.cut()
		for range 2 {
			wantBlock(t, r.try(bad), diff.ReasonRefused)
		}
		if len(r.Trace) != 1 || !strings.HasPrefix(r.Trace[0], "reload ") {
			t.Fatalf("seed %d: want one reload and nothing else, got %v", seed, r.Trace)
		}
		refused := strings.TrimPrefix(r.Trace[0], "reload ")
		wantBlock(t, r.try(worse), diff.ReasonRefused)
		if !slices.Equal(r.Trace, []string{"reload " + refused, "reload " + refused}) {
			t.Fatalf("seed %d: a second mistake is refused like the first, and nothing else is done: %v", seed, r.Trace)
		}
		if slices.ContainsFunc(r.Nodes, func(n *Node) bool { return !n.Vault.Open }) {
			t.Fatalf("seed %d: a node was taken down", seed)
		}
		r.cut()
		last := r.try(r.fleet("1.21.0", "  log_level: trace\n  ui: true"))
		if got := r.done(); got["reload"] != 3 || got["restart"] != 0 || !slices.Contains(r.Trace, "reload "+refused) || !last.Plan.Empty() {
			t.Errorf("seed %d: want %s to reload like the others: %v, plan %+v", seed, refused, r.Trace, last.Plan)
		}
	}
}
