package daemon

import (
	"context"
	"errors"
	"time"
)

// Between two polls the daemon rests: for its interval, for longer where the
// repo does not answer, and for less where somebody hints that there is something
// new. A hint may be wrong, and a hundred may come at once, so what they can bring
// about is bounded:
//
//   - Two polls begin at least betweenPolls apart. All hints meanwhile are one.
//   - A server that asked to be left alone is, whatever is hinted.
//   - A repo that does not answer may be asked early once: it may be back, and
//     whoever hints is often the same machine. When that was in vain, the next
//     rest is had to its end.

const (
	longestPoll  = 15 * time.Minute       // bounds how seldom a repo is asked that does not answer
	betweenPolls = 500 * time.Millisecond // bounds how often hints have it asked
)

// hears is what may end the rest after a poll early: hinted says that the poll
// was brought about by a hint, silent how it failed.
func (d *daemon) hears(silent error, hinted bool) <-chan struct{} {
	if silent != nil && (hinted || asked(silent) > 0) {
		return nil
	}
	return d.News
}

// rest waits for the next poll, and says whether a hint brings it about.
func (d *daemon) rest(ctx context.Context, wait time.Duration, news <-chan struct{}) (hinted bool) {
	begun := time.Now()
	if d.Wait(ctx, min(wait, betweenPolls), nil) != nil || d.Wait(ctx, wait-time.Since(begun), news) != nil {
		return false
	}
	select {
	case <-d.News: // the poll that comes now is its answer
	default:
	}
	return time.Since(begun) < wait
}

// asked is how long a server that is busy asks to be left alone; whoever speaks
// with it bounds that.
func asked(err error) time.Duration {
	if busy, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err); ok {
		return busy.RetryAfter()
	}
	return 0
}
