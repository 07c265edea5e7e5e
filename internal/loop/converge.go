package loop

import (
	"context"
	"slices"
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
	last, acted := "", false
	for {
		t := Turn(ctx, p, spec)
		if seen != nil {
			seen(t)
		}
		now := p.Clock.Now()
		if sign := signature(t); sign != last || len(t.Results) > 0 {
			last, quiet = sign, now
		}
		acted = acted || len(t.Results) > 0
		switch {
		case ctx.Err() != nil && acted:
			return mend(ctx, p, spec, t, seen)
		case ctx.Err() != nil:
			t.Err = context.Cause(ctx) // what it saw was cut short, and nothing was done
			return t
		}
		if t.Err != nil {
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

// mend is the end of an interrupted convergence. A wave may have left a node
// down or sealed that its next wave would have brought back: that much is still
// done, and nothing else. The last look is a whole one, not the one that the
// interrupt cut short.
func mend(ctx context.Context, p Ports, spec Spec, t Turned, seen func(Turned)) Turned {
	ctx = context.WithoutCancel(ctx)
	end := p.Clock.Now().Add(settleFor)
	for {
		look := Look(ctx, p, spec)
		wave, ok := look.Plan.Next()
		if look.Err != nil || !ok || !returns(wave) || p.Clock.Now().After(end) {
			return look
		}
		t = Turn(ctx, p, spec)
		if seen != nil {
			seen(t)
		}
		if t.Err != nil || len(t.Results) == 0 {
			return t
		}
	}
}

// returns says that a wave only brings back what is down or sealed.
func returns(wave diff.Wave) bool {
	return !slices.ContainsFunc(wave, func(s diff.Step) bool { return s.Action != diff.ActionStart && s.Action != diff.ActionUnseal })
}

// soonest is how long to wait before the next look; false: nothing that a plan
// waits for will come by itself.
func soonest(plan diff.Plan, now time.Time) (time.Duration, bool) {
	lost := slices.ContainsFunc(plan.Blocks, func(b diff.Block) bool { return b.Reason == diff.ReasonQuorumLost })
	if plan.Mode != "enforce" || len(plan.Waits) == 0 || lost {
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
