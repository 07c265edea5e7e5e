package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/admission"
	"github.com/vaultfleet/reconciler/internal/hook"
	"github.com/vaultfleet/reconciler/internal/metrics"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// What the daemon does is counted for whoever watches it.

// titles name fleets there, as reconciler.yaml has them and without saying where
// they are: repo, folder and branch. Of two that are called the same, the later one
// has a number.
func titles(fleets []settings.Fleet) (all []string) {
	times := map[string]int{}
	for _, f := range fleets {
		at := f.Repo
		if f.Host.Scheme != "" {
			at = f.Host.Path
		}
		title := path.Join(strings.TrimSuffix(path.Base(at), ".git"), f.Path) + "@" + f.Branch
		if times[title]++; times[title] > 1 {
			title = fmt.Sprintf("%s (%d)", title, times[title])
		}
		all = append(all, title)
	}
	return all
}

// titles are those of the fleets that are kept.
func (k *keeping) titles() (all []string) {
	for _, f := range k.fleets {
		all = append(all, f.title)
	}
	return all
}

// poll asks the repo, and notes which commit its branch stands at.
func (f *following) poll(ctx context.Context) (commit string, held, err error) {
	commit, held, err = f.branch.poll(ctx)
	f.tip = commit
	if why, ok := errors.AsType[*admission.HeldError](held); ok {
		f.tip = why.Newest
	}
	return commit, held, err
}

// polled counts a poll.
func (f *following) polled(silent, held, bad error) {
	p := metrics.Poll{Result: metrics.Followed, At: time.Now()}
	switch {
	case silent != nil:
		p.Result = metrics.Silent
	case bad != nil:
		p.Result = metrics.Bad
	case held != nil:
		p.Result = metrics.Held
	}
	if why, ok := errors.AsType[*admission.HeldError](held); ok {
		p.Hold = metrics.HoldUnsigned
		if why.Rewind {
			p.Hold = metrics.HoldRewound
		}
	}
	if silent == nil {
		p.Head = f.dated(f.tip)
	}
	f.metrics.Polled(f.title, p)
}

// counts tells what a commit wants, for whoever counts clusters.
func (f *following) counts(commit string, whole []wanted, broken []desired.Broken) {
	clusters := map[string]bool{}
	for _, w := range whole {
		clusters[w.Name] = len(w.broken) > 0
	}
	for _, b := range broken {
		clusters[b.Name] = true
	}
	f.metrics.Follow(f.title, metrics.Following{Commit: f.dated(commit), Clusters: clusters})
}

// dated is the date of a commit; zero where it cannot be read. It is asked at each
// poll, and read once.
func (f *following) dated(commit string) time.Time {
	at, read := f.dates[commit]
	if !read {
		if len(f.dates) > maxBefore {
			clear(f.dates)
		}
		if c, err := f.Info(commit); err == nil {
			at = c.Time
			f.dates[commit] = at
		}
	}
	return at
}

// heard counts a webhook.
func (k *keeping) heard(of hook.Dialect, o hook.Outcome) {
	if o == hook.Defect {
		k.metrics.Recovered()
	}
	k.metrics.Webhook(string(of), string(o))
}
