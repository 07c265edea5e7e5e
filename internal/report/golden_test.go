package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

var update = flag.Bool("update", false, "write what is rendered into testdata")

var told = Source{Fleet: "acme", Repo: "file:///srv/git/fleet.git", Branch: "main", Commit: "9f2c1e7aa01b44d1ffff"}

// renderings are all that is written of plans and states.
func renderings() map[string]func(w io.Writer, clusters []Cluster) error {
	return map[string]func(io.Writer, []Cluster) error{
		"plan.txt":   func(w io.Writer, c []Cluster) error { return Text(w, Options{Width: 110}, c) },
		"plan.color": func(w io.Writer, c []Cluster) error { return Text(w, Options{Color: true}, c) },
		"plan.json": func(w io.Writer, c []Cluster) error {
			return JSON(w, NewDocument(SchemaPlan, told, c, Code(c, Asked{})))
		},
		"plan.md":     func(w io.Writer, c []Cluster) error { return Markdown(w, told, c) },
		"status.txt":  func(w io.Writer, c []Cluster) error { return Status(w, Options{}, NewStatus(told, c, noon, 0)) },
		"status.json": func(w io.Writer, c []Cluster) error { return JSON(w, NewStatus(told, c, noon, 8)) },
		"why.txt": func(w io.Writer, c []Cluster) error {
			for _, one := range sorted(c) {
				if err := Why(w, Options{Width: 100}, one); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func TestRenderings(t *testing.T) {
	for name, render := range renderings() {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := render(&got, fleet()); err != nil {
				t.Fatal(err)
			}
			golden(t, name, got.String())
		})
	}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The order in which clusters come in changes no byte.
func TestOrderOfInputDoesNotMatter(t *testing.T) {
	for name, render := range renderings() {
		var want, got bytes.Buffer
		mixed := fleet()
		rand.New(rand.NewSource(1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if render(&want, fleet()) != nil || render(&got, mixed) != nil {
			t.Fatal("rendering to memory cannot fail")
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// hostile is what a spec, a node or a person may say.
const hostile = "x\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u200b\r\n### forged\n``` \u009b31m<script>@everyone #1 |a| https://evil \xff"

// poisoned puts hostile text into every string that comes from outside.
func poisoned() []Cluster {
	b, _ := json.Marshal(drifted("prod").Plan)
	var plan diff.Plan
	_ = json.Unmarshal(b, &plan)
	for i := range plan.Waves[0] {
		s := &plan.Waves[0][i]
		s.Why, s.Node = hostile, hostile
		s.Changes[0] = diff.Change{What: hostile, From: hostile, To: hostile}
	}
	for i := range plan.Blocks {
		plan.Blocks[i].Detail, plan.Blocks[i].Lift, plan.Blocks[i].Node = hostile, hostile, hostile
	}
	for i := range plan.Notes {
		plan.Notes[i].Change.What, plan.Notes[i].Why, plan.Notes[i].Node = hostile, hostile, hostile
	}
	plan.Waits[0].Detail, plan.Unseen[0].Error, plan.Unseen[0].Node = hostile, hostile, hostile
	c := seen("prod", 3)
	c.Name, c.Plan = hostile, plan
	for i := range c.Have {
		c.Have[i].Name, c.Have[i].Vault.Version = hostile, hostile
	}
	c.Memory.Leaves = []diff.Leave{{Kind: diff.LeaveHold, By: hostile, Reason: hostile, Node: hostile}}
	c.Memory.Tries = []diff.Try{{Outcome: diff.OutcomeFailed, Evidence: hostile, Node: hostile}}
	bad := broken(hostile)
	bad.Broken[0].Text = hostile
	return []Cluster{c, bad}
}

// No rendering lets foreign text move the cursor, reorder a line or begin one.
func TestForeignTextIsHarmless(t *testing.T) {
	for name, render := range renderings() {
		var got bytes.Buffer
		if err := render(&got, poisoned()); err != nil {
			t.Fatal(err)
		}
		out := got.String()
		if name == "plan.color" {
			for _, s := range []string{"0", "1", "2", "31", "32", "33", "36"} {
				out = strings.ReplaceAll(out, "\x1b["+s+"m", "")
			}
		}
		for _, r := range out {
			if r != '\n' && hides(r) {
				t.Errorf("%s: %U came through", name, r)
				break
			}
		}
		for _, line := range strings.Split(out, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "### forged") {
				t.Errorf("%s: a foreign text began a line: %q", name, line)
			}
		}
		if name == "plan.md" {
			inFence := false
			for _, line := range strings.Split(out, "\n") {
				if strings.HasPrefix(line, "````") {
					inFence = !inFence
				} else if !inFence && (strings.Contains(line, "<script>") || strings.Contains(line, "@every") || strings.Contains(line, "https://")) {
					t.Errorf("markup came through outside of a fence: %q", line)
				}
			}
			if inFence {
				t.Error("a fence was left open")
			}
		}
	}
}

// A foreign text is capped, so it cannot bury what stands behind it.
func TestForeignTextIsCapped(t *testing.T) {
	if got := clean(strings.Repeat("é", 5000)); len([]rune(got)) != longest+1 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d runes", len([]rune(got)))
	}
}
