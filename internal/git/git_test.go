package git_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// upstream is a repository that the tests commit to with the git program.
type upstream struct {
	t   testing.TB
	dir string
}

func newUpstream(t testing.TB) upstream {
	t.Helper()
	u := upstream{t, filepath.Join(t.TempDir(), "fleet")}
	must(t, os.Mkdir(u.dir, 0o755))
	u.git("init", "-q", "-b", "main")
	return u
}

func (u upstream) git(args ...string) string {
	u.t.Helper()
	return u.gitInput("", args...)
}

func (u upstream) gitInput(stdin string, args ...string) string {
	u.t.Helper()
	return strings.TrimSpace(u.gitRaw(stdin, args...))
}

// gitRaw is gitInput where what git prints is no text.
func (u upstream) gitRaw(stdin string, args ...string) string {
	u.t.Helper()
	return gittest.Run(u.t, u.dir, stdin, args...)
}

// write puts files into the working tree; an empty content takes one away.
func (u upstream) write(files map[string]string) {
	u.t.Helper()
	for name, content := range files {
		path := filepath.Join(u.dir, name)
		must(u.t, os.MkdirAll(filepath.Dir(path), 0o755))
		if content == "" {
			must(u.t, os.Remove(path))
			continue
		}
		must(u.t, os.WriteFile(path, []byte(content), 0o644))
	}
}

func (u upstream) commit(message string, files map[string]string) string {
	u.t.Helper()
	u.write(files)
	u.git("add", "-A")
	u.git("commit", "-q", "--allow-empty", "-m", message)
	return u.git("rev-parse", "HEAD")
}

// tree commits a tree that is given as `git ls-tree` prints it. Of the git
// program's own checks only those on trees of its own making are lost.
func (u upstream) tree(listing string) string {
	u.t.Helper()
	tree := u.gitInput(listing, "mktree", "--missing")
	commit := u.git("commit-tree", "-m", "made by hand", tree)
	u.git("update-ref", "refs/heads/main", commit)
	return commit
}

func (u upstream) blob(content string) string {
	u.t.Helper()
	return u.gitInput(content, "hash-object", "-w", "--stdin")
}

// fleet is what most tests commit.
func fleet() map[string]string {
	return map[string]string{
		"fleet.yaml":                     "format: 1\nfleet: acme\n",
		"clusters/prod-eu/cluster.yaml":  "cluster: prod-eu\n",
		"clusters/prod-eu/tls/ca.crt":    "ca\n",
		"clusters/prod-us/cluster.yaml":  "cluster: prod-us\n",
		"environments/production.yaml":   "rules: production\n",
		"docs/a folder/with ümläut ☃.md": "text\n",
	}
}

func open(t testing.TB, dir string, remote git.Remote) *git.Repo {
	t.Helper()
	r, err := git.Open(t.Context(), dir, remote)
	must(t, err)
	return r
}

// cloned is a clone of an upstream's main branch, not fetched yet.
func cloned(t testing.TB, u upstream) (*git.Repo, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state/git/acme")
	return open(t, dir, git.Remote{URL: "file://" + u.dir, Branch: "main"}), dir
}

func fetch(t testing.TB, r *git.Repo) string {
	t.Helper()
	commit, err := r.Fetch(t.Context())
	must(t, err)
	return commit
}

func at(t testing.TB, r *git.Repo, commit string) *git.Tree {
	t.Helper()
	tree, err := r.At(commit)
	must(t, err)
	return tree
}

// contents are all files of a tree.
func contents(tree fs.FS) (map[string]string, error) {
	all := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(tree, name)
		all[name] = string(data)
		return err
	})
	return all, err
}

func expect(t testing.TB, tree fs.FS, want map[string]string) {
	t.Helper()
	got, err := contents(tree)
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

func TestACommitIsReadAsItWasCommitted(t *testing.T) {
	u := newUpstream(t)
	u.write(map[string]string{"run.sh": "#!/bin/sh\n"})
	must(t, os.Chmod(filepath.Join(u.dir, "run.sh"), 0o755))
	want := u.commit("first", fleet())
	r, dir := cloned(t, u)
	if last, ok, err := r.Last(); ok || err != nil {
		t.Fatalf("before the first fetch: %q, %v", last, err)
	}

	t.Setenv("PATH", t.TempDir()) // from here on there is no git program
	if got := fetch(t, r); got != want {
		t.Fatalf("fetched %s, want %s", got, want)
	}
	if last, ok, err := r.Last(); !ok || last != want || err != nil {
		t.Fatalf("last %q, %v, %v", last, ok, err)
	}
	tree := at(t, r, want)
	files := fleet()
	files["run.sh"] = "#!/bin/sh\n"
	expect(t, tree, files)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	must(t, fstest.TestFS(tree, names...))
	if info, err := tree.Stat("run.sh"); err != nil || info.Mode() != 0o555 || !info.ModTime().Equal(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("run.sh: %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "fleet.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was checked out")
	}
	sub, err := fs.Sub(tree, "clusters/prod-eu")
	must(t, err)
	expect(t, sub, map[string]string{"cluster.yaml": "cluster: prod-eu\n", "tls/ca.crt": "ca\n"})
}

func TestAFetchMovesOnAndKeepsWhatWas(t *testing.T) {
	u := newUpstream(t)
	one := u.commit("one", fleet())
	r, dir := cloned(t, u)
	fetch(t, r)
	old := at(t, r, one)
	two := u.commit("two", map[string]string{"fleet.yaml": "format: 2\n", "clusters/prod-us/cluster.yaml": ""})
	three := u.commit("three", map[string]string{"new.yaml": "x\n"})
	if got := fetch(t, r); got != three {
		t.Fatalf("fetched %s, want %s", got, three)
	}
	if got := fetch(t, r); got != three {
		t.Fatalf("nothing new: %s, want %s", got, three)
	}
	want := fleet()
	expect(t, old, want)
	expect(t, at(t, r, one), want)
	want["fleet.yaml"] = "format: 2\n"
	delete(want, "clusters/prod-us/cluster.yaml")
	expect(t, at(t, open(t, dir, git.Remote{URL: "file://" + u.dir, Branch: "main"}), two), want)

	u.git("reset", "-q", "--hard", one)
	rewound := u.commit("another two", map[string]string{"fleet.yaml": "format: 3\n"})
	if got := fetch(t, r); got != rewound {
		t.Fatalf("after a forced push: %s, want %s", got, rewound)
	}
	at(t, r, three) // what was accepted before can still be read
	u.git("reset", "-q", "--hard", one)
	if got := fetch(t, r); got != one {
		t.Fatalf("after a rewind: %s, want %s", got, one)
	}
}

func TestAnUnchangedFolderKeepsItsID(t *testing.T) {
	u := newUpstream(t)
	one := u.commit("one", fleet())
	two := u.commit("two", map[string]string{"clusters/prod-us/cluster.yaml": "cluster: prod-us # changed\n"})
	r, _ := cloned(t, u)
	fetch(t, r)
	id := func(commit, name string) string {
		s, err := at(t, r, commit).TreeID(name)
		must(t, err)
		return s
	}
	for name, same := range map[string]bool{".": false, "clusters": false, "clusters/prod-eu": true, "clusters/prod-us": false,
		"clusters/prod-us/cluster.yaml": false, "environments": true, "fleet.yaml": true} {
		if (id(one, name) == id(two, name)) != same {
			t.Errorf("%s: same ID %v, want %v", name, !same, same)
		}
	}
	if got, want := id(two, "clusters/prod-eu"), u.git("rev-parse", two+":clusters/prod-eu"); got != want {
		t.Errorf("ID %s, git says %s", got, want)
	}
	if _, err := at(t, r, one).TreeID("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestTheFleetMayBeAFolderOfARepository(t *testing.T) {
	u := newUpstream(t)
	must(t, os.Symlink("README", filepath.Join(u.dir, "link outside of the fleet")))
	commit := u.commit("one", map[string]string{"README": "x", "fleets/acme/fleet.yaml": "fleet: acme\n", "fleets/other/fleet.yaml": "fleet: other\n"})
	for _, path := range []string{"fleets/acme", "fleets/acme/", "./fleets/acme"} {
		r := open(t, t.TempDir(), git.Remote{URL: u.dir, Branch: "main", Path: path})
		fetch(t, r)
		expect(t, at(t, r, commit), map[string]string{"fleet.yaml": "fleet: acme\n"})
	}
	for _, path := range []string{"fleets/none", "README", "fleets/acme/fleet.yaml"} {
		r := open(t, t.TempDir(), git.Remote{URL: u.dir, Branch: "main", Path: path})
		fetch(t, r)
		if _, err := r.At(commit); err == nil || !strings.Contains(err.Error(), "it has no folder "+path) || errors.Is(err, git.ErrDamaged) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestWithoutTheRemoteTheLastCommitStands(t *testing.T) {
	u := newUpstream(t)
	commit := u.commit("one", fleet())
	r, dir := cloned(t, u)
	fetch(t, r)
	must(t, os.Rename(u.dir, u.dir+".gone"))
	for _, r := range []*git.Repo{r, open(t, dir, git.Remote{URL: "file://" + u.dir, Branch: "main"})} {
		if _, err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "no git repository at "+u.dir) {
			t.Errorf("fetch: %v", err)
		}
		last, ok, err := r.Last()
		if last != commit || !ok || err != nil {
			t.Fatalf("last %s, %v, %v", last, ok, err)
		}
		expect(t, at(t, r, last), fleet())
	}
}

func TestABranchThatIsMissingIsNamedWithThoseThereAre(t *testing.T) {
	u := newUpstream(t)
	r, dir := cloned(t, u)
	if _, err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "it has none at all yet") {
		t.Errorf("an empty repository: %v", err)
	}
	commit := u.commit("one", fleet())
	u.git("branch", "develop")
	fetch(t, r)
	r = open(t, dir, git.Remote{URL: "file://" + u.dir, Branch: "master"})
	if _, err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "no branch master; it has develop, main") {
		t.Errorf("%v", err)
	}
	if last, ok, err := r.Last(); ok || err != nil {
		t.Errorf("another branch's commit is taken for this one's: %s, %v", last, err)
	}
	r = open(t, dir, git.Remote{URL: "file://" + u.dir, Branch: "develop"})
	if got := fetch(t, r); got != commit {
		t.Errorf("fetched %s", got)
	}
}

func TestARefThatIsNoBranchIsNotFollowed(t *testing.T) {
	u := newUpstream(t)
	u.commit("one", fleet())
	u.git("update-ref", "refs/tags/main2", "HEAD")
	u.git("update-ref", "refs/remotes/origin/main3", "HEAD")
	for _, branch := range []string{"main2", "main3", "origin/main3"} {
		r := open(t, t.TempDir(), git.Remote{URL: u.dir, Branch: branch})
		if got, err := r.Fetch(t.Context()); err == nil {
			t.Errorf("%s: fetched %s", branch, got)
		}
	}
}

func TestRemotesThatCannotBeAreRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		remote git.Remote
		want   string
	}{
		{git.Remote{URL: "https://user:hunter2@git.internal/acme/fleet.git", Branch: "main"}, "not on this machine"},
		{git.Remote{URL: "ssh://git@git.internal/acme/fleet.git", Branch: "main"}, "not on this machine"},
		{git.Remote{URL: "git@git.internal:acme/fleet.git", Branch: "main"}, "not a URL"},
		{git.Remote{URL: "git://git.internal/fleet.git", Branch: "main"}, "not on this machine"},
		{git.Remote{URL: "ext::sh -c id", Branch: "main"}, "not on this machine"},
		{git.Remote{URL: "./fleet", Branch: "main"}, "not on this machine"},
		{git.Remote{URL: "--upload-pack=id", Branch: "main"}, "not on this machine"},
		{git.Remote{URL: "", Branch: "main"}, "not on this machine"},
		{git.Remote{URL: "file://srv/fleet", Branch: "main"}, "three slashes"},
		{git.Remote{URL: "/srv/fleet", Branch: ""}, "name of a branch"},
		{git.Remote{URL: "/srv/fleet", Branch: "../main"}, "name of a branch"},
		{git.Remote{URL: "/srv/fleet", Branch: "a..b"}, "name of a branch"},
		{git.Remote{URL: "/srv/fleet", Branch: "a b"}, "name of a branch"},
		{git.Remote{URL: "/srv/fleet", Branch: "a\nb"}, "name of a branch"},
		{git.Remote{URL: "/srv/fleet", Branch: "main.lock"}, "name of a branch"},
		{git.Remote{URL: "/srv/fleet", Branch: "main", Path: "../x"}, "folder within"},
		{git.Remote{URL: "/srv/fleet", Branch: "main", Path: "/x"}, "folder within"},
	} {
		_, err := git.Open(t.Context(), dir, c.remote)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v; want %q", c.remote, err, c.want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("a refused remote left %v", entries)
	}
}

func TestRepositoriesOfEveryKindAreRead(t *testing.T) {
	u := newUpstream(t)
	u.commit("one", fleet())
	commit := u.commit("two", map[string]string{"two": "2"})
	u.git("tag", "-a", "-m", "x", "v1")
	want := fleet()
	want["two"] = "2"
	base := t.TempDir()
	kinds := map[string]string{
		"with a working tree": u.dir,
		"its .git folder":     filepath.Join(u.dir, ".git"),
		"bare":                filepath.Join(base, "bare"),
		"packed":              filepath.Join(base, "packed"),
		"with alternates":     filepath.Join(base, "shared"),
		"linked working tree": filepath.Join(base, "linked"),
	}
	u.git("clone", "-q", "--bare", u.dir, kinds["bare"])
	u.git("clone", "-q", "--bare", u.dir, kinds["packed"])
	u.git("--git-dir="+kinds["packed"], "gc", "-q", "--aggressive")
	u.git("--git-dir="+kinds["packed"], "pack-refs", "--all")
	u.git("clone", "-q", "--shared", u.dir, kinds["with alternates"])
	u.git("worktree", "add", "-q", kinds["linked working tree"])
	for name, path := range kinds {
		r := open(t, t.TempDir(), git.Remote{URL: path, Branch: "main"})
		got, err := r.Fetch(t.Context())
		if err != nil || got != commit {
			t.Errorf("%s: %s, %v", name, got, err)
			continue
		}
		expect(t, at(t, r, commit), want)
	}

	shallow := filepath.Join(base, "shallow")
	u.git("clone", "-q", "--depth=1", "file://"+u.dir, shallow)
	newer := filepath.Join(base, "sha256")
	u.git("init", "-q", "-b", "main", "--object-format=sha256", newer)
	for path, want := range map[string]string{shallow: "--unshallow", newer: "sha256", base: "no git repository"} {
		r := open(t, t.TempDir(), git.Remote{URL: path, Branch: "main"})
		if _, err := r.Fetch(t.Context()); err == nil || !strings.Contains(strings.ToLower(err.Error()), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
}

func TestAFetchChangesNothingAtTheRemote(t *testing.T) {
	u := newUpstream(t)
	u.commit("one", fleet())
	for _, hook := range []string{"pre-receive", "post-checkout", "reference-transaction", "post-index-change"} {
		must(t, os.WriteFile(filepath.Join(u.dir, ".git/hooks", hook), []byte("#!/bin/sh\ntouch "+u.dir+"/hooked\n"), 0o755))
	}
	snapshot := func() (all []string) {
		must(t, filepath.WalkDir(u.dir, func(path string, d fs.DirEntry, err error) error {
			info, e := d.Info()
			if err == nil && e == nil {
				all = append(all, fmt.Sprint(path, info.Mode(), info.Size(), info.ModTime()))
			}
			return errors.Join(err, e)
		}))
		return all
	}
	before := snapshot()
	r, _ := cloned(t, u)
	fetch(t, r)
	fetch(t, r)
	if d := cmp.Diff(before, snapshot()); d != "" {
		t.Fatal(d)
	}
}

func TestACommitIsDescribedInPlainText(t *testing.T) {
	u := newUpstream(t)
	plain := u.commit("diff: block when a voter is unknown\n\nbody", fleet())
	hostile := u.commit("\x1b[31mred\x1b[0m "+"\u202etxt "+strings.Repeat("x", 300), nil)
	r, _ := cloned(t, u)
	fetch(t, r)
	c, err := r.Info(plain)
	must(t, err)
	if c.ID != plain || c.Short != plain[:12] || c.Subject != "diff: block when a voter is unknown" || c.Author != "Alice" ||
		!c.Time.Equal(time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", c)
	}
	c, err = r.Info(hostile)
	must(t, err)
	if strings.ContainsAny(c.Subject, "\x1b\u202e") || len([]rune(c.Subject)) > 201 || !strings.HasPrefix(c.Subject, "[31mred[0m txt x") {
		t.Errorf("%q", c.Subject)
	}
	for _, none := range []string{"", "main", plain[:12], strings.ToUpper(plain), strings.Repeat("0", 40), strings.Repeat("g", 40), plain + "\n", u.git("rev-parse", plain+"^{tree}")} {
		_, err1 := r.Info(none)
		_, err2 := r.At(none)
		if err1 == nil || err2 == nil || errors.Is(err2, git.ErrDamaged) {
			t.Errorf("%q: %v, %v", none, err1, err2)
		}
	}
}

func TestManyFetchersAndReadersShareAClone(t *testing.T) {
	u := newUpstream(t)
	u.commit("one", fleet())
	_, dir := cloned(t, u)
	remote := git.Remote{URL: "file://" + u.dir, Branch: "main"}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			r, err := git.Open(context.Background(), dir, remote)
			for range 5 {
				if err != nil {
					t.Error(err)
					return
				}
				var commit string
				if commit, err = r.Fetch(context.Background()); err != nil {
					continue
				}
				var tree *git.Tree
				if tree, err = r.At(commit); err == nil {
					_, err = contents(tree)
				}
			}
		})
	}
	for i := range 10 {
		u.commit(fmt.Sprint(i), map[string]string{"n": fmt.Sprint(i)})
	}
	group.Wait()
}

func TestATreeIsReadByManyAtOnce(t *testing.T) {
	u := newUpstream(t)
	commit := u.commit("one", fleet())
	r, _ := cloned(t, u)
	fetch(t, r)
	tree := at(t, r, commit)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if got, err := contents(tree); err != nil || !cmp.Equal(got, fleet()) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	group.Wait()
}
