package review

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// push puts a commit in force that no cluster has taken up yet.
func (f *forgery) push(name string, tree fstest.MapFS) string {
	f.commit = hash(name)
	f.trees[f.commit] = tree
	return f.commit
}

func (f *forgery) rollout(commit string) string { return f.statuses[commit+" reconciler/rollout"] }

// TestARestartGoesOnTellingEachCommit: two commits are on their way, each in a cluster
// of its own, and a third one comes while nobody is there.
func TestARestartGoesOnTellingEachCommit(t *testing.T) {
	f := newForgery(t)
	turn(t, f.reviewer())
	first := logLevel(t, "debug")
	one := f.push("one", first)
	turn(t, f.reviewer())
	lab := "clusters/lab/cluster.yaml"
	second := edit(t, first, lab, "disable_mlock: true", "disable_mlock: true, log_level: debug")
	two := f.push("two", second)
	turn(t, f.reviewer())
	for _, c := range []string{one, two} {
		if !strings.HasPrefix(f.rollout(c), "pending waiting in 1 of 1 cluster") {
			t.Errorf("%.12s: %q", c, f.rollout(c))
		}
	}
	three := f.push("three", edit(t, second, lab, "log_level: debug", "log_level: trace"))
	f.look() // and all of it is applied meanwhile
	turn(t, f.reviewer())
	for commit, want := range map[string]string{one: "success applied in 1 of 1 cluster", two: "success overtaken by " + three[:12], three: "success applied in 1 of 1 cluster"} {
		if f.rollout(commit) != want {
			t.Errorf("%.12s: %q, want %q", commit, f.rollout(commit), want)
		}
	}
	f.now = f.now.Add(lateMerge + 1)
	turn(t, f.reviewer())
	writes := f.writes
	turn(t, f.reviewer())
	if text, err := os.ReadFile(f.file); err != nil || !strings.Contains(string(text), `"followed":[]`) || f.writes != writes {
		t.Errorf("all is told, and this is followed: %s %v", text, err)
	}
}

// TestWhatIsOvertakenStaysSo, also when a later commit wants again what it did.
func TestWhatIsOvertakenStaysSo(t *testing.T) {
	f := newForgery(t)
	turn(t, f.reviewer())
	both := func(level string) fstest.MapFS {
		return edit(t, logLevel(t, level), "clusters/lab/cluster.yaml", "disable_mlock: true", "disable_mlock: true, log_level: "+level)
	}
	one := f.push("one", both("debug"))
	turn(t, f.reviewer())
	two := f.push("two", edit(t, both("debug"), prodEU, "log_level: debug", "log_level: trace"))
	turn(t, f.reviewer())
	if want := "pending waiting in 1 of 2 clusters, overtaken in 1 of 2 clusters by " + two[:12]; f.rollout(one) != want {
		t.Errorf("%q, want %q", f.rollout(one), want)
	}
	f.push("three", both("debug"))
	f.look()
	turn(t, f.reviewer())
	if want := "success applied in 1 of 2 clusters, overtaken in 1 of 2 clusters by " + two[:12]; f.rollout(one) != want {
		t.Errorf("%q, want %q", f.rollout(one), want)
	}
}

func TestADamagedFileIsSaidAndBegunAnew(t *testing.T) {
	commit := `"commit":"` + hash("base") + `"`
	for _, text := range []string{"", "{", "null", `[]`, `{"format":1}`, `{"format":2,` + commit + `}`, `{"format":1,"commit":"main"}`,
		`{"format":1,` + commit + `,"followed":[null]}`, `{"format":1,` + commit + `,"followed":[{"commit":"x"}]}`, `{"format":1,` + commit + `,"followed":[` + strings.Repeat(`{"commit":"`+hash("a")+`"},`, 2*maxFollowed) + `{"commit":"` + hash("a") + `"}]}`,
		strings.Repeat(" ", maxKept) + `{"format":1,` + commit + `}`} {
		f := newForgery(t)
		if err := os.WriteFile(f.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := f.reviewer()
		turn(t, r)
		turn(t, r)
		if n := strings.Count(f.log.String(), "cannot be read, and is begun anew"); n != 1 {
			t.Errorf("%.60q: said %d times", text, n)
		}
		one := f.push("one", logLevel(t, "debug"))
		turn(t, f.reviewer())
		if !strings.HasPrefix(f.rollout(one), "pending") {
			t.Errorf("%.60q: %q", text, f.rollout(one))
		}
	}
}

// TestOfOneStepTheNewestStays: what came in one push is followed in its order.
func TestOfOneStepTheNewestStays(t *testing.T) {
	f := newForgery(t)
	r := f.reviewer()
	turn(t, r)
	one := f.push("one", logLevel(t, "debug"))
	r.Since = func(context.Context, string, string) ([]string, error) {
		step := []string{one}
		for i := range 2 * maxFollowed {
			step = append(step, fmt.Sprintf("%040x", i))
		}
		return step, nil
	}
	turn(t, r)
	if len(r.followed) != maxFollowed || r.followed[maxFollowed-1].Commit != one || !strings.HasPrefix(f.rollout(one), "pending") {
		t.Errorf("%d are followed, %q", len(r.followed), f.rollout(one))
	}
}

// TestWhatCannotBeKeptIsSaidAndToldAllTheSame: words are worth less than the rest.
func TestWhatCannotBeKeptIsSaidAndToldAllTheSame(t *testing.T) {
	f := newForgery(t)
	r := f.reviewer()
	turn(t, r)
	r.File = t.TempDir()
	one := f.push("one", logLevel(t, "debug"))
	err := r.Turn(t.Context())
	if !errors.As(err, new(*PartialError)) || !strings.Contains(err.Error(), "keep what is followed of rollouts") {
		t.Errorf("%v", err)
	}
	if !strings.HasPrefix(f.rollout(one), "pending") {
		t.Errorf("%q", f.rollout(one))
	}
}

func TestAnotherCloneOrOtherClustersAreBegunAnew(t *testing.T) {
	f := newForgery(t)
	turn(t, f.reviewer())
	f.push("one", logLevel(t, "debug"))
	turn(t, f.reviewer())
	delete(f.trees, hash("base"))
	r := f.reviewer()
	r.Identity = "fleet of others"
	turn(t, r)
	if len(r.followed) != 1 || r.followed[0].Digests != nil {
		t.Errorf("what others followed is claimed: %+v", r.followed)
	}
	f.push("two", logLevel(t, "trace"))
	delete(f.trees, hash("one")) // the clone was made anew
	f.trees[hash("one")] = nil
	r = f.reviewer()
	r.Identity = "fleet of others"
	turn(t, r)
	if f.rollout(f.commit) != "" {
		t.Errorf("what it changes is not known, and is told: %q", f.rollout(f.commit))
	}
}

// TestOfAThousandCommitsTheOldestAreLeft, and each that was begun has a last word.
func TestOfAThousandCommitsTheOldestAreLeft(t *testing.T) {
	f := newForgery(t)
	r := f.reviewer()
	newest := 0
	r.InForce = func() (string, desired.Fleet, bool) {
		fleet := desired.Fleet{Name: "acme"}
		for i := max(0, newest-2*maxFollowed); i <= newest; i++ { // each commit brings a cluster
			fleet.Clusters = append(fleet.Clusters, desired.Cluster{Name: fmt.Sprintf("c%d", i)})
		}
		return f.commit, fleet, true
	}
	for i := range 1000 {
		newest, f.commit = i, fmt.Sprintf("%040x", i+1)
		f.trees[f.commit] = fstest.MapFS{}
		if i%25 > 0 && i < 999 {
			_, fleet, _ := r.InForce()
			if err := r.begin(t.Context(), f.commit, fleet); err != nil {
				t.Fatal(err)
			}
			continue
		}
		turn(t, r)
		if len(r.followed) > maxFollowed {
			t.Fatalf("%d commits are followed", len(r.followed))
		}
	}
	left, pending := 0, 0
	for _, words := range f.statuses {
		switch {
		case strings.HasPrefix(words, "error not followed any more"):
			left++
		case strings.HasPrefix(words, "pending"):
			pending++
		}
	}
	if left != 999-maxFollowed || pending != maxFollowed {
		t.Errorf("%d are left and %d pending", left, pending)
	}
	text, err := os.ReadFile(f.file)
	if err != nil || len(text) > 64<<10 || bytes.Count(text, []byte(`"commit"`)) != maxFollowed+1 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	r2 := f.reviewer()
	r2.InForce = r.InForce
	turn(t, r2)
	if len(r2.followed) != maxFollowed {
		t.Errorf("after a restart %d are followed", len(r2.followed))
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"format":1,"commit":"` + hash("a") + `","followed":[{"commit":"` + hash("a") + `","digests":{"lab":"x"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := t.TempDir() + "/followed"
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if k, err := readRecord(file); err == nil && !isCommit(k.Commit) {
			t.Errorf("%q was taken", text)
		}
	})
}
