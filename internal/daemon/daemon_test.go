package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// bench is a repo and clusters without nodes under the clock of a bubble: a
// turn of a cluster is counted, and does nothing.
type bench struct {
	mu     sync.Mutex
	commit string
	err    error               // of the repo
	held   error               // of its newest commit
	lost   error               // of our clone of it
	wants  map[string][]string // commit → clusters, as NAME or NAME:DIGEST
	turns  map[string]int      // by cluster
	last   map[string]string   // the digest that a cluster's last turn was of
	when   map[string]time.Time
	turn   map[string]func() // what a turn does besides
	log    bytes.Buffer

	news  chan struct{}
	every time.Duration
	takes time.Duration // a poll

	busy     map[string]bool // clusters in the middle of a turn
	early    []string        // what came before the turn of its cluster was over
	released []string
	polls    int

	count   bool
	counted string // how the last poll went
	defects int
}

func newBench(wants map[string][]string) *bench {
	return &bench{wants: wants, turns: map[string]int{}, last: map[string]string{}, when: map[string]time.Time{}, turn: map[string]func(){}, busy: map[string]bool{}, every: time.Minute}
}

func (b *bench) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *bench) said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

func (b *bench) set(commit string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.commit, b.err = commit, err
}

// taken counts the turns of a cluster, and starts the count anew.
func (b *bench) taken(cluster string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.turns[cluster]
	b.turns[cluster] = 0
	return n
}

// turned is when a cluster began its last turn.
func (b *bench) turned(cluster string) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.when[cluster]
}

func (b *bench) polled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.polls
}

func (b *bench) at(cluster string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last[cluster]
}

// slow makes an answer of the repo take that long; it is of when it was asked.
func (b *bench) slow(takes time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takes = takes
}

func (b *bench) ask() (commit string, takes time.Duration, held, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.polls++
	return b.commit, b.takes, b.held, b.err
}

func (b *bench) ports() Ports {
	p := b.fleet()
	if b.count {
		p.Polled, p.Recovered = b.hears, b.recovered
	}
	return p
}

func (b *bench) hears(silent, held, bad error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counted = "followed"
	for what, err := range map[string]error{"silent": silent, "held": held, "bad": bad} {
		if err != nil {
			b.counted = what
		}
	}
}

func (b *bench) recovered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.defects++
}

func (b *bench) fleet() Ports {
	return Ports{
		Poll: func(context.Context) (string, error, error) {
			commit, takes, held, err := b.ask()
			time.Sleep(takes)
			if commit == "panic" {
				panic("a pack is not what its index says")
			}
			return commit, held, err
		},
		Last: func() (string, bool, error) { return "before", b.wants["before"] != nil, b.lost },
		Read: func(_ context.Context, commit string) (Wants, error) {
			wanted, ok := b.wants[commit]
			if !ok {
				return Wants{}, errors.New("no such commit")
			}
			var wants Wants
			for _, want := range wanted {
				name, digest, _ := strings.Cut(want, ":")
				if digest == "gone" {
					wants.Gone = append(wants.Gone, name)
					continue
				}
				wants.Kept = append(wants.Kept, Kept{Name: name, Digest: digest, Order: func() (loop.Ports, loop.Spec, error) { return b.order(name, digest) }})
			}
			return wants, nil
		},
		Release: func(cluster string) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.busy[cluster] {
				b.early = append(b.early, cluster)
			}
			b.released = append(b.released, cluster)
			return nil
		},
		Wait: Wait,
		News: b.news,
	}
}

func (b *bench) order(name, digest string) (loop.Ports, loop.Spec, error) {
	b.mu.Lock()
	b.turns[name]++
	b.last[name], b.when[name] = digest, time.Now()
	do := b.turn[name]
	if b.busy[name] {
		b.early = append(b.early, name)
	}
	b.busy[name] = true
	b.mu.Unlock()
	if do != nil {
		do()
	}
	b.mu.Lock()
	b.busy[name] = false
	b.mu.Unlock()
	ports := loop.Ports{
		Each:  func(int, func(int)) {},
		Store: nothing{},
		Clock: wall{},
		Host:  func(context.Context, actual.Target) actual.Node { return actual.Node{} },
	}
	return ports, loop.Spec{Cluster: desired.Cluster{Name: name, Digest: digest}, Commit: digest}, nil
}

type wall struct{}

func (wall) Now() time.Time                                    { return time.Now() }
func (wall) Sleep(ctx context.Context, d time.Duration) error  { return Wait(ctx, d, nil) }
func (nothing) Append(context.Context, string, diff.Try) error { return nil }
func (nothing) Load(context.Context, string) (diff.Memory, uint64, error) {
	return diff.Memory{}, 0, nil
}

type nothing struct{}

func (nothing) Save(context.Context, string, diff.Memory, uint64) (uint64, error) { return 1, nil }

// run runs the daemon in a bubble of its own and lets the story go on beside
// it; at the end it is told to end, and must.
func (b *bench) run(t *testing.T, story func()) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan struct{})
		b.news = make(chan struct{}, 1) // of the bubble
		go func() {
			Run(ctx, b.ports(), b.every, slog.New(slog.NewTextHandler(b, nil)))
			close(over)
		}()
		story()
		stop()
		<-over
	})
}

func TestACommitIsNewsOnlyForTheClustersThatItTouches(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1", "b:1"}, "two": {"a:1", "b:2"}})
	b.set("one", nil)
	b.run(t, func() {
		time.Sleep(10 * time.Second)
		if a, c := b.taken("a"), b.taken("b"); a != 1 || c != 1 {
			t.Errorf("at the start a took %d turns and b %d", a, c)
		}
		time.Sleep(10 * time.Minute)
		if a := b.taken("a"); a < 8 || a > 11 {
			t.Errorf("at rest a took %d turns in ten minutes", a)
		}
		before := b.turned("a")
		b.set("two", nil)
		b.taken("a")
		for b.at("b") != "2" {
			time.Sleep(time.Second)
		}
		for b.taken("a") == 0 {
			time.Sleep(time.Second)
		}
		if early := b.turned("a").Sub(before); early < time.Minute {
			t.Errorf("a commit that does not touch a brought about a turn of it, %v after the last", early)
		}
	})
}

func TestWhileTheRepoIsGoneTheLastCommitStands(t *testing.T) {
	b := newBench(map[string][]string{"before": {"a:1"}, "two": {"a:2"}})
	b.set("", errors.New("connection refused"))
	b.run(t, func() {
		time.Sleep(time.Hour)
		if b.at("a") != "1" || b.taken("a") < 50 {
			t.Errorf("a is kept at %q", b.at("a"))
		}
		if polls := b.polled(); polls < 5 || polls > 10 {
			t.Errorf("in an hour the repo was asked %d times, which is no backing off", polls)
		}
		if n := strings.Count(b.said(), "connection refused"); n != 1 {
			t.Errorf("that it does not answer is said %d times", n)
		}
		b.set("two", nil)
		time.Sleep(longestPoll + longestPoll/5)
		if b.at("a") != "2" || !strings.Contains(b.said(), "the repo answers again") {
			t.Errorf("a is kept at %q after the repo came back\n%s", b.at("a"), b.said())
		}
	})
}

func TestACommitThatIsHeldIsToldAndTheLastOneStands(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1"}, "three": {"a:3"}})
	hold := func(commit string, held error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.commit, b.held = commit, held
	}
	hold("", errors.New("nobody signed it"))
	b.run(t, func() {
		time.Sleep(time.Hour)
		if b.at("a") != "" || strings.Count(b.said(), "nobody signed it") != 1 {
			t.Errorf("with no commit that may be followed a is kept at %q\n%s", b.at("a"), b.said())
		}
		hold("one", nil)
		time.Sleep(10 * time.Minute)
		hold("one", errors.New("the branch was rewound"))
		time.Sleep(time.Hour)
		if b.at("a") != "1" || b.taken("a") < 50 || strings.Count(b.said(), "the branch was rewound") != 1 {
			t.Errorf("a is kept at %q\n%s", b.at("a"), b.said())
		}
		hold("three", nil)
		time.Sleep(10 * time.Minute)
		if b.at("a") != "3" || strings.Count(b.said(), "is not held any more") != 2 {
			t.Errorf("a is kept at %q\n%s", b.at("a"), b.said())
		}
	})
}

// busy is the error of a server that asks to be left alone.
type busy time.Duration

func (b busy) Error() string             { return "429 Too Many Requests" }
func (b busy) RetryAfter() time.Duration { return time.Duration(b) }

func TestAServerThatAsksToBeLeftAloneIs(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1"}})
	b.set("", fmt.Errorf("fetch main: %w", busy(40*time.Minute)))
	b.run(t, func() {
		time.Sleep(time.Second)
		before := b.polled()
		time.Sleep(39 * time.Minute)
		if polls := b.polled(); before != 1 || polls != before {
			t.Errorf("it was asked %d times", polls)
		}
		b.set("one", nil)
		time.Sleep(6 * time.Minute)
		if b.at("a") != "1" {
			t.Errorf("a is kept at %q", b.at("a"))
		}
	})
}

func TestACommitThatCannotBeReadChangesNothing(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1"}, "better": {"a:2"}})
	b.set("one", nil)
	b.run(t, func() {
		time.Sleep(time.Minute)
		b.set("worse", nil)
		time.Sleep(10 * time.Minute)
		if b.taken("a") < 8 || strings.Count(b.said(), "no such commit") != 1 {
			t.Errorf("a was not kept on\n%s", b.said())
		}
		b.set("better", nil)
		time.Sleep(90 * time.Second)
		if b.at("a") != "2" {
			t.Errorf("a commit that mends it is followed at the next poll, and a is kept at %s", b.at("a"))
		}
	})
}

func TestADefectInAPollDoesNotEndThePolling(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1"}, "two": {"a:2"}})
	b.set("one", nil)
	b.run(t, func() {
		time.Sleep(time.Minute)
		b.set("panic", nil)
		time.Sleep(10 * time.Minute)
		if b.taken("a") < 8 || !strings.Contains(b.said(), "a pack is not what its index says") {
			t.Errorf("a was not kept on\n%s", b.said())
		}
		b.set("two", nil)
		time.Sleep(longestPoll + longestPoll/5)
		if b.at("a") != "2" {
			t.Errorf("a is kept at %s", b.at("a"))
		}
	})
}

func TestWhyTheLastCommitCannotStandIsSaidToo(t *testing.T) {
	b := newBench(map[string][]string{"before": {"a:1"}})
	b.set("", errors.New("connection refused"))
	b.lost = errors.New("input/output error")
	b.run(t, func() {
		time.Sleep(time.Hour)
		for _, words := range []string{"connection refused", "input/output error"} {
			if n := strings.Count(b.said(), words); n != 1 {
				t.Errorf("%q is said %d times", words, n)
			}
		}
	})
}

func TestADefectInOneClusterDoesNotStopTheOthers(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1", "b:1"}})
	b.set("one", nil)
	b.turn["a"] = func() { panic("index out of range") }
	b.run(t, func() {
		time.Sleep(10 * time.Minute)
		if a, c := b.taken("a"), b.taken("b"); a < 5 || c < 8 {
			t.Errorf("in ten minutes a was tried %d times and b took %d turns", a, c)
		}
	})
	if !strings.Contains(b.said(), "index out of range") {
		t.Error("the log does not say what happened")
	}
}

func TestWhoeverCountsHearsOfPollsAndDefects(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1"}})
	b.turn["a"] = func() { panic("index out of range") }
	b.count = true
	b.run(t, func() {
		for _, at := range []struct {
			commit    string
			err, held error
			want      string
		}{
			{"one", nil, nil, "followed"},
			{"", errors.New("connection refused"), nil, "silent"},
			{"one", nil, errors.New("nobody signed it"), "held"},
			{"two", nil, nil, "bad"},
			{"panic", nil, nil, "silent"},
		} {
			b.mu.Lock()
			b.commit, b.err, b.held, b.counted = at.commit, at.err, at.held, ""
			b.mu.Unlock()
			time.Sleep(longestPoll + longestPoll/5)
			b.mu.Lock()
			if b.counted != at.want {
				t.Errorf("a poll that is %s counts as %q", at.want, b.counted)
			}
			b.mu.Unlock()
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.defects < 60 { // the turns of an hour, and the last polls
			t.Errorf("%d defects were heard of", b.defects)
		}
	})
}

func TestAClusterThatIsGoneTakesNoMoreTurns(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1", "b:1"}, "two": {"b:1"}})
	b.set("one", nil)
	b.run(t, func() {
		time.Sleep(time.Minute)
		b.set("two", nil)
		time.Sleep(2 * time.Minute)
		b.taken("a")
		time.Sleep(10 * time.Minute)
		if a, c := b.taken("a"), b.taken("b"); a != 0 || c < 8 {
			t.Errorf("a is gone and took %d turns, b took %d", a, c)
		}
	})
}

// TestWhoIsGoneIsLetGoAfterItsLastTurn: a turn remembers which spec is in force,
// so letting go before it has ended would be undone.
func TestWhoIsGoneIsLetGoAfterItsLastTurn(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1", "b:1"}, "two": {"a:gone", "b:1"}, "three": {"a:1", "b:1"}})
	b.set("one", nil)
	b.turn["a"] = func() { time.Sleep(10 * time.Minute) }
	b.run(t, func() {
		time.Sleep(time.Minute)
		b.set("two", nil)
		time.Sleep(5 * time.Minute)
		b.set("three", nil)
		time.Sleep(time.Hour)
	})
	if len(b.early) > 0 || len(b.released) != 1 {
		t.Errorf("released %v; before a turn was over: %v", b.released, b.early)
	}
}

func TestTheEndWaitsForTheTurnInFlight(t *testing.T) {
	b := newBench(map[string][]string{"one": {"a:1"}})
	b.set("one", nil)
	ended := false
	b.turn["a"] = func() {
		time.Sleep(time.Hour)
		ended = true
	}
	b.run(t, func() { time.Sleep(time.Minute) })
	if !ended {
		t.Error("the daemon ended before its turn did")
	}
}

func TestTheFirstTurnsOfALargeFleetAreSpread(t *testing.T) {
	var names []string
	for i := range 500 {
		names = append(names, fmt.Sprintf("c%d:1", i))
	}
	b := newBench(map[string][]string{"one": names})
	b.set("one", nil)
	b.run(t, func() {
		time.Sleep(time.Second)
		begun := 0
		for i := range 500 {
			begun += b.taken(fmt.Sprintf("c%d", i))
		}
		if begun > 150 {
			t.Errorf("%d of 500 clusters were looked at in the first second", begun)
		}
	})
}
