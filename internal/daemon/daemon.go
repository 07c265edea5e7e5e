package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/apply"
)

// Kept is a cluster that is to be kept.
type Kept struct {
	Name   string
	Digest string // of what is wanted: another one is news
	// Order is what the next turn of it is of; see [loop.Keeping].
	Order func() (loop.Ports, loop.Spec, error)
}

// Wants is what a commit has a daemon do.
type Wants struct {
	Kept []Kept
	Gone []string // clusters that were kept once, and that the commit does not name
}

// Ports are what the daemon needs of the world.
type Ports struct {
	Name string // of the fleet, for whoever reads which polls hang
	// Poll asks the repo, and gets the commit that may be acted on: the one that its
	// branch stands at, or an older one, and held says why. With held there may be
	// none.
	Poll func(ctx context.Context) (commit string, held, err error)
	// Last is the commit that Poll got last, by whoever; false: none was.
	Last func() (commit string, ok bool, err error)
	// Read is what is wanted while a commit is the newest. An error means that
	// nothing changes.
	Read func(ctx context.Context, commit string) (Wants, error)
	// Again says that the commit that was read last may be in force for more clusters
	// by now; nil: a commit is in force at once.
	Again func() bool
	// Release lets go of a cluster that is gone, once its last turn has ended.
	Release func(cluster string) error
	// Wait returns after that long, or when there is news, or with the error of
	// a context that has ended.
	Wait func(ctx context.Context, d time.Duration, news <-chan struct{}) error
	// News are hints that the repo has something new: it is asked now, and not
	// only when it is time. Whoever hints need not wait: one hint that nobody
	// has heard yet stands for all. nil: nobody hints.
	News <-chan struct{}
	// Seen hears of every turn of every cluster, from many goroutines; nil: nobody
	// does.
	Seen func(loop.Turned)
	// Event hears of every step of every cluster, from many goroutines; nil: nobody
	// does.
	Event func(cluster string, e apply.Event)
	// Polled hears how every poll went: silent where the repo did not answer, held
	// where its newest commit may not be acted on, bad where the one to act on could
	// not be taken. nil: nobody hears.
	Polled func(silent, held, bad error)
	// Recovered hears of every panic that was caught; nil: nobody does.
	Recovered func()
	// Places keep a cluster from being turned twice at a time, by whoever shares
	// them; nil: nobody else turns any.
	Places *Places
	// Pulse hears that polls and turns go on; nil: nobody listens.
	Pulse *Pulse
}

// Run keeps the fleet until the context ends, and returns when every cluster
// has come to the end of what was in flight. The repo is polled, and a cluster
// at rest looked at, that often.
func Run(ctx context.Context, p Ports, every time.Duration, log *slog.Logger) {
	d := &daemon{Ports: p, every: every, log: log, workers: map[string]*worker{}, ending: map[string]*worker{}}
	defer d.running.Wait()
	d.follow(ctx)
}

type daemon struct {
	Ports
	every   time.Duration
	log     *slog.Logger
	commit  string             // that is followed
	workers map[string]*worker // by cluster
	ending  map[string]*worker // that were stopped, and may be at their last turn
	running sync.WaitGroup
}

// follow polls until the context ends. A repo that does not answer is asked
// less and less often; a commit that cannot be followed may be mended by the
// next one at any time.
func (d *daemon) follow(ctx context.Context) {
	silence, trouble, hold := "", "", ""
	hinted := false
	pulse := d.Pulse.join("the polls of " + d.Name)
	defer pulse.leave()
	for failures := 0; ; {
		pulse.within(pollTakes)
		silent, held, bad := d.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		if d.Polled != nil {
			d.Polled(silent, held, bad)
		}
		wait := d.every
		if silent != nil {
			wait = max(min(d.every<<min(failures, 10), max(d.every, longestPoll)), asked(silent))
			failures++
		} else {
			failures = 0
		}
		d.tell(&silence, silent, slog.LevelWarn, "the repo does not answer", "the repo answers again", "again_in", wait)
		if silent == nil {
			d.tell(&hold, held, slog.LevelError, "the newest commit is held", "the newest commit is not held any more")
		}
		if silent == nil || bad != nil { // else nothing is known of the newest commit
			d.tell(&trouble, bad, slog.LevelError, "the newest commit cannot be followed", "the newest commit is followed")
		}
		pulse.within(2 * wait) // a little more each time, and the machine may be busy
		if hinted = d.rest(ctx, jittered(wait), d.hears(silent, hinted)); ctx.Err() != nil {
			return
		}
	}
}

// tell says what is wrong, where it was not said before, and that it is over.
func (d *daemon) tell(told *string, err error, level slog.Level, wrong, over string, attrs ...any) {
	attrs = append([]any{KeyCommit, d.commit}, attrs...)
	says := ""
	if err != nil {
		says = stable(err.Error())
	}
	switch {
	case says == *told:
	case err != nil:
		d.log.Log(context.Background(), level, wrong, append([]any{KeyError, err}, attrs...)...)
	default:
		d.log.Info(over, attrs...)
	}
	*told = says
}

// poll asks the repo once: silent means that it did not answer, held that its
// newest commit may not be acted on, bad that the one to act on could not be
// taken. While it is silent the commit that was got last
// stands, also after a start.
func (d *daemon) poll(ctx context.Context) (silent, held, bad error) {
	var commit string
	silent = d.caught("ask the repo", func() (err error) {
		commit, held, err = d.Poll(ctx)
		return err
	})
	if silent != nil {
		if d.commit != "" {
			if d.Again != nil && d.Again() {
				bad = d.caught("read commit "+d.commit, func() error { return d.take(ctx, d.commit) })
			}
			return silent, nil, bad
		}
		last, ok, err := d.Last()
		if err != nil || !ok {
			return silent, nil, err
		}
		commit = last
	}
	if commit != "" && (commit != d.commit || d.Again != nil && d.Again()) {
		bad = d.caught("read commit "+commit, func() error { return d.take(ctx, commit) })
	}
	return silent, held, bad
}

// caught makes a panic an error. What of a repo or a commit we cannot even fail
// on must not end the keeping of the last one.
func (d *daemon) caught(what string, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			d.recovered()
			err = fmt.Errorf("%s: a defect of reconciler, please report it: %v\n%s", what, p, debug.Stack())
		}
	}()
	return do()
}

func (d *daemon) recovered() {
	if d.Recovered != nil {
		d.Recovered()
	}
}

// take hands every cluster what a commit wants of it.
func (d *daemon) take(ctx context.Context, commit string) error {
	wants, err := d.Read(ctx, commit)
	if err != nil {
		return err
	}
	if commit != d.commit {
		d.log.Info("following a commit", KeyCommit, commit, "clusters", len(wants.Kept))
	}
	d.commit = commit
	within := spread(d.touched(wants.Kept), d.every)
	named := map[string]bool{}
	for _, k := range wants.Kept {
		named[k.Name] = true
		if w := d.workers[k.Name]; w != nil {
			w.give(k, within)
		} else {
			d.begin(ctx, k, within)
		}
	}
	for name, w := range d.workers {
		if !named[name] {
			w.stop()
			d.ending[name] = w
			delete(d.workers, name)
		}
	}
	for _, name := range wants.Gone {
		d.release(name)
	}
	return nil
}

// touched are how many clusters take a turn because of a commit.
func (d *daemon) touched(all []Kept) (n int) {
	for _, k := range all {
		if w := d.workers[k.Name]; w == nil || w.differs(k) {
			n++
		}
	}
	return n
}

// spread is how far turns lie apart that a start or a commit brings about, so
// that a fleet is not connected to all at once. What touches few begins at once.
func spread(clusters int, every time.Duration) time.Duration {
	return min(time.Duration(clusters)*20*time.Millisecond, every)
}

// begin lets a cluster take its turns, once the last turn of who was stopped
// before is over.
func (d *daemon) begin(ctx context.Context, k Kept, within time.Duration) {
	ctx, stop := context.WithCancel(ctx)
	w := &worker{name: k.Name, kept: k, news: make(chan struct{}, 1), stop: stop, ended: make(chan struct{})}
	before := d.ending[k.Name]
	delete(d.ending, k.Name)
	d.workers[k.Name] = w
	d.running.Go(func() {
		defer close(w.ended)
		defer stop()
		before.over()
		leave, err := d.Places.take(ctx, w.name)
		if err != nil {
			return
		}
		defer leave()
		if d.Wait(ctx, rand.N(within+1), w.news) == nil {
			d.keep(ctx, w)
		}
	})
}

// release lets go of a cluster that is gone.
func (d *daemon) release(name string) {
	before := d.ending[name]
	d.running.Go(func() {
		before.over()
		if err := d.Release(name); err != nil {
			d.log.Error("a cluster that is gone was not let go", KeyCluster, name, KeyError, err)
			return
		}
		d.log.Warn("gone from the repo: nothing is done to it any more", KeyCluster, name)
	})
}

// jittered is a little longer, so that many do not come at once.
func jittered(d time.Duration) time.Duration { return d + rand.N(d/10+1) }

// Wait is the [Ports] Wait of this machine's clock.
func Wait(ctx context.Context, d time.Duration, news <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-news:
	}
	return ctx.Err()
}
