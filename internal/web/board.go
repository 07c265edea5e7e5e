package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Board is what the pages show: what each fleet names, the last turn of each cluster,
// and the steps under way. It keeps what it is given and changes nothing of it. It may
// be used by many goroutines.
type Board struct {
	mu      sync.Mutex
	order   []string          // fleets
	fleets  map[string]wishes // those that said what they name
	looks   map[string]*look  // by cluster
	n       uint64            // grows with every change
	streams map[*stream]bool
}

// Wanted is a cluster that a fleet names.
type Wanted struct {
	Name     string
	Nodes    int
	Observes bool              // drift of it is only reported
	Broken   []desired.Problem // why its newest spec is not in force
}

type wishes struct {
	source report.Source
	all    map[string]Wanted
}

// look is a cluster as its last turns left it.
type look struct {
	cluster report.Cluster
	at      time.Time // zero: it was not looked at yet
	sum     [sha256.Size]byte
	summed  bool
	steps   []step // in flight
	done    []step // that ended lately, the newest first
}

type step struct {
	id   string
	told report.ToldStep
}

// mostDone is how many steps that have ended are kept of a cluster.
const mostDone = 20

// NewBoard is a board of no fleet.
func NewBoard() *Board {
	return &Board{fleets: map[string]wishes{}, looks: map[string]*look{}, streams: map[*stream]bool{}}
}

// Follow says which fleets are shown from now on.
func (b *Board) Follow(fleets []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.order = slices.Clone(fleets)
	for name := range b.fleets {
		if !slices.Contains(fleets, name) {
			delete(b.fleets, name)
		}
	}
	b.changed("")
}

// Wants says what a fleet names now. Once all have said so, what is known of clusters
// that none names is dropped.
func (b *Board) Wants(fleet string, source report.Source, all []Wanted) {
	w := wishes{source: source, all: map[string]Wanted{}}
	for _, one := range all {
		w.all[one.Name] = one
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(b.order, fleet) {
		return // of settings that are not in force any more
	}
	b.fleets[fleet] = w
	for name := range b.looks {
		if !b.named(name) && len(b.fleets) == len(b.order) {
			delete(b.looks, name)
		}
	}
	b.changed("")
}

// named says that some fleet names a cluster. The lock is held.
func (b *Board) named(cluster string) bool {
	for _, w := range b.fleets {
		if _, ok := w.all[cluster]; ok {
			return true
		}
	}
	return false
}

// Seen takes a turn of a cluster. One that came to no plan, and so has no time, leaves
// what was seen before it, and says why.
func (b *Board) Seen(c report.Cluster, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.look(c.Name)
	if l == nil {
		return
	}
	if at.IsZero() {
		c.Have, c.Memory, c.Plan, c.Drift = l.cluster.Have, l.cluster.Memory, l.cluster.Plan, l.cluster.Drift
		at = l.at
	}
	l.cluster, l.at, l.steps = slim(c), at, nil
	if len(b.streams) == 0 { // nobody to be told: not worth finding out what is news
		l.summed = false
		b.n++
		return
	}
	if sum := sumOf(c, at); !l.summed || sum != l.sum {
		l.sum, l.summed = sum, true
		b.changed(c.Name)
	}
}

// slim is a cluster without what no page shows: all files of all nodes are most of what
// a look finds.
func slim(c report.Cluster) report.Cluster {
	c.Results = nil // told by the events already
	c.Memory.CAs, c.Memory.Members, c.Memory.Secrets = nil, nil, nil
	c.Have = slices.Clone(c.Have)
	for i := range c.Have {
		n := &c.Have[i]
		n.Machine, n.Binary, n.Files, n.Beside, n.Users, n.Data, n.Audit = nil, nil, nil, nil, nil, nil, nil
		if n.Process != nil {
			process := *n.Process
			process.Mark = nil
			n.Process = &process
		}
	}
	return c
}

// look is what is known of a cluster; nil: no fleet names it, so it is not shown. The
// lock is held.
func (b *Board) look(cluster string) *look {
	if !b.named(cluster) {
		return nil
	}
	l := b.looks[cluster]
	if l == nil {
		l = &look{}
		b.looks[cluster] = l
	}
	return l
}

// sumOf changes with what a page would show of a cluster, but for the time of the look.
func sumOf(c report.Cluster, at time.Time) [sha256.Size]byte {
	text, _ := json.Marshal(struct { // plain data always marshals
		Told report.Told
		Rows []diff.Drift
	}{report.Tell(c, at), c.Drift.Rows})
	return sha256.Sum256(text)
}

// Event takes news of a step.
func (b *Board) Event(cluster string, e apply.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.look(cluster)
	if l == nil {
		return
	}
	id := e.Step.ID + " " + e.Step.Node
	i := slices.IndexFunc(l.steps, func(s step) bool { return s.id == id })
	if i < 0 {
		i = len(l.steps)
		l.steps = append(l.steps, step{id: id})
	}
	before := l.steps[i].told
	l.steps[i].told = report.TellStep(before, e)
	if e.Kind == apply.EventEnded {
		l.done = slices.Insert(l.done, 0, l.steps[i])
		l.done = l.done[:min(len(l.done), mostDone)]
		l.steps = slices.Delete(l.steps, i, i+1)
	}
	if e.Kind != apply.EventWaiting || before.Detail != e.Detail {
		b.changed(cluster)
	}
}

// shown is a cluster to be shown.
type shown struct {
	report.Cluster
	fleet fleet
	at    time.Time // zero: it was not looked at yet
	steps []report.ToldStep
	done  []report.ToldStep
}

// fleet is one of them, as it is followed and where its specs came from.
type fleet struct {
	name   string
	source report.Source
}

// view is the board at one moment.
type view struct {
	n        uint64
	fleets   []fleet  // of which something is in force
	waiting  []string // the others
	clusters []shown  // by name
}

func (b *Board) view() view {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := view{n: b.n}
	seen := map[string]bool{}
	for _, name := range b.order {
		w, ok := b.fleets[name]
		if !ok {
			v.waiting = append(v.waiting, name)
			continue
		}
		v.fleets = append(v.fleets, fleet{name, w.source})
		for cluster := range w.all {
			if !seen[cluster] {
				seen[cluster] = true
				v.clusters = append(v.clusters, b.shown(fleet{name, w.source}, w.all[cluster]))
			}
		}
	}
	slices.SortFunc(v.clusters, func(a, b shown) int { return cmp.Compare(a.Name, b.Name) })
	return v
}

func (b *Board) shown(of fleet, w Wanted) shown {
	s := shown{fleet: of}
	if l := b.looks[w.Name]; l != nil {
		s.Cluster, s.at, s.steps, s.done = l.cluster, l.at, told(l.steps), told(l.done)
	}
	s.Name, s.Nodes, s.Observes, s.Broken = w.Name, w.Nodes, w.Observes, w.Broken
	return s
}

func told(steps []step) (all []report.ToldStep) {
	for _, s := range steps {
		all = append(all, s.told)
	}
	return all
}
