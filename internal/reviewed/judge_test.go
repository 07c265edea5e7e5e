package reviewed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/outbound"
	"github.com/vaultfleet/reconciler/internal/reviewed"
)

// The stories of who merged and reviewed what are told with git, keys and a forge in
// cmd/reconciler; here is what a judge makes of answers that do not come.

func id(name string) string { return (fmt.Sprintf("%x", name) + strings.Repeat("0", 40))[:40] }

func object(parents ...string) []byte {
	text := "tree " + id("tree") + "\n"
	for _, p := range parents {
		text += "parent " + id(p) + "\n"
	}
	return []byte(text + "author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nm\n")
}

// world answers as it is told to: a good merge of a good pull request, until something
// of it fails.
type world struct {
	forge.Client
	fails map[string]error // by what is asked
	spoil func(p *forge.Pull)
	asked []string
	now   time.Time
}

func (w *world) ask(what string) error {
	w.asked = append(w.asked, what)
	return w.fails[what]
}

func (w *world) pull() forge.Pull {
	p := forge.Pull{Number: 7, Author: "ada", Head: id("head"), BaseRef: "main", MergedCommit: id("merge"), Merged: true}
	if w.spoil != nil {
		w.spoil(&p)
	}
	return p
}

func (w *world) PullsOf(context.Context, string) ([]forge.Pull, error) {
	return []forge.Pull{w.pull()}, w.ask("pulls of")
}

func (w *world) Pull(context.Context, int) (forge.Pull, error) { return w.pull(), w.ask("pull") }

func (w *world) PullRef(number int) string { return fmt.Sprintf("refs/pull/%d/head", number) }

func (w *world) Reviews(context.Context, int) ([]forge.Review, error) {
	return []forge.Review{{Author: "kim", Commit: id("head"), Approved: true}, {Author: "mara", Commit: id("head"), Approved: true}}, w.ask("reviews")
}

func (w *world) InTeam(_ context.Context, user, team string) (bool, error) {
	return user == "mara" && team == "acme/ops", w.ask("team")
}

func (w *world) judge() *reviewed.Judge {
	return &reviewed.Judge{Forge: w, Branch: "main", Reviews: 1, Reviewers: []string{"acme/guests", "acme/ops"},
		Signed: func([]byte) error { return w.ask("signature") },
		Ref:    func(context.Context, string) (string, error) { return id("head"), w.ask("ref") },
		Merge:  func(context.Context, string, string, string) error { return w.ask("merge") },
		Now:    func() time.Time { return w.now },
	}
}

func TestWithoutAnAnswerNothingIsAccepted(t *testing.T) {
	down := errors.New("connection refused")
	for shape, parents := range map[string][]string{"a merge": {"base", "head"}, "a squash": {"base"}} {
		w := &world{fails: map[string]error{}}
		for _, what := range []string{"pulls of", "pull", "ref", "reviews", "team", "merge"} {
			if what == "ref" && shape == "a merge" {
				continue
			}
			w.fails = map[string]error{what: down}
			err := w.judge().Verify(t.Context(), id("merge"), object(parents...))
			silent, _ := errors.AsType[*reviewed.SilentError](err)
			if silent == nil || !errors.Is(err, down) || silent.Hint() == "" {
				t.Errorf("%s, without %s: %v", shape, what, err)
			}
		}
		w.fails = map[string]error{"signature": down}
		w.asked = nil
		if err := w.judge().Verify(t.Context(), id("merge"), object(parents...)); !errors.As(err, new(*reviewed.RefusedError)) || len(w.asked) > 1 {
			t.Errorf("%s that is not signed: %v, and %q is asked", shape, err, w.asked)
		}
		w.fails, w.asked = nil, nil
		j := w.judge()
		for range 2 {
			if err := j.Verify(t.Context(), id("merge"), object(parents...)); err != nil {
				t.Errorf("%s: %v", shape, err)
			}
		}
		if n := strings.Count(strings.Join(w.asked, " "), "reviews"); n != 1 {
			t.Errorf("%s: what was accepted is asked about %d times", shape, n)
		}
	}
}

func TestABusyForgeIsLeftAlone(t *testing.T) {
	w := &world{now: time.Unix(1, 0), fails: map[string]error{"reviews": fmt.Errorf("read: %w", &outbound.BusyError{Status: 429, After: time.Minute})}}
	j := w.judge()
	verify := func() error { return j.Verify(t.Context(), id("merge"), object("base", "head")) }
	first := verify()
	w.asked = nil
	w.now = w.now.Add(59 * time.Second)
	if again := verify(); again == nil || again.Error() != first.Error() || strings.Contains(strings.Join(w.asked, " "), "pull") {
		t.Errorf("%v, and %q was asked", again, w.asked)
	}
	w.fails, w.now = nil, w.now.Add(time.Second)
	if err := verify(); err != nil {
		t.Error(err)
	}
}

func TestAPullRequestThatIsNotToldOfWholeCountsForNothing(t *testing.T) {
	for want, spoil := range map[string]func(p *forge.Pull){
		"is not known any more":         func(p *forge.Pull) { p.Author = "" },
		"is not merged":                 func(p *forge.Pull) { p.Open = true },
		"which was not to go into main": func(p *forge.Pull) { p.BaseRef = "main2" },
		"it is not the commit that":     func(p *forge.Pull) { p.MergedCommit = "" },
		"and the head of pull request":  func(p *forge.Pull) { p.Head = id("other") },
	} {
		w := &world{spoil: spoil}
		err := w.judge().Verify(t.Context(), id("merge"), object("base", "head"))
		if !errors.As(err, new(*reviewed.RefusedError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestACommitOfAnotherShapeIsNoMerge(t *testing.T) {
	w := &world{}
	for want, object := range map[string][]byte{"it has 0 parents": object(), "it has 3 parents": object("a", "b", "c"), "it does not begin with its tree": []byte("parent x\n\n")} {
		err := w.judge().Verify(t.Context(), id("merge"), object)
		if refused, _ := errors.AsType[*reviewed.RefusedError](err); refused == nil || refused.Hint() == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
