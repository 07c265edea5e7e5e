package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed drift.html
var driftPage string

// htmlItem is an item with its words.
type htmlItem struct {
	DriftItem
	Path, Have, Want, Where, Age, Remedy string
	Evidence                             []string
}

// DriftHTML writes the report as one file that needs nothing else: to keep, or to send.
func DriftHTML(w io.Writer, d DriftDocument) error {
	page := struct {
		DriftDocument
		Title, Words string
		Open         []htmlItem
		Past         []string // what is gone
		Blind, Aside []string
	}{DriftDocument: d, Title: d.Title(), Words: d.Source.Words()}
	for _, i := range d.open() {
		item := htmlItem{DriftItem: i, Path: clean(i.Path), Have: clean(i.Have), Want: clean(i.Want), Where: clean(i.where()), Age: i.age(d.At), Remedy: clean(i.Remedy)}
		for _, line := range i.evidence() {
			item.Evidence = append(item.Evidence, clean(line))
		}
		page.Open = append(page.Open, item)
	}
	for _, g := range d.Gone {
		page.Past = append(page.Past, clean(fmt.Sprintf("%s %s %s %s, %s", g.ID, g.Cluster, strings.Join(g.Nodes, " "), g.Path, g.Gone.UTC().Format(time.RFC3339))))
	}
	for _, e := range d.Errors {
		page.Blind = append(page.Blind, clean(e.Cluster+": "+e.Error))
	}
	for _, u := range unobserved(d) {
		page.Blind = append(page.Blind, clean(fmt.Sprintf("%s %s (%s): %s", u.cluster, strings.Join(u.nodes, " "), u.phase, u.why)))
	}
	for _, i := range d.Items {
		if i.State == stateWaived || i.State == statePending {
			page.Aside = append(page.Aside, clean(i.Cluster+" "+i.where()+" "+i.Path+": "+i.Remedy))
		}
	}
	t, err := template.New("drift").Parse(driftPage)
	if err != nil {
		return fmt.Errorf("read the page of a drift report: %w", err)
	}
	page.At = page.At.In(time.UTC)
	return t.Execute(w, page)
}
