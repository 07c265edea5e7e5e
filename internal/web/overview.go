package web

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
)

// The overview is every node of every cluster, the worst first. Clusters where there is
// nothing to see are closed once there are many.

// manyClusters is from how many on.
const manyClusters = 8

type overview struct {
	Totals   []total
	Line     string
	Found    string // what a filter leaves; empty: there is none
	Sources  []string
	Waiting  []string
	Clusters []entry
}

// total is how many clusters are of a grade.
type total struct {
	Grade report.Grade
	Words string
}

// entry is one cluster of the overview.
type entry struct {
	report.Told
	Link string
	ID   string
	Open bool
	At   time.Time
	Size int
	Line string // what its nodes have in common
}

func (p *pages) overview(r *http.Request) (page, error) {
	v, now := p.Board.view(), p.Now()
	o := overview{Waiting: v.waiting}
	for _, f := range v.fleets {
		o.Sources = append(o.Sources, f.source.Words())
	}
	for _, c := range v.clusters {
		o.Clusters = append(o.Clusters, entryOf(c, now))
	}
	slices.SortFunc(o.Clusters, func(a, b entry) int { return a.Compare(b.Told) })
	o.count()
	q := r.URL.Query().Get("q")
	o.filter(q)
	for i := range o.Clusters {
		c := &o.Clusters[i]
		c.Open = len(v.clusters) <= manyClusters || c.Grade != report.GradeGood || c.Drift > 0 || strings.TrimSpace(q) != ""
	}
	return page{name: "overview", Title: "Fleet", Section: "fleet", N: v.n, Live: true, Filter: q, Data: o}, nil
}

func entryOf(c shown, now time.Time) entry {
	e := entry{Told: tell(c, now), Link: linkTo("/clusters/", c.Name), ID: "c-" + c.Name, At: c.at, Size: max(c.Nodes, len(c.Have))}
	e.Line = common(e.Told)
	return e
}

// tell is a cluster in words. Of one that was not looked at yet nothing is known, and
// certainly not that it is in sync.
func tell(c shown, now time.Time) report.Told {
	t := report.Tell(c.Cluster, now)
	if c.at.IsZero() && c.Err == nil && len(c.Broken) == 0 {
		t.State, t.Grade, t.Since = "not looked at yet", report.GradeWaiting, ""
	}
	slices.SortStableFunc(t.Nodes, report.ToldNode.Compare)
	return t
}

// common is what a closed cluster says of its nodes.
func common(t report.Told) string {
	var versions []string
	days := math.MaxInt
	for _, n := range t.Nodes {
		if !slices.Contains(versions, n.Version) {
			versions = append(versions, n.Version)
		}
		if d, err := strconv.Atoi(n.CertificateDays); err == nil {
			days = min(days, d)
		}
	}
	slices.Sort(versions)
	parts := []string{}
	if len(versions) > 0 {
		parts = append(parts, "Vault "+strings.Join(versions, ", "))
	}
	if days != math.MaxInt {
		parts = append(parts, "certificates "+count(days, "day"))
	}
	return strings.Join(parts, " · ")
}

// count is the line of totals.
func (o *overview) count() {
	nodes, drift, by := 0, 0, map[report.Grade]int{}
	for _, c := range o.Clusters {
		nodes += c.Size
		drift += c.Drift
		by[c.Grade]++
	}
	o.Line = count(len(o.Clusters), "cluster") + ", " + count(nodes, "node")
	for _, g := range report.Grades() {
		if by[g] > 0 {
			o.Totals = append(o.Totals, total{g, fmt.Sprintf("%d %s", by[g], gradeWords(g, by[g]))})
		}
	}
	if drift > 0 {
		o.Totals = append(o.Totals, total{report.GradeWarn, count(drift, "drift") + " open"})
	}
}

func gradeWords(g report.Grade, n int) string {
	switch g {
	case report.GradeUrgent:
		if n == 1 {
			return "needs a person now"
		}
		return "need a person now"
	case report.GradeBad:
		return "in error"
	case report.GradeWarn:
		return "to look at"
	case report.GradeWaiting:
		return "waiting"
	case report.GradeGood:
	}
	return "in sync"
}

// sign is a grade for those who do not see colours.
func sign(g report.Grade) string {
	switch g {
	case report.GradeUrgent:
		return "‼"
	case report.GradeBad:
		return "✕"
	case report.GradeWarn:
		return "!"
	case report.GradeWaiting:
		return "…"
	case report.GradeGood:
	}
	return "✓"
}

// filter leaves the nodes in whose line every word is found, and the clusters that are
// named or stand so.
func (o *overview) filter(q string) {
	words := strings.Fields(strings.ToLower(q))
	if len(words) == 0 {
		return
	}
	all := len(o.Clusters)
	nodes := 0
	o.Clusters = slices.DeleteFunc(o.Clusters, func(c entry) bool { return !matches(c.Name+" "+c.State, words) && len(matching(c, words)) == 0 })
	for i := range o.Clusters {
		if c := &o.Clusters[i]; !matches(c.Name+" "+c.State, words) {
			c.Nodes = matching(*c, words)
		}
		nodes += len(o.Clusters[i].Nodes)
	}
	o.Found = fmt.Sprintf("%d of %s, %s", len(o.Clusters), count(all, "cluster"), count(nodes, "node"))
}

func matching(c entry, words []string) (nodes []report.ToldNode) {
	for _, n := range c.Nodes {
		line := []string{c.Name, c.State, n.Name, n.Version, n.Seal, n.Role, n.Service, n.Health, n.Spec, n.Unseen}
		if n.Drift > 0 {
			line = append(line, "drift")
		}
		if matches(strings.Join(line, " "), words) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func matches(line string, words []string) bool {
	line = strings.ToLower(line)
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
}
