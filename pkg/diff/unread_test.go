package diff

import (
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// What could not be read differs from nothing, and nobody says that a process has not
// taken it up.
func TestAFileThatCouldNotBeReadDoesNotDrift(t *testing.T) {
	s := convergedScene(3)
	s.want.Mode = desired.ModeObserve
	n := s.find("eu-1")
	n.Machine.Root, n.Process.Mark = false, nil // adopted, and looked at without sudo
	for path, f := range n.Files {
		f.Digest, f.Config, f.Certificate = "", nil, nil
		n.Files[path] = f
	}
	n.Unknown = map[actual.Phase]string{actual.PhaseSudo: "denied"}
	if got := s.drifted(nil); len(got) > 0 {
		t.Error(strings.Join(got, "\n"))
	}
}

// What an encrypted file says is known once it was placed. Until then its owner and mode
// are all that can be held against the spec.
func TestAnEncryptedFileThatWasNeverPlacedDoesNotDrift(t *testing.T) {
	s := convergedScene(3)
	s.want.Mode, s.memory.Secrets = desired.ModeObserve, nil
	if got := s.drifted(nil); len(got) > 0 {
		t.Error(strings.Join(got, "\n"))
	}
	s.change("eu-2", keyPath, func(f *actual.File) { f.Mode = "0644" })
	if got := strings.Join(s.drifted(nil), "\n"); got != "critical changed files["+keyPath+"].mode: 0644, not 0640 [eu-2] reload" {
		t.Error(got)
	}
	s.change("eu-2", keyPath, func(f *actual.File) { *f = actual.File{Kind: actual.KindAbsent} })
	if got := strings.Join(s.drifted(nil), "\n"); !strings.HasPrefix(got, "critical missing files["+keyPath+"]") {
		t.Error(got)
	}
}
