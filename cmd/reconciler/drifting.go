package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/news"
	"github.com/vaultfleet/reconciler/internal/notify"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/web"
)

// drifting tells people what drifts in one fleet: what is news at once, and all that is
// open whenever a report is due. nil tells nobody.
type drifting struct {
	desk    *news.Desk
	reports []settings.DriftReport
	of      string // which of the fleets that are followed
	page    web.Address
	put     func(sinks []string, m notify.Message) error
	log     *slog.Logger
}

// telling is who tells people of a fleet, where somebody is to be told.
func (f *following) telling() *drifting {
	if len(f.settings.DriftReports) == 0 {
		return nil
	}
	return &drifting{desk: news.NewDesk(), reports: f.settings.DriftReports, of: f.only.Words(), page: web.Address(f.settings.HTTP.URL), log: f.log,
		put: func(sinks []string, m notify.Message) error { return f.post.Put(sinks, m) }}
}

// follow says which clusters a commit has us keep.
func (d *drifting) follow(source report.Source, whole []wanted) {
	if d == nil {
		return
	}
	var names []string
	for _, w := range whole {
		names = append(names, w.Name)
	}
	slices.Sort(names)
	d.desk.Follow(source, names)
}

// saw takes a turn, and tells what is news of it.
func (d *drifting) saw(t loop.Turned) {
	if d == nil {
		return
	}
	now := time.Now()
	for _, item := range d.desk.Turned(told(t.Want, t), now) {
		for _, r := range d.reports {
			if news.Matches(r.Clusters, t.Cluster) {
				d.send(r, item)
			}
		}
	}
}

// How long a process that was not there may have missed a report to make it up, and how
// often one is tried again while a cluster was not looked at yet.
const (
	makesUp    = 24 * time.Hour
	readyEvery = 10 * time.Second
)

// run makes the reports when they are due, until the context ends. One that was due
// while nobody was there is made once.
func (d *drifting) run(ctx context.Context) {
	if d == nil {
		return
	}
	last := make([]time.Time, len(d.reports))
	for i := range last {
		last[i] = time.Now().Add(-makesUp)
	}
	for {
		now := time.Now()
		wait := time.Hour
		for i, r := range d.reports {
			if due, is := r.Schedule.Missed(last[i], now); is {
				if !d.due(r, due, now) {
					wait = min(wait, readyEvery)
					continue
				}
				last[i] = due
			}
			wait = min(wait, max(time.Second, r.Schedule.Next(now).Sub(now)))
		}
		if daemon.Wait(ctx, wait, nil) != nil {
			return
		}
	}
}

// due makes one report; false: not every cluster was looked at yet.
func (d *drifting) due(r settings.DriftReport, due, now time.Time) bool {
	doc, ready := d.desk.Open(r.Clusters, now)
	if !ready {
		return false
	}
	if item, tells := news.Sum(doc, r.Name(), due); tells {
		d.send(r, item)
	}
	return true
}

// send puts an item into the outbox.
func (d *drifting) send(r settings.DriftReport, item news.Item) {
	all, _ := d.desk.Open(nil, time.Now())
	m := notify.Message{Key: d.of + " " + item.Key, Kind: notify.Kind(item.Kind), Severity: notify.Severity(item.Severity),
		Fleet: item.Report.Source.Fleet, Source: d.of, Title: item.Title, Text: item.Text(), Markdown: item.Markdown(), HTML: item.HTML(), JSON: item.JSON(),
		Page: news.Item{Report: all}.Markdown(), Link: d.page.Drift(item.Clusters...), Clear: all.Summary.Status == report.InSync}
	if err := d.put(r.Sinks, m); err != nil {
		d.log.Error("news of drift do not reach everybody", "title", item.Title, daemon.KeyError, err)
	}
}
