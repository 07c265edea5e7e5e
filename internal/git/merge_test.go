package git_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git"
)

// judged is what git says of a merge: the tree that it gives, or "" for a conflict.
func judged(t *testing.T, u upstream, base, head string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "-c", "merge.renames=false", "merge-tree", "--write-tree", base, head)
	cmd.Dir = u.dir
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return ""
	}
	if err != nil {
		t.Fatalf("git merge-tree: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// Random histories of a few files are merged as git merges them. We may see a
// conflict where git sees none, never the other way round.
func TestAMergeIsAsGitMakesIt(t *testing.T) {
	clean, conflicts, stricter := 0, 0, 0
	for seed := range int64(25) {
		rng := rand.New(rand.NewSource(seed))
		u := newUpstream(t)
		s := &served{upstream: u, any: true}
		files := map[string][]string{}
		for _, name := range []string{"a", "dir/b", "dir/deep/c"} {
			for i := range 12 {
				files[name] = append(files[name], fmt.Sprintf("%s %d", name, i))
			}
		}
		scribble(t, u, files)
		u.git("add", "-A")
		u.git("commit", "-q", "-m", "fork")
		u.git("branch", "side")
		r, dir := clonedFrom(t, s)
		for _, branch := range []string{"main", "side"} {
			u.git("checkout", "-q", branch)
			own := map[string][]string{}
			for name, lines := range files {
				own[name] = slices.Clone(lines)
			}
			for range 1 + rng.Intn(3) {
				change(rng, own)
				scribble(t, u, own)
				u.git("add", "-A")
				u.git("commit", "-q", "--allow-empty", "-m", branch)
			}
		}
		u.git("checkout", "-q", "main")
		base := fetch(t, r)
		head := u.git("rev-parse", "side")
		want := judged(t, u, base, head)
		before := snapshot(t, dir)
		m, err := r.Merge(t.Context(), base, head)
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
			if names := u.git("diff", "--name-only", "--no-renames", base, want); names != strings.Join(m.Changed(), "\n") {
				t.Errorf("seed %d: %q is changed, git says %q", seed, m.Changed(), names)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
		if after := snapshot(t, dir); after != before {
			t.Errorf("seed %d: the clone is another one\n%s\n%s", seed, before, after)
		}
	}
	t.Logf("%d clean, %d conflicts, %d where we are stricter", clean, conflicts, stricter)
	if clean < 8 || conflicts < 5 || stricter > 3 {
		t.Errorf("%d clean, %d conflicts, %d where we are stricter", clean, conflicts, stricter)
	}
}

// change does something to one of the files.
func change(rng *rand.Rand, files map[string][]string) {
	names := []string{"a", "dir/b", "dir/deep/c", "new"}
	name := names[rng.Intn(len(names))]
	lines := files[name]
	at := rng.Intn(len(lines) + 1)
	switch what := rng.Intn(8); {
	case what == 0 && len(files) > 1:
		delete(files, name)
	case what < 4 || len(lines) == 0 || at == len(lines):
		files[name] = slices.Insert(slices.Clone(lines), at, fmt.Sprintf("line %d", rng.Intn(4)))
	case what < 6:
		files[name] = slices.Delete(slices.Clone(lines), at, at+1)
	default:
		lines = slices.Clone(lines)
		lines[at] = fmt.Sprintf("other %d", rng.Intn(4))
		files[name] = lines
	}
}

// scribble makes the checkout these files.
func scribble(t *testing.T, u upstream, files map[string][]string) {
	t.Helper()
	for _, old := range []string{"a", "dir", "new"} {
		if err := os.RemoveAll(filepath.Join(u.dir, old)); err != nil {
			t.Fatal(err)
		}
	}
	for name, lines := range files {
		u.write(map[string]string{name: strings.Join(lines, "\n") + "\n"})
	}
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
	s.git("checkout", "-q", "side")
	large := s.commit("large", map[string]string{"zeros": strings.Repeat("\x00", 17<<20)})
	s.git("rm", "-q", "zeros")
	s.git("commit", "-q", "-m", "and taken out again")
	for _, c := range []string{large, s.git("rev-parse", "HEAD")} {
		_, err := r.Merge(t.Context(), base, c)
		if unfit, _ := errors.AsType[*git.UnfitError](err); unfit == nil || !unfit.Large || unfit.Error() != "an object of it has 17 MiB, more than 16" {
			t.Errorf("an object that is too large: %v", err)
		}
	}
	s.git("checkout", "-q", "main")
	blob := s.git("rev-parse", "side:a")
	if _, err := r.Merge(t.Context(), base, blob); err == nil || errors.Is(err, git.ErrDamaged) {
		t.Errorf("a head that is no commit: %v", err)
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
