package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/news"
	"github.com/vaultfleet/reconciler/internal/notify"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
	"github.com/vaultfleet/reconciler/pkg/schedule"
)

// letters are what was put into the outbox.
type letters struct {
	sent []string
	all  []notify.Message
	fail error
}

func (l *letters) put(sinks []string, m notify.Message) error {
	l.sent = append(l.sent, strings.Join(sinks, ",")+": "+string(m.Kind)+": "+m.Title)
	l.all = append(l.all, m)
	return l.fail
}

// drifts is a turn that saw a drift for the second time.
func drifts(cluster string) loop.Turned {
	sure := time.Now()
	row := diff.Drift{ID: "D-1", Kind: diff.DriftChanged, Severity: diff.SeverityHigh, Path: "service.enabled", Nodes: []string{"eu-1"}, Want: "enabled", Have: "disabled", Since: sure, Sure: sure}
	return loop.Turned{Cluster: cluster, Want: desired.Cluster{Name: cluster, Nodes: []desired.Node{{Name: "eu-1"}}}, At: sure,
		Have: []actual.Node{{Name: "eu-1"}}, Drift: diff.Drifted{Rows: []diff.Drift{row}, Compared: 9},
		Memory: diff.Memory{Drifts: []diff.Episode{{ID: "D-1", Path: row.Path, Nodes: row.Nodes, Opened: []time.Time{sure}, Sure: sure}}}}
}

// TestPeopleAreToldOfDrift has drift told at once to whom it concerns, and all that is
// open told again when a report is due, also one that was due while nobody was there.
func TestPeopleAreToldOfDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		daily, err := schedule.Parse("30 8 * * *", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		var box letters
		var log strings.Builder
		d := &drifting{desk: news.NewDesk(), of: "fleet", put: box.put, log: slog.New(slog.NewTextHandler(&log, nil)), reports: []settings.DriftReport{
			{Schedule: daily, Sinks: []string{"ops"}},
			{Schedule: daily, Clusters: []string{"lab*"}, Sinks: []string{"chat"}},
		}}
		d.follow(report.Source{Fleet: "acme"}, []wanted{{Cluster: desired.Cluster{Name: "prod"}}, {Cluster: desired.Cluster{Name: "lab"}}})
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go d.run(ctx)
		synctest.Wait()
		if len(box.sent) > 0 {
			t.Errorf("a report before anything was looked at: %v", box.sent)
		}
		d.saw(loop.Turned{Cluster: "lab", Want: desired.Cluster{Name: "lab"}, At: time.Now()})
		d.saw(drifts("prod"))
		if want := []string{"ops: new: acme/prod: 1 drift, high"}; !slices.Equal(box.sent, want) {
			t.Errorf("at once: %q", box.sent)
		}
		if m := box.all[0]; m.Page == "" || m.Clear || !strings.Contains(m.Text, "service.enabled changed: disabled, not enabled") || !strings.Contains(string(m.JSON), `"D-1"`) || m.Source != "fleet" {
			t.Errorf("%+v", m)
		}
		time.Sleep(readyEvery + time.Second)
		missed := []string{"ops: new: acme/prod: 1 drift, high", "ops: digest: Drift in acme: 1 open · 1 high · 1 of 1 node read, 9 wants compared"}
		if !slices.Equal(box.sent, missed) {
			t.Errorf("what was due while nobody was there: %q", box.sent)
		}
		time.Sleep(24 * time.Hour)
		if len(box.sent) != 3 || box.sent[2] != missed[1] || box.all[2].Key == box.all[1].Key {
			t.Errorf("the next day: %q", box.sent)
		}
		box.fail = errors.New("the disk is full")
		gone := drifts("prod")
		gone.Drift.Rows = nil
		gone.Memory.Drifts[0].Gone = time.Now()
		d.saw(gone)
		if last := box.all[len(box.all)-1]; last.Kind != notify.Resolved || !last.Clear {
			t.Errorf("%+v", last)
		}
		if !strings.Contains(log.String(), "the disk is full") {
			t.Error(log.String())
		}
		box.fail = nil
		before := len(box.sent)
		time.Sleep(48 * time.Hour)
		if len(box.sent) != before {
			t.Errorf("a fleet in which nothing drifts is told of: %q", box.sent[before:])
		}
	})
}
