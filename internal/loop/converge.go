package loop

import (
	"context"
	"errors"
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
	k := Keeping{Order: func() (Ports, Spec, error) { return p, spec, nil }, Wait: p.Clock.Sleep, Seen: seen}
	return k.converge(ctx, &pace{})
}

// converge takes turns of what is ordered until it is at rest.
func (k Keeping) converge(ctx context.Context, pace *pace) Turned {
	acted := false
	for {
		p, spec, err := k.Order()
		t := Turned{Cluster: spec.Cluster.Name, Err: err}
		if err == nil {
			t = Turn(ctx, p, spec)
		}
		k.seen(t)
		acted = acted || len(t.Results) > 0
		if ctx.Err() == nil && t.Err == nil {
			wait, more := pace.after(t, p.Clock.Now())
			if !more || k.Wait(ctx, k.atMost(wait)) != nil && !acted {
				return t
			}
		}
		switch {
		case ctx.Err() != nil && acted && err == nil:
			return k.mend(ctx, p, spec, t)
		case ctx.Err() != nil:
			t.Err = context.Cause(ctx) // what it saw was cut short, and nothing was done
			return t
		case t.Err != nil:
			return t
		}
	}
}

// mend is the end of an interrupted convergence. A wave may have left a node
// down or sealed that its next wave would have brought back: that much is still
// done, and nothing else. The last look is a whole one, not the one that the
// interrupt cut short.
func (k Keeping) mend(ctx context.Context, p Ports, spec Spec, t Turned) Turned {
	ctx = context.WithoutCancel(ctx)
	end := p.Clock.Now().Add(settleFor)
	p.Leave = bringsBack // what is next may be another wave by then
	for {
		look := Look(ctx, p, spec)
		wave, ok := look.Plan.Next()
		if look.Err != nil || !ok || !returns(wave) || p.Clock.Now().After(end) {
			return look
		}
		t = Turn(ctx, p, spec)
		k.seen(t)
		if t.Err != nil || len(t.Results) == 0 {
			return t
		}
	}
}

// bringsBack gives leave to a plan whose next wave only brings back what is down
// or sealed.
func bringsBack(plan diff.Plan) error {
	if wave, ok := plan.Next(); ok && !returns(wave) {
		return errors.New("stopped before the next change")
	}
	return nil
}

// returns says that a wave only brings back what is down or sealed.
func returns(wave diff.Wave) bool {
	return !slices.ContainsFunc(wave, func(s diff.Step) bool { return s.Action != diff.ActionStart && s.Action != diff.ActionUnseal })
}

// soonest is how long to wait for the first thing that a plan waits for; false:
// nothing of it will come soon by itself.
func soonest(plan diff.Plan, now time.Time) (time.Duration, bool) {
	lost := slices.ContainsFunc(plan.Blocks, func(b diff.Block) bool { return b.Reason == diff.ReasonQuorumLost })
	if plan.Mode != "enforce" || lost {
		return 0, false
	}
	first := settleFor + 1
	for _, w := range plan.Waits {
		if w.Reason == diff.WaitRing || w.Reason == diff.WaitApproval {
			continue // that is for another spec, or for a person
		}
		if w.Reason == diff.WaitWindow && w.Until.IsZero() {
			continue // it never opens
		}
		if w.Until.IsZero() {
			return settleEvery, true // only a look can tell
		}
		first = min(first, max(settleEvery, w.Until.Sub(now)))
	}
	return first, first <= settleFor
}

// pace is how fast the turns of a cluster follow one another.
type pace struct {
	sign  string    // of the last turn
	quiet time.Time // since when it is the same
}

// after is how long to wait after a turn; false: the cluster is at rest. What
// was done is looked at again at once.
func (p *pace) after(t Turned, now time.Time) (time.Duration, bool) {
	if sign := signature(t); sign != p.sign || len(t.Results) > 0 {
		p.sign, p.quiet = sign, now
	}
	if len(t.Results) > 0 {
		return 0, true
	}
	wait, soon := soonest(t.Plan, now)
	return wait, soon && now.Sub(p.quiet) <= settleFor
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
