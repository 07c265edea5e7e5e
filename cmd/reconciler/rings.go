package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A commit reaches the clusters of a fleet ring by ring (pkg/diff, ring.go). One that
// it has not reached is kept at the spec that was accepted last, as one is whose newest
// spec is broken. A new cluster has none, and waits for a person's approval anyway.

// travel puts the spec that was accepted last in the place of a commit's where that has
// not reached the cluster. It decides for all clusters at once, one after another. One
// whose last spec cannot be had is left alone.
func (p past) travel(ctx context.Context, whole []wanted, now time.Time) (kept []wanted, left []desired.Broken, err error) {
	rings := p.of.Rings
	if len(rings) == 0 {
		return whole, nil, nil
	}
	fellows := make([]diff.Fellow, len(whole))
	for i, w := range whole {
		m, _, err := p.store.Load(ctx, w.Name)
		if err != nil {
			return nil, nil, err
		}
		fellows[i] = fellow(w, m)
		if p.of.begun[w.Name] == w.Digest {
			fellows[i].Ordered = w.Digest // a moment ago, and its turn has not noted it yet
		}
	}
	for _, i := range inOrder(rings, fellows) {
		if len(whole[i].broken) > 0 {
			kept = append(kept, whole[i]) // at the last spec already
			continue
		}
		w := diff.Reach(rings, fellows[i], fellows, now)
		if w == nil {
			fellows[i].Ordered = fellows[i].Wanted
			p.of.begin(whole[i].Cluster)
			kept = append(kept, whole[i])
			continue
		}
		before, ok, err := p.accepted(ctx, desired.Broken{Name: whole[i].Name})
		switch {
		case errors.Is(err, git.ErrDamaged) || errors.Is(err, git.ErrUnread):
			return nil, nil, err
		case err != nil:
			left = append(left, desired.Broken{Name: whole[i].Name, Problems: []desired.Problem{{Place: desired.Place{File: "clusters/" + whole[i].Name},
				Severity: desired.SeverityError, Cluster: whole[i].Name, Text: "it cannot be kept at the spec that it has, until the commit reaches it: " + err.Error()}}})
		case ok:
			before.waits = []diff.Wait{*w}
			kept = append(kept, before)
		default:
			kept = append(kept, whole[i])
		}
	}
	return kept, left, nil
}

// fellow is how a cluster stands, as far as others wait for it.
func fellow(w wanted, m diff.Memory) diff.Fellow {
	f := diff.Fellow{Name: w.Name, Environment: w.Environment, Wanted: w.Digest, Ordered: m.Accepted.Digest, Good: m.Good, Observed: w.Mode != desired.ModeEnforce}
	if len(w.broken) > 0 {
		f.Wanted = ""
	}
	f.Unborn = !m.Known
	f.Failed = slices.ContainsFunc(m.Tries, func(t diff.Try) bool { return t.Outcome == diff.OutcomeFailed || t.Outcome == diff.OutcomeUnknown })
	f.Held = slices.ContainsFunc(m.Leaves, func(l diff.Leave) bool { return l.Kind == diff.LeaveHold && l.Node == "" })
	return f
}

// inOrder are the clusters as a commit comes to them: by ring, and by name.
func inOrder(rings []desired.Ring, fleet []diff.Fellow) []int {
	order := make([]int, len(fleet))
	for i := range order {
		order[i] = i
	}
	ring := func(i int) int { return diff.RingOf(rings, fleet[i].Name, fleet[i].Environment) }
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(ring(a), ring(b)), cmp.Compare(fleet[a].Name, fleet[b].Name))
	})
	return order
}

// begin notes that a cluster goes on to what a commit wants of it.
func (o opened) begin(c desired.Cluster) {
	if o.begun != nil {
		o.begun[c.Name] = c.Digest
	}
}

// travelling says that a commit has not reached some cluster.
func travelling(whole []wanted) bool {
	return slices.ContainsFunc(whole, func(w wanted) bool { return len(w.waits) > 0 })
}
