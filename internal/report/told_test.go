package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// TestWhatIsToldIsWhatTheReportsSay holds the words for other media to those of a
// terminal: every line of one is in the other.
func TestWhatIsToldIsWhatTheReportsSay(t *testing.T) {
	for _, c := range fleet() {
		var why, text strings.Builder
		if err := Why(&why, Options{}, c); err != nil {
			t.Fatal(err)
		}
		if err := Text(&text, Options{}, []Cluster{c}); err != nil {
			t.Fatal(err)
		}
		told := Tell(c, noon)
		lines := slices.Concat(told.Invalid, told.Waits, told.Tried, told.Said, []string{told.Since, told.State, told.Error})
		for _, b := range told.Blocks {
			lines = append(lines, b.Word, b.Text, b.Lift)
		}
		for _, u := range told.Unseen {
			lines = append(lines, u.Text, u.Lift)
		}
		for _, r := range slices.Concat(told.Rows, told.Notes) {
			lines = append(lines, r.Nodes, r.What, r.Value, r.Effect)
		}
		for _, o := range told.Order {
			lines = append(lines, o.Words)
		}
		for _, line := range lines {
			if said := why.String() + text.String(); !strings.Contains(said, clean(line)) {
				t.Errorf("%s: %q is not in\n%s", c.Name, line, said)
			}
		}
	}
}

func TestTheWorstClusterIsFirst(t *testing.T) {
	var all []Told
	for _, c := range fleet() {
		all = append(all, Tell(c, noon))
	}
	slices.SortFunc(all, Told.Compare)
	var names []string
	for _, t := range all {
		names = append(names, t.Name+" "+string(t.Grade))
	}
	want := "prod-ap urgent, dev bad, errored bad, busy warn, prod-eu warn, prod-us warn, seen-only warn, upgrading warn, quiet-a good, quiet-b good"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("%s", got)
	}
}

func TestAStepIsToldFromItsBeginningOn(t *testing.T) {
	s := step("eu-1", diff.ActionRestart, diff.EffectRestart)
	told := TellStep(ToldStep{}, apply.Event{Kind: apply.EventBegan, Step: s, At: noon})
	told = TellStep(told, apply.Event{Kind: apply.EventWaiting, Step: s, Detail: "sealed", At: noon.Add(time.Second)})
	if told.Outcome != "" || told.Detail != "sealed" || !told.Began.Equal(noon) {
		t.Errorf("under way: %+v", told)
	}
	told = TellStep(told, apply.Event{Kind: apply.EventEnded, Step: s, Outcome: diff.OutcomeUnknown, At: noon.Add(41 * time.Second)})
	if told.Outcome != diff.OutcomeUnknown || !told.Bad || told.Took() != "41 seconds" || told.Act != "restart" || told.Node != "eu-1" {
		t.Errorf("ended: %+v", told)
	}
}
