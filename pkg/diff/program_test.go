package diff

import (
	"slices"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

func (s *scene) runs(node, version, digest string) {
	n := s.find(node)
	n.Binary.Digest, n.Process.Binary, n.Vault.Version = digest, digest, version
}

// Whether other nodes can be seen changes what is said of a version, and not which drift
// it is.
func TestADriftOfTheVersionStaysTheSameWhoeverIsSeen(t *testing.T) {
	s := convergedScene(3)
	for _, n := range []string{"eu-1", "eu-2", "eu-3"} {
		s.runs(n, "1.20.0", binaryDigest("1.20.0"))
	}
	all := s.look(0).Rows[0]
	s.unreachable("eu-2")
	if part := s.look(time.Minute).Rows[0]; part.Kind != DriftChanged || part.ID != all.ID {
		t.Errorf("nobody was seen on another version: %+v", part)
	}
	s.runs("eu-3", "1.21.0", binaryDigest("1.21.0"))
	if one := s.look(2 * time.Minute).Rows[0]; one.Kind != DriftMixed || one.ID != all.ID {
		t.Errorf("%+v", one)
	}
}

// That a service is down is health: it does not change what is said of its program.
func TestAProgramIsCalledWhatItWasWhileItRan(t *testing.T) {
	for version, digest := range map[string]string{"1.21.0": "sha256:package", "1.20.0": binaryDigest("1.20.0")} {
		s := convergedScene(3)
		s.runs("eu-2", version, digest)
		up := s.look(0).Rows
		n := s.find("eu-2")
		n.Service.ActiveState, n.Service.SubState, n.Vault, n.Process = "failed", "failed", nil, &actual.Process{}
		down := s.look(time.Minute).Rows
		if len(up) != 1 || len(down) != 1 || up[0].ID != down[0].ID || up[0].Severity != down[0].Severity {
			t.Errorf("%s: %+v\n%+v", version, up, down)
		}
	}
}

// A program of a package is put back as anything else is: not within the minute.
func TestAnUnpinnedProgramIsNotReplacedWithinTheMinute(t *testing.T) {
	s := convergedScene(3)
	s.want.Drift.After = time.Minute
	s.runs("eu-2", "1.21.0", "sha256:package")
	s.look(0)
	if got := waiting(s.plan()); got != "by-hand until Mon 12:01" {
		t.Errorf("%q %s", got, show(s.plan()))
	}
	s.want.Drift.Report = true
	if steps := stepsOf(s.plan()); slices.Contains(steps, "restart eu-2") {
		t.Error(steps)
	}
}
