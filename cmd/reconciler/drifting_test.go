package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
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
	mu   sync.Mutex
	sent []string
	all  []notify.Message
	fail error
}

func (l *letters) put(sinks []string, m notify.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, strings.Join(sinks, ",")+": "+string(m.Kind)+": "+m.Title)
	l.all = append(l.all, m)
	return l.fail
}

// came is what was put so far.
func (l *letters) came() ([]string, []notify.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sent), slices.Clone(l.all)
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
		box := &letters{}
		var log syncedText
		d := &drifting{desk: news.NewDesk(), of: "fleet", page: "https://vaults.example.com", put: box.put, log: slog.New(slog.NewTextHandler(&log, nil)), reports: []settings.DriftReport{
			{Schedule: daily, Sinks: []string{"ops"}},
			{Schedule: daily, Clusters: []string{"lab*"}, Sinks: []string{"chat"}},
		}}
		d.follow(report.Source{Fleet: "acme"}, []wanted{{Cluster: desired.Cluster{Name: "prod"}}, {Cluster: desired.Cluster{Name: "lab"}}})
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go d.run(ctx)
		synctest.Wait()
		if sent, _ := box.came(); len(sent) > 0 {
			t.Errorf("a report before anything was looked at: %v", sent)
		}
		d.saw(loop.Turned{Cluster: "lab", Want: desired.Cluster{Name: "lab"}, At: time.Now()})
		d.saw(drifts("prod"))
		sent, all := box.came()
		if want := []string{"ops: new: acme/prod: 1 drift, high"}; !slices.Equal(sent, want) {
			t.Fatalf("at once: %q", sent)
		}
		if m := all[0]; m.Page == "" || m.Clear || !strings.Contains(m.Text, "service.enabled changed: disabled, not enabled") || !strings.Contains(string(m.JSON), `"D-1"`) || m.Source != "fleet" || m.Link != "https://vaults.example.com/clusters/prod#drift" {
			t.Errorf("%+v", m)
		}
		time.Sleep(readyEvery + time.Second)
		missed := []string{"ops: new: acme/prod: 1 drift, high", "ops: digest: Drift in acme: 1 open · 1 high · 1 of 1 node read, 9 wants compared"}
		if sent, _ = box.came(); !slices.Equal(sent, missed) {
			t.Fatalf("what was due while nobody was there: %q", sent)
		}
		time.Sleep(24 * time.Hour)
		if sent, all = box.came(); len(sent) != 3 || all[2].Link != "https://vaults.example.com/drift" || sent[2] != missed[1] || all[2].Key == all[1].Key {
			t.Errorf("the next day: %q", sent)
		}
		box.mu.Lock()
		box.fail = errors.New("the disk is full")
		box.mu.Unlock()
		gone := drifts("prod")
		gone.Drift.Rows = nil
		gone.Memory.Drifts[0].Gone = time.Now()
		d.saw(gone)
		if sent, all = box.came(); all[len(all)-1].Kind != notify.Resolved || !all[len(all)-1].Clear {
			t.Errorf("%+v", all[len(all)-1])
		}
		if !strings.Contains(log.String(), "the disk is full") {
			t.Error(log.String())
		}
		before := len(sent)
		time.Sleep(48 * time.Hour)
		if sent, _ = box.came(); len(sent) != before {
			t.Errorf("a fleet in which nothing drifts is told of: %q", sent[before:])
		}
	})
}

// syncedText is a log that several goroutines write.
type syncedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *syncedText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *syncedText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
