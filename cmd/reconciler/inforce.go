package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Which commit is in force is told cluster by cluster. A commit that breaks the
// spec of a cluster does not take it out: the last one that was accepted stays
// in force, so that the cluster is still repaired. It is read from our own
// clone, which keeps what it fetched for as long as it is not damaged.

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
	for i, b := range slices.Concat(fleet.Broken, before.unnamed(fleet.Fleet)) {
		c, ok, err := before.accepted(ctx, b)
		switch {
		case errors.Is(err, git.ErrDamaged) || errors.Is(err, git.ErrUnread):
			return nil, nil, err
		case err != nil:
			b.Problems = append(slices.Clip(b.Problems), desired.Problem{Place: desired.Place{File: "clusters/" + b.Name},
				Severity: desired.SeverityError, Cluster: b.Name, Text: err.Error()})
			broken = append(broken, b)
		case ok:
			whole = append(whole, c)
		case i < len(fleet.Broken):
			broken = append(broken, b)
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
// ever was.
func (p past) accepted(ctx context.Context, b desired.Broken) (wanted, bool, error) {
	m, _, err := p.store.Load(ctx, b.Name)
	if err != nil || m.Accepted.Commit == "" {
		return wanted{}, false, err
	}
	fleet, err := p.at(m.Accepted.Commit)
	if err != nil {
		return wanted{}, false, err
	}
	c, ok := fleet.Cluster(b.Name)
	if !ok {
		return wanted{}, false, fmt.Errorf("the spec that was accepted last, of commit %.12s, cannot be in force any more: %w",
			m.Accepted.Commit, firstProblem(fleet, b.Name))
	}
	return wanted{c, m.Accepted.Commit, errorsOf(b.Problems)}, true, nil
}

// at is the fleet of a commit, as the trust of today judges it.
func (p past) at(commit string) (desired.Fleet, error) {
	fleet, read := p.fleets[commit]
	if read {
		return fleet, nil
	}
	fleet, err := loadCommit(p.repo, commit, nil)
	if err == nil {
		fleet = p.judged(fleet)
		p.fleets[commit] = fleet
	}
	return fleet, err
}

// firstProblem is why a fleet has no such cluster.
func firstProblem(fleet desired.Fleet, cluster string) error {
	why := fleetErrors(fleet)
	for _, b := range fleet.Broken {
		if b.Name == cluster {
			why = errorsOf(b.Problems)
		}
	}
	if len(why) == 0 {
		return errors.New("it does not name the cluster")
	}
	return why[0]
}

// unnamed are the remembered clusters that a broken fleet does not name: whether
// they are gone from it cannot be known.
func (p past) unnamed(fleet desired.Fleet) []desired.Broken {
	errs := fleetErrors(fleet)
	if len(errs) == 0 {
		return nil
	}
	var out []desired.Broken
	for _, name := range unknownTo(fleet, p.store) {
		out = append(out, desired.Broken{Name: name, Problems: errs})
	}
	return out
}

// unknownTo are the remembered clusters that a fleet does not name.
func unknownTo(fleet desired.Fleet, s *store.Store) []string {
	names, err := s.Clusters()
	if err != nil {
		return nil // the turns of those that are named will say it
	}
	there := clusterNames(fleet)
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(there, name) })
}

// gone are the clusters that were kept once, and that a whole fleet does not
// name any more. They are unmanaged: once they are let go, no later mistake in
// the repo brings them back.
func gone(ctx context.Context, s *store.Store, fleet desired.Fleet) []string {
	if len(fleetErrors(fleet)) > 0 {
		return nil
	}
	return slices.DeleteFunc(unknownTo(fleet, s), func(name string) bool {
		m, _, err := s.Load(ctx, name)
		return err != nil || m.Accepted.Commit == ""
	})
}

// letGo lets go of the clusters that are gone, before anything is done.
func (a *app) letGo(ctx context.Context, s *store.Store, fleet desired.Fleet) error {
	for _, name := range gone(ctx, s, fleet) {
		if err := forget(ctx, s, name); err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "reconciler: warning: %s is gone from the repo: nothing is done to it any more\n", name)
	}
	return nil
}

// forget is what letting go of a cluster comes to: no spec of it is in force.
func forget(ctx context.Context, s *store.Store, name string) error {
	for {
		m, rev, err := s.Load(ctx, name)
		if err != nil {
			return err
		}
		m.Accepted = diff.Accepted{}
		if _, err = s.Save(ctx, name, m, rev); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func errorsOf(problems []desired.Problem) []desired.Problem {
	return slices.DeleteFunc(slices.Clone(problems), func(p desired.Problem) bool { return p.Severity != desired.SeverityError })
}
