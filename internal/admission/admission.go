package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// Policy says which commits have to be signed. Of those that people sign, a later one is
// stronger.
type Policy string

const (
	None        Policy = "none"         // none: whoever can push commands the fleet
	Head        Policy = "head"         // the one that the branch stands at
	EveryCommit Policy = "every-commit" // each since the last that was admitted
	Forge       Policy = "forge"        // each that the branch went through since then, by the forge
)

// Policies are all.
func Policies() []Policy { return []Policy{None, Head, EveryCommit, Forge} }

// atLeast says that a policy is as strong as another one. Whoever a person trusts, and
// what a forge does, are not held against each other.
func (p Policy) atLeast(other Policy) bool {
	if p == Forge || other == Forge {
		return p == other || other == None
	}
	return slices.Index(Policies(), p) >= slices.Index(Policies(), other)
}

// History reads commits; see [git.Repo.Between] and [git.Repo.Mainline].
type History interface {
	Mainline(ctx context.Context, older, commit string, each func(id string, object []byte) error) (reached bool, err error)
	Between(ctx context.Context, older, commit string, each func(id string, object []byte) error) (forward bool, err error)
}

// Gate admits the commits of one branch.
type Gate struct {
	File    string // of the mark; its folder is there
	History History
	Policy  Policy
	// Verify says why a commit, given with its object, is not signed by somebody who may,
	// or, under [Forge], is not what the forge may have made of it; or nil.
	Verify func(ctx context.Context, id string, object []byte) error
}

// mark is what was admitted last.
type mark struct {
	Format   int       `json:"format"`
	Commit   string    `json:"commit"`
	Policy   Policy    `json:"policy"` // that it was admitted under
	At       time.Time `json:"at"`
	Approved *Rewind   `json:"approved,omitempty"` // it was no way forward
}

// Rewind is a person's word that a branch may go back.
type Rewind struct {
	From   string    `json:"from"` // commit
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// format is that of the mark's file.
const format = 1

// HeldError says why the newest commit is not in force.
type HeldError struct {
	Newest string // commit
	Last   string // commit that was admitted last; empty: none
	Rewind bool   // it is no way forward; a person may approve that
	Err    error
}

func (e *HeldError) Error() string {
	stands := fmt.Sprintf("%.12s stays in force", e.Last)
	if e.Last == "" {
		stands = "no commit is in force"
	}
	return fmt.Sprintf("commit %.12s is held: %v; %s", e.Newest, e.Err, stands)
}

func (e *HeldError) Unwrap() error { return e.Err }

// Admit says which commit may be acted on while a branch stands at the newest one.
// Held says why it is not the newest. The error says that nothing is known.
func (g Gate) Admit(ctx context.Context, newest string) (commit string, held *HeldError, err error) {
	last, err := g.last()
	if err != nil {
		return "", nil, err
	}
	if newest == last.Commit && last.Policy.atLeast(g.Policy) {
		return newest, nil, nil
	}
	forward, why, err := g.judge(ctx, last.Commit, newest)
	if err != nil {
		return "", nil, err
	}
	if why == nil && !forward {
		why = fmt.Errorf("%.12s, which was in force, is not among its ancestors: the branch was rewound or force-pushed", last.Commit)
	}
	if why == nil {
		if err := g.note(mark{Commit: newest}); err != nil {
			return "", nil, err
		}
		return newest, nil, nil
	}
	held = &HeldError{Newest: newest, Last: last.Commit, Rewind: !forward, Err: why}
	if newest == last.Commit || !last.Policy.atLeast(g.Policy) { // nor is what was admitted before
		held.Last = ""
	}
	return held.Last, held, nil
}

// Last is the commit that was admitted last, "" if none was.
func (g Gate) Last() (string, error) {
	last, err := g.last()
	if !last.Policy.atLeast(g.Policy) {
		last.Commit = ""
	}
	return last.Commit, err
}

// Approve lets a branch go back to the commit that it stands at, if its signatures
// are what is asked for.
func (g Gate) Approve(ctx context.Context, newest string, word Rewind) error {
	last, err := g.last()
	if err != nil {
		return err
	}
	if last.Commit == "" {
		return errors.New("no commit was admitted yet, so none is behind it")
	}
	forward, why, err := g.judge(ctx, last.Commit, newest)
	switch {
	case err != nil:
		return err
	case forward:
		return fmt.Errorf("%.12s is not behind %.12s, which was admitted last: nothing is to approve", newest, last.Commit)
	case why != nil:
		return fmt.Errorf("%.12s cannot be approved: %w", newest, why)
	}
	word.From = last.Commit
	return g.note(mark{Commit: newest, Approved: &word})
}

// judge says whether a commit is a way forward, and why its signatures are not what
// is asked for.
func (g Gate) judge(ctx context.Context, last, newest string) (forward bool, why, err error) {
	if g.Policy == Forge {
		return g.judgeMerges(ctx, last, newest)
	}
	forward, err = g.History.Between(ctx, last, newest, func(id string, object []byte) error {
		if why != nil || g.Policy == None || g.Policy == Head && id != newest {
			return nil
		}
		if err := g.Verify(ctx, id, object); err != nil {
			why = onTheWay(newest, id, err)
		}
		return nil
	})
	return forward, why, err
}

// asksWithin bounds for how long a forge is asked at a time.
const asksWithin = 5 * time.Minute

// judgeMerges asks about the commits that the branch itself went through, the oldest
// first. What each of them merged is judged with it.
func (g Gate) judgeMerges(ctx context.Context, last, newest string) (forward bool, why, err error) {
	forward, err = g.History.Between(ctx, last, newest, func(string, []byte) error { return nil })
	if err != nil {
		return false, nil, err
	}
	type commit struct {
		id     string
		object []byte
	}
	var line []commit
	reached, err := g.History.Mainline(ctx, last, newest, func(id string, object []byte) error {
		line = append(line, commit{id, object})
		return nil
	})
	if err != nil {
		return false, nil, err
	}
	if forward && !reached {
		return forward, &AsideError{last}, nil
	}
	asking, cancel := context.WithTimeoutCause(ctx, asksWithin, fmt.Errorf("it took longer than %v", asksWithin))
	defer cancel()
	for _, c := range slices.Backward(line) {
		if err := g.Verify(asking, c.id, c.object); err != nil {
			return forward, onTheWay(newest, c.id, err), ctx.Err()
		}
	}
	return forward, nil, nil
}

// AsideError says that a branch did not go on from the commit in force, but was set to
// what had merged that.
type AsideError struct{ Last string }

func (e *AsideError) Error() string {
	return fmt.Sprintf("%.12s, which was in force, is not among its first parents: the branch was set to what had merged it", e.Last)
}

// Hint is what ends it.
func (e *AsideError) Hint() string {
	return fmt.Sprintf("reset the branch to %.12s, and merge on the forge", e.Last)
}

func onTheWay(newest, id string, err error) error {
	if id == newest {
		return err
	}
	return fmt.Errorf("commit %.12s, on the way to it: %w", id, err)
}

// last reads the mark. A file that is not there is a branch that was never
// followed; one that cannot be read is not.
func (g Gate) last() (mark, error) {
	text, err := os.ReadFile(g.File)
	if errors.Is(err, fs.ErrNotExist) {
		return mark{}, nil
	}
	if err != nil {
		return mark{}, fmt.Errorf("read which commit was admitted last: %w", err)
	}
	var m mark
	if err := json.Unmarshal(text, &m); err != nil || m.Format != format || len(m.Commit) != 40 || strings.Trim(m.Commit, "0123456789abcdef") != "" || !slices.Contains(Policies(), m.Policy) {
		return mark{}, fmt.Errorf("%s does not say which commit was admitted last; see docs/operations.md, A commit is held", g.File)
	}
	return m, nil
}

func (g Gate) note(m mark) error {
	m.Format, m.Policy, m.At = format, g.Policy, time.Now().UTC()
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(g.File, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("note which commit was admitted: %w", err)
	}
	return nil
}
