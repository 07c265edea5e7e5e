package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
	before *desired.Cluster  // that it was last brought to, where that is another; nil: it cannot be had
	waits  []diff.Wait       // what a newer commit waits for, that is in force elsewhere
	next   *wanted           // what that one wants
	ahead  bool              // another spec is in force until somebody acts
	noted  bool              // the memory says that it is in force
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
	s, err := h.openStore()
	if err != nil {
		return nil, nil, err
	}
	before := newPast(h, fleet, s)
	unnamed, err := before.unnamed(ctx, fleet.Fleet)
	if err != nil {
		return nil, nil, err
	}
	var broken []desired.Broken
	for i, b := range slices.Concat(fleet.Broken, unnamed) {
		if fleet.clashes[b.Name] {
			broken = append(broken, b) // whose last spec should it be?
			continue
		}
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
	kept, left, err := before.travel(ctx, a.picks, whole, time.Now())
	for i := range kept {
		kept[i].before = before.standing(ctx, kept[i].Cluster)
	}
	return kept, append(broken, left...), err
}

// standing is the spec that a cluster was last brought to, where it is another than
// the wanted one and can still be had: it tells drift from what a commit brings.
func (p past) standing(ctx context.Context, want desired.Cluster) *desired.Cluster {
	m, _, err := p.store.Load(ctx, want.Name)
	if err != nil || m.Good.Commit == "" || m.Good.Digest == want.Digest {
		return nil
	}
	fleet, err := p.at(m.Good.Commit)
	if err != nil {
		return nil
	}
	c, ok := fleet.Cluster(want.Name)
	if !ok || c.Digest != m.Good.Digest {
		return nil
	}
	return &c
}

// past reads the specs of commits that were accepted before.
type past struct {
	host
	of     opened
	store  *store.Store
	fleets map[string]desired.Fleet // by commit
}

// maxBefore is how many older commits are kept as they were read.
const maxBefore = 8

func newPast(h host, of opened, s *store.Store) past {
	fleets := of.before
	if fleets == nil || len(fleets) > maxBefore {
		fleets = map[string]desired.Fleet{}
	}
	return past{host: h, of: of, store: s, fleets: fleets}
}

// accepted is the last spec of a broken cluster that was accepted. False: none
// ever was.
func (p past) accepted(ctx context.Context, b desired.Broken) (wanted, bool, error) {
	m, _, err := p.store.Load(ctx, b.Name)
	if err != nil {
		return wanted{}, false, err
	}
	return p.acceptedBy(m, b)
}

// acceptedBy is accepted by what is remembered of the cluster.
func (p past) acceptedBy(m diff.Memory, b desired.Broken) (wanted, bool, error) {
	if m.Accepted.Commit == "" {
		return wanted{}, false, nil
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
	return wanted{Cluster: c, commit: m.Accepted.Commit, broken: errorsOf(b.Problems)}, true, nil
}

// at is the fleet of a commit, as the trust of today judges it.
func (p past) at(commit string) (desired.Fleet, error) {
	fleet, read := p.fleets[commit]
	if read {
		return fleet, nil
	}
	fleet, err := loadCommit(p.of.repo, commit, nil)
	if err == nil {
		fleet = p.judged(keptHere(fleet, p.of.only))
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
func (p past) unnamed(ctx context.Context, fleet desired.Fleet) ([]desired.Broken, error) {
	errs := fleetErrors(fleet)
	if len(errs) == 0 {
		return nil, nil
	}
	names, err := p.unknownTo(ctx, fleet)
	var out []desired.Broken
	for _, name := range names {
		out = append(out, desired.Broken{Name: name, Problems: errs})
	}
	return out, err
}

// unknownTo are the remembered clusters of this fleet that it does not name.
func (p past) unknownTo(ctx context.Context, fleet desired.Fleet) (unknown []string, err error) {
	names, err := p.store.Clusters()
	if err != nil {
		return nil, nil // the turns of those that are named will say it
	}
	there := clusterNames(fleet)
	for _, name := range names {
		if slices.Contains(there, name) {
			continue
		}
		ours, err := p.ours(ctx, name)
		if err != nil {
			return nil, err
		}
		if ours {
			unknown = append(unknown, name)
		}
	}
	return unknown, nil
}

// ours says whether a remembered cluster is of this fleet: the commit whose spec of
// it was accepted last is in its clone, and its folder names the cluster there. So
// nothing that another fleet says, and not that it cannot be read or is followed no
// more, makes a cluster gone.
func (p past) ours(ctx context.Context, name string) (bool, error) {
	if !p.of.only.Keeps(name) {
		return false, nil
	}
	m, _, err := p.store.Load(ctx, name)
	if err != nil || m.Accepted.Commit == "" {
		return false, nil // its own turns say what is wrong
	}
	fleet, err := p.at(m.Accepted.Commit)
	return err == nil && slices.Contains(clusterNames(fleet), name), err
}

// gone are the clusters that were kept once, and that a whole fleet does not
// name any more. They are unmanaged: once they are let go, no later mistake in
// the repo brings them back.
func (p past) gone(ctx context.Context, fleet desired.Fleet) ([]string, error) {
	if len(fleetErrors(fleet)) > 0 {
		return nil, nil
	}
	names, err := p.unknownTo(ctx, fleet)
	return slices.DeleteFunc(names, func(name string) bool {
		m, _, err := p.store.Load(ctx, name)
		return err != nil || m.Accepted.Commit == ""
	}), err
}

// letGo lets go of the clusters that are gone from a fleet, before anything is
// done. One that another fleet names now has moved, and is not gone.
func (a *app) letGo(ctx context.Context, w *world, all []opened) error {
	for _, fleet := range all {
		if fleet.repo == nil {
			continue
		}
		names, err := newPast(w.host, fleet, w.store).gone(ctx, fleet.Fleet)
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, moved := ofCluster(all, name); moved {
				continue
			}
			if err := forget(ctx, w.store, name); err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "reconciler: warning: %s is gone from the repo: nothing is done to it any more\n", name)
		}
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
