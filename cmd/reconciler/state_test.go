package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAStateFolderOfAnotherAccountIsRefused names such a folder by the variable that
// wins over reconciler.yaml. Nothing is left in it, and what has no use for it goes on.
func TestAStateFolderOfAnotherAccountIsRefused(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "reconciler.yaml")
	check(t, os.WriteFile(config, []byte("fleets: [{repo: fleet}]\nstate: state\n"), 0o600))
	others, way := "/", "sudo -u root -- reconciler" // we are not root
	if os.Geteuid() == 0 {
		const nobody = 1<<16 - 2
		others, way = filepath.Join(dir, "others"), "runuser -u nobody -- reconciler"
		check(t, os.Mkdir(others, 0o700))
		check(t, os.Chown(others, nobody, nobody))
	}
	t.Setenv("RECONCILER_STATE", others)
	for _, command := range [][]string{{"history"}, {"show", "D-1"}, {"plan"}, {"status"}, {"check"}, {"run", "--once"}, {"hold", "prod", "--reason", "x"}, {"backup", dir}, {"approve-rewind", "0123456789ab", "--reason", "x"}} {
		var out, said bytes.Buffer
		code := run(append([]string{"--config", config}, command...), nil, &out, &said)
		if code != exitUsage || !strings.Contains(said.String(), "belongs to ") || !strings.Contains(said.String(), way) || !strings.Contains(said.String(), "chown -R") {
			t.Errorf("%q: %d\n%s", command, code, &said)
		}
	}
	if left, err := os.ReadDir(others); others != "/" && (err != nil || len(left) > 0) {
		t.Errorf("it left %v %v", left, err)
	}
	fleet := filepath.Join(dir, "whole")
	check(t, lay(filepath.Join(fleet, "fleet.yaml"), "format: 1\nfleet: acme\n"))
	var out, said bytes.Buffer
	if code := run([]string{"--config", config, "validate", "--fleet", fleet}, nil, &out, &said); strings.Contains(said.String(), "belongs to") {
		t.Errorf("validate: %d\n%s", code, &said)
	}
	t.Setenv("RECONCILER_STATE", filepath.Join(dir, "new"))
	if code := run([]string{"--config", config, "history"}, nil, &out, &said); strings.Contains(said.String(), "belongs to") {
		t.Errorf("one that is not there yet: %d\n%s", code, &said)
	}
}
