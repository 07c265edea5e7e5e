package daemon

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
)

// Kept is a cluster that is to be kept.
type Kept struct {
	Name   string
	Digest string // of what is wanted: another one is news
	// Order is what the next turn of it is of; see [loop.Keeping].
	Order func() (loop.Ports, loop.Spec, error)
}

// Ports are what the daemon needs of the world.
type Ports struct {
	// Poll asks the repo for the commit that its branch stands at, and gets it.
	Poll func(ctx context.Context) (commit string, err error)
	// Last is the commit that was got last, by whoever; false: none was.
	Last func() (commit string, ok bool)
	// Read is every cluster that is to be kept while a commit is the newest. An
	// error means that nothing changes.
	Read func(ctx context.Context, commit string) ([]Kept, error)
	// Wait returns after that long, or when there is news, or with the error of
	// a context that has ended.
	Wait func(ctx context.Context, d time.Duration, news <-chan struct{}) error
}

// Run keeps the fleet until the context ends, and returns when every cluster
// has come to the end of what was in flight. The repo is polled, and a cluster
// at rest looked at, that often.
func Run(ctx context.Context, p Ports, every time.Duration, log *slog.Logger) {
	d := &daemon{Ports: p, every: every, log: log, workers: map[string]*worker{}}
	defer d.running.Wait()
	d.follow(ctx)
}

type daemon struct {
	Ports
	every   time.Duration
	log     *slog.Logger
	commit  string // that is followed
	workers map[string]*worker
	running sync.WaitGroup
}

// longestPoll bounds how seldom a repo is asked that does not answer.
const longestPoll = 15 * time.Minute

// follow polls until the context ends.
func (d *daemon) follow(ctx context.Context) {
	for failures := 0; ; {
		err := d.poll(ctx)
		wait := d.every
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = min(d.every<<min(failures, 10), max(d.every, longestPoll))
			failures++
			d.log.Warn("the repo was not followed", KeyError, err, KeyCommit, d.commit, "attempt", failures, "again_in", wait)
		case failures > 0:
			failures = 0
			d.log.Info("the repo is followed again", KeyCommit, d.commit)
		}
		if d.Wait(ctx, jittered(wait), nil) != nil {
			return
		}
	}
}

// poll asks the repo once. While it cannot be reached the commit that was got
// last stands, also after a start.
func (d *daemon) poll(ctx context.Context) error {
	commit, err := d.Poll(ctx)
	if err != nil {
		last, ok := d.Last()
		if d.commit != "" || !ok {
			return err
		}
		commit = last
	}
	if commit != d.commit {
		if failed := d.take(ctx, commit); failed != nil {
			return failed
		}
	}
	return err
}

// take hands every cluster what a commit wants of it.
func (d *daemon) take(ctx context.Context, commit string) error {
	kept, err := d.Read(ctx, commit)
	if err != nil {
		return err
	}
	d.log.Info("following a commit", KeyCommit, commit, "clusters", len(kept))
	d.commit = commit
	named := map[string]bool{}
	for _, k := range kept {
		named[k.Name] = true
		if w := d.workers[k.Name]; w != nil {
			w.give(k)
		} else {
			d.begin(ctx, k, spread(len(kept), d.every))
		}
	}
	for name, w := range d.workers {
		if !named[name] {
			w.stop()
			delete(d.workers, name)
		}
	}
	return nil
}

// spread is how far the first turns of clusters lie apart, so that a fleet is
// not connected to all at once.
func spread(clusters int, every time.Duration) time.Duration {
	return min(time.Duration(clusters)*20*time.Millisecond, every)
}

// begin lets a cluster take its turns.
func (d *daemon) begin(ctx context.Context, k Kept, within time.Duration) {
	ctx, stop := context.WithCancel(ctx)
	w := &worker{kept: k, news: make(chan struct{}, 1), stop: stop}
	d.workers[k.Name] = w
	d.running.Go(func() {
		defer stop()
		if d.Wait(ctx, rand.N(within+1), w.news) == nil {
			d.keep(ctx, w)
		}
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
