package admission_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/admission"
)

// history is commits by name, each with its parent; one whose name ends in ! is
// not signed.
type history map[string]string

// id is the ID of a commit: its name, in hex, and zeros.
func id(name string) string {
	h := fmt.Sprintf("%x", name)
	return h + strings.Repeat("0", 40-len(h))
}

func (h history) Between(_ context.Context, older, commit string, each func(id string, object []byte) error) (bool, error) {
	behind := map[string]bool{}
	for name := range h {
		if id(name) == older {
			for at := name; at != ""; at = h[at] {
				behind[at] = true
			}
		}
	}
	for name := range h {
		if id(name) != commit {
			continue
		}
		at := name
		for first := true; at != "" && (first || !behind[at]) && (first || older != ""); first = false {
			if err := each(id(at), []byte(at)); err != nil {
				return false, err
			}
			at = h[at]
		}
		return older == "" || id(at) == older || commit == older, nil
	}
	return false, errors.New("no such commit")
}

// Mainline has no side branches to leave out.
func (h history) Mainline(ctx context.Context, older, commit string, each func(id string, object []byte) error) (bool, error) {
	return h.Between(ctx, older, commit, each)
}

func verify(_ context.Context, _ string, object []byte) error {
	if strings.HasSuffix(string(object), "!") {
		return errors.New("it is not signed")
	}
	return nil
}

func gate(file string, h history, policy admission.Policy) admission.Gate {
	return admission.Gate{File: file, History: h, Policy: policy, Verify: verify}
}

// TestWhichCommitIsAdmitted goes through stories: a commit that the branch stands
// at, under a policy, and what is in force then. A word after / is in the reason.
func TestWhichCommitIsAdmitted(t *testing.T) {
	h := history{"a": "", "b": "a", "c": "b", "d!": "c", "e": "d!", "f!": "e", "b2": "a", "c2!": "b2", "x": ""}
	for name, story := range map[string]string{
		"forward":                                "none a a; none b b; none c c",
		"far forward":                            "none a a; none e e",
		"the same":                               "none b b; none b b",
		"a rewind":                               "none c c; none b c/rewound; none c c",
		"a rewind, and on from there":            "none c c; none b c/rewound; none e e",
		"a force-push":                           "none c c; none b2 c/rewound; none c2! c/rewound",
		"another history":                        "none c c; none x c/rewound",
		"signed":                                 "head a a; head b b",
		"the first one is not signed":            "head d! -/not signed; head e e",
		"not signed":                             "head c c; head d! c/not signed; head e e",
		"not signed, on the way":                 "every-commit c c; every-commit e c/on the way to it",
		"each is signed":                         "every-commit a a; every-commit c c",
		"a rewind to what is not signed":         "head c c; head c2! c/not signed",
		"a stronger policy and a good commit":    "none c c; every-commit c c",
		"a stronger policy and a bad commit":     "none d! d!; head d! -/not signed; head e e",
		"a stronger policy, bad on the way":      "none c c; every-commit e -/on the way",
		"a weaker policy":                        "every-commit c c; none d! d!",
		"weaker and back, with nothing in force": "head c c; none d! d!; head d! -/not signed",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "admitted")
			for _, line := range strings.Split(story, "; ") {
				f := strings.Fields(line)
				want, reason, held := strings.Cut(strings.Join(f[2:], " "), "/")
				if want = id(want); strings.HasPrefix(f[2], "-") {
					want = ""
				}
				g := gate(file, h, admission.Policy(f[0])) // anew, as after a restart
				got, why, err := g.Admit(t.Context(), id(f[1]))
				if err != nil || got != want || (why != nil) != held || held && !strings.Contains(why.Error(), reason) {
					t.Fatalf("%s: %s %v %v", line, got, why, err)
				}
				if last, err := g.Last(); err != nil || last != want {
					t.Errorf("%s: the last is %s: %v", line, last, err)
				}
			}
		})
	}
}

func TestARewindIsApprovedByAPerson(t *testing.T) {
	h := history{"a": "", "b": "a", "c": "b", "b2": "a", "c2!": "b2"}
	file := filepath.Join(t.TempDir(), "admitted")
	g := gate(file, h, admission.Head)
	word := admission.Rewind{By: "ada", Reason: "a mistake"}
	if err := g.Approve(t.Context(), id("a"), word); err == nil || !strings.Contains(err.Error(), "no commit was admitted yet") {
		t.Errorf("before anything: %v", err)
	}
	if _, held, err := g.Admit(t.Context(), id("b")); held != nil || err != nil {
		t.Fatal(held, err)
	}
	for commit, want := range map[string]string{"c": "nothing is to approve", "b": "nothing is to approve", "c2!": "cannot be approved: it is not signed"} {
		if err := g.Approve(t.Context(), id(commit), word); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", commit, err)
		}
	}
	if err := g.Approve(t.Context(), id("b2"), word); err != nil {
		t.Fatal(err)
	}
	if got, held, err := g.Admit(t.Context(), id("b2")); got != id("b2") || held != nil || err != nil {
		t.Errorf("%s %v %v", got, held, err)
	}
	if got, held, err := g.Admit(t.Context(), id("b")); got != id("b2") || held == nil || err != nil {
		t.Errorf("what was left behind is a force-push now: %s %v %v", got, held, err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `"by": "ada"`) || !strings.Contains(string(text), `"from": "`+id("b")) {
		t.Errorf("%s %v", text, err)
	}
}

// TestAMarkThatCannotBeReadAdmitsNothing: a damaged file is not a branch that was
// never followed.
func TestAMarkThatCannotBeReadAdmitsNothing(t *testing.T) {
	h := history{"a": ""}
	for _, text := range []string{"", "{}", "null", `{"format":2,"commit":"` + id("a") + `","policy":"none"}`, `{"format":1,"commit":"main","policy":"none"}`,
		`{"format":1,"commit":"` + id("a") + `","policy":"whatever"}`, `{"format":1,"commit":"` + strings.Repeat("Z", 40) + `","policy":"none"}`} {
		file := filepath.Join(t.TempDir(), "admitted")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g := gate(file, h, admission.None)
		if got, held, err := g.Admit(t.Context(), id("a")); err == nil || got != "" || held != nil {
			t.Errorf("%s: %s %v", text, got, held)
		}
		if got, err := g.Last(); err == nil || got != "" {
			t.Errorf("%s: %s", text, got)
		}
		if err := g.Approve(t.Context(), id("a"), admission.Rewind{}); err == nil {
			t.Errorf("%s: approved", text)
		}
	}
}

func TestAMarkThatCannotBeWrittenAdmitsNothing(t *testing.T) {
	g := gate(filepath.Join(t.TempDir(), "no", "folder"), history{"a": ""}, admission.None)
	if got, _, err := g.Admit(t.Context(), id("a")); err == nil || got != "" {
		t.Errorf("%s may be acted on, and after a restart nobody knows", got)
	}
}

// line is a branch's first parents, the oldest first, and what it was set to beside them.
type line []string

func (l line) Between(_ context.Context, older, commit string, _ func(string, []byte) error) (bool, error) {
	return older == "" || older != id("elsewhere"), nil
}

func (l line) Mainline(_ context.Context, older, commit string, each func(string, []byte) error) (bool, error) {
	for i := len(l) - 1; i >= 0; i-- {
		if id(l[i]) == older && commit != older {
			return true, nil
		}
		if err := each(id(l[i]), []byte(l[i])); err != nil || older == "" || commit == older {
			return older == "" || commit == older, err
		}
	}
	return false, nil
}

// TestTheMergesOfABranchAreAskedAboutFromTheOldestOn, those that lead on by first parents
// and no others.
func TestTheMergesOfABranchAreAskedAboutFromTheOldestOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "admitted")
	var asked []string
	at := func(l line) admission.Gate {
		asked = nil
		return admission.Gate{File: file, History: l, Policy: admission.Forge, Verify: func(ctx context.Context, id string, object []byte) error {
			asked = append(asked, string(object))
			if _, ends := ctx.Deadline(); !ends {
				t.Error("a forge may take as long as it likes")
			}
			return verify(ctx, id, object)
		}}
	}
	for _, step := range []struct {
		line             line
		asked, held, got string
	}{
		{line{"root", "a"}, "a", "", "a"},
		{line{"root", "a", "b", "c"}, "b c", "", "c"},
		{line{"root", "a", "b", "c"}, "", "", "c"}, // nobody is asked again
		{line{"c", "d!", "e"}, "d!", "on the way to it: it is not signed", "c"},
		{line{"root", "b2", "c2"}, "", "is not among its first parents", "c"},
		{line{"c", "d"}, "d", "", "d"},
	} {
		g := at(step.line)
		newest := id(step.line[len(step.line)-1])
		got, held, err := g.Admit(t.Context(), newest)
		if err != nil || got != id(step.got) || strings.Join(asked, " ") != step.asked || (held != nil) != (step.held != "") || held != nil && !strings.Contains(held.Error(), step.held) {
			t.Errorf("%q: %s, asked about %q: %v %v", step.line, got, asked, held, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if got, held, err := at(line{"d", "e!"}).Admit(ctx, id("e!")); !errors.Is(err, context.Canceled) || held != nil || got != "" {
		t.Errorf("whoever is stopped has no verdict: %s %v %v", got, held, err)
	}
}

// TestWhatPeopleSignAndWhatAForgeMergesAreNotHeldAgainstEachOther: a commit that was
// admitted under the one is not in force under the other.
func TestWhatPeopleSignAndWhatAForgeMergesAreNotHeldAgainstEachOther(t *testing.T) {
	for _, c := range []struct {
		before, after admission.Policy
		last          string
	}{
		{admission.EveryCommit, admission.Forge, ""}, {admission.Forge, admission.Head, ""}, {admission.Forge, admission.None, "a"},
		{admission.None, admission.Forge, ""}, {admission.Forge, admission.Forge, "a"},
	} {
		file := filepath.Join(t.TempDir(), "admitted")
		if _, held, err := gate(file, history{"a": ""}, c.before).Admit(t.Context(), id("a")); held != nil || err != nil {
			t.Fatal(held, err)
		}
		want := ""
		if c.last != "" {
			want = id(c.last)
		}
		if got, err := gate(file, history{"a": ""}, c.after).Last(); err != nil || got != want {
			t.Errorf("%s, then %s: %q %v", c.before, c.after, got, err)
		}
	}
}
