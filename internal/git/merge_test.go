package git_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// prepared is a server that has a pack of everything that is proposed at hand.
type prepared struct {
	*served
	proposed []byte
}

func (p *prepared) Pack(ctx context.Context, want string, haves []string, to io.Writer) error {
	if p.proposed == nil {
		return p.served.Pack(ctx, want, haves, to)
	}
	_, err := to.Write(p.proposed)
	return err
}

// TestAMergeIsAsGitMakesIt, in random histories of a few files. We may see a conflict
// where git sees none, never the other way round.
func TestAMergeIsAsGitMakesIt(t *testing.T) {
	t.Parallel()
	var commits []gittest.Commit
	var ends [][2]int
	for seed := range int64(100) {
		rng := rand.New(rand.NewSource(seed))
		fork := len(commits)
		end := [2]int{fork, fork}
		commits = append(commits, gittest.Commit{Files: map[string]string{"a": letters(rng), "dir/b": letters(rng), "dir/deep/c": letters(rng)}, Modes: map[string]string{}})
		for side := range end {
			for range 1 + rng.Intn(3) {
				next := changed(rng, commits[end[side]])
				next.Parents = []int{end[side]}
				end[side] = len(commits)
				commits = append(commits, next)
			}
		}
		ends = append(ends, end)
	}
	r, dir, merges := proposals(t, commits, ends)
	before := snapshot(t, dir)
	clean, conflicts, stricter := 0, 0, 0
	for seed, by := range merges {
		want := by.git
		m, err := r.Merge(t.Context(), by.base, by.head)
		conflict, _ := errors.AsType[*git.ConflictError](err)
		switch {
		case conflict != nil && want == "":
			conflicts++
		case conflict != nil:
			stricter++
			t.Logf("seed %d: we are stricter: %v", seed, err)
		case err != nil:
			t.Fatalf("seed %d: %v", seed, err)
		case want == "":
			t.Fatalf("seed %d: git sees a conflict and we do not", seed)
		default:
			clean++
			if got, err := m.Tree().TreeID("."); err != nil || got != want {
				t.Errorf("seed %d: tree %s, git makes %s: %v", seed, got, want, err)
			}
			if names := differing(t, commits[ends[seed][0]], m.Tree()); !slices.Equal(names, m.Changed()) {
				t.Errorf("seed %d: %q is changed, not %q", seed, names, m.Changed())
			}
			must(t, m.Close())
		}
	}
	if after := snapshot(t, dir); after != before {
		t.Errorf("the clone is another one\n%s\n%s", before, after)
	}
	t.Logf("%d clean, %d conflicts, %d where we are stricter", clean, conflicts, stricter)
	if clean < 40 || conflicts < 30 || stricter > 3 {
		t.Errorf("%d clean, %d conflicts, %d where we are stricter", clean, conflicts, stricter)
	}
}

// merge is one to make, and what git makes of it: a tree, or "" for a conflict.
type merge struct{ base, head, git string }

// proposals is a repo that has the base of each merge, and a server that gives the
// heads. Both are places in a list of commits.
func proposals(t *testing.T, commits []gittest.Commit, ends [][2]int) (r *git.Repo, dir string, merges []merge) {
	t.Helper()
	s := &prepared{served: &served{upstream: newUpstream(t)}}
	all := gittest.Commit{} // has every base behind it
	for _, end := range ends {
		all.Parents = append(all.Parents, end[0])
	}
	ids := gittest.Import(t, s.dir, append(commits, all))
	dir = filepath.Join(t.TempDir(), "state/git/acme")
	r = open(t, dir, git.Remote{URL: "https://git.internal/acme/fleet.git", Branch: "main", Server: s})
	fetch(t, r)
	var pairs [][2]string
	heads := "^main\n"
	for _, end := range ends {
		pairs = append(pairs, [2]string{ids[end[0]], ids[end[1]]})
		heads += ids[end[1]] + "\n"
	}
	s.proposed = []byte(s.gitRaw(heads, "pack-objects", "--revs", "--stdout", "-q"))
	for i, tree := range gittest.Merges(t, s.dir, pairs) {
		merges = append(merges, merge{pairs[i][0], pairs[i][1], tree})
	}
	return r, dir, merges
}

// letters is a text of twelve lines, some of which are alike.
func letters(rng *rand.Rand) string {
	var b strings.Builder
	for range 12 {
		fmt.Fprintf(&b, "%c\n", 'a'+rng.Intn(20))
	}
	return b.String()
}

// changed is a commit after one more change to one of its files.
func changed(rng *rand.Rand, c gittest.Commit) gittest.Commit {
	c = gittest.Commit{Files: maps.Clone(c.Files), Modes: maps.Clone(c.Modes)}
	name := []string{"a", "dir/b", "dir/deep/c", "new", "new/in"}[rng.Intn(5)]
	lines := slices.Collect(strings.Lines(c.Files[name]))
	at := rng.Intn(len(lines) + 1)
	line := fmt.Sprintf("line %d\n", rng.Intn(4))
	switch what := rng.Intn(10); {
	case what == 0:
		delete(c.Files, name)
		return c
	case what == 1 && len(lines) > 0:
		c.Modes[name] = map[string]string{"": "100755"}[c.Modes[name]]
	case what < 6 || at == len(lines):
		lines = slices.Insert(lines, at, line)
	case what < 8:
		lines = slices.Delete(lines, at, at+1)
	default:
		lines[at] = line
	}
	switch name { // one of them is a file where the other has a folder
	case "new":
		delete(c.Files, "new/in")
	case "new/in":
		delete(c.Files, "new")
	}
	c.Files[name] = strings.Join(lines, "")
	return c
}

// differing are the files that a tree does not have as a commit has them, sorted.
func differing(t *testing.T, c gittest.Commit, tree *git.Tree) (names []string) {
	t.Helper()
	have, err := contents(tree)
	must(t, err)
	all := maps.Clone(have)
	maps.Copy(all, c.Files)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, is := have[name]
		was, had := c.Files[name]
		info, err := tree.Stat(name)
		if is != had || text != was || is && (err != nil || (info.Mode()&0o100 != 0) != (c.Modes[name] == "100755")) {
			names = append(names, name)
		}
	}
	return names
}

// snapshot lists what is in the clone.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(filepath.Join(dir, "repo"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256(data))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "proposed", "*")); len(left) > 0 {
		fmt.Fprintf(&b, "left over: %q\n", left)
	}
	return b.String()
}

// proposing is a repo with a branch "side" that changes a file.
func proposing(t *testing.T) (s *served, r *git.Repo, base, head string) {
	t.Helper()
	u := newUpstream(t)
	s = &served{upstream: u, any: true}
	u.write(map[string]string{"a": "one\ntwo\nthree\n"})
	u.git("add", "-A")
	u.git("commit", "-q", "-m", "fork")
	r, _ = clonedFrom(t, s)
	base = fetch(t, r)
	u.git("checkout", "-q", "-b", "side")
	u.write(map[string]string{"a": "one\n2\nthree\n"})
	u.git("commit", "-qam", "side")
	head = u.git("rev-parse", "HEAD")
	u.git("checkout", "-q", "main")
	return s, r, base, head
}

func TestAMergeOfWhatIsMergedChangesNothing(t *testing.T) {
	s, r, base, head := proposing(t)
	m, err := r.Merge(t.Context(), base, head)
	if err != nil || !slices.Equal(m.Changed(), []string{"a"}) {
		t.Fatalf("%v %v", m, err)
	}
	text, err := m.Tree().ReadFile("a")
	if err != nil || string(text) != "one\n2\nthree\n" {
		t.Errorf("%q %v", text, err)
	}
	m.Close()
	s.git("merge", "-q", "--no-edit", "side")
	m, err = r.Merge(t.Context(), fetch(t, r), head)
	if err != nil || len(m.Changed()) > 0 {
		t.Fatalf("%v %v", m, err)
	}
	m.Close()
}

func TestWhatAStrangerProposesIsBounded(t *testing.T) {
	s, r, base, head := proposing(t)
	s.pack = func(pack []byte) []byte { return pack[:len(pack)-30] }
	if _, err := r.Merge(t.Context(), base, head); err == nil {
		t.Error("half a pack was taken")
	}
	s.pack = nil
	s.strict = true
	if _, err := r.Merge(t.Context(), base, head); !errors.Is(err, git.ErrGone) {
		t.Errorf("a head that moved: %v", err)
	}
	s.strict = false
	for _, bad := range []string{"main", "", strings.ToUpper(head)} {
		if _, err := r.Merge(t.Context(), base, bad); err == nil {
			t.Errorf("%q was merged", bad)
		}
	}
	s.git("checkout", "-q", "--orphan", "other")
	s.git("commit", "-q", "--allow-empty", "-m", "from nowhere")
	orphan := s.git("rev-parse", "HEAD")
	s.git("checkout", "-q", "main")
	if _, err := r.Merge(t.Context(), base, orphan); err == nil || !strings.Contains(err.Error(), "no common history") {
		t.Errorf("unrelated histories: %v", err)
	}
	s.git("checkout", "-q", "side")
	must(t, os.Symlink("/etc/passwd", filepath.Join(s.dir, "link")))
	link := s.commit("a link", nil)
	s.git("checkout", "-q", "main")
	if _, err := r.Merge(t.Context(), base, link); !errors.As(err, new(*git.UnfitError)) || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a symbolic link: %v", err)
	}
	m, err := r.Merge(t.Context(), base, head)
	if err != nil {
		t.Fatalf("after all that: %v", err)
	}
	m.Close()
}

// hanging is a server that answers what the branch stands at, and no pack.
type hanging struct {
	*served
	asked chan struct{}
}

func (h *hanging) Pack(ctx context.Context, want string, haves []string, to io.Writer) error {
	if want == h.git("rev-parse", "main") {
		return h.served.Pack(ctx, want, haves, to)
	}
	close(h.asked)
	<-ctx.Done()
	return ctx.Err()
}

func TestASlowProposalHoldsUpNoFetch(t *testing.T) {
	s, _, _, head := proposing(t)
	h := &hanging{s, make(chan struct{})}
	r := open(t, filepath.Join(t.TempDir(), "state/git/acme"), git.Remote{URL: "https://git.internal/acme/fleet.git", Branch: "main", Server: h})
	base := fetch(t, r)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		_, err := r.Merge(ctx, base, head)
		over <- err
	}()
	<-h.asked
	s.write(map[string]string{"b": "more\n"})
	s.git("add", "-A")
	s.git("commit", "-q", "-m", "more")
	if got := fetch(t, r); got == base {
		t.Error("the branch was not fetched")
	}
	stop()
	if err := <-over; err == nil {
		t.Error("a merge of nothing")
	}
}

// A proposal of many new files: what it costs must not grow with how often the clone
// is asked in vain.
func BenchmarkMergeOf5000NewFiles(b *testing.B) {
	u := large(b, 1000)
	s := &served{upstream: u, any: true}
	r := open(b, filepath.Join(b.TempDir(), "state/git/acme"), git.Remote{URL: "https://git.internal/acme/fleet.git", Branch: "main", Server: s})
	for i := range 20 { // a pack each
		fetch(b, r)
		u.commit("more", map[string]string{"fleet.yaml": fmt.Sprint("format: 1 # ", i)})
	}
	base := fetch(b, r)
	files := map[string]string{}
	for i := range 5000 {
		files[fmt.Sprintf("clusters/prod-eu/files/%04d.yaml", i)] = fmt.Sprintf("file: %d\n", i)
	}
	head := u.commit("many", files)
	b.ReportAllocs()
	for b.Loop() {
		m, err := r.Merge(b.Context(), base, head)
		if err != nil || len(m.Changed()) != len(files) {
			b.Fatal(err)
		}
		must(b, m.Close())
	}
}

func TestACheckoutIsReadAtARevision(t *testing.T) {
	u := newUpstream(t)
	u.write(map[string]string{"fleets/prod/fleet.yaml": "one\n"})
	u.git("add", "-A")
	u.git("commit", "-q", "-m", "one")
	first := u.git("rev-parse", "HEAD")
	u.write(map[string]string{"fleets/prod/fleet.yaml": "two\n"})
	u.git("commit", "-qam", "two")
	u.git("gc", "-q")
	beside := filepath.Join(t.TempDir(), "worktree")
	u.git("worktree", "add", "-q", beside, "-b", "other")
	for _, folder := range []string{u.dir, beside} {
		tree, commit, err := git.Checkout(filepath.Join(folder, "fleets/prod"), "HEAD~1")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := tree.ReadFile("fleet.yaml"); err != nil || string(text) != "one\n" || commit != first {
			t.Errorf("%q at %s: %v", text, commit, err)
		}
	}
	if _, _, err := git.Checkout(u.dir, "nowhere"); err == nil || !strings.Contains(err.Error(), "git fetch it first") {
		t.Error(err)
	}
	if _, _, err := git.Checkout(t.TempDir(), "main"); err == nil || !strings.Contains(err.Error(), "no git repository") {
		t.Error(err)
	}
}
