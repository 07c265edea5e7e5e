package loop

import (
	"context"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func waits(until ...time.Duration) diff.Plan {
	plan := diff.Plan{Mode: "enforce"}
	for _, d := range until {
		w := diff.Wait{Reason: diff.WaitPause}
		if d > 0 {
			w.Until = noon.Add(d)
		}
		plan.Waits = append(plan.Waits, w)
	}
	return plan
}

func TestTheFirstThingThatIsDueIsWaitedFor(t *testing.T) {
	observed := waits(time.Second)
	observed.Mode = "observe"
	shut := waits(0)
	shut.Waits[0].Reason, shut.Waits[0].Until = diff.WaitWindow, time.Time{}
	for name, c := range map[string]struct {
		plan diff.Plan
		want time.Duration // 0: nothing comes soon
	}{
		"nothing":                     {waits(), 0},
		"only a look can tell":        {waits(0), settleEvery},
		"a look before a pause":       {waits(time.Minute, 0), settleEvery},
		"the earlier of two":          {waits(170*time.Second, 5*time.Second), 5 * time.Second},
		"due already":                 {waits(-time.Second), settleEvery},
		"a long pause":                {waits(time.Hour), 0},
		"a retry beside a long one":   {waits(time.Hour, 15*time.Second), 15 * time.Second},
		"nobody acts, nobody hurries": {observed, 0},
		"a window that never opens":   {shut, 0},
	} {
		if name == "due already" {
			c.plan.Waits[0].Until = noon.Add(-time.Second)
		}
		if got, soon := soonest(c.plan, noon); soon != (c.want > 0) || soon && got != c.want {
			t.Errorf("%s: %v, %v", name, got, soon)
		}
	}
}

func TestAClusterAtRestIsLookedAtEverySoOften(t *testing.T) {
	k := Keeping{Every: time.Minute}
	for name, c := range map[string]struct {
		plan     diff.Plan
		failures int
		want     time.Duration
	}{
		"in sync":            {waits(), 0, time.Minute},
		"a pause that ends":  {waits(20 * time.Second), 0, 20 * time.Second},
		"a long pause":       {waits(time.Hour), 0, time.Minute},
		"settling":           {waits(0), 0, time.Minute},
		"a turn that failed": {waits(), 1, time.Minute},
		"turns that failed":  {waits(), 9, longestRest},
		"failed a lot":       {waits(), 1 << 20, longestRest},
	} {
		if got := k.rest(Turned{At: noon, Plan: c.plan}, c.failures); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if got := (Keeping{Every: time.Hour}).rest(Turned{}, 5); got != time.Hour {
		t.Errorf("an hour between looks is not made shorter by failures: %v", got)
	}
}

func TestAnInterruptedRollGetsNoLeaveForItsNextRestart(t *testing.T) {
	step := func(a diff.Action) diff.Plan {
		return diff.Plan{Mode: "enforce", Waves: []diff.Wave{{{Node: "eu-1", Action: a}}}}
	}
	for action, want := range map[diff.Action]bool{diff.ActionStart: true, diff.ActionUnseal: true, diff.ActionRestart: false, diff.ActionReload: false, diff.ActionPlace: false} {
		if err := bringsBack(step(action)); (err == nil) != want {
			t.Errorf("%s: %v", action, err)
		}
	}
}

func TestAWaveThatWasDoneIsToldOfAlsoAtTheEnd(t *testing.T) {
	over, end := context.WithCancel(t.Context())
	end()
	did := Turned{Results: []apply.Result{{}}}
	for _, row := range []struct {
		ctx  context.Context
		turn Turned
		cut  bool
	}{{t.Context(), Turned{}, false}, {t.Context(), did, false}, {over, Turned{}, true}, {over, did, false}} {
		if got := row.turn.Cut(row.ctx); got != row.cut {
			t.Errorf("%d results, %v: cut %v", len(row.turn.Results), row.ctx.Err(), got)
		}
	}
}
