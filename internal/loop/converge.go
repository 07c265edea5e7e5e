package loop

import (
	"context"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// How long a converging cluster is waited for while no plan of it changes, and
// how often it is looked at meanwhile.
const (
	settleFor   = 3 * time.Minute
	settleEvery = 2 * time.Second
)

// Converge takes turns until the cluster is in sync, blocked, waiting for
// something that no one here can hurry, or failed. It returns the last turn.
// Seen hears of every turn, before the next begins.
func Converge(ctx context.Context, p Ports, spec Spec, seen func(Turned)) Turned {
	quiet := p.Clock.Now()
	last := ""
	for {
		t := Turn(ctx, p, spec)
		if seen != nil {
			seen(t)
		}
		now := p.Clock.Now()
		if sign := signature(t); sign != last || len(t.Results) > 0 {
			last, quiet = sign, now
		}
		if t.Err != nil || ctx.Err() != nil {
			return t
		}
		if len(t.Results) > 0 {
			continue
		}
		until, soon := soonest(t.Plan, now)
		if !soon || now.Sub(quiet) > settleFor {
			return t
		}
		if p.Clock.Sleep(ctx, until) != nil {
			return t
		}
	}
}

// soonest is how long to wait before the next look; false: nothing that a plan
// waits for will come by itself.
func soonest(plan diff.Plan, now time.Time) (time.Duration, bool) {
	if plan.Mode != "enforce" || len(plan.Waits) == 0 {
		return 0, false
	}
	wait := settleEvery
	for _, w := range plan.Waits {
		if w.Until.IsZero() {
			return settleEvery, true
		}
		wait = max(wait, w.Until.Sub(now))
	}
	return wait, wait <= settleFor
}

// signature changes whenever a plan does.
func signature(t Turned) string {
	s := t.Plan.Fingerprint()
	for _, w := range t.Plan.Waits {
		s += w.Node + string(w.Reason)
	}
	for _, b := range t.Plan.Blocks {
		s += b.Node + string(b.Reason)
	}
	return s
}
