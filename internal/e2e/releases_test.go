//go:build linux

package e2e

import (
	"archive/zip"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestReleasesAreLaidOutAndLocked(t *testing.T) {
	rig := NewRig(t, 0)
	releases := rig.Releases("1.21.0")
	archive := filepath.Join(releases.Dir, "vault/1.21.0/vault_1.21.0_linux_amd64.zip")
	archiveSum, err := sum(archive)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	member, err := z.Open("vault")
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	binary := sha256.New()
	if _, err := io.Copy(binary, member); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("1.21.0:\n    linux_amd64: {archive: sha256:%s, binary: sha256:%x}\n", archiveSum, binary.Sum(nil))
	if !strings.HasSuffix(releases.Lock, want) {
		t.Errorf("vault.lock is\n%s\nand should end in\n%s", releases.Lock, want)
	}
}
