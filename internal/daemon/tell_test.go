package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// told is what a teller adds to the log for one more turn or event.
type told struct {
	*Teller
	out bytes.Buffer
}

func newTold() *told {
	t := &told{}
	t.Teller = NewTeller(slog.New(slog.NewTextHandler(&t.out, nil)), "prod")
	return t
}

func (t *told) after(do func()) string {
	t.out.Reset()
	do()
	return t.out.String()
}

func planned(plan diff.Plan) loop.Turned {
	plan.Cluster, plan.Commit = "prod", "c1"
	return loop.Turned{Cluster: "prod", At: time.Now(), Plan: plan}
}

func TestALineWhenItBeginsAndOneWhenItIsOver(t *testing.T) {
	told := newTold()
	held := planned(diff.Plan{Blocks: []diff.Block{{Node: "eu-2", Reason: diff.ReasonHeld, Detail: "held by ada", Lift: "reconciler resume prod --node eu-2"}}})
	synced := planned(diff.Plan{})
	for _, step := range []struct {
		turn loop.Turned
		want []string // of the log; none: silence
	}{
		{synced, []string{`level=INFO msg="in sync" cluster=prod commit=c1`}},
		{synced, nil},
		{held, []string{"level=WARN msg=blocked cluster=prod node=eu-2 reason=held", "reconciler resume"}},
		{held, nil},
		{loop.Turned{Err: errors.New("disk full")}, []string{`level=ERROR msg="the turn failed" cluster=prod error="disk full"`}},
		{held, nil}, // it was held all the while
		{synced, []string{`msg="no longer blocked"`, `msg="in sync"`}},
	} {
		got := told.after(func() { told.Turned(step.turn) })
		for _, w := range step.want {
			if !strings.Contains(got, w) {
				t.Errorf("nothing says %q in\n%s", w, got)
			}
		}
		if len(step.want) == 0 && got != "" {
			t.Errorf("nothing had changed, and the log says\n%s", got)
		}
	}
}

func TestAnUrgentBlockIsAnError(t *testing.T) {
	told := newTold()
	turn := planned(diff.Plan{Blocks: []diff.Block{{Reason: diff.ReasonQuorumLost, Detail: "1 of 3 voters"}}})
	if got := told.after(func() { told.Turned(turn) }); !strings.Contains(got, "level=ERROR msg=blocked") {
		t.Error(got)
	}
}

func TestAStepThatTakesLongIsHeardOf(t *testing.T) {
	told := newTold()
	at := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	event := func(kind apply.EventKind, after time.Duration, outcome diff.Outcome, detail string) string {
		return told.after(func() {
			told.Event(apply.Event{Kind: kind, At: at.Add(after), Outcome: outcome, Detail: detail,
				Step: diff.Step{ID: "1f", Node: "eu-1", Action: diff.ActionRestart, Why: "the change takes a restart"}})
		})
	}
	if got := event(apply.EventBegan, 0, "", ""); !strings.Contains(got, `msg=began cluster=prod node=eu-1 action=restart step=1f why="the change takes a restart"`) {
		t.Error(got)
	}
	if got := event(apply.EventWaiting, 10*time.Second, "", "sealed"); got != "" {
		t.Errorf("after ten seconds: %s", got)
	}
	if got := event(apply.EventWaiting, 31*time.Second, "", "sealed"); !strings.Contains(got, `msg="not there yet"`) || !strings.Contains(got, "detail=sealed") {
		t.Errorf("after half a minute: %s", got)
	}
	if got := event(apply.EventEnded, time.Minute, diff.OutcomeFailed, "exit 1"); !strings.Contains(got, "level=WARN msg=failed") || !strings.Contains(got, `detail="exit 1"`) {
		t.Error(got)
	}
}
