package hook

import (
	"log/slog"
	"sync"
	"time"
)

// quiet bounds how often the log says that requests are turned away. Whoever
// sends them decides how many come, and must not decide how long the log is.
const quiet = time.Minute

// teller says that requests are turned away, the first at once and then how many
// more they are. Nothing of such a request is told: it is of anybody.
type teller struct {
	log  *slog.Logger
	wait time.Duration

	mu    sync.Mutex
	last  time.Time
	since map[Outcome]int // reason → requests that were not told
}

func newTeller(log *slog.Logger) *teller {
	return &teller{log: log, wait: quiet, since: map[Outcome]int{}}
}

// refused counts a request that was turned away. The reason is one of ours.
func (t *teller) refused(reason Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since[reason]++
	now := time.Now()
	if !t.last.IsZero() && now.Sub(t.last) < t.wait {
		return
	}
	t.last = now
	attrs := []any{}
	for _, r := range []Outcome{BadSignature, TooMany, TooLarge, CutShort} {
		if n := t.since[r]; n > 0 {
			attrs = append(attrs, string(r), n)
		}
	}
	t.since = map[Outcome]int{}
	t.log.Warn("webhooks are refused", attrs...)
}
