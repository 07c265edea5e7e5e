package report

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// past are events of every kind, with texts of people in them.
func past() []Event {
	const commit = "9f2c1e7aa01b44d1ffff"
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	restart := []Deed{{diff.ActionInstall, []string{"eu-1", "eu-2"}}, {diff.ActionRestart, []string{"eu-2"}}}
	drift := func(severity diff.Severity) *DriftID {
		return &DriftID{ID: "D-1f0c22ab", Kind: diff.DriftChanged, Severity: severity, Path: "/etc/vault.d/vault.hcl"}
	}
	up := NodeClass{Version: "1.20.4", Seal: "unsealed", Role: "follower", Service: "active"}
	sealed := NodeClass{Version: "1.20.4", Seal: "sealed", Role: "none", Service: "active"}
	gone := NodeClass{Unseen: []string{"tcp"}}
	return []Event{
		{ID: "G-9", At: at(9), Kind: EventGap, EventDetail: EventDetail{Gap: &Gap{Turns: 3, Since: at(8), Why: "database or disk is full (13)"}}},
		{ID: "N-8", At: at(8), Kind: EventNode, Cluster: "prod", EventDetail: EventDetail{Nodes: []string{"eu-3"}, Before: &up, After: &gone}},
		{ID: "N-7", At: at(7), Kind: EventNode, Cluster: "prod", EventDetail: EventDetail{Nodes: []string{"eu-3"}, Before: &gone, After: &up}},
		{ID: "N-6", At: at(6), Kind: EventNode, Cluster: "prod", EventDetail: EventDetail{Nodes: []string{"eu-1"}, Before: &up, After: &NodeClass{Service: "inactive"}}},
		{ID: "N-6", At: at(6), Kind: EventNode, Cluster: "prod", EventDetail: EventDetail{Nodes: []string{"eu-2"}, Before: &up, After: &sealed}},
		{ID: "P-5", At: at(5), Kind: EventPlan, Cluster: "prod", Commit: commit, Outcome: PlanBlocked, EventDetail: EventDetail{Blocks: []string{"quorum", "held"}, Nodes: []string{"eu-1"}}},
		{ID: "W-4", At: at(4), Kind: EventWave, Cluster: "prod", Commit: commit, Outcome: "failed", EventDetail: EventDetail{Nodes: []string{"eu-1", "eu-2"}, Deeds: restart}},
		{ID: "P-3", At: at(3), Kind: EventPlan, Cluster: "prod", Commit: commit, Outcome: PlanSteps, EventDetail: EventDetail{Nodes: []string{"eu-1", "eu-2"}, Deeds: restart, Blocks: []string{"held"}, Size: 3}},
		{ID: "H-2", At: at(2), Kind: EventWord, Cluster: "prod", Outcome: "granted", EventDetail: EventDetail{
			Word: &Word{Verb: VerbGranted, Kind: diff.LeaveHold, By: "ada", Reason: "disk | @bob <b>\x1b[31m", Until: at(60)}}},
		{ID: "C-1", At: at(1), Kind: EventCommit, Cluster: "prod", Commit: commit, EventDetail: EventDetail{Digest: "sha256:00"}},
		{ID: "E-3", At: at(-1), Kind: EventDrift, Cluster: "prod", Outcome: DriftClosed, EventDetail: EventDetail{Nodes: []string{"eu-1", "eu-2"}, Drift: drift(diff.SeverityCritical)}},
		{ID: "E-2", At: at(-2), Kind: EventDrift, Cluster: "prod", Outcome: DriftSpread, EventDetail: EventDetail{Nodes: []string{"eu-1", "eu-2"}, Drift: drift(diff.SeverityCritical)}},
		{ID: "E-1", At: at(-3), Kind: EventDrift, Cluster: "prod", Outcome: DriftOpened, EventDetail: EventDetail{Drift: drift(diff.SeverityHigh)}},
	}
}

func TestThePastIsRendered(t *testing.T) {
	document := NewHistory(past(), "C-1")
	wave := NewShow(past()[6], nil, []StepDone{
		{Op: "20261123t120300-00", Step: "aa", Node: "eu-2", Action: diff.ActionRestart, Effect: diff.EffectRestart, Cause: diff.CauseCommit, Why: "the version is another",
			Changes: []diff.Change{{What: "vault", From: "1.20.4", To: "1.21.0"}}, Outcome: diff.OutcomeFailed, Evidence: "sealed of eu-2 is true and not false\nERROR", Started: noon, Ended: noon.Add(75 * time.Second)},
		{Op: "20261123t120300-01", Step: "ab", Action: diff.ActionAudit, Effect: diff.EffectNone, Cause: diff.CauseDrift, Outcome: diff.OutcomeDone, Evidence: "the goal held already", Started: noon, Ended: noon},
	})
	clusters := fleet()
	rolled := clusters[slices.IndexFunc(clusters, func(c Cluster) bool { return len(c.Plan.Waves) > 1 })]
	plan := NewShow(past()[7], &rolled.Plan, nil)
	for name, render := range map[string]func(io.Writer) error{
		"history.txt":   func(w io.Writer) error { return History(w, Options{}, document) },
		"history.color": func(w io.Writer) error { return History(w, Options{Color: true}, document) },
		"history.md":    func(w io.Writer) error { return HistoryMarkdown(w, document) },
		"history.json":  func(w io.Writer) error { return JSON(w, document) },
		"show-wave.txt": func(w io.Writer) error { return Show(w, Options{Width: 100}, wave) },
		"show-plan.txt": func(w io.Writer) error { return Show(w, Options{Width: 100}, plan) },
		"show-node.txt": func(w io.Writer) error { return Show(w, Options{}, NewShow(past()[4], nil, nil)) },
		"show.json":     func(w io.Writer) error { return JSON(w, wave) },
	} {
		var got strings.Builder
		if err := render(&got); err != nil {
			t.Fatal(err)
		}
		golden(t, name, got.String())
	}
}
