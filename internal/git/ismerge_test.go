package git_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git"
)

// TestACommitIsHeldAgainstWhatMergingGives, whoever made it and however.
func TestACommitIsHeldAgainstWhatMergingGives(t *testing.T) {
	s, r, base, head := proposing(t)
	s.write(map[string]string{"b": "of main\n"})
	s.git("add", "-A")
	s.git("commit", "-q", "-m", "main goes on")
	main := s.git("rev-parse", "HEAD")
	s.git("merge", "-q", "--no-ff", "--no-edit", "side")
	merge := s.git("rev-parse", "HEAD")
	tree := s.git("rev-parse", "HEAD^{tree}")
	squash := s.git("commit-tree", "-p", main, "-m", "squashed", tree)
	s.write(map[string]string{"b": "of main, and of somebody\n", "c": "more\n"})
	s.git("add", "-A")
	evil := s.git("commit-tree", "-p", main, "-p", head, "-m", "Merge side", s.git("write-tree"))
	s.git("reset", "-q", "--hard", main)
	s.write(map[string]string{"a": "one\ntwo!\nthree\n"})
	s.git("commit", "-qam", "main goes on at the same place")
	conflicting := s.git("rev-parse", "HEAD")
	for _, c := range []string{merge, squash, evil, conflicting} { // all of it is in the clone, as what a branch stands at is
		s.git("update-ref", "refs/heads/main", c)
		fetch(t, r)
	}
	s.git("branch", "-q", "-D", "side")
	for name, c := range map[string]struct{ commit, base, head, want string }{
		"a merge":                    {merge, main, head, ""},
		"a squash":                   {squash, main, head, ""},
		"one of a head that moved":   {merge, main, base, "differs from the merge in a"},
		"one with something besides": {evil, main, head, "differs from the merge in b, c"},
		"one without the other side": {main, main, head, "differs from the merge in a"},
		"one of another base":        {merge, base, head, "differs from the merge in b"},
		"a conflict":                 {conflicting, conflicting, head, "both sides changed a"},
		"a commit that is nowhere":   {strings.Repeat("a", 40), main, head, "not found"},
		"no commit":                  {"main", main, head, "is not a commit"},
	} {
		err := r.IsMerge(t.Context(), c.commit, c.base, c.head)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := r.IsMerge(t.Context(), evil, main, head); !errors.As(err, new(*git.DiffersError)) {
		t.Errorf("%v", err)
	}
}

// TestAHeadThatIsOnlyARefIsFetchedBesideTheClone: of a squash the branch does not have
// the commits that were reviewed.
func TestAHeadThatIsOnlyARefIsFetchedBesideTheClone(t *testing.T) {
	for _, way := range []string{"served", "on this machine"} {
		s, r, base, head := proposing(t)
		if way == "on this machine" {
			r, _ = cloned(t, s.upstream)
		}
		s.git("update-ref", "refs/pull/7/head", head)
		s.git("branch", "-q", "-D", "side")
		squash := s.git("commit-tree", "-p", base, "-m", "squashed", head+"^{tree}")
		s.git("update-ref", "refs/heads/main", squash)
		fetch(t, r)
		if got, err := r.Ref(t.Context(), "refs/pull/7/head"); err != nil || got != head {
			t.Errorf("%s: %s %v", way, got, err)
		}
		if _, err := r.Ref(t.Context(), "refs/pull/8/head"); err == nil {
			t.Errorf("%s: a ref that is not there", way)
		}
		if err := r.IsMerge(t.Context(), squash, base, head); err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
}

func TestTheMainlineIsOfFirstParents(t *testing.T) {
	u := newUpstream(t)
	tree := u.gitInput("", "mktree")
	names := map[string]string{}
	commit := func(name string, parents ...string) string {
		args := []string{"commit-tree", "-m", name}
		for _, p := range parents {
			args = append(args, "-p", p)
		}
		id := u.git(append(args, tree)...)
		names[id] = name
		return id
	}
	a := commit("a")
	side := commit("side", commit("begun", a))
	b := commit("b", a, side)
	c := commit("c", b)
	turned := commit("turned", side, a) // whose first parent is the other side
	d := commit("d", c, turned)
	u.git("update-ref", "refs/heads/main", d)
	r, _ := cloned(t, u)
	fetch(t, r)
	for _, w := range []struct {
		older, commit, want string
		reached             bool
	}{
		{a, d, "d c b", true},
		{c, d, "d", true},
		{d, d, "d", true},
		{"", d, "d", true},
		{strings.Repeat("a", 40), d, "d", false},
		{side, d, "d c b", false}, // it was merged, and is no first parent
		{b, turned, "turned", false},
		{a, turned, "turned side begun", true},
		{d, b, "b", false},
	} {
		var got []string
		reached, err := r.Mainline(t.Context(), w.older, w.commit, func(id string, object []byte) error {
			if raw := u.gitRaw("", "cat-file", "commit", id); raw != string(object) {
				t.Errorf("the object is %q", object)
			}
			got = append(got, names[id])
			return nil
		})
		if err != nil || reached != w.reached || !slices.Equal(got, strings.Fields(w.want)) {
			t.Errorf("%s..%s: %q %v %v, want %q %v", names[w.older], names[w.commit], got, reached, err, w.want, w.reached)
		}
	}
}
