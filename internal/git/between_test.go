package git_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// TestTheHistoryBetweenTwoCommitsIsThatOfTheirParents, in a history with merges, several
// roots and clocks that are wrong.
func TestTheHistoryBetweenTwoCommitsIsThatOfTheirParents(t *testing.T) {
	u := newUpstream(t)
	random := rand.New(rand.NewPCG(1, 2))
	history := make([]gittest.Commit, 61)
	last := len(history) - 1
	for i := range last {
		if i > 2 {
			for _, p := range random.Perm(min(i, 6))[:1+random.IntN(2)] {
				history[i].Parents = append(history[i].Parents, i-1-p)
			}
		}
		history[i].Time = 1_700_000_000 + random.Int64N(1000)
		history[last].Parents = append(history[last].Parents, i)
	}
	commits := gittest.Import(t, u.dir, history)[:last]
	objects := map[string]string{}
	for all := u.gitRaw(strings.Join(commits, "\n"), "cat-file", "--batch"); all != ""; {
		var id string
		var size int
		head, rest, _ := strings.Cut(all, "\n")
		if _, err := fmt.Sscanf(head, "%s commit %d", &id, &size); err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		objects[id], all = rest[:size], rest[size+1:]
	}
	behind := map[string][]string{} // each, itself among them, sorted
	for _, id := range commits {
		behind[id] = []string{id}
		for line := range strings.Lines(objects[id]) {
			if p, ok := strings.CutPrefix(line, "parent "); ok {
				behind[id] = append(behind[id], behind[strings.TrimSpace(p)]...)
			}
		}
		slices.Sort(behind[id])
		behind[id] = slices.Compact(behind[id])
	}
	r, _ := cloned(t, u)
	fetch(t, r)
	for range 80 {
		older, newer := commits[random.IntN(60)], commits[random.IntN(60)]
		var got []string
		forward, err := r.Between(t.Context(), older, newer, func(id string, object []byte) error {
			if objects[id] != string(object) {
				t.Errorf("%s: the object is %q", id, object)
			}
			got = append(got, id)
			return nil
		})
		must(t, err)
		var want []string
		for _, id := range behind[newer] {
			if id == newer || !slices.Contains(behind[older], id) {
				want = append(want, id)
			}
		}
		if got[0] != newer {
			t.Errorf("the first is %s, not %s", got[0], newer)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || forward != slices.Contains(behind[newer], older) {
			t.Errorf("from %s to %s: forward %v, %d commits, want %d", older, newer, forward, len(got), len(want))
		}
	}
}

func TestAnOlderCommitThatWeDoNotHaveIsNotBehind(t *testing.T) {
	u := newUpstream(t)
	u.commit("one", fleet())
	two := u.commit("two", map[string]string{"two": "2"})
	r, dir := cloned(t, u)
	fetch(t, r)
	visit := func(older string) (n int, forward bool, err error) {
		forward, err = r.Between(t.Context(), older, two, func(string, []byte) error { n++; return nil })
		return n, forward, err
	}
	if n, forward, err := visit(""); n != 1 || !forward || err != nil {
		t.Errorf("of none: %d %v %v", n, forward, err)
	}
	if n, forward, err := visit(strings.Repeat("a", 40)); n != 1 || forward || err != nil {
		t.Errorf("of an unknown one: %d %v %v", n, forward, err)
	}
	for _, pack := range packs(t, dir) {
		must(t, os.Remove(pack))
	}
	must(t, os.RemoveAll(filepath.Join(dir, "repo/objects/pack")))
	if _, _, err := visit(""); err == nil {
		t.Error("of a clone that is gone something was read")
	}
}
