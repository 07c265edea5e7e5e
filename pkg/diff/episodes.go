package diff

import (
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// A drift is noticed once and remembered: when it was first seen, when it was seen
// again and is sure, when it was gone. What comes back is the same one. What is gone
// is kept for a while: who puts something back that comes again and again is in a
// fight with somebody.

// Episode is what is remembered of a drift.
type Episode struct {
	ID       string      `json:"id"`
	Kind     DriftKind   `json:"kind"`
	Severity Severity    `json:"severity"`
	Path     string      `json:"path"`
	File     string      `json:"file,omitempty"`
	Have     string      `json:"have,omitempty"`
	Nodes    []string    `json:"nodes,omitempty"`
	Opened   []time.Time `json:"opened"`             // each time that it came, the oldest first
	Sure     time.Time   `json:"confirmed,omitzero"` // when it was seen again, this time
	Gone     time.Time   `json:"gone,omitzero"`      // zero: it is there
}

// Open says that the drift is there.
func (e Episode) Open() bool { return e.Gone.IsZero() }

// How long drift is remembered that is gone, and what a fight is.
const (
	keepsGone   = 14 * 24 * time.Hour
	fightTimes  = 3
	fightWithin = 7 * 24 * time.Hour
	maxOpened   = 8
	maxEpisodes = 200
)

// Notice folds what a look found into the memory. Of a node that could not be read in
// whole nothing is gone.
func (m Memory) Notice(found Drifted, have []actual.Node, now time.Time) Memory {
	open := map[string]Drift{}
	for _, d := range found.Open() {
		open[d.ID] = d
	}
	blind := map[string]bool{}
	for _, n := range have {
		blind[n.Name] = len(n.Unknown) > 0
	}
	var kept []Episode
	for _, e := range m.Drifts {
		d, there := open[e.ID]
		delete(open, e.ID)
		switch {
		case there:
			e = e.again(d, now)
		case e.Open() && !slices.ContainsFunc(e.Nodes, func(n string) bool { return blind[n] }) && !(len(e.Nodes) == 0 && len(found.Unobserved) > 0):
			e.Gone = now
		}
		if e.Open() || now.Sub(e.Gone) < keepsGone {
			kept = append(kept, e)
		}
	}
	for _, id := range sortedKeys(open) {
		d := open[id]
		kept = append(kept, Episode{ID: id, Kind: d.Kind, Severity: d.Severity, Path: d.Path, File: d.File, Have: d.Have, Nodes: d.Nodes, Opened: []time.Time{now}})
	}
	m.Drifts = bounded(kept)
	return m
}

// again is an episode whose drift is there now.
func (e Episode) again(d Drift, now time.Time) Episode {
	e.Nodes = d.Nodes
	switch {
	case !e.Open():
		e.Opened = append(slices.Clone(e.Opened), now)
		e.Opened = e.Opened[max(0, len(e.Opened)-maxOpened):]
		e.Gone, e.Sure = time.Time{}, time.Time{}
	case e.Sure.IsZero() && now.After(e.last()):
		e.Sure = now
	}
	return e
}

// last is when it came last.
func (e Episode) last() time.Time { return e.Opened[len(e.Opened)-1] }

// times is how often it came within the last week.
func (e Episode) times(now time.Time) (n int) {
	for _, at := range e.Opened {
		if now.Sub(at) < fightWithin {
			n++
		}
	}
	return n
}

// timesOf is how often something of a node drifted within the last week, whatever it
// was instead.
func (m Memory) timesOf(path, node string, now time.Time) (n int) {
	for _, e := range m.Drifts {
		if e.Path == path && (len(e.Nodes) == 0 || slices.Contains(e.Nodes, node)) {
			n += e.times(now)
		}
	}
	return n
}

// bounded drops the oldest of those that are gone where there are too many.
func bounded(all []Episode) []Episode {
	for len(all) > maxEpisodes {
		i := slices.IndexFunc(all, func(e Episode) bool { return !e.Open() })
		if i < 0 {
			break
		}
		all = slices.Delete(all, i, i+1)
	}
	return all
}

// episode is what is remembered of a drift.
func (m Memory) episode(id string) (Episode, bool) {
	i := slices.IndexFunc(m.Drifts, func(e Episode) bool { return e.ID == id })
	if i < 0 {
		return Episode{}, false
	}
	return m.Drifts[i], true
}

// known is a drift with what is remembered of it.
func (m Memory) known(d Drift, now time.Time) Drift {
	if e, ok := m.episode(d.ID); ok && e.Open() {
		d.Since, d.Sure, d.Times = e.last(), e.Sure, e.times(now)
	}
	return d
}
