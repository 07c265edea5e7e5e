package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
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
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Pull requests are answered beside the daemon's turns, and never by them: a forge
// that is slow or gone delays nothing that is done to a cluster. What they are
// answered with is what the turns saw.

// pulls answers the pull requests of one fleet; nil answers none.
type pulls struct {
	*review.Reviewer
	every     time.Duration
	log       *slog.Logger
	news      chan struct{}
	recovered func() // hears of a panic

	mu     sync.Mutex
	commit string // in force
	fleet  desired.Fleet
	kept   []string // clusters that take turns
	seen   map[string]review.Seen
}

// answering is who answers the pull requests of a fleet; nil where it has no forge.
// Nothing is asked of the forge yet.
func (f *following) answering() (*pulls, error) {
	at := f.only.Forge
	if at.Kind == "" {
		return nil, nil
	}
	client, err := forgeOf(at)
	if err != nil {
		return nil, &exitError{code: exitFailed, err: fmt.Errorf("answer pull requests: %w", err), hint: "correct fleets[].forge in " + f.settings.File}
	}
	suffix := ""
	if f.only.Path != "." {
		suffix = " (" + f.only.Path + ")"
	}
	if len(f.only.Clusters) > 0 { // another reconciler has the others
		suffix += " [" + strings.Join(f.only.Clusters, " ") + "]"
	}
	known := desired.NewKnown() // most clusters are those of the branch, whatever is proposed
	p := &pulls{every: f.only.Interval, log: f.log, news: make(chan struct{}, 1), recovered: f.metrics.Recovered, seen: map[string]review.Seen{}}
	p.Reviewer = review.New(review.Ports{
		Forge: client, InForce: p.inForce, Seen: p.last, Now: time.Now,
		Propose: func(ctx context.Context, base, head string) (review.Change, error) {
			return f.propose(ctx, base, head, known)
		},
		Since: f.since,
		At: func(_ context.Context, commit string) (desired.Fleet, error) {
			fleet, err := openCommit(f.Repo, f.only, commit, known)
			return f.judged(fleet.Fleet), err
		},
		Hold: f.holdBy, Resume: f.resumeBy,
		Approve: f.approveBy, Withdraw: f.withdrawBy,
		Compared: func(o review.Outcome) { f.metrics.Proposal(string(o)) },
	}, review.Options{
		Branch: f.only.Branch, Identity: f.only.Path + " " + strings.Join(f.only.Clusters, " ") + " " + f.cluster, Suffix: suffix, Forks: at.Forks,
		Page:      web.Address(f.settings.HTTP.URL).Fleet(),
		Keeps:     func(cluster string) bool { return f.only.Keeps(cluster) && f.matches(cluster) },
		Operators: at.OperatorsOf,
		File:      filepath.Join(f.dir, "followed"),
	}, f.log)
	return p, nil
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

// follow is told which commit is in force, and which clusters take turns.
func (p *pulls) follow(commit string, fleet desired.Fleet, whole []wanted) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commit, p.fleet, p.kept = commit, fleet, nil
	for _, w := range whole {
		p.kept = append(p.kept, w.Name)
	}
	maps.DeleteFunc(p.seen, func(name string, _ review.Seen) bool { return !slices.Contains(p.kept, name) })
	p.poke()
}

// ready says that every cluster was seen once: what is said before that would have
// to be taken back at once.
func (p *pulls) ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commit != "" && !slices.ContainsFunc(p.kept, func(name string) bool { _, ok := p.seen[name]; return !ok })
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
	// patience is how long the first one waits for every cluster to be seen.
	patience = 2 * time.Minute
)

// run answers until the context ends.
func (p *pulls) run(ctx context.Context) {
	if p == nil {
		return
	}
	for began := time.Now(); !p.ready() && time.Since(began) < patience; {
		if daemon.Wait(ctx, time.Second, p.news) != nil {
			return
		}
	}
	failures, told := 0, ""
	for {
		err := p.caught(func() error { return p.Turn(ctx) })
		if ctx.Err() != nil {
			return
		}
		wait, news := p.every, p.news
		if err != nil {
			wait = min(p.every<<min(failures, 10), max(p.every, longestReview))
			if after, busy := forge.Busy(err); busy {
				wait, news = max(wait, after), nil // it asked to be left alone
			}
			failures++
		} else {
			failures = 0
		}
		if errors.As(err, new(*review.PartialError)) {
			wait, failures = p.every, 0 // the others are answered as ever
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

// caught turns a panic into an error: what a pull request is made of was
// written by anybody, and a defect of ours must not end the daemon.
func (p *pulls) caught(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.recovered()
			err = fmt.Errorf("answer the pull requests: a defect of reconciler, please report it: %v", v)
		}
	}()
	return do()
}

// since are the commits that came after one.
func (f *following) since(ctx context.Context, older, newer string) (commits []string, err error) {
	_, err = f.Between(ctx, older, newer, func(id string, _ []byte) error {
		commits = append(commits, id)
		return nil
	})
	return commits, err
}

// propose reads what merging a pull request gives.
func (f *following) propose(ctx context.Context, base, head string, known *desired.Known) (review.Change, error) {
	branch := f.only.Branch
	m, err := f.Merge(ctx, base, head)
	conflict, _ := errors.AsType[*git.ConflictError](err)
	unfit, _ := errors.AsType[*git.UnfitError](err)
	switch {
	case conflict != nil:
		return review.Change{}, &review.RefusedError{Why: "it does not merge into " + branch + ": both sides changed " + strings.Join(conflict.Files, ", "),
			Hint: "merge " + branch + " into it, or rebase it"}
	case unfit != nil && unfit.Large:
		return review.Change{}, &review.RefusedError{Why: "it is too large: " + unfit.Error(), Hint: "take out what is no part of a fleet, also of its earlier commits", Large: true}
	case unfit != nil:
		return review.Change{}, &review.RefusedError{Why: "what it merges to cannot be a fleet: " + unfit.Error()}
	case errors.Is(err, git.ErrGone):
		return review.Change{}, review.ErrMoved
	case err != nil:
		return review.Change{}, err
	}
	after := func() (desired.Fleet, error) {
		fleet, err := loadTree(m.Tree(), known)
		return f.judged(fleet), err
	}
	return review.Change{After: after, Nothing: len(m.Changed()) == 0, Close: m.Close}, nil
}

// holdBy is hold as somebody asks for it on the forge.
func (f *following) holdBy(ctx context.Context, cluster, by, reason string) error {
	return spoken{f.world.store, f.history}.Grant(ctx, cluster, diff.Leave{Kind: diff.LeaveHold, By: by, Reason: reason, At: time.Now().UTC()})
}

// approveBy is approve as somebody asks for it on the forge, of what a merge would give.
func (f *following) approveBy(ctx context.Context, a review.Allowance) error {
	leave := diff.Leave{Kind: diff.LeaveApproval, By: a.By, At: time.Now().UTC(), Digest: a.Digest, Covers: a.Covers}
	return spoken{f.world.store, f.history}.Grant(ctx, a.Cluster, leave)
}

// withdrawBy takes an approval back that a review stood for.
func (f *following) withdrawBy(ctx context.Context, a review.Allowance) error {
	err := spoken{f.world.store, f.history}.Lift(ctx, a.Cluster, diff.Leave{Kind: diff.LeaveApproval, By: a.By, At: time.Now().UTC(), Digest: a.Digest})
	if errors.Is(err, store.ErrNoLeave) {
		return nil
	}
	return err
}

// resumeBy is resume as somebody asks for it on the forge.
func (f *following) resumeBy(ctx context.Context, cluster, by, reason string) error {
	_, _, err := lift(ctx, spoken{f.world.store, f.history}, cluster, diff.Leave{By: by, Reason: reason, At: time.Now().UTC()})
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
		o.App = &forge.App{ID: strconv.FormatInt(f.App.ID, 10), Installation: f.App.Installation,
			Key: func() (secret.Bytes, error) { return secret.ReadFile(f.App.KeyFile) }}
	} else {
		o.Token = func() (secret.Bytes, error) { return secret.ReadFile(f.TokenFile) }
	}
	return forge.New(o)
}
