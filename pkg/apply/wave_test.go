package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// bench is a world of facts: hands change them, eyes see them, the clock moves
// only when somebody sleeps.
type bench struct {
	now     time.Time
	facts   []diff.Fact
	hands   func(*bench, diff.Step) error
	later   map[time.Duration][]diff.Fact // facts that come to hold after that long
	started time.Time
	journal []string
	full    bool // the journal cannot be written
	events  []string
	moving  bool // something moves at every look
	looks   uint64
}

func newBench(facts ...diff.Fact) *bench {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return &bench{now: noon, started: noon, facts: facts, later: map[time.Duration][]diff.Fact{}}
}

func (b *bench) Now() time.Time { return b.now }

func (b *bench) Sleep(ctx context.Context, d time.Duration) error {
	b.now = b.now.Add(d)
	for after, facts := range b.later {
		if !b.now.Before(b.started.Add(after)) {
			b.facts = append(facts, b.facts...)
			delete(b.later, after)
		}
	}
	return ctx.Err()
}

func (b *bench) ports() Ports {
	ops := 0
	return Ports{
		Eyes: func(context.Context) Look {
			b.looks++
			look := Look{Facts: slices.Clone(b.facts), Seen: map[string]string{}}
			slices.Reverse(look.Facts) // the newest fact of a key wins
			if b.moving {
				look.Seen["eu-1"] = fmt.Sprint("index ", b.looks)
			}
			return look
		},
		Hands: func(_ context.Context, _ diff.Try, s diff.Step, _ Contents) error { return b.hands(b, s) },
		Journal: func(_ context.Context, t diff.Try) error {
			if b.full {
				return errors.New("no space left on device")
			}
			b.journal = append(b.journal, fmt.Sprintf("%s %s %d", t.Step, t.Outcome, t.Count))
			return nil
		},
		Contents: func(context.Context, string) (io.ReadCloser, error) { return nil, errors.New("not asked for") },
		Clock:    b,
		Each: func(n int, do func(int)) {
			for i := range n {
				do(i)
			}
		},
		Op:    func() string { ops++; return fmt.Sprint("op-", ops) },
		Watch: func(e Event) { b.events = append(b.events, string(e.Kind)) },
	}
}

var (
	down = diff.Fact{Node: "eu-1", Key: "service", Value: "failed"}
	up   = diff.Fact{Node: "eu-1", Key: "service", Value: "active"}
)

func start() diff.Wave {
	return diff.Wave{{ID: "start-1", Node: "eu-1", Action: diff.ActionStart, Needs: []diff.Fact{down}, Goal: []diff.Fact{up}}}
}

func (b *bench) sees(facts ...diff.Fact) {
	for _, f := range facts {
		b.facts = slices.DeleteFunc(b.facts, func(x diff.Fact) bool { return x.Node == f.Node && x.Key == f.Key })
		b.facts = append(b.facts, f)
	}
}

func run(t *testing.T, b *bench, m diff.Memory) Result {
	t.Helper()
	results, err := Wave(t.Context(), b.ports(), m, start(), 7)
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func TestAStepIsJournaledBeforeAndAfterItIsDone(t *testing.T) {
	b := newBench(down)
	b.hands = func(b *bench, _ diff.Step) error {
		if len(b.journal) != 1 {
			t.Error("acted before the intent was written down")
		}
		b.sees(up)
		return nil
	}
	r := run(t, b, diff.Memory{})
	if r.Try.Outcome != diff.OutcomeDone || r.Try.Epoch != 7 {
		t.Errorf("%+v", r.Try)
	}
	if got := strings.Join(b.journal, ", "); got != "start-1 intent 1, start-1 done 1" {
		t.Error(got)
	}
	if got := strings.Join(b.events, " "); got != "began ended" {
		t.Error(got)
	}
}

func TestNothingIsDoneWhenTheIntentCannotBeWrittenDown(t *testing.T) {
	b := newBench(down)
	b.full = true
	b.hands = func(*bench, diff.Step) error { t.Error("acted without a journal"); return nil }
	if _, err := Wave(t.Context(), b.ports(), diff.Memory{}, start(), 1); err == nil || !strings.Contains(err.Error(), "nothing of it was done") {
		t.Error(err)
	}
}

func TestAStepWhoseNeedsAreGoneIsStale(t *testing.T) {
	b := newBench(diff.Fact{Node: "eu-1", Key: "service", Value: "inactive"})
	b.hands = func(*bench, diff.Step) error { t.Error("acted on needs that are gone"); return nil }
	if r := run(t, b, diff.Memory{}); r.Try.Outcome != diff.OutcomeStale || !strings.Contains(r.Try.Evidence, "inactive") {
		t.Errorf("%+v", r.Try)
	}
}

func TestAStepWhoseGoalHoldsIsDoneWithoutActing(t *testing.T) {
	b := newBench(up)
	b.hands = func(*bench, diff.Step) error { t.Error("did it twice"); return nil }
	if r := run(t, b, diff.Memory{}); r.Try.Outcome != diff.OutcomeDone {
		t.Errorf("%+v", r.Try)
	}
}

func TestAnErrorOfTheHandsIsNotAnOutcome(t *testing.T) {
	b := newBench(down)
	b.hands = func(b *bench, _ diff.Step) error {
		b.later[3*time.Second] = []diff.Fact{up}
		b.facts = nil
		return errors.New("connection lost")
	}
	if r := run(t, b, diff.Memory{}); r.Try.Outcome != diff.OutcomeDone {
		t.Errorf("the goal came to hold, and the outcome is %+v", r.Try)
	}
}

func TestAnErrorWithoutTheGoalIsUnknown(t *testing.T) {
	b := newBench(down)
	b.hands = func(*bench, diff.Step) error { return errors.New("connection lost") }
	if r := run(t, b, diff.Memory{}); r.Try.Outcome != diff.OutcomeUnknown || r.Try.Evidence != "connection lost" {
		t.Errorf("%+v", r.Try)
	}
}

func TestARefusalIsAFailureAtOnce(t *testing.T) {
	b := newBench(down)
	b.hands = func(*bench, diff.Step) error { return fmt.Errorf("disk full: %w", ErrRefused) }
	r := run(t, b, diff.Memory{})
	if r.Try.Outcome != diff.OutcomeFailed || !b.now.Equal(b.started) {
		t.Errorf("%+v after %s", r.Try, b.now.Sub(b.started))
	}
}

func TestAGoalIsWaitedForAsLongAsSomethingMoves(t *testing.T) {
	for _, moving := range []bool{true, false} {
		b := newBench(down)
		b.moving = moving
		b.hands = func(b *bench, _ diff.Step) error {
			b.later[3*Patience] = []diff.Fact{up}
			b.facts = nil
			return nil
		}
		want := map[bool]diff.Outcome{true: diff.OutcomeDone, false: diff.OutcomeFailed}[moving]
		if r := run(t, b, diff.Memory{}); r.Try.Outcome != want {
			t.Errorf("moving %v: %+v", moving, r.Try)
		}
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	b := newBench(down)
	b.hands = func(*bench, diff.Step) error { return fmt.Errorf("no: %w", ErrRefused) }
	for last, want := range map[diff.Outcome]int{
		diff.OutcomeFailed: 3, diff.OutcomeUnknown: 3, diff.OutcomeDone: 1,
		diff.OutcomeIntent: 2, // whoever was at it died, which is no failure of the step
	} {
		m := diff.Memory{Tries: []diff.Try{{Step: "start-1", Outcome: last, Count: 2}}}
		if r := run(t, b, m); r.Try.Count != want {
			t.Errorf("after %s: %+v", last, r.Try)
		}
	}
}

func TestNoStepIsBegunOnceTheContextIsOver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := newBench(down)
	b.hands = func(*bench, diff.Step) error { t.Error("acted after the end"); return nil }
	if _, err := Wave(ctx, b.ports(), diff.Memory{}, start(), 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAStepThatWasBegunRunsToItsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench(down)
	b.hands = func(b *bench, _ diff.Step) error {
		cancel()
		b.later[5*time.Second] = []diff.Fact{up}
		b.facts = nil
		return nil
	}
	results, err := Wave(ctx, b.ports(), diff.Memory{}, start(), 1)
	if err != nil || results[0].Try.Outcome != diff.OutcomeDone {
		t.Errorf("%+v %v", results, err)
	}
}

// elsewhere is what the hands say of a node where another reconciler acts.
type elsewhere struct{}

func (elsewhere) Error() string { return "it obeys host-b" }
func (elsewhere) Unwrap() error { return ErrRefused }
func (elsewhere) Busy() string  { return "host-b" }

// A turn that another reconciler keeps from acting leaves the memory as it was,
// however often: nobody died, and what the last attempt came to still stands.
func TestWhatAnotherOneKeepsUsFromLeavesNoTrace(t *testing.T) {
	past := diff.Try{Op: "op-0", Step: "start-1", Node: "eu-1", Action: diff.ActionStart, Count: 2, At: time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)}
	for _, outcome := range []diff.Outcome{"", diff.OutcomeFailed, diff.OutcomeIntent, diff.OutcomeDone} {
		var m diff.Memory
		if past.Outcome = outcome; outcome != "" {
			m = m.Record(past)
		}
		want := slices.Clone(m.Tries)
		for turn := range 20 {
			b := newBench(down)
			b.hands = func(*bench, diff.Step) error { return elsewhere{} }
			p := b.ports()
			p.Op = func() string { return fmt.Sprint("turn-", turn) }
			p.Journal = func(_ context.Context, t diff.Try) error { m = m.Record(t); return nil }
			results, err := Wave(t.Context(), p, m, start(), 7)
			if err != nil || results[0].Try.Outcome != diff.OutcomeStale {
				t.Fatalf("%+v %v", results, err)
			}
		}
		if !reflect.DeepEqual(m.Tries, want) && len(m.Tries)+len(want) > 0 {
			t.Errorf("after 20 turns that another one kept us from: %+v, and before: %+v", m.Tries, want)
		}
	}
}
