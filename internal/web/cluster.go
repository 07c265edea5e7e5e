package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
)

// details is one cluster: what is wrong with it before what is done about it, and then
// what is only worth knowing.
type details struct {
	Of     entry
	Source string
	Steps  []report.ToldStep
	Done   []report.ToldStep
	Drift  report.DriftTold
	Mode   string
	Looked bool // ever
	Past   past
}

// lastOfCluster is how many lines of its history a cluster shows.
const lastOfCluster = 10

func (p *pages) cluster(r *http.Request) (page, error) {
	v, now, name := p.Board.view(), p.Now(), r.PathValue("name")
	i := slices.IndexFunc(v.clusters, func(c shown) bool { return c.Name == name })
	if i < 0 {
		return page{}, lost("No fleet names a cluster " + name + ".")
	}
	c := v.clusters[i]
	d := details{Of: entryOf(c, now), Source: c.fleet.source.Words(), Steps: c.steps, Done: c.done, Mode: c.Plan.Mode, Looked: c.Have != nil, Drift: driftOf(c.fleet.source, []shown{c}, now)}
	d.Past = p.lastOf(r.Context(), name)
	return page{name: "cluster", Title: name, Section: "fleet", N: v.n, Live: true, Cluster: name, Data: d}, nil
}

// past is what a history says, or why it says nothing.
type past struct {
	Kept   bool
	Events []Event
	Why    string
	More   string // address of older ones
}

func (p *pages) lastOf(ctx context.Context, cluster string) past {
	if p.History == nil {
		return past{}
	}
	events, _, err := p.History.Recent(ctx, Asked{Cluster: cluster, Limit: lastOfCluster})
	out := past{Kept: true, Events: linked(events)}
	if err != nil {
		out.Why = err.Error()
	}
	if len(events) == lastOfCluster {
		out.More = pageOf(cluster, "")
	}
	return out
}

// driftSince is how long what is gone is still told.
const driftSince = 7 * 24 * time.Hour

// driftOf is the drift of clusters. Where the last turn went wrong, what the look before
// it found still counts.
func driftOf(source report.Source, of []shown, now time.Time) report.DriftTold {
	var clusters []report.Cluster
	var before []string
	for _, c := range of {
		if c.Err != nil && c.Have != nil {
			before = append(before, report.Clean(c.Name+": "+c.Err.Error()+" (what is told of it is of "+c.at.UTC().Format(time.RFC3339)+")"))
			c.Err = nil
		}
		clusters = append(clusters, c.Cluster)
	}
	told := report.TellDrift(report.NewDrift(source, clusters, now, now.Add(-driftSince)))
	told.Blind = append(before, told.Blind...)
	return told
}

// drift is the drift list, of each fleet.
func (p *pages) drift(*http.Request) (page, error) {
	v, now := p.Board.view(), p.Now()
	var all []report.DriftTold
	for _, f := range v.fleets {
		of := slices.DeleteFunc(slices.Clone(v.clusters), func(c shown) bool { return c.fleet != f })
		all = append(all, driftOf(f.source, of, now))
	}
	return page{name: "drift", Title: "Drift", Section: "drift", N: v.n, Live: true, Data: all}, nil
}
