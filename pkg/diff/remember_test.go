package diff

import (
	"slices"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// A memory is written whole, many times a day: what a converged cluster has no
// more use for must not stay in it.
func TestOnceConvergedOnlyWhatStillTellsIsKept(t *testing.T) {
	want := desired.Cluster{Name: "prod", Digest: "d2", Nodes: []desired.Node{{Name: "eu-1", Puts: []desired.Put{{Path: "/k", Digest: "age:new"}}}}}
	m := Memory{Secrets: map[string]string{"age:old": "sha256:1", "age:new": "sha256:2"}}
	for _, try := range []Try{
		{Step: "1", Node: "eu-1", Action: ActionRestart, Outcome: OutcomeDone},
		{Step: "2", Node: "eu-1", Action: ActionRestart, Outcome: OutcomeDone},
		{Step: "3", Node: "eu-1", Action: ActionUnseal, Outcome: OutcomeDone},
		{Step: "4", Node: "eu-1", Action: ActionPlace, Outcome: OutcomeFailed, Count: 2},
		{Step: "5", Node: "eu-2", Action: ActionStart, Outcome: OutcomeDone},
		{Step: "6", Node: "eu-2", Action: ActionRestart, Outcome: OutcomeFailed, Count: 1},
		{Step: "7", Node: "eu-2", Action: ActionEnable, Outcome: OutcomeIntent},
	} {
		m = m.Record(try)
	}
	m = m.Converged(want, "c2", noon)
	var kept []string
	for _, try := range m.Tries {
		kept = append(kept, try.Step)
	}
	if !slices.Equal(kept, []string{"2", "5"}) || len(m.Secrets) != 1 || m.Secrets["age:new"] == "" {
		t.Errorf("kept tries %v, secrets %v", kept, m.Secrets)
	}
}

// A step that failed once in spring and once in summer did not fail twice in a
// row.
func TestWhatFailedBeforeIsForgottenAtEachReturnToSync(t *testing.T) {
	want := desired.Cluster{Name: "prod", Digest: "d"}
	m := Memory{}.Converged(want, "c", noon)
	for range 3 {
		m = m.Differing()
		if !m.Good.Since.IsZero() {
			t.Fatal("in sync since a time at which it was not")
		}
		m = m.Record(Try{Step: "1", Node: "eu-1", Action: ActionPlace, Outcome: OutcomeFailed, Count: 1})
		if m = m.Converged(want, "c", noon); len(m.Tries) > 0 || m.Good.Since.IsZero() {
			t.Fatalf("%+v", m)
		}
	}
}

// What failed for the release's source, or for its archive's digest, must not
// count after a commit that corrects them.
func TestAnInstallFromElsewhereIsAnotherStep(t *testing.T) {
	want := desired.Cluster{Name: "prod", Releases: desired.Releases{Source: "https://mirror.example.com"},
		Artefacts: map[string]desired.Artefact{"linux_amd64": {Archive: "sha256:a", Binary: "sha256:b"}}}
	step := Step{Node: "eu-1", Action: ActionInstall, Goal: []Fact{{"eu-1", keyVersion + "1.21.0", "sha256:b"}}}
	first := identify(want, step).ID
	if again := identify(want, step).ID; again != first {
		t.Errorf("the same install is %s and %s", first, again)
	}
	want.Releases.Source = "file:///srv/releases"
	elsewhere := identify(want, step).ID
	want.Artefacts["linux_amd64"] = desired.Artefact{Archive: "sha256:c", Binary: "sha256:b"}
	if corrected := identify(want, step).ID; elsewhere == first || corrected == elsewhere {
		t.Errorf("other sources or archives are the same step: %s %s %s", first, elsewhere, corrected)
	}
}
