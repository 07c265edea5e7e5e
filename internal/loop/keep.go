package loop

import (
	"context"
	"errors"
	"time"
)

// Keeping is one cluster that is kept for good: it takes its turns as fast as
// there is something to do, and looks every so often while there is not.
type Keeping struct {
	// Order is what the next turn is of. It is asked before each, so that a
	// newer commit counts from the next turn on, also in the middle of a roll.
	Order func() (Ports, Spec, error)
	// Wait returns after that long, or earlier where there is news. It returns
	// the error of a context that has ended.
	Wait  func(ctx context.Context, d time.Duration) error
	Every time.Duration // from one look at a cluster at rest to the next
	Seen  func(Turned)  // hears of every turn, before the next begins; nil: nobody does
}

// longestRest bounds how seldom a cluster is tried whose turns fail.
const longestRest = 2 * time.Minute

// Keep takes turns until the context ends. What is in flight then goes on to
// its end, and what it left down or sealed is brought back.
func (k Keeping) Keep(ctx context.Context) {
	pace, failures := &pace{}, 0
	for ctx.Err() == nil {
		last := k.converge(ctx, pace)
		if last.Err == nil || errors.As(last.Err, new(Busy)) {
			failures = 0
		} else {
			failures++
		}
		if k.Wait(ctx, k.rest(last, failures)) != nil {
			return
		}
	}
}

// rest is how long a cluster is left alone: until something that it waits for
// is due, and longer after each turn that failed.
func (k Keeping) rest(last Turned, failures int) time.Duration {
	if failures > 0 {
		return min(k.Every<<min(failures-1, 10), max(k.Every, longestRest))
	}
	rest := k.Every
	for _, w := range last.Plan.Waits {
		if !w.Until.IsZero() {
			rest = min(rest, max(settleEvery, w.Until.Sub(last.At)))
		}
	}
	return rest
}

// atMost keeps a wait from hiding what breaks meanwhile.
func (k Keeping) atMost(wait time.Duration) time.Duration {
	if k.Every == 0 {
		return wait
	}
	return min(wait, k.Every)
}

func (k Keeping) seen(t Turned) {
	if k.Seen != nil {
		k.Seen(t)
	}
}
