package news

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Kind is why somebody is told. Closed set.
type Kind string

const (
	New       Kind = "new"       // drift that was seen twice
	Worse     Kind = "worse"     // it spread
	Resolved  Kind = "resolved"  // it is gone, or a cluster can be looked at again
	Unchecked Kind = "unchecked" // a cluster could not be looked at in whole, again and again
	Digest    Kind = "digest"    // all that is open, on a schedule
)

// Item is something that people are told.
type Item struct {
	Key      string // names the news, also after a restart
	Kind     Kind
	Severity diff.Severity
	Clusters []string
	Title    string
	Report   report.DriftDocument // what it is about; of a digest all that is open
}

// Text, Markdown, HTML and JSON are the item as it is shown.
func (i Item) Text() string {
	return written(func(b *bytes.Buffer) error { return report.Drift(b, report.Options{}, i.Report) })
}
func (i Item) Markdown() string {
	return written(func(b *bytes.Buffer) error { return report.DriftMarkdown(b, i.Report) })
}
func (i Item) HTML() string {
	return written(func(b *bytes.Buffer) error { return report.DriftHTML(b, i.Report) })
}
func (i Item) JSON() json.RawMessage {
	return json.RawMessage(written(func(b *bytes.Buffer) error { return report.JSON(b, i.Report) }))
}

// written is what is written into memory, where nothing can fail but a defect of ours.
func written(write func(*bytes.Buffer) error) string {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return "this report could not be written, which is a defect of reconciler: " + err.Error()
	}
	return b.String()
}

// How many turns in a row have to fail before somebody is told, and how long ago what
// is remembered may have happened to be told by a process that did not see it.
const (
	failuresToTell = 3
	tellsBack      = 24 * time.Hour
)

// Desk hears of the turns of the clusters of one fleet. Its methods may be called from
// several goroutines.
type Desk struct {
	mu     sync.Mutex
	source report.Source
	names  []string // of the clusters that there are
	last   map[string]report.Cluster
	told   map[string]time.Time // keys that were given out lately
	seen   map[string][]string  // drift → nodes that it was told of
	blind  map[string]int       // turns in a row in which a cluster could not be looked at in whole
	since  map[string]time.Time // the first of them
}

// NewDesk has heard of nothing.
func NewDesk() *Desk {
	return &Desk{last: map[string]report.Cluster{}, told: map[string]time.Time{}, seen: map[string][]string{},
		blind: map[string]int{}, since: map[string]time.Time{}}
}

// Follow says which clusters there are from now on, and where their specs come from.
func (d *Desk) Follow(source report.Source, clusters []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.source = source
	d.names = clusters
	maps.DeleteFunc(d.last, func(name string, _ report.Cluster) bool { return !slices.Contains(clusters, name) })
	maps.DeleteFunc(d.blind, func(name string, _ int) bool { return !slices.Contains(clusters, name) })
}

// Turned hears of a turn, and gives what is to be told because of it.
func (d *Desk) Turned(c report.Cluster, now time.Time) []Item {
	d.mu.Lock()
	defer d.mu.Unlock()
	items := d.checked(c, now)
	if c.Err != nil {
		return d.once(items, now) // nothing is known of drift
	}
	d.last[c.Name] = c
	return d.once(append(items, d.drifted(c, now)...), now)
}

// drifted are the news of what is remembered of drift. What became sure, or was gone,
// at the same look is one item.
func (d *Desk) drifted(c report.Cluster, now time.Time) (items []Item) {
	sure, gone := map[time.Time][]string{}, map[time.Time][]string{}
	for _, e := range c.Memory.Drifts {
		switch {
		case e.Sure.IsZero():
		case !e.Open() && now.Sub(e.Gone) < tellsBack:
			gone[e.Gone] = append(gone[e.Gone], e.ID)
			delete(d.seen, e.ID)
		case e.Open() && now.Sub(e.Sure) < tellsBack:
			sure[e.Sure] = append(sure[e.Sure], e.ID)
		}
	}
	for _, at := range sortedTimes(sure) {
		items = append(items, d.item(c, New, at, sure[at], now))
	}
	for _, at := range sortedTimes(gone) {
		items = append(items, d.item(c, Resolved, at, gone[at], now))
	}
	for _, e := range c.Memory.Drifts { // not by the rows: whose node was not read has none
		if !e.Open() || e.Sure.IsZero() {
			continue
		}
		before, known := d.seen[e.ID]
		d.seen[e.ID] = e.Nodes
		if more := slices.DeleteFunc(slices.Clone(e.Nodes), func(n string) bool { return slices.Contains(before, n) }); known && len(more) > 0 {
			item := d.item(c, Worse, e.Last(), []string{e.ID}, now)
			item.Key += " " + strings.Join(e.Nodes, " ")
			item.Title = d.title(c.Name, e.Path+" spread to "+strings.Join(more, " "))
			items = append(items, item)
		}
	}
	return items
}

// item is the news of some drifts of a cluster.
func (d *Desk) item(c report.Cluster, kind Kind, at time.Time, ids []string, now time.Time) Item {
	since := time.Time{}
	if kind == Resolved {
		since = at
	}
	doc := report.NewDrift(d.source, []report.Cluster{c}, now, since).Only(ids)
	item := Item{Key: fmt.Sprintf("drift %s %s %s", c.Name, kind, at.UTC().Format(time.RFC3339Nano)), Kind: kind,
		Severity: doc.Worst(), Clusters: []string{c.Name}, Report: doc}
	what := count(len(ids), "drift")
	if kind == Resolved {
		item.Title, item.Severity = d.title(c.Name, what+" gone"), diff.SeverityLow
	} else {
		item.Title = d.title(c.Name, what+", "+string(item.Severity))
	}
	return item
}

// checked are the news of a cluster that cannot be looked at, or can again.
func (d *Desk) checked(c report.Cluster, now time.Time) []Item {
	var why string
	switch {
	case c.Err != nil && !busy(c.Err):
		why = "the look failed"
	case c.Err == nil && len(c.Drift.Unobserved) > 0:
		why = count(len(nodesOf(c)), "node") + " not read"
	}
	first := d.since[c.Name]
	if why == "" {
		failed := d.blind[c.Name]
		delete(d.blind, c.Name)
		delete(d.since, c.Name)
		if failed < failuresToTell || busy(c.Err) {
			return nil
		}
		return []Item{d.unchecked(c, Resolved, first, "read again in whole", now)}
	}
	if d.blind[c.Name]++; d.blind[c.Name] == 1 {
		first = now
		d.since[c.Name] = now
	}
	if d.blind[c.Name] != failuresToTell {
		return nil
	}
	return []Item{d.unchecked(c, Unchecked, first, why, now)}
}

func (d *Desk) unchecked(c report.Cluster, kind Kind, first time.Time, why string, now time.Time) Item {
	severity := diff.SeverityHigh
	if kind == Resolved {
		severity = diff.SeverityLow
	}
	return Item{Key: fmt.Sprintf("check %s %s %s", c.Name, kind, first.UTC().Format(time.RFC3339Nano)), Kind: kind, Severity: severity,
		Clusters: []string{c.Name}, Title: d.title(c.Name, why), Report: report.NewDrift(d.source, []report.Cluster{c}, now, time.Time{}).Only(nil)}
}

// nodesOf are the nodes of which something could not be read.
func nodesOf(c report.Cluster) map[string]bool {
	nodes := map[string]bool{}
	for _, u := range c.Drift.Unobserved {
		nodes[u.Node] = true
	}
	return nodes
}

func busy(err error) bool {
	_, is := err.(report.Busy)
	return is
}

// Open is all that is open in the clusters of some globs, as the turns saw it last. It
// is false until each of them was looked at.
func (d *Desk) Open(globs []string, now time.Time) (report.DriftDocument, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []report.Cluster
	for _, name := range d.names {
		if !Matches(globs, name) {
			continue
		}
		c, ok := d.last[name]
		if !ok && d.blind[name] == 0 {
			return report.DriftDocument{}, false
		}
		if !ok {
			c = report.Cluster{Name: name, Err: fmt.Errorf("it could not be looked at since %s", d.since[name].UTC().Format(time.RFC3339))}
		}
		all = append(all, c)
	}
	return report.NewDrift(d.source, all, now, now.Add(-tellsBack)), true
}

// Sum is the digest of a report that is due; false: there is nothing to tell.
func Sum(doc report.DriftDocument, name string, due time.Time) (Item, bool) {
	if doc.Summary.Status == report.InSync {
		return Item{}, false
	}
	return Item{Key: "digest " + name + " " + due.UTC().Format(time.RFC3339), Kind: Digest, Severity: doc.Worst(), Title: doc.Title(), Report: doc}, true
}

// Matches says that a cluster is of one of some globs; none: all are.
func Matches(globs []string, cluster string) bool {
	return len(globs) == 0 || slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := path.Match(glob, cluster)
		return err == nil && ok
	})
}

// once drops what this process has given out before.
func (d *Desk) once(items []Item, now time.Time) []Item {
	maps.DeleteFunc(d.told, func(_ string, at time.Time) bool { return now.Sub(at) > 2*tellsBack })
	return slices.DeleteFunc(items, func(i Item) bool {
		_, known := d.told[i.Key]
		d.told[i.Key] = now
		return known
	})
}

func (d *Desk) title(cluster, what string) string {
	if d.source.Fleet == "" {
		return cluster + ": " + what
	}
	return d.source.Fleet + "/" + cluster + ": " + what
}

func sortedTimes(m map[time.Time][]string) []time.Time {
	return slices.SortedFunc(maps.Keys(m), time.Time.Compare)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
