package main

import (
	"context"
	"slices"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Which commit is in force is told cluster by cluster. A commit that breaks the
// spec of a cluster does not take it out: the last one that was accepted stays
// in force, so that the cluster is still repaired. It is read from our own
// clone, which keeps every commit that it ever fetched.

// wanted is a cluster as a commit wants it.
type wanted struct {
	desired.Cluster
	commit string            // empty for a folder that is no commit
	broken []desired.Problem // why a newer commit is not in force; nil: there is none
}

// inForce splits a fleet into what is in force and what is not: a cluster that
// never had a spec that could be read stays broken.
func (a *app) inForce(ctx context.Context, h host, fleet opened) ([]wanted, []desired.Broken, error) {
	var whole []wanted
	for _, c := range fleet.Clusters {
		whole = append(whole, wanted{Cluster: c, commit: fleet.source.Commit})
	}
	if fleet.repo == nil {
		return whole, fleet.Broken, nil
	}
	s, err := store.Open(h.settings.State)
	if err != nil {
		return nil, nil, err
	}
	before := past{host: h, repo: fleet.repo, store: s, fleets: map[string]desired.Fleet{}}
	var broken []desired.Broken
	for _, b := range fleet.Broken {
		if c, ok := before.accepted(ctx, b); ok {
			whole = append(whole, c)
		} else {
			broken = append(broken, b)
		}
	}
	errs := fleetErrors(fleet.Fleet)
	if len(errs) == 0 {
		return whole, broken, before.release(ctx, fleet.Fleet)
	}
	for _, b := range before.unnamed(fleet.Fleet, errs) {
		if c, ok := before.accepted(ctx, b); ok {
			whole = append(whole, c)
		}
	}
	return whole, broken, nil
}

// past reads the specs of commits that were accepted before.
type past struct {
	host
	repo   *git.Repo
	store  *store.Store
	fleets map[string]desired.Fleet // by commit
}

// accepted is the last spec of a broken cluster that was accepted. False: none
// ever was, or it cannot be read any more, or is not trusted any more.
func (p past) accepted(ctx context.Context, b desired.Broken) (wanted, bool) {
	m, _, err := p.store.Load(ctx, b.Name)
	if err != nil || m.Accepted.Commit == "" {
		return wanted{}, false // a journal that is damaged is told by the turn of its cluster
	}
	fleet, read := p.fleets[m.Accepted.Commit]
	if !read {
		if tree, err := p.repo.At(m.Accepted.Commit); err == nil {
			fleet = p.judged(desired.Load(tree, loadOptions()))
		}
		p.fleets[m.Accepted.Commit] = fleet
	}
	c, ok := fleet.Cluster(b.Name)
	return wanted{c, m.Accepted.Commit, errorsOf(b.Problems)}, ok
}

// unnamed are the remembered clusters that a broken fleet does not name: whether
// they are gone from it cannot be known.
func (p past) unnamed(fleet desired.Fleet, errs []desired.Problem) []desired.Broken {
	names, err := p.store.Clusters()
	if err != nil {
		return nil // the turns of those that are named will say it
	}
	var out []desired.Broken
	for _, name := range names {
		if !slices.Contains(clusterNames(fleet), name) {
			out = append(out, desired.Broken{Name: name, Problems: errs})
		}
	}
	return out
}

// release lets go of the clusters that a whole fleet does not name any more:
// they are unmanaged, and no later mistake in the repo brings them back.
func (p past) release(ctx context.Context, fleet desired.Fleet) error {
	names, err := p.store.Clusters()
	if err != nil {
		return err
	}
	there := clusterNames(fleet)
	for _, name := range names {
		m, rev, err := p.store.Load(ctx, name)
		if _, found := slices.BinarySearch(there, name); found || err != nil || m.Accepted.Commit == "" {
			continue
		}
		p.log.Info("gone from the repo: nothing is done to it any more", daemon.KeyCluster, name, daemon.KeyCommit, m.Accepted.Commit)
		m.Accepted = diff.Accepted{}
		if _, err := p.store.Save(ctx, name, m, rev); err != nil {
			return err
		}
	}
	return nil
}

func errorsOf(problems []desired.Problem) []desired.Problem {
	return slices.DeleteFunc(slices.Clone(problems), func(p desired.Problem) bool { return p.Severity != desired.SeverityError })
}
