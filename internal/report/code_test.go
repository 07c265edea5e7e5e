package report

import (
	"fmt"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

func blocked(reasons ...diff.Reason) Cluster {
	c := seen("prod", 3)
	for _, r := range reasons {
		c.Plan.Blocks = append(c.Plan.Blocks, diff.Block{Reason: r})
	}
	return c
}

func waiting(r diff.Reason) Cluster {
	c := seen("prod", 3)
	c.Plan.Waits = []diff.Wait{{Reason: r}}
	return c
}

func did(c Cluster, outcomes ...diff.Outcome) Cluster {
	for _, o := range outcomes {
		c.Results = append(c.Results, ended(step("eu-1", diff.ActionStart, diff.EffectNone), o, ""))
	}
	return c
}

// reloaded is a cluster after a reload whose effect was not seen, and restarts
// that were done.
func reloaded(node string, restarted ...string) Cluster {
	c := seen("prod", 3)
	c.Results = append(c.Results, ended(step(node, diff.ActionReload, diff.EffectReload), diff.OutcomeUnknown, ""))
	for _, n := range restarted {
		c.Results = append(c.Results, ended(step(n, diff.ActionRestart, diff.EffectRestart), diff.OutcomeDone, ""))
	}
	return c
}

func TestCode(t *testing.T) {
	looks, acts := Asked{}, Asked{Acted: true}
	detailed, strict := Asked{Detailed: true}, Asked{Unobserved: true}
	erred, busy, unseen := seen("prod", 3), seen("prod", 3), seen("prod", 3)
	erred.Err, busy.Err = errLook, fmt.Errorf("take the lease: %w", busyError{})
	fenced := did(busy, diff.OutcomeUnknown)
	fenced.Results[0].Err = fmt.Errorf("half-way: %w", busyError{})
	unseen.Plan.Unseen = []diff.Unseen{{Node: "eu-2", Phase: "tcp"}}
	for _, x := range []struct {
		name  string
		is    []Cluster
		asked Asked
		want  int
	}{
		{"nothing at all", nil, acts, 0},
		{"in sync", []Cluster{seen("a", 3)}, acts, 0},
		{"in sync, detailed", []Cluster{seen("a", 3)}, detailed, 0},
		{"changes are no matter unless asked", []Cluster{upgrading("a")}, looks, 0},
		{"changes, detailed", []Cluster{upgrading("a")}, detailed, 2},
		{"a wait is a change, detailed", []Cluster{waiting(diff.WaitSettling)}, detailed, 2},
		{"broken spec", []Cluster{broken("a")}, looks, 1},
		{"error", []Cluster{erred}, acts, 1},
		{"unseen, plan", []Cluster{unseen}, looks, 0},
		{"unseen, plan, asked", []Cluster{unseen}, strict, 3},
		{"unseen, apply", []Cluster{unseen}, acts, 3},
		{"a gate", []Cluster{blocked(diff.ReasonQuorum)}, looks, 5},
		{"a birth that nobody approved", []Cluster{blocked(diff.ReasonUnapproved)}, acts, 5},
		{"observe, plan", []Cluster{blocked(diff.ReasonObserve)}, looks, 0},
		{"observe, apply", []Cluster{blocked(diff.ReasonObserve)}, acts, 5},
		{"busy", []Cluster{busy}, acts, 6},
		{"busy beats a gate", []Cluster{busy, blocked(diff.ReasonQuorum)}, acts, 6},
		{"failed step", []Cluster{did(seen("a", 3), diff.OutcomeFailed)}, acts, 7},
		{"unknown step", []Cluster{did(seen("a", 3), diff.OutcomeUnknown)}, acts, 7},
		{"failed, then done", []Cluster{did(seen("a", 3), diff.OutcomeFailed, diff.OutcomeDone)}, acts, 0},
		{"a reload that was not seen", []Cluster{reloaded("eu-1")}, acts, 7},
		{"a reload that was not seen, then a restart", []Cluster{reloaded("eu-1", "eu-1")}, acts, 0},
		{"a reload that was not seen, then a restart of another", []Cluster{reloaded("eu-1", "eu-2")}, acts, 7},
		{"done, and something is still on its way", []Cluster{did(waiting(diff.WaitSettling), diff.OutcomeDone)}, acts, 7},
		{"done, and a pause is waited for", []Cluster{did(waiting(diff.WaitPause), diff.OutcomeDone)}, acts, 0},
		{"waiting without having done anything", []Cluster{waiting(diff.WaitSettling)}, acts, 0},
		{"part-way beats busy", []Cluster{busy, did(seen("a", 3), diff.OutcomeFailed)}, acts, 7},
		{"what another one keeps us from is not ours to continue", []Cluster{fenced}, acts, 6},
		{"a person beats all", []Cluster{lost("a"), busy, erred, unseen, did(seen("a", 3), diff.OutcomeFailed)}, acts, 8},
		{"a person beats all, plan", []Cluster{erred, lost("a")}, looks, 8},
		{"an error beats changes", []Cluster{erred, upgrading("a")}, detailed, 1},
		{"unseen beats an error", []Cluster{erred, unseen}, acts, 3},
		{"a gate beats unseen", []Cluster{unseen, blocked(diff.ReasonHeld)}, acts, 5},
	} {
		if got := Code(x.is, x.asked); got != x.want {
			t.Errorf("%s: %d, want %d", x.name, got, x.want)
		}
	}
}

// Every reason that calls for a person now is exit code 8.
func TestUrgentReasonsAreEight(t *testing.T) {
	for _, r := range []diff.Reason{diff.ReasonInitLost, diff.ReasonConfirm, diff.ReasonQuorumLost, diff.ReasonDataMissing, diff.ReasonFailed, diff.ReasonNoShares, diff.ReasonRefused} {
		if got := Code([]Cluster{blocked(r, diff.ReasonQuorum)}, Asked{}); got != HumanNeeded {
			t.Errorf("%s: %d", r, got)
		}
	}
}

func TestWorst(t *testing.T) {
	order := []int{8, 7, 6, 5, 4, 3, 1, 2, 0}
	for i, worse := range order {
		for _, better := range order[i:] {
			if got := Worst(better, worse); got != worse {
				t.Errorf("of %d and %d, %d", better, worse, got)
			}
		}
	}
	if got := Worst(8, Interrupted); got != Interrupted {
		t.Errorf("interrupted and 8: %d", got)
	}
}
