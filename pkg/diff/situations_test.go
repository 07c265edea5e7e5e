package diff

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the plans are into testdata/situations")

// TestSituations reads the stories of testdata/situations and compares the
// plan that they come to. The file's name is what the story says.
func TestSituations(t *testing.T) {
	paths, err := filepath.Glob("testdata/situations/*.txtar")
	if err != nil || len(paths) < 60 {
		t.Fatalf("%d situations, at least 60 are promised (%v)", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
			}
			plan := tell(t, files["story"]).plan()
			roundTrips(t, plan)
			got := show(plan)
			if *update {
				archive.Files = []txtar.File{{Name: "story", Data: []byte(files["story"])}, {Name: "plan", Data: []byte(got)}}
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(files["plan"], got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// roundTrips says that a plan is data: it survives JSON byte by byte.
func roundTrips(t *testing.T, plan Plan) {
	t.Helper()
	first, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(first, &back); err != nil {
		t.Fatal(err)
	}
	if second, _ := json.Marshal(back); !bytes.Equal(first, second) {
		t.Errorf("JSON does not round-trip:\n%s\n%s", first, second)
	}
}

// show is a plan in few words.
func show(plan Plan) string {
	var b strings.Builder
	for i, w := range plan.Waves {
		fmt.Fprintf(&b, "wave %d\n", i+1)
		for _, step := range w {
			fmt.Fprintf(&b, "  %s %s, %s, %s%s\n", step.Action, step.Node, step.Effect, step.Cause, changes(step.Changes))
		}
	}
	for _, x := range plan.Blocks {
		word := map[bool]string{false: "block", true: "later"}[x.Later]
		fmt.Fprintf(&b, "%s %s: %s; lift: %s\n", word, strings.TrimSpace(string(x.Reason)+" "+x.Node), x.Detail, x.Lift)
	}
	for _, x := range plan.Waits {
		fmt.Fprintf(&b, "wait %s: %s\n", strings.TrimSpace(string(x.Reason)+" "+x.Node), x.Detail)
	}
	for _, x := range plan.Notes {
		fmt.Fprintf(&b, "note %s %s: %s\n", x.Node, x.Change.What, x.Why)
	}
	for _, x := range plan.Unseen {
		fmt.Fprintf(&b, "unseen %s: %s: %s\n", x.Node, x.Phase, x.Error)
	}
	if b.Len() == 0 {
		return "in sync\n"
	}
	return b.String()
}

func changes(list []Change) string {
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprintf("%s: %s → %s", c.What, c.From, c.To))
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, "; ") + ")"
}
