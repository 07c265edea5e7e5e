package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/review"
	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Pull requests are answered beside the daemon's turns, and never by them: a forge
// that is slow or gone delays nothing that is done to a cluster. What they are
// answered with is what the turns saw.

// pulls answers the pull requests of one fleet; nil answers none.
type pulls struct {
	log  *slog.Logger
	news chan struct{}

	mu     sync.Mutex
	commit string // in force
	fleet  desired.Fleet
	seen   map[string]review.Seen
}

func newPulls(log *slog.Logger) *pulls {
	return &pulls{log: log, news: make(chan struct{}, 1), seen: map[string]review.Seen{}}
}

// poke lets them be looked at soon; one that was not heard yet stands for this
// one too.
func (p *pulls) poke() {
	if p == nil {
		return
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// follow is told which commit is in force.
func (p *pulls) follow(commit string, fleet desired.Fleet) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commit, p.fleet = commit, fleet
	maps.DeleteFunc(p.seen, func(name string, _ review.Seen) bool { _, ok := fleet.Cluster(name); return !ok && !brokenIn(fleet, name) })
	p.poke()
}

func brokenIn(fleet desired.Fleet, name string) bool {
	for _, b := range fleet.Broken {
		if b.Name == name {
			return true
		}
	}
	return false
}

// saw is told of every turn. Only what changes a plan is news.
func (p *pulls) saw(t loop.Turned) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, known := p.seen[t.Cluster]
	now := review.Seen{At: t.At, Have: t.Have, Memory: t.Memory, Plan: t.Plan, Err: t.Err}
	if t.Have == nil { // the look did not come about
		now.At, now.Have, now.Memory, now.Plan = before.At, before.Have, before.Memory, before.Plan
	}
	p.seen[t.Cluster] = now
	if !known || !samePlan(before, now) {
		p.poke()
	}
}

// samePlan says that two turns say the same to whoever reads of them.
func samePlan(a, b review.Seen) bool {
	return a.Plan.Digest == b.Plan.Digest && a.Plan.Fingerprint() == b.Plan.Fingerprint() && len(a.Plan.Blocks) == len(b.Plan.Blocks) &&
		len(a.Plan.Waits) == len(b.Plan.Waits) && len(a.Plan.Unseen) == len(b.Plan.Unseen) && (a.Err == nil) == (b.Err == nil)
}

func (p *pulls) inForce() (string, desired.Fleet, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commit, p.fleet, p.commit != ""
}

func (p *pulls) last(cluster string) (review.Seen, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.seen[cluster]
	return s, ok && s.Have != nil
}

// Pauses between two rounds over the pull requests of a fleet.
const (
	soonestReview = 2 * time.Second // a push brings several events
	longestReview = 10 * time.Minute
)

// answer answers pull requests until the context ends, where the fleet has a forge;
// ended is closed then.
func (r *running) answer(ctx context.Context, b branch, followed settings.Fleet) (p *pulls, ended chan struct{}, err error) {
	ended = make(chan struct{})
	if followed.Forge.Kind == "" {
		close(ended)
		return nil, ended, nil
	}
	p = newPulls(r.here.log)
	reviewer, err := r.reviewer(p, b, followed)
	if err != nil {
		return nil, nil, &exitError{code: exitFailed, err: fmt.Errorf("answer pull requests: %w", err), hint: "correct fleets[].forge in " + r.here.settings.File}
	}
	r.here.log.Info("answering pull requests", "forge", followed.Forge.Kind, "url", followed.Forge.URL, "project", followed.Forge.Project)
	go func() {
		defer close(ended)
		p.run(ctx, reviewer, followed.Interval)
	}()
	return p, ended, nil
}

// run answers until the context ends.
func (p *pulls) run(ctx context.Context, r *review.Reviewer, every time.Duration) {
	failures, told := 0, ""
	for {
		err := caughtReview(func() error { return r.Turn(ctx) })
		if ctx.Err() != nil {
			return
		}
		wait, news := every, p.news
		if err != nil {
			wait = min(every<<min(failures, 10), max(every, longestReview))
			if said, ok := errors.AsType[interface {
				error
				RetryAfter() time.Duration
			}](err); ok {
				wait, news = max(wait, said.RetryAfter()), nil // it asked to be left alone
			}
			failures++
		} else {
			failures = 0
		}
		told = p.tell(told, err, wait)
		if daemon.Wait(ctx, soonestReview, nil) != nil || daemon.Wait(ctx, max(0, wait-soonestReview), news) != nil {
			return
		}
	}
}

// tell says once that pull requests are not answered, and once that they are again.
func (p *pulls) tell(told string, err error, wait time.Duration) string {
	switch {
	case err == nil && told != "":
		p.log.Info("pull requests are answered again")
		return ""
	case err == nil:
		return ""
	case err.Error() != told:
		p.log.Warn("not every pull request was answered", daemon.KeyError, err, "again_in", wait)
	}
	return err.Error()
}

// caughtReview turns a panic into an error: what a pull request is made of was
// written by anybody, and a defect of ours must not end the daemon.
func caughtReview(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("answer the pull requests: a defect of reconciler, please report it: %v", v)
		}
	}()
	return do()
}

// reviewer answers the pull requests of a fleet with what p knows.
func (r *running) reviewer(p *pulls, b branch, followed settings.Fleet) (*review.Reviewer, error) {
	client, err := forgeOf(followed.Forge)
	if err != nil {
		return nil, err
	}
	suffix := ""
	if followed.Path != "." {
		suffix = " (" + followed.Path + ")"
	}
	return review.New(review.Ports{
		Forge: client, InForce: p.inForce, Seen: p.last, Now: time.Now,
		Propose: func(ctx context.Context, base, head string) (review.Change, error) {
			return propose(ctx, b.Repo, followed.Branch, base, head)
		},
		Load: func(tree fs.FS) (desired.Fleet, error) { return r.here.judged(desired.Load(tree, loadOptions())), nil },
		Since: func(ctx context.Context, older, newer string) ([]string, error) {
			var commits []string
			_, err := b.Between(ctx, older, newer, func(id string, _ []byte) error {
				commits = append(commits, id)
				return nil
			})
			return commits, err
		},
		Hold:   r.holdBy,
		Resume: r.resumeBy,
	}, review.Options{
		Branch: followed.Branch, Identity: followed.Path + " " + r.cluster, Suffix: suffix, Forks: followed.Forge.Forks, Keeps: r.matches,
		Operators: func(cluster string) []string { return review.Operators(globs(followed.Forge), cluster) },
	}, p.log), nil
}

// propose reads what merging a pull request gives.
func propose(ctx context.Context, repo *git.Repo, branch, base, head string) (review.Change, error) {
	m, err := repo.Merge(ctx, base, head)
	conflict, _ := errors.AsType[*git.ConflictError](err)
	switch {
	case conflict != nil:
		return review.Change{}, &review.RefusedError{Why: "it does not merge into " + branch + ": both sides changed " + strings.Join(conflict.Files, ", "),
			Hint: "merge " + branch + " into it, or rebase it"}
	case errors.Is(err, git.ErrGone):
		return review.Change{}, review.ErrMoved
	case err != nil:
		return review.Change{}, err
	}
	return review.Change{After: m.Tree(), Nothing: len(m.Changed()) == 0, Close: m.Close}, nil
}

// holdBy is hold as somebody asks for it on the forge.
func (r *running) holdBy(ctx context.Context, cluster, by, reason string) error {
	return r.world.store.Grant(ctx, cluster, diff.Leave{Kind: diff.LeaveHold, By: by, Reason: reason, At: time.Now().UTC()})
}

// resumeBy is resume as somebody asks for it on the forge.
func (r *running) resumeBy(ctx context.Context, cluster, by, reason string) error {
	_, _, err := lift(ctx, r.world.store, cluster, diff.Leave{By: by, Reason: reason, At: time.Now().UTC()})
	return err
}

// forgeOf is the host of a fleet's pull requests. Its token is read for each
// request.
func forgeOf(f settings.Forge) (forge.Client, error) {
	var roots *x509.CertPool
	var err error
	if f.CA != "" {
		if roots, err = rootsOf(f.CA); err != nil {
			return nil, err
		}
	}
	o := forge.Options{Kind: forge.Kind(f.Kind), URL: f.URL, Repo: f.Project, Roots: roots}
	if f.App.KeyFile != "" {
		o.App = &forge.App{}
	} else {
		o.Token = func() (secret.Bytes, error) { return secret.ReadFile(f.TokenFile) }
	}
	return forge.New(o)
}

func globs(f settings.Forge) (all []review.Glob) {
	for _, o := range f.Operators {
		all = append(all, review.Glob{Clusters: o.Clusters, Teams: o.Teams})
	}
	return all
}

