package diff

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

// tuesdays is open on Tuesdays from 22:00 UTC on; noon is a Monday.
func tuesdays(t *testing.T, length time.Duration) schedule.Calendar {
	t.Helper()
	at, err := schedule.Parse("0 22 * * TUE", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	window, err := schedule.NewWindow(at, length)
	if err != nil {
		t.Fatal(err)
	}
	return schedule.Calendar{Window: &window}
}

// waiting is what the next wave does, or what it waits for.
func waiting(p Plan) string {
	if wave, ok := p.Next(); ok {
		return string(wave[0].Action)
	}
	var words []string
	for _, w := range p.Waits {
		word := string(w.Reason)
		if !w.Until.IsZero() {
			word += " until " + w.Until.UTC().Format("Mon 15:04")
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func TestWhatPeopleNoticeBeginsInTheWindow(t *testing.T) {
	tuesday := time.Date(2026, 11, 24, 22, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		wish string
		at   time.Time
		edit func(*scene)
		want string
	}{
		"a restart before it":           {"config ui false", noon, nil, "window until Tue 22:00"},
		"a reload before it":            {`config log_level "debug"`, noon, nil, "window until Tue 22:00"},
		"a file that nobody notices":    {"bytes " + notePath, noon, nil, "place"},
		"a restart in it":               {"config ui false", tuesday, nil, "restart"},
		"three restarts and 5 minutes":  {"config ui false", tuesday.Add(55 * time.Minute), nil, "window until Tue 22:00"},
		"a reload and 5 minutes":        {`config log_level "debug"`, tuesday.Add(55 * time.Minute), nil, "reload"},
		"a version is laid down before": {"version 1.21.1", noon, nil, "install"},
		"a roll that takes longer than any window": {"config ui false", tuesday, func(s *scene) {
			s.want.Rollout.Pause = time.Hour
		}, "restart"},
		"a freeze in the window": {"config ui false", tuesday, func(s *scene) {
			s.want.Rollout.Calendar.Freezes = []schedule.Freeze{{From: noon, Until: tuesday.Add(time.Hour), Reason: "audit"}}
		}, "freeze until Tue 23:00"},
		"a node that is down": {"config ui false", noon, func(s *scene) {
			n := s.find("eu-3")
			n.Service.ActiveState, n.Vault, n.Process.PID = "failed", nil, 0
		}, "place"},
		"a certificate that nobody trusts": {"bytes " + certPath, noon, func(s *scene) {
			for i := range s.have {
				s.have[i].Process.Served.Problem = "expired"
			}
		}, "reload"},
	} {
		t.Run(name, func(t *testing.T) {
			s := convergedScene(3)
			if err := s.applyWant(strings.Fields(c.wish)); err != nil {
				t.Fatal(err)
			}
			s.want.Rollout.Calendar = tuesdays(t, time.Hour)
			if c.edit != nil {
				c.edit(s)
			}
			s.now = c.at
			plan := s.plan()
			if got := waiting(plan); got != c.want {
				t.Errorf("%q, want %q\n%s", got, c.want, show(plan))
			}
			if len(plan.Waves) == 0 {
				t.Error("what waits is not shown")
			}
		})
	}
}

// Two versions side by side are worse than being late.
func TestAVersionThatHasBegunIsBroughtToItsEnd(t *testing.T) {
	s := convergedScene(3)
	if err := s.applyWant([]string{"version", "1.21.1"}); err != nil {
		t.Fatal(err)
	}
	s.want.Rollout.Calendar = tuesdays(t, time.Hour)
	for i := range s.have {
		s.have[i].Binary.Versions["1.21.1"] = binaryDigest("1.21.1")
	}
	if got := waiting(s.plan()); got != "window until Tue 22:00" {
		t.Fatal(got)
	}
	n := s.find("eu-2")
	n.Binary.Digest, n.Process.Binary, n.Vault.Version = binaryDigest("1.21.1"), binaryDigest("1.21.1"), "1.21.1"
	if got := waiting(s.plan()); got != "restart" {
		t.Errorf("%q\n%s", got, show(s.plan()))
	}
}

func TestAnApprovalCoversWhatItSawAndLess(t *testing.T) {
	approve := func(s *scene, covers ...Cover) {
		s.memory.Leaves = append(s.memory.Leaves, Leave{Kind: LeaveApproval, By: "ada", At: noon, Digest: s.want.Digest, Covers: covers})
	}
	wanted := func(wish string) *scene {
		s := convergedScene(3)
		if err := s.applyWant(strings.Fields(wish)); err != nil {
			t.Fatal(err)
		}
		s.want.Rollout.Approval = "operators"
		return s
	}
	s := wanted("config ui false")
	if got := waiting(s.plan()); got != "approval" {
		t.Fatal(got)
	}
	covers := s.plan().Covers()
	if want := []Cover{{"eu-1", EffectRestart}, {"eu-2", EffectRestart}, {"eu-3", EffectRestart}}; !slices.Equal(covers, want) {
		t.Errorf("%v", covers)
	}
	approve(s, covers...)
	if got := waiting(s.plan()); got != "restart" {
		t.Error(got)
	}
	s.lead("eu-2")
	if got := waiting(s.plan()); got != "restart" {
		t.Errorf("another leader asks for another approval: %s", got)
	}
	s.want.Digest = "spec-3"
	if got := waiting(s.plan()); got != "approval" {
		t.Errorf("another spec: %s", got)
	}

	s = wanted(`config log_level "debug"`)
	approve(s, Cover{"eu-1", EffectNone}, Cover{"eu-2", EffectNone}, Cover{"eu-3", EffectNone})
	if got := waiting(s.plan()); got != "approval" {
		t.Errorf("more than was approved: %s", got)
	}
	s.memory.Leaves = nil
	approve(s, Cover{"eu-1", EffectRestart}, Cover{"eu-2", EffectRestart}, Cover{"eu-3", EffectRestart})
	if got := waiting(s.plan()); got != "reload" {
		t.Errorf("less than was approved: %s", got)
	}
	s.memory.Leaves[0].Until = noon
	if got := waiting(s.plan()); got != "approval" {
		t.Errorf("it has ended: %s", got)
	}

	s = wanted("config ui false")
	n := s.find("eu-3")
	n.Service.ActiveState, n.Vault, n.Process.PID = "failed", nil, 0
	if got := waiting(s.plan()); got == "approval" {
		t.Error("repair waits for an approval")
	}

	s = convergedScene(3)
	approve(s, Cover{"eu-1", EffectRestart})
	s.memory.Good.Since = time.Time{}
	if m := s.memory.Converged(s.want, "c1", noon); len(m.Leaves) > 0 {
		t.Error("an approval outlives what it was of")
	}
}
