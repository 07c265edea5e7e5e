package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// ErrRefused is wrapped by the hands when nothing was done.
var ErrRefused = errors.New("refused before anything was done")

// Each runs do for 0..n-1 and returns when all have returned; bounded
// goroutines in production, a seeded order in the simulation.
type Each func(n int, do func(i int))

// Result is what became of one step.
type Result struct {
	Step diff.Step
	Try  diff.Try
	Took time.Duration
	Err  error // what the hands said; nil says nothing of the outcome
}

// EventKind names a change of a step in flight. Closed set.
type EventKind string

const (
	EventBegan   EventKind = "began"
	EventWaiting EventKind = "waiting" // acted, and the goal does not hold yet
	EventEnded   EventKind = "ended"
)

// Event is one change of a step in flight, for progress. Detail is a line for
// people.
type Event struct {
	Kind    EventKind
	Step    diff.Step
	Outcome diff.Outcome
	Detail  string
	At      time.Time
}

// How long a goal is waited for after the hands are done, while nothing moves,
// and how often it is looked at. Anything that moves starts the time anew.
const (
	Patience  = 60 * time.Second
	doubt     = 15 * time.Second // patience where the hands failed and nobody knows
	lookEvery = time.Second
	mostWait  = 30 * time.Minute // whatever moves
)

// flight is one step of the wave under way.
type flight struct {
	step  diff.Step
	try   diff.Try
	began time.Time
	acted time.Time // when the hands were done
	err   error
	seen  string    // how far its node was
	moved time.Time // when that last changed
}

func (f *flight) over() bool { return f.try.Outcome != diff.OutcomeIntent }

// Wave does all steps of one wave and returns what became of each, in their
// order. An error means that it could not be told durably what was done; the
// results are still what is known. When the context ends no further step is
// begun, and what was begun goes on to its own deadline.
func Wave(ctx context.Context, p Ports, m diff.Memory, wave diff.Wave, epoch uint64) ([]Result, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	ctx = context.WithoutCancel(ctx)
	look := p.Eyes(ctx)
	flights := make([]*flight, len(wave))
	for i, step := range wave {
		flights[i] = p.prepare(m, step, look, epoch)
		try := flights[i].try
		try.Before = before(m, step.ID)
		if err := p.Journal(ctx, try); err != nil {
			return results(p, flights[:i]), fmt.Errorf("write down the intent of %s on %s, so nothing of it was done: %w", step.Action, step.Node, err)
		}
	}
	p.Each(len(flights), func(i int) { p.act(ctx, flights[i]) })
	p.await(ctx, flights)
	var failed error
	for _, f := range flights {
		f.try.At = p.Clock.Now()
		if err := p.Journal(ctx, f.try); err != nil && failed == nil {
			failed = fmt.Errorf("write down the outcome of %s on %s: %w", f.step.Action, f.step.Node, err)
		}
		p.tell(Event{Kind: EventEnded, Step: f.step, Outcome: f.try.Outcome, Detail: f.try.Evidence})
	}
	return results(p, flights), failed
}

// prepare checks a step against a fresh look: stale if its needs are gone, done
// if its goal holds already, else an intent.
func (p Ports) prepare(m diff.Memory, step diff.Step, look Look, epoch uint64) *flight {
	now := p.Clock.Now()
	failed, cut := attempts(m, step.ID)
	f := &flight{step: step, began: now, moved: now, try: diff.Try{
		Op: p.Op(), Step: step.ID, Node: step.Node, Action: step.Action,
		Outcome: diff.OutcomeIntent, Epoch: epoch, Count: failed + 1, Cut: cut, At: now,
	}}
	if _, _, missing := diff.Missing(step.Goal, look.Facts); !missing {
		f.try.Outcome, f.try.Evidence = diff.OutcomeDone, "the goal held already"
	} else if want, have, missing := diff.Missing(step.Needs, look.Facts); missing {
		f.try.Outcome = diff.OutcomeStale
		f.try.Evidence = fmt.Sprintf("%s of %s is %s, and the plan needs %s", want.Key, orCluster(want.Node), orUnknown(have), want.Value)
	}
	return f
}

// before is the last try of a step, if there is one.
func before(m diff.Memory, step string) *diff.Try {
	for _, t := range m.Tries {
		if t.Step == step {
			t.Before = nil // one is enough
			return &t
		}
	}
	return nil
}

// attempts counts how often in a row a step failed, and how often since then
// whoever was at it died: an attempt without an outcome did not fail.
func attempts(m diff.Memory, step string) (failed, cut int) {
	for _, t := range m.Tries {
		switch {
		case t.Step != step:
		case t.Outcome == diff.OutcomeIntent:
			return t.Count - 1, t.Cut + 1
		case t.Outcome == diff.OutcomeFailed, t.Outcome == diff.OutcomeUnknown:
			return t.Count, 0
		}
	}
	return 0, 0
}

// busy is an error that says that another one acts on the node.
type busy interface {
	error
	Busy() string
}

// act lets the hands do one step.
func (p Ports) act(ctx context.Context, f *flight) {
	if f.over() {
		return
	}
	p.tell(Event{Kind: EventBegan, Step: f.step})
	f.err = p.Hands(ctx, f.try, f.step, p.Contents)
	f.acted = p.Clock.Now()
	f.moved = f.acted
	if !errors.Is(f.err, ErrRefused) {
		return
	}
	f.try.Outcome, f.try.Evidence = diff.OutcomeFailed, f.err.Error()
	if errors.As(f.err, new(busy)) {
		f.try.Outcome = diff.OutcomeStale // another one acts there: no fault of the step
	}
}

// await looks until every goal holds or its time is up.
func (p Ports) await(ctx context.Context, flights []*flight) {
	open := func(f *flight) bool { return !f.over() }
	for first := true; slices.ContainsFunc(flights, open); first = false {
		if !first && p.Clock.Sleep(ctx, lookEvery) != nil {
			return
		}
		look := p.Eyes(ctx)
		now := p.Clock.Now()
		for _, f := range flights {
			if f.over() {
				continue
			}
			if seen := look.Seen[f.step.Node]; seen != f.seen {
				f.seen, f.moved = seen, now
			}
			p.judge(f, look, now)
		}
	}
}

// judge gives a flight its outcome if the goal holds or its time is up.
func (p Ports) judge(f *flight, look Look, now time.Time) {
	want, have, missing := diff.Missing(f.step.Goal, look.Facts)
	patience := Patience
	if f.err != nil {
		patience = doubt
	}
	switch {
	case !missing:
		f.try.Outcome = diff.OutcomeDone
	case now.Sub(f.moved) < patience && now.Sub(f.acted) < mostWait:
		p.tell(Event{Kind: EventWaiting, Step: f.step, Detail: look.Seen[f.step.Node]})
	case f.err != nil:
		f.try.Outcome, f.try.Evidence = diff.OutcomeUnknown, f.err.Error()
	default:
		f.try.Outcome = diff.OutcomeFailed
		f.try.Evidence = fmt.Sprintf("done on the node, but %s of %s is %s and not %s", want.Key, orCluster(want.Node), orUnknown(have), want.Value)
	}
}

func (p Ports) tell(e Event) {
	if p.Watch != nil {
		e.At = p.Clock.Now()
		p.Watch(e)
	}
}

func results(p Ports, flights []*flight) []Result {
	out := make([]Result, 0, len(flights))
	for _, f := range flights {
		out = append(out, Result{Step: f.step, Try: f.try, Took: p.Clock.Now().Sub(f.began), Err: f.err})
	}
	return out
}

func orCluster(node string) string {
	if node == "" {
		return "the cluster"
	}
	return node
}

func orUnknown(value string) string {
	if value == "" {
		return "unknown"
	}
	return value
}
