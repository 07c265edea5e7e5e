package loop

import (
	"context"
	"fmt"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A commit reaches the clusters of a fleet ring by ring: pkg/diff, ring.go, has the
// rule. Whom it has reached is noted in that cluster's memory before anything is done
// there, and one process decides at a time. So no place of a ring is taken twice, and
// whoever comes after one that died knows of every place that was taken.

// Wanted is a cluster as the newest commit of its fleet wants it.
type Wanted struct {
	Cluster desired.Cluster
	Commit  string
	Broken  bool // the newest spec cannot be read, and Cluster is the one that was accepted last
	Ours    bool // whoever decides is going to act on it; only such ones take a place
}

// Travel is a commit on its way through the rings of its fleet.
type Travel struct {
	Rings []desired.Ring
	Store Store
	// Alone returns once nobody else decides; then nobody else does until it is left.
	// nil: this is only a look, and nothing is noted.
	Alone func(context.Context) (leave func(), err error)
}

// Reached is how far the commit is with one cluster.
type Reached struct {
	Wait   *diff.Wait // nil: it has reached it
	Ahead  bool       // it has, and another spec is in force until somebody acts
	Noted  bool       // what the cluster is to be kept at is what the memory says
	Memory diff.Memory
}

// overtaken says that another process has put another spec in force since this one was
// noted. Of one commit it is the same, however a release of ours digests it.
func (s Spec) overtaken(m diff.Memory) error {
	if s.Noted && m.Accepted.Digest != s.Cluster.Digest && m.Accepted.Commit != s.Commit {
		return overtaken{s.Cluster.Name}
	}
	return nil
}

// overtaken is a [Busy] error.
type overtaken struct{ cluster string }

func (o overtaken) Error() string {
	return "another process has put another spec of " + o.cluster + " in force since this one read the repo"
}

func (o overtaken) Busy() string { return o.Error() }

// Decide says how far the commit is with each cluster of its fleet.
func (t Travel) Decide(ctx context.Context, fleet []Wanted, now time.Time) ([]Reached, error) {
	if t.Alone != nil {
		leave, err := t.Alone(ctx)
		if err != nil {
			return nil, fmt.Errorf("decide which clusters a commit has reached: %w", err)
		}
		defer leave()
	}
	out, fellows, ours := make([]Reached, len(fleet)), make([]diff.Fellow, len(fleet)), map[string]bool{}
	for i, w := range fleet {
		m, _, err := t.Store.Load(ctx, w.Cluster.Name)
		if err != nil {
			return nil, fmt.Errorf("load the memory of %s: %w", w.Cluster.Name, err)
		}
		out[i].Memory, fellows[i], ours[w.Cluster.Name] = m, diff.FellowOf(w.Cluster, w.Broken, m, now), w.Ours
	}
	waits := diff.Travel(t.Rings, fellows, func(f diff.Fellow) bool { return ours[f.Name] }, now)
	for i, w := range fleet {
		m := &out[i].Memory
		out[i].Wait = waits[i]
		switch {
		case !m.Known:
			continue // it was never born, and its first turn notes it
		case waits[i] != nil || w.Broken || m.Accepted.Digest == w.Cluster.Digest:
			out[i].Noted = true
			continue
		case t.Alone == nil || !w.Ours:
			out[i].Ahead = true
			continue
		}
		out[i].Noted = true
		err := Ports{Store: t.Store}.remember(ctx, Spec{Cluster: w.Cluster}, func(stored diff.Memory) diff.Memory {
			*m = stored.Accept(w.Cluster, w.Commit)
			return *m
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
