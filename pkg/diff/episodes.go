package diff

import (
	"slices"
	"strings"
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
	Grew     time.Time   `json:"grew,omitzero"`      // when it came to another node last
	Sure     time.Time   `json:"confirmed,omitzero"` // when it was seen again, this time
	Gone     time.Time   `json:"gone,omitzero"`      // zero: it is there
}

// Open says that the drift is there.
func (e Episode) Open() bool { return e.Gone.IsZero() }

// KeepsGone is how long drift is remembered that is gone.
const KeepsGone = 14 * 24 * time.Hour

// What a fight is, and how much is remembered.
const (
	fightTimes  = 3
	fightWithin = 7 * 24 * time.Hour
	maxOpened   = 8
	maxEpisodes = 200
	maxHave     = 256 // bytes
)

// Notice folds what a look found into the memory. Of what could not be read nothing is
// gone.
func (m Memory) Notice(found Drifted, have []actual.Node, now time.Time) Memory {
	open, pending := map[string]Drift{}, map[string]bool{}
	for _, d := range found.Rows {
		switch {
		case d.Open():
			open[d.ID] = d
		case d.Pending:
			pending[d.ID] = true
		}
	}
	blind := blindTo(have)
	var kept []Episode
	for _, e := range m.Drifts {
		d, there := open[e.ID]
		delete(open, e.ID)
		switch {
		case there:
			e = e.again(d, blind, now)
		case e.Open() && !pending[e.ID] && !blind(e):
			e.Gone = now
		}
		if e.Open() || now.Sub(e.Gone) < KeepsGone {
			kept = append(kept, e)
		}
	}
	for _, id := range sortedKeys(open) {
		d := open[id]
		kept = append(kept, Episode{ID: id, Kind: d.Kind, Severity: d.Severity, Path: d.Path, File: d.File, Have: brief(d.Have), Nodes: d.Nodes, Opened: []time.Time{now}})
	}
	m.Drifts = bounded(kept)
	return m
}

// blindTo tells of which episodes a look says nothing: a node of it was not read in
// whole, or nobody told of what is the cluster's.
func blindTo(have []actual.Node) func(Episode) bool {
	partly := map[string]bool{}
	audited := false
	for _, n := range have {
		partly[n.Name] = len(n.Unknown) > 0
		audited = audited || n.Audit != nil && n.Audit.Devices != nil
	}
	raft := membership(have) != nil
	return func(e Episode) bool {
		switch {
		case strings.HasPrefix(e.Path, "audit["):
			return !audited
		case strings.HasPrefix(e.Path, "raft.peers["):
			return !raft
		}
		return slices.ContainsFunc(e.Nodes, func(n string) bool { return partly[n] })
	}
}

// again is an episode whose drift is there now.
func (e Episode) again(d Drift, blind func(Episode) bool, now time.Time) Episode {
	if e.Open() && slices.ContainsFunc(d.Nodes, func(n string) bool { return !slices.Contains(e.Nodes, n) }) {
		e.Grew = now
	}
	for _, n := range e.Nodes { // who was not read still has it
		if e.Open() && !slices.Contains(d.Nodes, n) && blind(Episode{Path: e.Path, Nodes: []string{n}}) {
			d.Nodes = append(slices.Clone(d.Nodes), n)
		}
	}
	e.Nodes, e.Kind, e.Severity = sorted(d.Nodes), d.Kind, d.Severity
	switch {
	case !e.Open():
		e.Opened = append(slices.Clone(e.Opened), now)
		e.Opened = e.Opened[max(0, len(e.Opened)-maxOpened):]
		e.Gone, e.Sure, e.Grew = time.Time{}, time.Time{}, time.Time{}
	case e.Sure.IsZero() && now.After(e.Last()):
		e.Sure = now
	}
	return e
}

// Last is when it came last; the zero time where nobody tells.
func (e Episode) Last() time.Time {
	if len(e.Opened) == 0 {
		return time.Time{}
	}
	return e.Opened[len(e.Opened)-1]
}

// latest is when somebody did it last, on whatever node.
func (e Episode) latest() time.Time {
	if e.Grew.After(e.Last()) {
		return e.Grew
	}
	return e.Last()
}

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

// bounded drops the oldest of those that are gone where there are too many, and then
// those that came last: what a node says must not fill a journal.
func bounded(all []Episode) []Episode {
	for len(all) > maxEpisodes {
		i := slices.IndexFunc(all, func(e Episode) bool { return !e.Open() })
		if i < 0 {
			return all[:maxEpisodes]
		}
		all = slices.Delete(all, i, i+1)
	}
	return all
}

// brief is a value as it is remembered.
func brief(have string) string {
	if len(have) <= maxHave {
		return have
	}
	return strings.ToValidUTF8(have[:maxHave], "") + "…"
}

// Tell is what a look found, with what is remembered of it.
func (m Memory) Tell(found Drifted, now time.Time) Drifted {
	found.Rows = slices.Clone(found.Rows)
	for i, d := range found.Rows {
		if j := slices.IndexFunc(m.Drifts, func(e Episode) bool { return e.ID == d.ID && e.Open() }); j >= 0 {
			e := m.Drifts[j]
			d.Since, d.Sure, d.Times = e.Last(), e.Sure, e.times(now)
		}
		found.Rows[i] = d
	}
	return found
}
