package git_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// What a fleet repo may not hold takes the whole commit out, and all of it is
// told at once: a link that was skipped would make a cluster look absent.
func TestWhatAFleetRepoMayNotHoldIsNamed(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	first := u.commit("one", fleet())
	blob, sub, big := u.blob("x"), u.gitInput("", "mktree"), u.blob(strings.Repeat("x", 1<<20+1))
	exactly := u.blob(strings.Repeat("y", 1<<20))
	file := func(mode, id, name string) string { return mode + " blob " + id + "\t" + name + "\x00" }
	r, _ := cloned(t, u)
	fetch(t, r)
	deep := gittest.Import(t, u.dir, []gittest.Commit{{Files: map[string]string{strings.Repeat("d/", 33) + "f": "x"}}})[0]
	deep = u.git("rev-parse", deep+"^{tree}")
	for name, c := range map[string]struct {
		listing string // as `git ls-tree -z` prints
		want    []string
	}{
		"nothing wrong":     {file("100644", blob, "a") + file("100755", exactly, "b"), nil},
		"a link":            {file("120000", blob, "clusters"), []string{`"clusters": it is a symbolic link`}},
		"a submodule":       {"160000 commit " + first + "\tclusters\x00", []string{`"clusters": it is a submodule`}},
		"both, and a third": {file("120000", blob, "b") + "160000 commit " + first + "\ta\x00" + file("100644", big, "c"), []string{`"a": it is a sub`, `"b": it is a sym`, `"c": it has 1048577 bytes`}},
		"names twice":       {file("100644", blob, "CLUSTER.yaml") + file("100644", blob, "cluster.yaml"), []string{`"cluster.yaml": its folder holds that name twice`}},
		"file and folder":   {file("100644", blob, "a") + "040000 tree " + sub + "\tA\x00", []string{"twice"}},
		"escape sequence":   {file("100644", blob, "a\x1b[31mb"), []string{`"a\x1b[31mb": its name`}},
		"newline":           {file("100644", blob, "a\nb"), []string{`"a\nb": its name`}},
		"backslash":         {file("100644", blob, `a\b`), []string{"its name"}},
		"not UTF-8":         {file("100644", blob, "a\xff"), []string{`its name`}},
		"long path":         {file("100644", blob, strings.Repeat("x", 256)), []string{"longer than 255"}},
		"deep":              {"040000 tree " + deep + "\td\x00", []string{"deeper than 32"}},
	} {
		tree := u.gitInput(c.listing, "mktree", "-z", "--missing")
		commit := u.git("commit-tree", "-m", name, tree)
		u.git("update-ref", "refs/heads/main", commit)
		if got := fetch(t, r); got != commit {
			t.Fatalf("%s: fetched %s", name, got)
		}
		_, err := r.At(commit)
		if (err == nil) != (c.want == nil) || errors.Is(err, git.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v\nwant %s", name, err, want)
			}
		}
	}
	expect(t, at(t, r, first), fleet())
}

// rawTree commits a tree of bytes that git itself would not write.
func (u upstream) rawTree(raw string) string {
	u.t.Helper()
	commit := u.stamp(u.object("tree", raw))
	u.point(commit)
	return commit
}

func TestTreesThatGitWouldNotWriteAreRefused(t *testing.T) {
	u := newUpstream(t)
	first := u.commit("one", fleet())
	id := func(hash string) (raw string) {
		_, err := fmt.Sscanf(hash, "%x", &raw)
		must(t, err)
		return raw
	}
	blob, sub := id(u.blob("x")), id(u.gitInput("", "mktree"))
	r, _ := cloned(t, u)
	fetch(t, r)
	for name, raw := range map[string]string{
		"parent":             "40000 ..\x00" + sub,
		"itself":             "40000 .\x00" + sub,
		"slash":              "100644 a/b\x00" + blob,
		".git":               "40000 .git\x00" + sub,
		".GIT":               "40000 .GIT\x00" + sub,
		"twice":              "100644 a\x00" + blob + "100644 a\x00" + blob,
		"no mode":            " a\x00" + blob,
		"no name":            "100644 \x00" + blob,
		"cut off":            "100644 a\x00" + blob[:10],
		"not a tree":         "hello",
		"a device":           "020000 a\x00" + blob,
		"a file as a folder": "40000 a\x00" + blob,
	} {
		commit := u.rawTree(raw)
		_, err := r.Fetch(t.Context())
		if err == nil {
			_, err = r.At(commit)
		}
		if err == nil || errors.Is(err, git.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	expect(t, at(t, r, first), fleet())

	// A folder as a file is only seen when it is read.
	tree := at(t, r, func() string { u.rawTree("100644 a\x00" + sub); return fetch(t, r) }())
	if _, err := tree.ReadFile("a"); err == nil || errors.Is(err, git.ErrDamaged) {
		t.Errorf("a folder as a file: %v", err)
	}
}

func TestALFSPointerIsNotTheFile(t *testing.T) {
	u := newUpstream(t)
	commit := u.commit("one", map[string]string{
		"vault.zip": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n", "fleet.yaml": "x"})
	r, _ := cloned(t, u)
	fetch(t, r)
	tree := at(t, r, commit)
	_, err1 := tree.ReadFile("vault.zip")
	_, err2 := tree.Open("vault.zip")
	for _, err := range []error{err1, err2} {
		if err == nil || !strings.Contains(err.Error(), "vault.zip: it is a Git LFS pointer") {
			t.Errorf("%v", err)
		}
	}
	if _, err := tree.ReadFile("fleet.yaml"); err != nil {
		t.Error(err)
	}
}

func TestTooManyFilesAreRefused(t *testing.T) {
	u := newUpstream(t)
	blob := u.blob("x")
	var wide strings.Builder
	for i := range 100 {
		fmt.Fprintf(&wide, "100644 blob %s\tf%d\n", blob, i)
	}
	bomb := u.gitInput(wide.String(), "mktree")
	for range 4 { // a hundred to the power of five, from five objects
		wide.Reset()
		for i := range 100 {
			fmt.Fprintf(&wide, "040000 tree %s\td%d\n", bomb, i)
		}
		bomb = u.gitInput(wide.String(), "mktree")
	}
	commit := u.tree("040000 tree " + bomb + "\tbomb\n")
	r, _ := cloned(t, u)
	fetch(t, r)
	if _, err := r.At(commit); err == nil || !strings.Contains(err.Error(), "more than 100000 files") {
		t.Fatalf("%v", err)
	}
}

// loose unpacks a clone, so that each object is a file.
func loose(t testing.TB, u upstream, dir string) []string {
	t.Helper()
	packs, err := filepath.Glob(filepath.Join(dir, "repo/objects/pack/*.pack"))
	must(t, err)
	for _, pack := range packs {
		moved := filepath.Join(t.TempDir(), "pack")
		must(t, os.Rename(pack, moved))
		data, err := os.ReadFile(moved)
		must(t, err)
		u.gitInput(string(data), "--git-dir="+filepath.Join(dir, "repo"), "unpack-objects", "-q")
		must(t, os.Remove(strings.TrimSuffix(pack, ".pack")+".idx"))
	}
	objects, err := filepath.Glob(filepath.Join(dir, "repo/objects/??/*"))
	must(t, err)
	return objects
}

// This is the test for which go-git's tree walkers are not used: they end
// silently at a tree that is missing.
func TestAMissingObjectIsAnErrorAndNeverAnEmptyFolder(t *testing.T) {
	u := newUpstream(t)
	commit := u.commit("one", fleet())
	r, dir := cloned(t, u)
	fetch(t, r)
	objects := loose(t, u, dir)
	if len(objects) != 15 { // a commit, 8 folders and 6 files
		t.Fatalf("%d objects", len(objects))
	}
	expect(t, at(t, r, commit), fleet())
	for _, path := range objects {
		data, err := os.ReadFile(path)
		must(t, err)
		for name, damage := range map[string]func(){
			"missing": func() { must(t, os.Remove(path)) },
			"empty":   func() { must(t, os.WriteFile(path, nil, 0o600)) }, // as power cuts leave them
			"cut off": func() { must(t, os.WriteFile(path, data[:len(data)/2], 0o600)) },
		} {
			must(t, os.Chmod(path, 0o600))
			damage()
			tree, err := r.At(commit)
			if err == nil {
				_, err = contents(tree)
			}
			if !errors.Is(err, git.ErrDamaged) {
				t.Errorf("%s %s: %v", filepath.Base(path), name, err)
			}
			must(t, os.WriteFile(path, data, 0o600))
		}
	}
}

func TestASwappedObjectIsFoundByItsHash(t *testing.T) {
	u := newUpstream(t)
	commit := u.commit("one", fleet())
	u.git("rm", "-q", "-r", "clusters")
	without := u.commit("two", nil)
	r, dir := cloned(t, u)
	fetch(t, r)
	loose(t, u, dir)
	object := func(rev string) string {
		id := u.git("rev-parse", rev)
		return filepath.Join(dir, "repo/objects", id[:2], id[2:])
	}
	data, err := os.ReadFile(object(without + "^{tree}"))
	must(t, err)
	must(t, os.Chmod(object(commit+"^{tree}"), 0o600))
	must(t, os.WriteFile(object(commit+"^{tree}"), data, 0o600))
	if _, err := r.At(commit); !errors.Is(err, git.ErrDamaged) {
		t.Fatalf("another tree passed: %v", err)
	}
}

func TestEveryFlippedByteOfAPackIsFoundOrHarmless(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	want := map[string]string{"fleet.yaml": "format: 1\n", "clusters/prod-eu.yaml": "cluster: prod-eu\n"}
	commit := u.commit("one", want)
	r, dir := cloned(t, u)
	fetch(t, r)
	files, err := filepath.Glob(filepath.Join(dir, "repo/objects/pack/pack-*"))
	must(t, err)
	found := 0
	for _, path := range files {
		data, err := os.ReadFile(path)
		must(t, err)
		must(t, os.Chmod(path, 0o600))
		pack, err := os.OpenFile(path, os.O_WRONLY, 0)
		must(t, err)
		write := func(b byte, at int) { // in place: a file system flushes what replaces a file
			_, err := pack.WriteAt([]byte{b}, int64(at))
			must(t, err)
		}
		for i := range data {
			if i > 0 {
				write(data[i-1], i-1)
			}
			write(data[i]^0x10, i)
			_ = os.Remove(filepath.Join(dir, "damaged")) // which would be replaced, too
			tree, err := r.At(commit)
			if err != nil {
				found++
				continue
			}
			got, err := contents(tree)
			if err != nil {
				found++
				continue
			}
			if len(got) != len(want) {
				t.Fatalf("%s byte %d: %d files", path, i, len(got))
			}
			for name := range want {
				if got[name] != want[name] {
					t.Fatalf("%s byte %d: %s is %q", path, i, name, got[name])
				}
			}
		}
		write(data[len(data)-1], len(data)-1)
		must(t, pack.Close())
	}
	if found == 0 || len(files) != 2 {
		t.Fatalf("%d flips were found in %v", found, files)
	}
}

func TestADamagedCloneIsMadeAnewByTheNextFetch(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	commit := u.commit("one", fleet())
	r, dir := cloned(t, u)
	packs := func() []string {
		p, err := filepath.Glob(filepath.Join(dir, "repo/objects/pack/*"))
		must(t, err)
		return p
	}
	for name, damage := range map[string]func(){
		"no objects":  func() { must(t, os.RemoveAll(filepath.Join(dir, "repo/objects"))) },
		"no pack":     func() { must(t, os.Remove(packs()[1])) },
		"empty index": func() { must(t, os.Chmod(packs()[0], 0o600)); must(t, os.Truncate(packs()[0], 0)) },
		"empty pack":  func() { must(t, os.Chmod(packs()[1], 0o600)); must(t, os.Truncate(packs()[1], 0)) },
		"cut pack": func() {
			must(t, os.Chmod(packs()[1], 0o600))
			must(t, os.Truncate(packs()[1], 200))
		},
	} {
		fetch(t, r)
		expect(t, at(t, r, commit), fleet())
		damage()
		tree, err := r.At(commit)
		if err == nil {
			_, err = contents(tree)
		}
		if !errors.Is(err, git.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if last, ok, err := r.Last(); last != commit || !ok || err != nil {
			t.Errorf("%s: last is %q, %v", name, last, err)
		}
		must(t, os.Rename(u.dir, u.dir+".gone"))
		if _, err := r.Fetch(t.Context()); err == nil {
			t.Errorf("%s: fetched from nowhere", name)
		}
		must(t, os.Rename(u.dir+".gone", u.dir))
	}
	fetch(t, r)
	for name, head := range map[string]string{"empty": "", "zeros": "\x00\x00", "cut off": commit[:20] + "\n", "a name": "refs/heads/main\n"} {
		must(t, os.WriteFile(filepath.Join(dir, "repo/refs/reconciler/tracked"), []byte(head), 0o600))
		if _, _, err := r.Last(); !errors.Is(err, git.ErrDamaged) {
			t.Errorf("head %s: %v", name, err)
		}
		fetch(t, r)
		expect(t, at(t, r, commit), fleet())
	}
}

func TestADamagedRemoteChangesNothingHere(t *testing.T) {
	u := newUpstream(t)
	one := u.commit("one", fleet())
	r, _ := cloned(t, u)
	fetch(t, r)
	two := u.commit("two", map[string]string{"clusters/prod-eu/cluster.yaml": "cluster: prod-eu # changed\n"})
	object := func(rev string) string {
		id := u.git("rev-parse", rev)
		return filepath.Join(u.dir, ".git/objects", id[:2], id[2:])
	}
	other, err := os.ReadFile(object(one + ":fleet.yaml"))
	must(t, err)
	for _, rev := range []string{two, two + "^{tree}", two + ":clusters", two + ":clusters/prod-eu", two + ":clusters/prod-eu/cluster.yaml"} {
		path := object(rev)
		data, err := os.ReadFile(path)
		must(t, err)
		for name, damage := range map[string]func(){
			"missing": func() { must(t, os.Remove(path)) },
			"empty":   func() { must(t, os.WriteFile(path, nil, 0o600)) },
			"cut off": func() { must(t, os.WriteFile(path, data[:len(data)-4], 0o600)) },
			"another": func() { must(t, os.WriteFile(path, other, 0o600)) },
		} {
			must(t, os.Chmod(path, 0o600))
			damage()
			if got, err := r.Fetch(t.Context()); err == nil {
				t.Errorf("%s %s: fetched %s", rev, name, got)
			}
			if last, _, err := r.Last(); last != one || err != nil {
				t.Errorf("%s %s: last is %s, %v", rev, name, last, err)
			}
			must(t, os.WriteFile(path, data, 0o600))
		}
	}
	expect(t, at(t, r, one), fleet())
	if got := fetch(t, r); got != two {
		t.Fatalf("once it is mended: %s", got)
	}
	tree := at(t, r, two)
	if data, err := tree.ReadFile("clusters/prod-eu/cluster.yaml"); err != nil || string(data) != "cluster: prod-eu # changed\n" {
		t.Fatalf("%q, %v", data, err)
	}
}

func FuzzTree(f *testing.F) {
	u := newUpstream(f)
	u.commit("one", fleet())
	r, _ := cloned(f, u)
	f.Add([]byte("100644 a\x00" + strings.Repeat("\x01", 20)))
	f.Add([]byte("40000 clusters\x00" + strings.Repeat("\x02", 20) + "120000 b\x00" + strings.Repeat("\x01", 20)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		u.t = t
		u.rawTree(string(raw))
		commit, err := r.Fetch(t.Context())
		if err != nil {
			return
		}
		tree, err := r.At(commit)
		if errors.Is(err, git.ErrDamaged) {
			t.Fatalf("what was committed passes for damage: %v", err)
		}
		if err != nil {
			return
		}
		if _, err := contents(tree); errors.Is(err, git.ErrDamaged) {
			t.Fatalf("what was committed passes for damage: %v", err)
		}
	})
}

// TestWhatTheMachineDoesNotLetUsReadIsNotTheCommitsFault: neither damage, which
// would have the clone made anew, nor a mistake of whoever committed.
func TestWhatTheMachineDoesNotLetUsReadIsNotTheCommitsFault(t *testing.T) {
	u := newUpstream(t)
	commit := u.commit("one", fleet())
	r, dir := cloned(t, u)
	fetch(t, r)
	objects := loose(t, u, dir)
	tree := at(t, r, commit)
	if _, err := tree.ReadFile("none"); err == nil || tree.Err() != nil {
		t.Errorf("a file that was not committed: %v, %v", err, tree.Err())
	}
	for _, path := range objects {
		must(t, os.Remove(path))
		must(t, os.Symlink(path, path)) // too many links: neither missing nor wrong
	}
	for name, err := range map[string]error{
		"a commit": func() error { _, err := r.At(commit); return err }(),
		"a file":   func() error { _, err := tree.ReadFile("fleet.yaml"); return err }(),
		"the tree": tree.Err(),
	} {
		if !errors.Is(err, git.ErrUnread) || errors.Is(err, git.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
