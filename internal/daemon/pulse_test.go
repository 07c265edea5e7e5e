package daemon

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// late is who is late of a daemon that was let run for some time, with what a turn
// of a does besides.
func late(t *testing.T, after time.Duration, hang func(b *bench, until <-chan struct{})) (late []string) {
	t.Helper()
	b := newBench(map[string][]string{"one": {"a:1", "b:1"}})
	b.set("one", nil)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		over, until := make(chan struct{}), make(chan struct{})
		hang(b, until)
		ports := b.ports()
		ports.Name, ports.Pulse, ports.Places = "acme", NewPulse(), NewPlaces()
		if poll := ports.Poll; b.takes < 0 {
			ports.Poll = func(ctx context.Context) (string, error, error) {
				b.takes = 0
				defer func() { <-until }()
				return poll(ctx)
			}
		}
		go func() {
			Run(ctx, ports, b.every, slog.New(slog.NewTextHandler(b, nil)))
			close(over)
		}()
		time.Sleep(after)
		late = ports.Pulse.Late(time.Now())
		stop()
		close(until)
		<-over
		if rest := ports.Pulse.Late(time.Now().Add(24 * time.Hour)); len(rest) > 0 {
			t.Errorf("%q are waited for after the end", rest)
		}
	})
	return late
}

func TestADaemonAtRestIsLateInNothing(t *testing.T) {
	for _, after := range []time.Duration{time.Second, time.Hour, 24 * time.Hour} {
		if late := late(t, after, func(*bench, <-chan struct{}) {}); len(late) > 0 {
			t.Errorf("after %v %q are late", after, late)
		}
	}
}

func TestATurnThatHangsIsLateAndTheOthersAreNot(t *testing.T) {
	hang := func(b *bench, until <-chan struct{}) { b.turn["a"] = func() { <-until } }
	if late := late(t, turnIsSilent-time.Minute, hang); len(late) > 0 {
		t.Errorf("%q are late while they may still be at it", late)
	}
	if late := late(t, turnIsSilent+time.Minute, hang); !slices.Equal(late, []string{"the turns of a"}) {
		t.Errorf("late are %q", late)
	}
}

func TestAPollThatHangsIsLateAndTheTurnsAreNot(t *testing.T) {
	hang := func(b *bench, _ <-chan struct{}) { b.takes = -1 }
	if late := late(t, pollTakes+time.Minute, hang); !slices.Equal(late, []string{"the polls of acme"}) {
		t.Errorf("late are %q", late)
	}
}

// TestWhoeverKeepsAClusterNextWaitsForTheTurnInFlight: and the other clusters do
// not wait with it.
func TestWhoeverKeepsAClusterNextWaitsForTheTurnInFlight(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1", "b:1"}})
	b.set("one", nil)
	synctest.Test(t, func(t *testing.T) {
		places, log := NewPlaces(), slog.New(slog.NewTextHandler(b, nil))
		ports := b.ports()
		ports.Places = places
		until, over := make(chan struct{}), make(chan struct{}, 2)
		b.turn["a"] = func() { <-until }
		run := func(ctx context.Context) {
			Run(ctx, ports, b.every, log)
			over <- struct{}{}
		}
		first, end := context.WithCancel(t.Context())
		go run(first)
		time.Sleep(10 * time.Second)
		end()
		second, stop := context.WithCancel(t.Context())
		go run(second)
		time.Sleep(time.Hour)
		if a, c := b.taken("a"), b.taken("b"); a != 1 || c < 50 {
			t.Errorf("a took %d turns and b %d while the first turn of a went on", a, c)
		}
		close(until)
		time.Sleep(time.Hour)
		if a := b.taken("a"); a < 50 || len(b.early) > 0 {
			t.Errorf("a took %d turns after that, and two at a time of %q", a, b.early)
		}
		stop()
		<-over
		<-over
	})
	if strings.Contains(b.said(), "ERROR") {
		t.Error(b.said())
	}
}
