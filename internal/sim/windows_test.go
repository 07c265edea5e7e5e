package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
	"github.com/vaultfleet/reconciler/pkg/schedule"
)

// TestWhatPeopleNoticeBeginsInAWindow keeps a cluster for hours with a window and a
// freeze, commits at some moment, and kills a Vault now and then. No reload and no
// restart begins while the window is closed or in the freeze, but to bring a rollout of
// a version to its end; a rollout that fits into a window is not torn by its end; who is
// down is brought back at whatever time.
func TestWhatPeopleNoticeBeginsInAWindow(t *testing.T) {
	before := born(t, 3)
	waited, late := 0, 0
	for seed := range uint64(90) {
		dice := rand.New(rand.NewPCG(seed, 7))
		k := kept{run: before.copy(seed), calendar: calendarOf(t, dice, before.Time)}
		k.Pass(time.Duration(dice.IntN(6*60)) * time.Minute)
		if until, open := k.calendar.Open(k.calendar.NextOpen(k.Time)); open && dice.IntN(3) == 0 {
			k.Pass(until.Sub(k.Time) - time.Duration(dice.IntN(5))*time.Second) // as it closes
		}
		spec := k.fleet([]string{"1.21.0", "1.21.1"}[seed%2], []string{"  log_level: info\n  ui: false", "  log_level: debug\n  ui: true"}[seed/2%2])
		spec.Cluster.Rollout.Calendar = k.calendar
		k.keep(spec, dice)
		if len(k.wrong) > 0 {
			t.Fatalf("seed %d, %s, freezes %v, committed %s:\n%s", seed, k.calendar.Window, k.calendar.Freezes, k.committed.Format(time.RFC3339), k.wrong)
		}
		if k.converged.Sub(k.committed) > time.Hour {
			waited++
		}
		if k.late {
			late++
		}
	}
	if waited < 20 || late < 5 {
		t.Errorf("of 90 rollouts %d waited for longer than an hour, and %d went on after a window", waited, late)
	}
}

// calendarOf is a window every three hours, of seconds or more, and a freeze over some of
// them.
func calendarOf(t *testing.T, dice *rand.Rand, now time.Time) schedule.Calendar {
	t.Helper()
	often, err := schedule.Parse(fmt.Sprintf("%d */3 * * *", dice.IntN(60)), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	window, err := schedule.NewWindow(often, []time.Duration{3 * time.Second, 10 * time.Minute, time.Hour}[dice.IntN(3)])
	if err != nil {
		t.Fatal(err)
	}
	begins := now.Add(time.Duration(dice.IntN(9)) * time.Hour)
	return schedule.Calendar{Window: &window, Freezes: []schedule.Freeze{{From: begins, Until: begins.Add(time.Duration(dice.IntN(9)) * time.Hour), Reason: "a test"}}}
}

// kept is a cluster that is kept by a calendar.
type kept struct {
	*run
	calendar             schedule.Calendar
	committed, converged time.Time
	restarts             []time.Time // ends of the openings that they began in
	hurt                 bool        // after the first of them
	late                 bool        // one began after its window
	wrong                []string
}

// keep takes turns until the spec holds, and hurts a node now and then.
func (k *kept) keep(spec loop.Spec, dice *rand.Rand) {
	k.committed, k.spec = k.Time, spec
	k.Use(spec.Cluster)
	ports := k.Ports()
	ports.Hands = func(ctx context.Context, try diff.Try, step diff.Step, contents apply.Contents) error {
		k.begins(step)
		return k.Do(ctx, try, step, contents)
	}
	for k.Time.Before(k.committed.Add(48 * time.Hour)) {
		if dice.IntN(60) == 0 {
			n := k.Nodes[dice.IntN(len(k.Nodes))]
			n.Unit.Kill()
			n.Vault.Stop()
			k.hurt = k.hurt || len(k.restarts) > 0
		}
		last := loop.Converge(context.Background(), ports, spec, nil)
		if last.Err != nil {
			k.wrong = append(k.wrong, last.Err.Error())
		}
		for _, n := range k.Nodes {
			if !n.Vault.Open {
				k.wrong = append(k.wrong, n.Name+" was not brought back")
			}
		}
		if k.wrong = append(k.wrong, k.Broken...); len(k.wrong) > 0 {
			return
		}
		if last.Plan.Empty() {
			k.converged = k.Time
			fits := k.calendar.Window.Length() >= 10*time.Minute
			if openings := slices.CompactFunc(k.restarts, time.Time.Equal); fits && len(openings) > 1 && !k.hurt {
				k.wrong = append(k.wrong, "a rollout was torn by the end of a window")
			}
			return
		}
		rest := time.Duration(1+dice.IntN(20)) * time.Minute
		for _, wait := range last.Plan.Waits {
			if left := wait.Until.Sub(k.Time); left > 0 {
				rest = min(rest, left)
			}
		}
		k.Pass(rest)
	}
	k.wrong = append(k.wrong, "it never converges")
}

// begins judges a step at the moment that it begins.
func (k *kept) begins(step diff.Step) {
	if step.Action != diff.ActionReload && step.Action != diff.ActionRestart {
		return
	}
	until, open := k.calendar.Open(k.Time)
	rolled := slices.ContainsFunc(k.Nodes, func(n *Node) bool { return n.Name != step.Node && n.RunsV == k.spec.Cluster.Vault.Version })
	begun := step.Binary != "" && rolled && k.spec.Cluster.Vault.Version != "1.21.0"
	switch {
	case open && step.Action == diff.ActionRestart && !begun:
		k.restarts = append(k.restarts, until)
	case open:
	case begun:
		k.late = true
	default:
		k.wrong = append(k.wrong, fmt.Sprintf("%s of %s begins at %s", step.Action, step.Node, k.Time.Format(time.RFC3339)))
	}
}
