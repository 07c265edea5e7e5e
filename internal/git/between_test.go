package git_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTheHistoryBetweenTwoCommitsIsAsGitTellsIt, in a history with merges, several
// roots and clocks that are wrong.
func TestTheHistoryBetweenTwoCommitsIsAsGitTellsIt(t *testing.T) {
	u := newUpstream(t)
	tree := u.gitInput("", "mktree")
	random := rand.New(rand.NewPCG(1, 2))
	var commits []string
	for i := range 60 {
		body := "tree " + tree + "\n"
		if i > 2 {
			for _, p := range random.Perm(min(i, 6))[:1+random.IntN(2)] {
				body += "parent " + commits[i-1-p] + "\n"
			}
		}
		who := fmt.Sprintf("A <a@example.com> %d +0000", 1_700_000_000+random.IntN(1000))
		body += "author " + who + "\ncommitter " + who + "\n\n" + fmt.Sprint(i) + "\n"
		commits = append(commits, u.gitInput(body, "hash-object", "-t", "commit", "-w", "--stdin"))
	}
	all := "tree " + tree + "\n"
	for _, c := range commits {
		all += "parent " + c + "\n"
	}
	head := u.gitInput(all+"author A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nall\n", "hash-object", "-t", "commit", "-w", "--stdin")
	u.git("update-ref", "refs/heads/main", head)
	r, _ := cloned(t, u)
	fetch(t, r)
	for range 80 {
		older, newer := commits[random.IntN(60)], commits[random.IntN(60)]
		var got []string
		forward, err := r.Between(t.Context(), older, newer, func(id string, object []byte) error {
			if raw := u.gitRaw("", "cat-file", "commit", id); raw != string(object) {
				t.Errorf("%s: the object is %q", id, object)
			}
			got = append(got, id)
			return nil
		})
		must(t, err)
		// `git rev-list newer ^older` is wrong where clocks are; its parts are not.
		behind, reached := strings.Fields(u.git("rev-list", older)), strings.Fields(u.git("rev-list", newer))
		var want []string
		for _, id := range reached {
			if id == newer || !slices.Contains(behind, id) {
				want = append(want, id)
			}
		}
		if got[0] != newer {
			t.Errorf("the first is %s, not %s", got[0], newer)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || forward != slices.Contains(reached, older) {
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
