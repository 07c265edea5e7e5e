package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"
)

// The README is walked on real nodes by hand; these tests keep what it has its
// reader type from falling behind the program.

// shells are the blocks that a reader runs.
func shells(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		all.Write(block[1])
	}
	return all.String()
}

func TestReadmeNamesCommandsThatThereAre(t *testing.T) {
	lines := regexp.MustCompile(`(?m)^reconciler (.*)$`).FindAllStringSubmatch(shells(t), -1)
	if len(lines) < 10 {
		t.Fatalf("the README runs reconciler %d times", len(lines))
	}
	for _, line := range lines {
		words := strings.Fields(regexp.MustCompile(`'[^']*'`).ReplaceAllString(line[1], "text"))
		root := newRoot(&app{})
		cmd, rest, err := root.Find(words)
		if err != nil || cmd == root {
			t.Errorf("reconciler %s: no such command: %v", line[1], err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("reconciler %s: %v", line[1], err)
			continue
		}
		if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
			t.Errorf("reconciler %s: %v", line[1], err)
		}
	}
}

// TestReadmesFleetIsGood makes the fleet and the reconciler.yaml of the README
// and validates the one by the other.
func TestReadmesFleetIsGood(t *testing.T) {
	dir := t.TempDir()
	fleet := filepath.Join(dir, "fleet")
	if err := os.CopyFS(fleet, os.DirFS("../../examples/fleet-repo")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(fleet, "clusters", "lab")); err != nil {
		t.Fatal(err)
	}
	alice, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("$(age-keygen -y ~/alice.key)", alice.Recipient().String())
	files := regexp.MustCompile(`(?ms)^cat > (\S+) <<'?END'?\n(.*?)^END$`).FindAllStringSubmatch(shells(t), -1)
	for _, file := range files {
		path, text := filepath.Join(fleet, file[1]), filled.Replace(file[2])
		if filepath.IsAbs(file[1]) {
			path = filepath.Join(dir, filepath.Base(file[1]))
		}
		if strings.Contains(text, "$(") {
			t.Fatalf("%s has a command in it that this test does not know:\n%s", file[1], text)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, made := range []string{"reconciler.yaml", "fleet/fleet.yaml", "fleet/clusters/prod-eu/cluster.yaml"} {
		if _, err := fs.Stat(os.DirFS(dir), made); err != nil {
			t.Errorf("the README does not make %s", made)
		}
	}
	var stdout, stderr bytes.Buffer
	code := run([]string{"validate", "--config", filepath.Join(dir, "reconciler.yaml"), fleet}, nil, &stdout, &stderr)
	if code != 0 || !strings.HasSuffix(stdout.String(), "acme: 1 good cluster with 3 nodes; no errors, no warnings\n") {
		t.Errorf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
}
