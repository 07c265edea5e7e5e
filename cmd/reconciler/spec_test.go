package main

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var updateScripts = flag.Bool("update", false, "rewrite what the stories expect")

// TestSpecCommands runs the stories of the commands that read the repo alone.
// The example fleet lies in $WORK/fleet.
func TestSpecCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/spec",
		UpdateScripts: *updateScripts,
		Setup: func(env *testscript.Env) error {
			return copyFleet(filepath.Join(env.WorkDir, "fleet"))
		},
	})
}

func copyFleet(to string) error {
	const from = "../../examples/fleet-repo"
	return filepath.WalkDir(from, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, at)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		body, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), body, 0o644)
	})
}
