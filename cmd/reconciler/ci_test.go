package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// The files that teams copy into their CI are YAML, and call what there is with
// flags that there are.
func TestTheFilesForCICallWhatThereIs(t *testing.T) {
	files, err := filepath.Glob("../../examples/ci/*.yml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	called := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var parsed map[string]any
		if err := yaml.Unmarshal(text, &parsed); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			call := regexp.MustCompile(`(?:^|- |run: )\s*reconciler ((?:validate|plan)[^>|&]*)`).FindStringSubmatch(strings.TrimSpace(line))
			if call == nil {
				continue
			}
			args := strings.Fields(strings.NewReplacer(`"`, "", "$", "").Replace(call[1]))
			root := newRoot(&app{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)})
			cmd, rest, err := root.Find(args)
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err != nil {
				t.Errorf("%s: reconciler %s: %v", file, call[1], err)
			}
			called[cmd.Name()]++
		}
	}
	if called["validate"] < 3 || called["plan"] < 3 {
		t.Errorf("only %v are called", called)
	}
}

// What an alert has a person run at night is there, and takes the flag.
func TestAlertsCallWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../packaging/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	calls := regexp.MustCompile(`reconciler ([a-z]+(?: --[a-z]+)? \{\{ \$labels\.cluster \}\})`).FindAllStringSubmatch(string(text), -1)
	if len(calls) < 8 {
		t.Fatalf("only %q are called", calls)
	}
	for _, call := range calls {
		args := strings.Fields(strings.ReplaceAll(call[1], "{{ $labels.cluster }}", "prod"))
		root := newRoot(&app{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)})
		cmd, rest, err := root.Find(args)
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err != nil || cmd == root {
			t.Errorf("reconciler %s: %v", call[1], err)
		}
	}
}
