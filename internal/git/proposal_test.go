package git_test

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// TestWhatIsMoreThanTextIsMergedAsGitDoesIt: modes, and a file against a folder. (A 9 is
// nothing that git could take for a renamed 1.)
func TestWhatIsMoreThanTextIsMergedAsGitDoesIt(t *testing.T) {
	c := func(modes map[string]string, files ...string) gittest.Commit {
		commit := gittest.Commit{Files: map[string]string{"other": "x\n"}, Modes: modes}
		for _, f := range files {
			name, text, _ := strings.Cut(f, "=")
			commit.Files[name] = text
		}
		return commit
	}
	run, link := map[string]string{"a": "100755"}, map[string]string{"a": "120000"}
	cases := []struct {
		name             string
		fork, base, head gittest.Commit
		conflicts        []string
	}{
		{"one a mode, the other a line", c(nil, "a=1"), c(run, "a=1"), c(nil, "a=2"), nil},
		{"the other way round", c(nil, "a=1"), c(nil, "a=2"), c(run, "a=1"), nil},
		{"both the same mode", c(nil, "a=1"), c(run, "a=1"), c(run, "a=1"), nil},
		{"both the same mode, and a line each", c(run, "a=1"), c(nil, "a=2"), c(nil, "a=3"), []string{"a"}},
		{"both add it, one to be run", c(nil), c(nil, "a=1"), c(run, "a=1"), []string{"a"}},
		{"one a link, the other a line", c(nil, "a=1"), c(nil, "a=2"), c(link, "a=other"), []string{"a"}},
		{"one a link, the other a mode", c(nil, "a=1"), c(link, "a=other"), c(run, "a=1"), []string{"a"}},
		{"one a folder, the other a line", c(nil, "a=1"), c(nil, "a/b=9"), c(nil, "a=2"), []string{"a"}},
		{"the other way round again", c(nil, "a=1"), c(nil, "a=2"), c(nil, "a/b=9"), []string{"a"}},
		{"one adds a file, the other a folder", c(nil), c(nil, "a=1"), c(nil, "a/b=1"), []string{"a"}},
		{"one a folder, and the other nothing there", c(nil, "a=1"), c(nil, "a=1", "b=2"), c(nil, "a/b=1"), nil},
		{"one takes it away, the other changes it", c(nil, "a=1"), c(nil), c(nil, "a=2"), []string{"a"}},
		{"both in a folder, one empties it", c(nil, "a/b=1", "a/c=1"), c(nil, "a/b=1"), c(nil, "a/c=1"), nil},
		{"two at once, in folders", c(nil, "d/a=1", "e/a=1"), c(nil, "d/a=2", "e/a=2"), c(nil, "d/a=3", "e/a=3"), []string{"d/a", "e/a"}},
	}
	var commits []gittest.Commit
	var ends [][2]int
	for _, c := range cases {
		at := len(commits)
		c.base.Parents, c.head.Parents = []int{at}, []int{at}
		commits, ends = append(commits, c.fork, c.base, c.head), append(ends, [2]int{at + 1, at + 2})
	}
	r, _, merges := proposals(t, commits, ends)
	for i, c := range cases {
		m, err := r.Merge(t.Context(), merges[i].base, merges[i].head)
		conflict, _ := errors.AsType[*git.ConflictError](err)
		switch {
		case conflict != nil:
			if !slices.Equal(conflict.Files, c.conflicts) || merges[i].git != "" {
				t.Errorf("%s: %v, git makes %s", c.name, err, merges[i].git)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if tree, err := m.Tree().TreeID("."); err != nil || tree != merges[i].git || c.conflicts != nil {
			t.Errorf("%s: tree %s, git makes %q: %v", c.name, tree, merges[i].git, err)
		}
		must(t, m.Close())
	}
}

// TestATreeThatGitWouldNotWriteIsNotMerged, whether it is taken as it is or merged name
// by name.
func TestATreeThatGitWouldNotWriteIsNotMerged(t *testing.T) {
	s := &prepared{served: &served{upstream: newUpstream(t)}}
	fork := s.commit("fork", fleet())
	moved := s.commit("moved", map[string]string{"new.yaml": "x\n"})
	r := open(t, filepath.Join(t.TempDir(), "state/git/acme"), git.Remote{URL: "https://git.internal/acme/fleet.git", Branch: "main", Server: s})
	fetch(t, r)
	raw := func(id string) string {
		b, err := hex.DecodeString(id)
		must(t, err)
		return string(b)
	}
	x, none := s.blob("x"), s.gitInput("", "mktree")
	blob, sub := raw(x), raw(none)
	for name, tree := range map[string]string{
		"parent":     "40000 ..\x00" + sub,
		"itself":     "40000 .\x00" + sub,
		"slash":      "100644 a/b\x00" + blob,
		"up":         "100644 ../../etc/passwd\x00" + blob,
		".git":       "40000 .git\x00" + sub,
		".GIT":       "100644 .GIT\x00" + blob,
		"twice":      "100644 a\x00" + blob + "100644 a\x00" + blob,
		"no name":    "100644 \x00" + blob,
		"no mode":    " a\x00" + blob,
		"cut off":    "100644 a\x00" + blob[:10],
		"not a tree": "hello",
		"a device":   "020000 a\x00" + blob,
	} {
		id := s.gitInput(tree, "hash-object", "-w", "--literally", "-t", "tree", "--stdin")
		head := s.git("commit-tree", "-p", fork, "-m", "raw", id)
		s.proposed = []byte(s.gitRaw(strings.Join([]string{head, id, x, none}, "\n")+"\n", "pack-objects", "--stdout", "-q"))
		for _, base := range []string{fork, moved} {
			if m, err := r.Merge(t.Context(), base, head); !errors.As(err, new(*git.UnfitError)) || errors.Is(err, git.ErrDamaged) {
				t.Errorf("%s: %v %v", name, m, err)
			}
		}
	}
}

// TestAProposalThatIsIncompleteIsNotADamagedClone: who is told of a damaged clone looks
// for it on this machine.
func TestAProposalThatIsIncompleteIsNotADamagedClone(t *testing.T) {
	s := &prepared{served: &served{upstream: newUpstream(t)}}
	s.commit("fork", fleet())
	fork := s.commit("three lines", map[string]string{"fleet.yaml": "one\ntwo\nthree\n"})
	moved := s.commit("moved", map[string]string{"fleet.yaml": "ONE\ntwo\nthree\n"})
	dir := filepath.Join(t.TempDir(), "state/git/acme")
	r := open(t, dir, git.Remote{URL: "https://git.internal/acme/fleet.git", Branch: "main", Server: s})
	fetch(t, r)
	before := snapshot(t, dir)
	s.git("checkout", "-q", "-b", "side", fork)
	s.commit("first", map[string]string{"clusters/prod-eu/tls/ca.crt": "another\n"})
	head := s.commit("second", map[string]string{"fleet.yaml": "one\ntwo\nTHREE\n", "new/file": "new\n"})
	s.git("checkout", "-q", "main")
	all := strings.Fields(s.git("rev-list", "--objects", "--no-object-names", head, "^"+moved))
	if len(all) != 11 { // two commits, six folders and three files
		t.Fatalf("%d objects", len(all))
	}
	unneeded := s.git("rev-parse", head+"~1^{tree}")
	for _, out := range all {
		rest := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return id == out })
		s.proposed = []byte(s.gitRaw(strings.Join(rest, "\n")+"\n", "pack-objects", "--stdout", "-q"))
		m, err := r.Merge(t.Context(), moved, head)
		switch {
		case err == nil && out == unneeded:
			must(t, m.Close())
		case err == nil || !strings.Contains(err.Error(), "the proposal is incomplete: the server did not send object "+out):
			t.Errorf("without %s: %v", out, err)
		case errors.Is(err, git.ErrDamaged) || errors.As(err, new(*git.UnfitError)) || errors.Is(err, git.ErrGone):
			t.Errorf("without %s, whose fault it is: %v", out, err)
		}
		if after := snapshot(t, dir); after != before {
			t.Errorf("the clone is another one\n%s\n%s", before, after)
		}
	}
	s.proposed = []byte(s.gitRaw(strings.Join(all, "\n")+"\n", "pack-objects", "--stdout", "-q"))
	loose(t, s.upstream, dir)
	for _, object := range []string{fork, moved + ":fleet.yaml", fork + ":fleet.yaml", moved + "^{tree}", moved + ":docs"} {
		id := s.git("rev-parse", object)
		path := filepath.Join(dir, "repo/objects", id[:2], id[2:])
		must(t, os.Rename(path, path+".gone"))
		if _, err := r.Merge(t.Context(), moved, head); !errors.Is(err, git.ErrDamaged) {
			t.Errorf("a clone without %s: %v", object, err)
		}
		must(t, os.Rename(path+".gone", path))
	}
	m, err := r.Merge(t.Context(), moved, head)
	must(t, err)
	if text, err := m.Tree().ReadFile("fleet.yaml"); err != nil || string(text) != "ONE\ntwo\nTHREE\n" {
		t.Errorf("%q %v", text, err)
	}
	must(t, m.Close())
}
