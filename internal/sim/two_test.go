package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/conform"
	"github.com/vaultfleet/reconciler/internal/loop"
)

// Two reconcilers have a state folder each. The second takes over while the
// first stands still at some boundary, as a stopped process does. When the first one
// goes on, it does not know of that, and no act of its changes a machine.

// elder is the reconciler that was taken over from.
type elder struct {
	*run
	at     int // the boundary at which it stands still
	passed int
	then   func()
}

func (e *elder) come(where string) {
	e.passed++
	if e.passed == e.at && !strings.HasPrefix(where, "amid ") { // what a node is amid, it ends
		e.cross = nil
		e.then()
		e.cross = e.come
	}
}

// young is a second reconciler, to whom somebody gave a copy of the journal.
func (r *run) young() *Reconciler {
	second := r.NewReconciler("laptop")
	second.memory, second.revs = maps.Clone(r.memory), maps.Clone(r.revs)
	return second
}

func TestWhoWasTakenOverFromChangesNothing(t *testing.T) {
	for _, s := range []struct {
		story string
		every int // so manyth boundary is tried
		newer func(r *run) loop.Spec
	}{
		{"a birth", 17, func(r *run) loop.Spec { return r.fleet("1.21.0", "  log_level: debug\n  ui: true") }},
		{"a roll", 5, func(r *run) loop.Spec { return r.fleet("1.21.0", "  log_level: debug\n  ui: false") }},
		{"an upgrade", 7, func(r *run) loop.Spec { return r.fleet("1.21.1", "  log_level: debug\n  ui: true") }},
	} {
		t.Run(s.story, func(t *testing.T) {
			t.Parallel()
			story := storyOf(t, s.story)
			before, refused := story.from(t, 3), 0
			for at := 1; ; at += s.every {
				first := &elder{run: before.copy(uint64(at)), at: at}
				older := story.steps[0](first.run)
				first.spec = older
				first.Use(older.Cluster)
				newer, second := s.newer(first.run), first.young()
				writes := -1
				first.then = func() {
					second.memory = maps.Clone(first.memory)
					if err := second.Takeover(); err != nil {
						t.Fatal(err)
					}
					if at/s.every%2 == 0 { // else it has not acted yet when the first one goes on
						loop.Converge(context.Background(), second.Ports(), newer, nil)
					}
					writes = first.writes()
				}
				first.cross = first.come
				last := loop.Converge(context.Background(), first.Ports(), older, nil)
				first.cross = nil
				if first.passed < at {
					break
				}
				if writes < 0 {
					continue // amid a call
				}
				if first.writes() != writes {
					t.Fatalf("taken over from at boundary %d, it acted all the same: %v", at, first.Trace)
				}
				var busy loop.Busy
				if errors.As(last.Err, &busy) {
					refused++
					if !strings.Contains(busy.Busy(), "laptop") {
						t.Errorf("boundary %d: it is not told who acts there: %v", at, last.Err)
					}
				} else if last.Err != nil {
					t.Errorf("boundary %d: %v", at, last.Err)
				}
				end := loop.Converge(context.Background(), second.Ports(), newer, nil)
				if end.Err != nil || len(end.Plan.Waves) > 0 || len(first.Broken) > 0 || first.Inits > 1 {
					t.Fatalf("boundary %d: the second ends with %v %+v, %v", at, end.Err, end.Plan, first.Broken)
				}
			}
			if refused == 0 {
				t.Error("the first one was never refused")
			}
			t.Logf("refused %d times", refused)
		})
	}
}

func storyOf(t *testing.T, name string) story {
	t.Helper()
	for _, s := range stories {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("no story %q", name)
	return story{}
}

// The machine of this room is held to the table that real machines are held to.
func TestANodeObeysAsItsScriptDoes(t *testing.T) {
	n := &Node{}
	for i, f := range conform.Fence() {
		if err := n.guard(f.Verb, f.Epoch, f.Holder); (err == nil) != f.Obeyed {
			t.Errorf("call %d, %s by epoch %d of %s: %v", i+1, f.Verb, f.Epoch, f.Holder, err)
		}
		if now := fmt.Sprint(n.Epoch, " ", n.Holder); now != f.After {
			t.Errorf("after call %d the node obeys %s, want %s", i+1, now, f.After)
		}
	}
}
