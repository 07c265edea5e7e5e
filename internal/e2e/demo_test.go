//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/throwaway"
)

// TestTheDemoIsTrueOfVault plays the demo's story with Vault instead of the
// simulator: what it claims of the one must hold of the other.
func TestTheDemoIsTrueOfVault(t *testing.T) {
	rig := NewRig(t, 0)
	older, newer := rig.Vault("1.21.0"), rig.Vault("1.21.1")
	mirror, err := throwaway.NewMirror(filepath.Join(rig.Dir, "mirror"))
	rig.must(err)
	f, err := os.Open(older)
	rig.must(err)
	defer f.Close()
	rig.must(mirror.Add("1.21.0", platform, f))
	key := filepath.Join(rig.Dir, "mirror.asc")
	rig.must(os.WriteFile(key, mirror.Key, 0o644))
	place := filepath.Join("/var/tmp", filepath.Base(rig.Dir)) // the names of sockets must be short
	rig.must(os.MkdirAll(place, 0o755))
	t.Cleanup(func() { rig.must(os.RemoveAll(place)) })
	operator := rig.Operator(rig.Dir, "TMPDIR="+place)
	plays := map[string]*Running{
		"from one version to another": operator.Start("demo", "--fast", "--vault", newer, "--vault", older),
		"downloaded":                  operator.Start("demo", "--fast", "--download", "1.21.0", "--source", "file://"+mirror.Dir, "--release-key", key),
	}
	for name, play := range plays {
		ended := operator.await(play)
		if ended.Code != 0 || !strings.Contains(ended.Stdout, "That was the story") || strings.Contains(ended.Stdout, "✗") {
			t.Errorf("%s: exit code %d\n%s\n%s", name, ended.Code, ended.Stdout, ended.Stderr)
		}
		if upgraded := strings.Contains(ended.Stdout, "✓ every Vault says that it is 1.21.1"); upgraded != (name != "downloaded") {
			t.Errorf("%s: upgraded: %v\n%s", name, upgraded, ended.Stdout)
		}
	}
	left, err := os.ReadDir(place)
	rig.must(err)
	for _, e := range left {
		t.Errorf("left behind: %s", e.Name())
	}
}
