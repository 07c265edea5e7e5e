package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/history"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/metrics"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// episodes tells the history and the metrics of drift, whenever it stands otherwise than
// it was told last.
type episodes struct {
	history *history.History
	metrics *metrics.Metrics

	mu   sync.Mutex
	told map[string]string // cluster and ID → as it stood
}

func newEpisodes(h *history.History, m *metrics.Metrics) *episodes {
	return &episodes{history: h, metrics: m, told: map[string]string{}}
}

func (e *episodes) seen(t loop.Turned) {
	if t.Err != nil && t.Have == nil {
		return // nothing is known of drift
	}
	open := map[string]int{}
	for _, s := range diff.Severities() {
		open[string(s)] = 0
	}
	for _, d := range t.Drift.Open() {
		open[string(d.Severity)]++
	}
	e.metrics.Drift(t.Cluster, open, t.At)
	for _, one := range e.news(t) {
		e.history.Episode(one)
	}
}

// news are the episodes of a cluster that stand otherwise than they were told.
func (e *episodes) news(t loop.Turned) (news []history.Episode) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range t.Memory.Drifts {
		opened := d.Last()
		stands := fmt.Sprint(d.Nodes, opened.UnixNano(), d.Sure.UnixNano(), d.Gone.UnixNano())
		if key := t.Cluster + " " + d.ID; e.told[key] != stands {
			e.told[key] = stands
			news = append(news, history.Episode{Cluster: t.Cluster, ID: d.ID, Kind: d.Kind, Severity: d.Severity, Path: d.Path,
				Nodes: d.Nodes, At: t.At, Opened: opened.Truncate(time.Millisecond), Confirmed: d.Sure, Closed: d.Gone})
		}
	}
	return news
}
