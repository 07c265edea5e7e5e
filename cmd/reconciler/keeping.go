package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/metrics"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// keeping is the daemon at one reading of reconciler.yaml. A later reading is
// another one, and this one ends after what it has in flight.
type keeping struct {
	*app
	host
	world   *world
	fleets  []*following
	claims  *claims
	metrics *metrics.Metrics
	shown   *web.Board
	post    *post // nil: nobody is told anything

	stop  context.CancelFunc
	ended chan struct{} // closed after the last turn
}

// following is one fleet of it.
type following struct {
	*keeping
	branch
	only    settings.Fleet
	title   string // among metrics
	log     *slog.Logger
	known   *desired.Known
	news    chan struct{}
	inForce atomic.Pointer[string]   // the commit; nil: none yet
	answers *pulls                   // nil: nobody answers pull requests
	tells   *drifting                // nil: nobody is told of drift
	newest  opened                   // the commit that was read last
	before  map[string]desired.Fleet // older commits as they were read
	waits   atomic.Bool              // the commit has not reached every cluster
	tip     string                   // the commit that the branch stands at
	dates   map[string]time.Time     // of commits
}

// prepare opens what settings name, and says everything that is wrong. No repo and
// no node is contacted.
func (r *running) prepare(ctx context.Context, h host) (*keeping, []error) {
	k := &keeping{app: r.app, host: h, claims: newClaims(), metrics: r.metrics, shown: r.shown}
	followed, err := r.followed(h)
	if err != nil {
		return nil, []error{err}
	}
	var wrong []error
	named := titles(followed)
	for i, f := range followed {
		b, err := r.openBranch(ctx, h, f)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		one := &following{keeping: k, branch: b, only: f, title: named[i], log: h.log, known: desired.NewKnown(), news: make(chan struct{}, 1), before: map[string]desired.Fleet{}, dates: map[string]time.Time{}}
		if len(followed) > 1 {
			one.log = h.log.With("fleet", f.Words())
		}
		if one.answers, err = one.answering(); err != nil {
			wrong = append(wrong, err)
		}
		one.tells = one.telling()
		k.fleets = append(k.fleets, one)
	}
	if k.world, err = newWorld(h); err != nil {
		wrong = append(wrong, err)
	} else if err = k.world.store.Writable(ctx); err != nil {
		wrong = append(wrong, err)
	}
	return k, wrong
}

// begin keeps all fleets beside each other until the context ends, or the keeping
// is stopped.
func (k *keeping) begin(ctx context.Context, with daemon.Ports) {
	ctx, k.stop = context.WithCancel(ctx)
	k.ended = make(chan struct{})
	k.claimed(ctx)
	var all sync.WaitGroup
	for _, f := range k.fleets {
		all.Go(func() { daemon.Run(ctx, f.ports(with), f.only.Interval, f.log) })
		all.Go(func() { f.answers.run(ctx) })
		all.Go(func() { f.tells.run(ctx) })
	}
	go func() {
		defer close(k.ended)
		all.Wait()
		k.stop()
		k.world.close()
	}()
}

// claimed says what every fleet named last, before the first turn: a repo that is
// slow to answer must not leave its clusters to another fleet meanwhile.
func (k *keeping) claimed(ctx context.Context) {
	if len(k.fleets) == 1 {
		return
	}
	for _, f := range k.fleets {
		commit, ok, err := f.last()
		if err != nil || !ok {
			continue
		}
		if fleet, err := openCommit(f.Repo, f.only, commit, f.known); err == nil {
			whole, _, _ := k.app.inForce(ctx, k.host, fleet)
			k.claims.set(f.only.Words(), namesOf(fleet.Fleet, whole))
		}
	}
}

// ports are those of one fleet.
func (f *following) ports(with daemon.Ports) daemon.Ports {
	with.Name = f.only.Words()
	with.Poll, with.Last = f.poll, f.last
	with.Read = f.read
	with.Again = f.waits.Load
	with.Release = f.release
	with.Wait = daemon.Wait
	with.News = f.news
	with.Polled = f.polled
	seen, past := with.Seen, f.history.Of(f.only.Words())
	with.Seen = func(t loop.Turned) {
		seen(t)
		past(t)
		f.answers.saw(t)
		f.tells.saw(t)
	}
	return with
}

// read is what a commit has every cluster be kept at, and says in the log what
// of it is not in force. That no cluster is chosen is a mistake at the start, and
// later on what the commit wants; of several fleets one may have none of them.
func (f *following) read(ctx context.Context, commit string) (daemon.Wants, error) {
	fleet := f.newest
	if fleet.source.Commit != commit { // else it is read again for how far it has come
		var err error
		if fleet, err = openCommit(f.Repo, f.only, commit, f.known); err != nil {
			return daemon.Wants{}, err
		}
		fleet.Fleet = f.judged(fleet.Fleet)
		f.newest = fleet
	}
	if len(f.before) > maxBefore {
		clear(f.before)
	}
	fleet.acts, fleet.before = f.acts, f.before
	whole, broken, err := f.choose(ctx, f.host, fleet)
	if err != nil {
		return daemon.Wants{}, err
	}
	if len(whole)+len(broken) == 0 && f.inForce.Load() == nil && len(f.fleets) == 1 {
		return daemon.Wants{}, f.noneChosen(fleet.Fleet)
	}
	gone, err := newPast(f.host, fleet, f.world.store).gone(ctx, fleet.Fleet)
	if err != nil {
		return daemon.Wants{}, err
	}
	f.claims.set(f.only.Words(), namesOf(fleet.Fleet, whole))
	gone = slices.DeleteFunc(gone, func(name string) bool { return len(f.claims.of(name)) > 0 }) // it has moved
	before := f.inForce.Swap(&commit)
	f.waits.Store(travelling(whole))
	f.answers.follow(commit, fleet.Fleet, whole)
	f.tells.follow(fleet.source, whole)
	f.counts(commit, whole, broken)
	f.shows(fleet.source, whole, broken)
	if before == nil || *before != commit {
		f.refused(commit, fleetErrors(fleet.Fleet), whole, broken)
	}
	wants := daemon.Wants{Gone: gone}
	ctx = context.WithoutCancel(ctx) // a turn of the end needs its spec as well
	for _, w := range whole {
		wants.Kept = append(wants.Kept, daemon.Kept{Name: w.Name, Digest: w.Digest + " " + string(w.Mode),
			Order: func() (loop.Ports, loop.Spec, error) { return f.order(ctx, w) }})
	}
	return wants, nil
}

// acts says that no other fleet names a cluster, as far as is known.
func (f *following) acts(cluster string) bool {
	return !slices.ContainsFunc(f.claims.of(cluster), func(fleet string) bool { return fleet != f.only.Words() })
}

// order is what the next turn of a cluster is of.
func (f *following) order(ctx context.Context, w wanted) (loop.Ports, loop.Spec, error) {
	if err := f.claims.clashes(w.Name); err != nil {
		return loop.Ports{}, loop.Spec{}, err
	}
	return f.world.cluster(ctx, w)
}

// release lets go of a cluster that is gone, unless it moved to another fleet.
func (f *following) release(cluster string) error {
	if fleets := f.claims.of(cluster); len(fleets) > 0 {
		return fmt.Errorf("it is kept by the fleet in %s from now on", fleets[0])
	}
	return f.world.letGo(context.Background(), cluster)
}

// hint tells the daemon; one that it has not heard yet stands for this one too.
func (f *following) hint() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// refused says what is wrong with a commit, each thing once, and which clusters
// are kept at an older one for it.
func (f *following) refused(commit string, problems []desired.Problem, whole []wanted, broken []desired.Broken) {
	log, said := f.log.With(daemon.KeyCommit, commit), map[string]bool{}
	say := func(problems []desired.Problem) {
		for _, p := range problems {
			if text := p.Error(); !said[text] {
				said[text] = true
				log.Error("the commit is not in force as it is", daemon.KeyCluster, p.Cluster, daemon.KeyError, text)
			}
		}
	}
	say(problems)
	for _, w := range whole {
		if len(w.broken) > 0 {
			say(w.broken)
			log.Warn("the spec that was accepted last stays in force", daemon.KeyCluster, w.Name, "in_force", w.commit)
		}
	}
	for _, b := range broken {
		say(errorsOf(b.Problems))
		log.Error("no accepted spec of the cluster can be had: it is left alone", daemon.KeyCluster, b.Name)
	}
}
