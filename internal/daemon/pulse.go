package daemon

import (
	"slices"
	"sync"
	"time"
)

// Whether a daemon goes on can be told from outside only by what it does: a
// process whose loops wait for each other looks alive. So every loop says by
// when it will be heard of again. Its waits are known, and what it does beside
// them ends by itself: a poll after ten minutes, a minute for the lock of the clone and
// five in which a forge is asked, each call of a turn after ten, and a turn is heard of
// between them.
const (
	pollTakes    = 20 * time.Minute // at most
	turnIsSilent = 45 * time.Minute // at most
	grace        = time.Minute      // on a machine that is busy
)

// Pulse is by when each loop will be heard of again.
type Pulse struct {
	mu    sync.Mutex
	beats map[*beats]struct{}
}

// NewPulse is a pulse of nobody yet.
func NewPulse() *Pulse { return &Pulse{beats: map[*beats]struct{}{}} }

// Late are the loops that were not heard of when they should have been, sorted.
// None means that all go on.
func (p *Pulse) Late(now time.Time) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var late []string
	for b := range p.beats {
		if now.After(b.due) {
			late = append(late, b.name)
		}
	}
	slices.Sort(late)
	return late
}

// beats is one loop.
type beats struct {
	pulse *Pulse
	name  string
	due   time.Time
}

// join lets a loop be heard of, until it leaves.
func (p *Pulse) join(name string) *beats {
	b := &beats{pulse: p, name: name}
	if p == nil {
		return b
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b.due = time.Now().Add(grace)
	p.beats[b] = struct{}{}
	return b
}

// within says that the loop is heard of again within that long.
func (b *beats) within(d time.Duration) {
	if b.pulse == nil {
		return
	}
	b.pulse.mu.Lock()
	defer b.pulse.mu.Unlock()
	b.due = time.Now().Add(d)
}

func (b *beats) leave() {
	if b.pulse == nil {
		return
	}
	b.pulse.mu.Lock()
	defer b.pulse.mu.Unlock()
	delete(b.pulse.beats, b)
}
