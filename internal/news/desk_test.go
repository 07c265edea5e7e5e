package news

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// cluster is one that drifts, as some episodes and rows say.
func cluster(name string, rows []diff.Drift, episodes ...diff.Episode) report.Cluster {
	return report.Cluster{Name: name, Nodes: 3, Have: []actual.Node{{Name: "eu-1"}, {Name: "eu-2"}, {Name: "eu-3"}},
		Memory: diff.Memory{Drifts: episodes}, Drift: diff.Drifted{Rows: rows, Compared: 40}}
}

func row(id string, sure time.Time, nodes ...string) diff.Drift {
	return diff.Drift{ID: id, Kind: diff.DriftChanged, Severity: diff.SeverityHigh, Path: "config." + id, Nodes: nodes, Want: "a", Have: "b", Since: sure, Sure: sure}
}

func kinds(items []Item) (words []string) {
	for _, i := range items {
		words = append(words, string(i.Kind)+": "+i.Title)
	}
	return words
}

func expect(t *testing.T, what string, items []Item, want ...string) {
	t.Helper()
	if got := kinds(items); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestADriftIsToldOnceItIsSure(t *testing.T) {
	d := NewDesk()
	d.Follow(report.Source{Fleet: "acme"}, []string{"prod"})
	open := func(sure time.Time) diff.Episode {
		return diff.Episode{ID: "x", Path: "config.x", Nodes: []string{"eu-1"}, Opened: []time.Time{noon}, Sure: sure}
	}
	expect(t, "seen once", d.Turned(cluster("prod", []diff.Drift{row("x", time.Time{}, "eu-1")}, open(time.Time{})), noon))
	sure := noon.Add(time.Minute)
	first := d.Turned(cluster("prod", []diff.Drift{row("x", sure, "eu-1")}, open(sure)), sure)
	expect(t, "seen twice", first, "new: acme/prod: 1 drift, high")
	if text := first[0].Text(); !strings.Contains(text, "config.x changed: b, not a") {
		t.Error(text)
	}
	expect(t, "seen again", d.Turned(cluster("prod", []diff.Drift{row("x", sure, "eu-1")}, open(sure)), sure.Add(time.Minute)))
	wider := open(sure)
	wider.Nodes = []string{"eu-1", "eu-3"}
	expect(t, "it spreads", d.Turned(cluster("prod", []diff.Drift{row("x", sure, "eu-1", "eu-3")}, wider), sure.Add(2*time.Minute)),
		"worse: acme/prod: config.x spread to eu-3")
	expect(t, "a node of it is not read", d.Turned(cluster("prod", []diff.Drift{row("x", sure, "eu-1")}, wider), sure.Add(2*time.Minute)))
	expect(t, "and is again", d.Turned(cluster("prod", []diff.Drift{row("x", sure, "eu-1", "eu-3")}, wider), sure.Add(2*time.Minute)))
	gone := open(sure)
	gone.Gone = sure.Add(3 * time.Minute)
	last := d.Turned(cluster("prod", nil, gone), gone.Gone)
	expect(t, "it is gone", last, "resolved: acme/prod: 1 drift gone")
	if text := last[0].Text(); !strings.Contains(text, "gone     x  prod eu-1  config.x, was there for 4 minutes") {
		t.Error(text)
	}
	expect(t, "it stays gone", d.Turned(cluster("prod", nil, gone), gone.Gone.Add(time.Minute)))

	again := NewDesk() // another process
	again.Follow(report.Source{Fleet: "acme"}, []string{"prod"})
	after := again.Turned(cluster("prod", []diff.Drift{row("x", sure, "eu-1")}, open(sure)), sure.Add(time.Hour))
	if len(after) != 1 || after[0].Key != first[0].Key {
		t.Errorf("after a restart the same news have another key: %v", after)
	}
	if old := again.Turned(cluster("lab", []diff.Drift{row("y", noon, "eu-1")}, diff.Episode{ID: "y", Opened: []time.Time{noon}, Sure: noon}), noon.Add(48*time.Hour)); len(old) > 0 {
		t.Errorf("what is old is told as news: %v", kinds(old))
	}
}

func TestWhatWasNeverSureIsNeverGone(t *testing.T) {
	d := NewDesk()
	expect(t, "healed at once", d.Turned(cluster("prod", nil, diff.Episode{ID: "x", Opened: []time.Time{noon}, Gone: noon.Add(time.Second)}), noon.Add(time.Minute)))
}

func TestAClusterThatCannotBeLookedAtIsToldAfterThreeTurns(t *testing.T) {
	d := NewDesk()
	failed := report.Cluster{Name: "prod", Err: errors.New("no route to host")}
	for turn := range 5 {
		got := kinds(d.Turned(failed, noon.Add(time.Duration(turn)*time.Minute)))
		if want := turn == 2; (len(got) == 1) != want {
			t.Errorf("turn %d: %q", turn, got)
		}
	}
	expect(t, "it answers again", d.Turned(cluster("prod", nil), noon.Add(time.Hour)), "resolved: prod: read again in whole")
	blind := cluster("prod", nil)
	blind.Drift.Unobserved = []diff.Unseen{{Node: "eu-1", Phase: "tcp", Error: "refused"}, {Node: "eu-1", Phase: "vault-api", Error: "refused"}}
	later := noon.Add(2 * time.Hour)
	d.Turned(blind, later)
	d.Turned(cluster("prod", nil), later)
	d.Turned(blind, later)
	d.Turned(blind, later)
	expect(t, "three in a row", d.Turned(blind, later), "unchecked: prod: 1 node not read")
}

func TestADigestIsOfWhatIsOpen(t *testing.T) {
	d := NewDesk()
	d.Follow(report.Source{Fleet: "acme"}, []string{"prod", "lab"})
	d.Turned(cluster("lab", nil), noon)
	if _, ready := d.Open(nil, noon); ready {
		t.Error("a digest before every cluster was looked at")
	}
	if doc, ready := d.Open([]string{"l*"}, noon); !ready || doc.Summary.Status != report.InSync {
		t.Errorf("%v %+v", ready, doc.Summary)
	} else if _, tells := Sum(doc, "nightly", noon); tells {
		t.Error("a fleet in which nothing drifts is told of")
	}
	d.Turned(cluster("prod", []diff.Drift{row("x", noon, "eu-1"), row("y", noon, "eu-2")}), noon)
	doc, ready := d.Open(nil, noon)
	item, tells := Sum(doc, "nightly", noon)
	if !ready || !tells || item.Key != "digest nightly 2026-11-27T12:00:00Z" || item.Severity != diff.SeverityHigh || !strings.HasPrefix(item.Title, "Drift in acme: 2 open") {
		t.Errorf("%v %v %+v", ready, tells, item)
	}
	d.Turned(report.Cluster{Name: "prod", Err: errors.New("gone")}, noon)
	d.Follow(report.Source{Fleet: "acme"}, []string{"lab"})
	if doc, _ := d.Open(nil, noon); doc.Summary.Clusters != 1 {
		t.Errorf("a cluster that is not kept any more is told of: %+v", doc.Summary)
	}
}
