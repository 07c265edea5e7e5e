package diff

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// A waiver is written by a commit, and the next commit is about something else: neither
// of them undoes what somebody answers for.
func TestAWaivedFileIsLeftAloneByACommit(t *testing.T) {
	s := convergedScene(3)
	s.want.Waivers = []desired.Waiver{{Path: notePath, Owner: "mara", Reason: "test", Until: noon.Add(time.Hour)}}
	s.change("eu-1", notePath, func(f *actual.File) { f.Mode = "0600" })
	s.want.Digest = "spec-2"
	if steps := stepsOf(s.plan()); len(steps) > 0 {
		t.Errorf("%v", steps)
	}
	s.change("eu-1", notePath, func(f *actual.File) { *f = actual.File{Kind: actual.KindAbsent} })
	if steps := stepsOf(s.plan()); !slices.Equal(steps, []string{"place eu-1"}) {
		t.Errorf("what a commit wants and was never there: %v", steps)
	}
}

func TestAWaivedProgramIsLeftAlone(t *testing.T) {
	s := convergedScene(3)
	s.find("eu-2").Binary.Digest = "sha256:package"
	s.find("eu-2").Process.Binary = "sha256:package"
	if steps := strings.Join(stepsOf(s.plan()), ", "); !strings.Contains(steps, "restart eu-2") {
		t.Fatal(steps)
	}
	s.want.Waivers = []desired.Waiver{{Path: s.want.Vault.Path, Owner: "mara", Reason: "test", Until: noon.Add(time.Hour)}}
	if steps := stepsOf(s.plan()); len(steps) > 0 {
		t.Errorf("%v", steps)
	}
}
