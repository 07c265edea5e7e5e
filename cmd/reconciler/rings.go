package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A commit reaches the clusters of a fleet ring by ring (internal/loop, travel.go). One
// that it has not reached is kept at the spec that was accepted last, as one is whose
// newest spec is broken. A new cluster has none, and waits for a person's approval anyway.

// travel puts the spec that was accepted last in the place of a commit's where that has
// not reached the cluster. One whose last spec cannot be had is left alone.
func (p past) travel(ctx context.Context, picks func(desired.Cluster) bool, whole []wanted, now time.Time) (kept []wanted, left []desired.Broken, err error) {
	if len(p.of.Rings) == 0 {
		return whole, nil, nil
	}
	t := loop.Travel{Rings: p.of.Rings, Store: memories{p.store}}
	if p.of.acts != nil {
		t.Alone = p.store.Alone
	}
	fleet := make([]loop.Wanted, len(whole))
	for i, w := range whole {
		fleet[i] = loop.Wanted{Cluster: w.Cluster, Commit: w.commit, Broken: len(w.broken) > 0,
			Ours: picks(w.Cluster) && (p.of.acts == nil || p.of.acts(w.Name))}
	}
	reached, err := t.Decide(ctx, fleet, now)
	if err != nil {
		return nil, nil, err
	}
	for i, w := range whole {
		r := reached[i]
		if r.Wait == nil {
			w.ahead, w.noted = r.Ahead, r.Noted
			kept = append(kept, w)
			continue
		}
		before, ok, err := p.acceptedBy(r.Memory, desired.Broken{Name: w.Name})
		switch {
		case errors.Is(err, git.ErrDamaged) || errors.Is(err, git.ErrUnread):
			return nil, nil, err
		case err != nil:
			left = append(left, desired.Broken{Name: w.Name, Problems: []desired.Problem{{Place: desired.Place{File: "clusters/" + w.Name},
				Severity: desired.SeverityError, Cluster: w.Name, Text: "it cannot be kept at the spec that it has, until the commit reaches it: " + err.Error()}}})
		case ok:
			before.waits, before.next, before.noted = []diff.Wait{*r.Wait}, &w, r.Noted
			kept = append(kept, before)
		default:
			kept = append(kept, w)
		}
	}
	return kept, left, nil
}

// begin is what was chosen, as it is acted on: whom the commit reaches takes its place
// in its ring now.
func (a *app) begin(ctx context.Context, h host, c choice) (choice, error) {
	if len(c.Rings) == 0 {
		return c, nil
	}
	c.acts = func(string) bool { return true }
	var err error
	c.whole, c.broken, err = a.choose(ctx, h, c.opened)
	return c, err
}

// travelling says that a commit is not in force of some cluster yet.
func travelling(whole []wanted) bool {
	return slices.ContainsFunc(whole, func(w wanted) bool { return len(w.waits) > 0 || w.ahead })
}
