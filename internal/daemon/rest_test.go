package daemon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// hint says that there may be something new, as whoever receives a hook does.
func (b *bench) hint() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

func TestAHintedCommitIsTurnedToAtOnce(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1", "b:1"}, "two": {"a:2", "b:1"}})
	b.every = time.Hour
	b.set("one", nil)
	b.run(t, func() {
		for _, after := range []time.Duration{10 * time.Minute, time.Millisecond} { // at rest, and just after a poll
			time.Sleep(after)
			b.set("two", nil)
			b.hint()
			pushed := time.Now()
			time.Sleep(2 * time.Second)
			if late := b.turned("a").Sub(pushed); b.at("a") != "2" || late < 0 || late >= time.Second {
				t.Errorf("a is kept at %s, %v after the push", b.at("a"), late)
			}
			b.set("one", nil)
			b.hint()
			time.Sleep(time.Second)
		}
		if n := b.taken("b"); n != 1 {
			t.Errorf("b is not touched, and took %d turns", n)
		}
	})
}

// TestACommitThatTouchesOneOfManyIsTurnedToAtOnce: what a large fleet is spread
// over must not delay the one cluster that a commit is about.
func TestACommitThatTouchesOneOfManyIsTurnedToAtOnce(t *testing.T) {
	var names []string
	for i := range 500 {
		names = append(names, fmt.Sprintf("c%d:1", i))
	}
	b := newBench(map[string][]string{"one": names, "two": slices.Concat([]string{"c0:2"}, names[1:])})
	b.every = time.Hour
	b.set("one", nil)
	b.run(t, func() {
		time.Sleep(10 * time.Minute)
		b.set("two", nil)
		b.hint()
		pushed := time.Now()
		time.Sleep(10 * time.Second)
		if late := b.turned("c0").Sub(pushed); late < 0 || late > 100*time.Millisecond {
			t.Errorf("its turn began %v after the push", late)
		}
	})
}

func TestManyHintsAreFewPolls(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1"}})
	b.every = time.Hour
	b.set("one", nil)
	b.run(t, func() {
		time.Sleep(time.Minute)
		before := b.polled()
		for range 10_000 {
			b.hint()
			time.Sleep(time.Millisecond)
		}
		if polls := b.polled() - before; polls < 10 || polls > 21 {
			t.Errorf("in ten seconds of hints the repo was asked %d times", polls)
		}
		time.Sleep(time.Second)
		before = b.polled()
		time.Sleep(30 * time.Minute)
		if polls := b.polled(); polls != before {
			t.Errorf("after the last hint the repo was asked %d times more", polls-before)
		}
	})
}

func TestWhatIsHintedDuringAPollIsAskedAfterIt(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1"}, "two": {"a:2"}})
	b.every = time.Hour
	b.set("one", nil)
	b.run(t, func() {
		time.Sleep(time.Minute)
		poll := b.polled()
		b.slow(5 * time.Second)
		b.hint()
		time.Sleep(time.Second) // it is asked, and stands at one
		b.set("two", nil)
		for range 100 {
			b.hint()
		}
		time.Sleep(20 * time.Second)
		if polls := b.polled() - poll; b.at("a") != "2" || polls != 2 {
			t.Errorf("a is kept at %s after %d polls", b.at("a"), polls)
		}
	})
}

// TestAHintEndsASilenceOnce: the repo may be back; but hints must not undo that
// one who cannot answer is asked seldom.
func TestAHintEndsASilenceOnce(t *testing.T) {
	b := newBench(map[string][]string{"before": {"a:1"}, "two": {"a:2"}})
	b.set("", errors.New("connection refused"))
	b.run(t, func() {
		for range 24 * 60 {
			b.hint()
			time.Sleep(time.Minute)
		}
		if polls := b.polled(); polls > 2*(24*60/15+8) {
			t.Errorf("in a day of hints a silent repo was asked %d times", polls)
		}
		for range 2 { // one of two rests in a row can be ended
			b.set("two", nil)
			b.hint()
			time.Sleep(longestPoll + longestPoll/5)
		}
		if b.at("a") != "2" || !strings.Contains(b.said(), "the repo answers again") {
			t.Errorf("a is kept at %q", b.at("a"))
		}
	})
}

func TestAHintThatTheRepoIsBackIsHeard(t *testing.T) {
	b := newBench(map[string][]string{"before": {"a:1"}, "two": {"a:2"}})
	b.set("", errors.New("connection refused"))
	b.run(t, func() {
		time.Sleep(2 * time.Hour)
		b.set("two", nil)
		b.hint()
		time.Sleep(2 * time.Second)
		if b.at("a") != "2" {
			t.Errorf("a is kept at %q", b.at("a"))
		}
	})
}

func TestAServerThatAsksToBeLeftAloneIsWhateverIsHinted(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1"}})
	b.set("", fmt.Errorf("fetch main: %w", busy(40*time.Minute)))
	b.run(t, func() {
		for range 39 {
			b.hint()
			time.Sleep(time.Minute)
		}
		if polls := b.polled(); polls != 1 {
			t.Errorf("it was asked %d times", polls)
		}
		b.set("one", nil)
		time.Sleep(6 * time.Minute)
		if b.at("a") != "1" {
			t.Errorf("a is kept at %q", b.at("a"))
		}
	})
}
