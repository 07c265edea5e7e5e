package main

import (
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// What the daemon sees is counted, written down and shown on its pages.

// seen takes a turn of any cluster.
func (s *standing) seen(t loop.Turned) {
	s.board.seen(t)
	s.metrics.Turned(t)
	s.episodes.seen(t)
	s.shown.Seen(told(desired.Cluster{Name: t.Cluster}, t), t.At)
}

// event takes how a step goes on.
func (s *standing) event(cluster string, e apply.Event) {
	s.metrics.Event(cluster, e)
	s.shown.Event(cluster, e)
}

// follows says whose clusters are shown: without an address nobody's, and nothing is
// kept for it.
func (s *standing) follows(next *made) {
	var fleets []string
	if next.health != nil {
		for _, f := range next.fleets {
			fleets = append(fleets, f.only.Words())
		}
	}
	s.shown.Follow(fleets)
}

// shows hands the pages what a commit names.
func (f *following) shows(source report.Source, whole []wanted, broken []desired.Broken) {
	var all []web.Wanted
	for _, w := range whole {
		all = append(all, web.Wanted{Name: w.Name, Nodes: len(w.Nodes), Observes: w.Drift.Report, Broken: w.broken})
	}
	for _, b := range broken {
		all = append(all, web.Wanted{Name: b.Name, Broken: errorsOf(b.Problems)})
	}
	f.shown.Wants(f.only.Words(), source, all)
}
