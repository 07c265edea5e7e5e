package diff

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
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
	s.runs("eu-2", "1.21.1", binaryDigest("1.21.1"))
	if got := waiting(s.plan()); got != "window until Tue 22:00" {
		t.Errorf("a node that was repaired, or upgraded by hand, begins a rollout: %q", got)
	}
	s.memory = s.memory.Record(Try{Op: "1", Step: "1", Node: "eu-2", Action: ActionPlace, Outcome: OutcomeDone, At: noon.Add(-2 * time.Minute)})
	s.memory = s.memory.Record(Try{Op: "2", Step: "2", Node: "eu-2", Action: ActionRestart, Outcome: OutcomeIntent, At: noon.Add(-time.Minute)})
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

// Whoever took one node back to an older version has begun no rollout.
func TestAVersionThatDriftedWaitsForTheWindow(t *testing.T) {
	s := convergedScene(3)
	s.want.Rollout.Calendar = tuesdays(t, time.Hour)
	s.runs("eu-2", "1.20.0", binaryDigest("1.20.0"))
	if got := waiting(s.plan()); got != "window until Tue 22:00" {
		t.Errorf("%q\n%s", got, show(s.plan()))
	}
}

func TestWhatIsDownIsBroughtBackWhateverElseWaits(t *testing.T) {
	down := func(s *scene) {
		n := s.find("eu-3")
		n.Service.ActiveState, n.Service.SubState, n.Vault, n.Process = "failed", "failed", nil, &actual.Process{}
	}
	for name, edit := range map[string]func(*scene) error{
		"a version to be laid down first": func(s *scene) error { return s.applyWant([]string{"version", "1.21.1"}) },
		"a unit to be enabled first": func(s *scene) error {
			s.find("eu-3").Service.UnitFileState = "disabled"
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := convergedScene(3)
			s.want.Rollout.Approval, s.want.Drift.After = "operators", time.Hour
			if err := edit(s); err != nil {
				t.Fatal(err)
			}
			down(s)
			s.look(0)
			wave, ok := s.plan().Next()
			if !ok || wave[0].Node != "eu-3" || len(wave) > 1 {
				t.Errorf("%s", show(s.plan()))
			}
		})
	}
}

func TestABirthWaitsForItsOwnApprovalAlone(t *testing.T) {
	s := freshScene(3)
	s.want.Rollout.Approval, s.want.Rollout.Calendar = "operators", tuesdays(t, time.Hour)
	for i := range s.have {
		s.have[i].Users = map[string]bool{"vault": true, "group:vault": true}
		s.have[i].Binary.Versions["1.21.0"] = binaryDigest("1.21.0")
	}
	if got := waiting(s.plan()); got != "place" {
		t.Errorf("bare machines: %q\n%s", got, show(s.plan()))
	}
	s = convergedScene(3)
	s.want.Rollout.Approval = "operators"
	s.memory.Birth.Phase, s.memory.Good = BirthKeys, Standing{}
	if err := s.apply([]string{"no-device", "file"}); err != nil {
		t.Fatal(err)
	}
	if got := waiting(s.plan()); got != "audit" {
		t.Errorf("its audit devices: %q\n%s", got, show(s.plan()))
	}
}

// A certificate that nobody trusts is replaced alone, whatever else waits beside it.
func TestACertificateThatNobodyTrustsWaitsForNothingBesideIt(t *testing.T) {
	for name, wishes := range map[string][]string{
		"a file to be placed first":  {"bytes " + notePath},
		"another value that reloads": {`config log_level "debug"`},
		"a restart":                  {"config ui false"},
	} {
		t.Run(name, func(t *testing.T) {
			s := convergedScene(3)
			for _, wish := range append(wishes, "bytes "+certPath) {
				if err := s.applyWant(strings.Fields(wish)); err != nil {
					t.Fatal(err)
				}
			}
			s.want.Rollout.Approval, s.want.Rollout.Calendar = "operators", tuesdays(t, time.Hour)
			for i := range s.have {
				s.have[i].Process.Served.Problem = "expired"
			}
			wave, ok := s.plan().Next()
			if !ok || wave[0].Action != ActionReload || wave[0].Node != "eu-2" || len(wave[0].Puts) != 1 {
				t.Fatalf("%s", show(s.plan()))
			}
		})
	}
}
