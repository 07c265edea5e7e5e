package git_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
	"github.com/vaultfleet/reconciler/internal/lease/flock"
)

func packs(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "repo/objects/pack/*.pack"))
	must(t, err)
	return names
}

func TestManyPacksBecomeOneAndEveryCommitStays(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	history := make([]gittest.Commit, 61)
	for i := range history {
		history[i] = gittest.Commit{Parents: []int{i - 1}[:min(i, 1)], Files: map[string]string{"n": fmt.Sprint(i)}}
	}
	commits := gittest.Import(t, u.dir, history)
	r, dir := cloned(t, u)
	var early *git.Tree // opened before the packs are made one
	most := 0
	for _, c := range commits {
		must(t, os.WriteFile(filepath.Join(u.dir, ".git/refs/heads/main"), []byte(c+"\n"), 0o600))
		if got := fetch(t, r); got != c {
			t.Fatalf("fetched %s", got)
		}
		if early == nil {
			early = at(t, r, c)
		}
		most = max(most, len(packs(t, dir)))
	}
	if n := len(packs(t, dir)); n >= 15 || most != 50 {
		t.Errorf("%d packs at the end, %d at most", n, most)
	}
	for i, c := range commits {
		expect(t, at(t, r, c), map[string]string{"n": fmt.Sprint(i)})
	}
	expect(t, early, map[string]string{"n": "0"})
	u.git("--git-dir="+filepath.Join(dir, "repo"), "fsck", "--full", "--strict")
}

func TestWhatAKilledFetchLeftIsSweptOrFinished(t *testing.T) {
	u := newUpstream(t)
	one := u.commit("one", fleet())
	_, dir := cloned(t, u)
	remote := git.Remote{URL: "file://" + u.dir, Branch: "main"}
	fetch(t, open(t, dir, remote))
	two := u.commit("two", map[string]string{"two": "2"})
	repo := filepath.Join(dir, "repo")

	// Killed while it wrote a pack.
	tmp := filepath.Join(repo+".incoming", "objects/pack/tmp_pack_123")
	must(t, os.MkdirAll(filepath.Dir(tmp), 0o700))
	must(t, os.WriteFile(tmp, []byte("PACK"), 0o600))
	if got := fetch(t, open(t, dir, remote)); got != two {
		t.Fatalf("fetched %s", got)
	}
	if _, err := os.Stat(tmp); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	// Killed while it moved several packs in: the first of two is there.
	three := u.commit("three", map[string]string{"three": "3"})
	donor := filepath.Join(t.TempDir(), "donor")
	fetch(t, open(t, donor, remote))
	incoming := filepath.Join(repo+".incoming", "objects/pack")
	must(t, os.MkdirAll(incoming, 0o700))
	for _, name := range packs(t, donor) {
		must(t, os.Rename(name, filepath.Join(incoming, filepath.Base(name))))
		idx := strings.TrimSuffix(name, ".pack") + ".idx"
		must(t, os.Rename(idx, filepath.Join(incoming, filepath.Base(idx))))
	}
	must(t, os.WriteFile(filepath.Join(repo+".incoming", "ready"), nil, 0o600))
	if got := fetch(t, open(t, dir, remote)); got != three {
		t.Fatalf("fetched %s", got)
	}
	if n := len(packs(t, dir)); n != 3 { // of one, of two, and the donor's, which left nothing to fetch
		t.Errorf("%d packs", n)
	}
	if _, err := os.Stat(repo + ".incoming"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	// Killed between the two renames of a swap.
	must(t, os.Rename(repo, repo+".new"))
	r := open(t, dir, remote)
	if last, ok, err := r.Last(); last != three || !ok || err != nil {
		t.Errorf("after half a swap: %s, %v", last, err)
	}
	expect(t, at(t, r, one), fleet())
	// Killed while it made the new clone, the old one gone.
	must(t, os.Rename(repo, repo+".new"))
	must(t, os.Remove(filepath.Join(repo+".new", "refs/reconciler/tracked")))
	r = open(t, dir, remote)
	if last, ok, err := r.Last(); ok || err != nil {
		t.Errorf("half a clone passes for one: %s, %v", last, err)
	}
	fetch(t, r)
	expect(t, at(t, r, one), fleet())
}

func TestAFetchEndsWithItsContext(t *testing.T) {
	u := newUpstream(t)
	one := u.commit("one", fleet())
	r, dir := cloned(t, u)
	fetch(t, r)
	u.commit("two", map[string]string{"two": "2"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Fetch(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if last, _, _ := r.Last(); last != one {
		t.Errorf("last is %s", last)
	}
	held, err := flock.Try(filepath.Join(dir, "lock"))
	must(t, err)
	defer held.Unlock()
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.Fetch(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another one fetches: %v", err)
	}
	expect(t, at(t, r, one), fleet())
}

// A history of more objects than go into one pack.
func TestALongHistoryIsFetchedInSeveralPacks(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	history := make([]gittest.Commit, 1800) // of a commit, a tree and a file each
	for i := range history {
		history[i] = gittest.Commit{Parents: []int{i - 1}[:min(i, 1)], Files: map[string]string{"f": fmt.Sprint(i)}}
	}
	commits := gittest.Import(t, u.dir, history)
	r, dir := cloned(t, u)
	commit := fetch(t, r)
	if n := len(packs(t, dir)); n != 2 {
		t.Errorf("%d packs", n)
	}
	expect(t, at(t, r, commit), map[string]string{"f": "1799"})
	expect(t, at(t, r, commits[0]), map[string]string{"f": "0"})
	u.git("--git-dir="+filepath.Join(dir, "repo"), "fsck", "--full", "--strict")
}

// large is an upstream of many clusters.
func large(b testing.TB, clusters int) upstream {
	b.Helper()
	u := newUpstream(b)
	files := map[string]string{"fleet.yaml": "format: 1\n"}
	for i := range clusters {
		files[fmt.Sprintf("clusters/prod-%04d/cluster.yaml", i)] = fmt.Sprintf("cluster: prod-%04d\nenvironment: production\n%0800d\n", i, i)
		files[fmt.Sprintf("clusters/prod-%04d/tls/ca.crt", i)] = fmt.Sprintf("%01200d\n", i)
	}
	u.commit("all", files)
	return u
}

func BenchmarkFetchNothingNew(b *testing.B) {
	r, _ := cloned(b, large(b, 1000))
	fetch(b, r)
	b.ReportAllocs()
	for b.Loop() {
		fetch(b, r)
	}
}

func BenchmarkFetchOneCommit(b *testing.B) {
	u := large(b, 1000)
	r, _ := cloned(b, u)
	fetch(b, r)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		u.commit("next", map[string]string{"clusters/prod-0500/cluster.yaml": fmt.Sprint("cluster: prod-0500 # ", i)})
		b.StartTimer()
		fetch(b, r)
	}
}

func BenchmarkFirstFetch(b *testing.B) {
	u := large(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		r, _ := cloned(b, u)
		fetch(b, r)
	}
}

func BenchmarkAt1000Clusters(b *testing.B) {
	r, _ := cloned(b, large(b, 1000))
	commit := fetch(b, r)
	b.ReportAllocs()
	for b.Loop() {
		at(b, r, commit)
	}
}

func BenchmarkRead1000Clusters(b *testing.B) {
	r, _ := cloned(b, large(b, 1000))
	commit := fetch(b, r)
	b.ReportAllocs()
	for b.Loop() {
		all, err := contents(at(b, r, commit))
		if err != nil || len(all) != 2001 {
			b.Fatal(len(all), err)
		}
	}
}
