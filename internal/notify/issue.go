package notify

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
)

// Of each fleet there is one issue that tells what is open. Its text is written anew by
// each message, and a comment is added only where something changed: an edit tells
// nobody. It is closed when nothing is open, and opened again when something is within
// two weeks; later there is a new one. A person may close it, too: then only what is new
// or worse opens it again.
//
// It is found by its first line and by its author: anybody can copy the line. What we
// need to know of it stands in its second line. Whoever may edit issues may have changed
// that, so it gives leave to nothing: at worst a comment is written twice or not at all.

// Tracker is where the issues of a fleet are. Its errors are those of forge.Client.
type Tracker interface {
	// OurIssues are those that we opened and that are open, or were closed since a time.
	OurIssues(ctx context.Context, since time.Time) ([]forge.Issue, error)
	OpenIssue(ctx context.Context, title, body string) (forge.Issue, error)
	EditIssue(ctx context.Context, was forge.Issue, body string, open bool) (forge.Issue, error)
	CommentIssue(ctx context.Context, number int, body string) error
}

// Issue is the sink that keeps the issues.
type Issue struct {
	// of is the tracker of a message's Source; false: that fleet has no forge.
	of   func(source string) (Tracker, bool)
	last map[string]opened // by Source
}

// opened is an issue that we opened just now, and that a list may not have yet.
type opened struct {
	forge.Issue
	at time.Time
}

// NewIssue keeps an issue for each source that has a tracker.
func NewIssue(of func(source string) (Tracker, bool)) *Issue {
	return &Issue{of: of, last: map[string]opened{}}
}

const (
	again    = 14 * 24 * time.Hour // for which an issue that was closed is opened again
	appears  = 5 * time.Minute     // within which a new issue is in the forge's list
	maxIssue = 60_000              // bytes of its text; GitHub takes 65,536 characters
	maxHeard = 20                  // messages that it remembers

	issueOpen = "<!-- reconciler:issue "
	noteOpen  = "<!-- reconciler:note "
	markClose = " -->"
)

// note is what an issue remembers.
type note struct {
	At    time.Time `json:"at"`    // of the message that it shows
	Heard []string  `json:"heard"` // IDs of messages that it was told, the newest first
	Clear bool      `json:"clear"` // nothing was open
}

// issueMark is the first line of a fleet's issue: there may be several fleets in one
// repo, and several reconcilers, each for some of its clusters.
func issueMark(source string) string {
	sum := sha256.Sum256([]byte(source))
	return issueOpen + hex.EncodeToString(sum[:8]) + markClose
}

// Send brings the fleet's issue to what the message says.
func (s *Issue) Send(ctx context.Context, m Message) error {
	t, ok := s.of(m.Source)
	if !ok {
		return &RefusedError{errors.New("the fleet has no forge, so there is nowhere to open an issue")}
	}
	ctx, end := context.WithTimeoutCause(ctx, longest, fmt.Errorf("it takes longer than %v", longest))
	defer end()
	err := s.tell(ctx, t, m)
	if errors.Is(err, forge.ErrNotFound) {
		delete(s.last, m.Source) // a person may have deleted it: next time it is looked for
	}
	if err != nil {
		return fmt.Errorf("keep the issue of %s: %w", m.Fleet, err)
	}
	return nil
}

func (s *Issue) tell(ctx context.Context, t Tracker, m Message) error {
	now := time.Now()
	all, err := t.OurIssues(ctx, now.Add(-again))
	if err != nil {
		return err
	}
	is := newest(all, issueMark(m.Source))
	if last := s.last[m.Source]; last.Number > is.Number && now.Sub(last.at) < appears {
		is = last.Issue
	}
	n := noteOf(is.Body)
	switch {
	case m.Clear && !is.Open && (n.Clear || is.Number == 0): // there is nothing to close
		return nil
	case is.Number == 0:
		return s.write(ctx, t, is, true, n, m)
	}
	if err := comment(ctx, t, is, n, m); err != nil || n.At.After(m.At) { // what it shows is newer, and stays
		return err
	}
	return s.write(ctx, t, is, isOpen(is, n, m), n, m)
}

// newest is the last issue of a fleet that was opened: those before are done with.
// Without a number there is none.
func newest(all []forge.Issue, mark string) (found forge.Issue) {
	for _, i := range all {
		first, _, _ := strings.Cut(i.Body, "\n")
		if strings.TrimSpace(first) == mark && i.Number > found.Number {
			found = i
		}
	}
	return found
}

// isOpen says whether an issue is to be open after a message.
func isOpen(is forge.Issue, n note, m Message) bool {
	switch {
	case m.Clear:
		return false
	case is.Open || n.Clear || m.Kind == New || m.Kind == Worse:
		return true
	}
	return false // a person closed it
}

// comment tells those who follow an issue what changed. On one that is locked, and on
// one that says nothing of what is open, nobody waits for that.
func comment(ctx context.Context, t Tracker, is forge.Issue, n note, m Message) error {
	change := m.Kind == New || m.Kind == Worse || m.Kind == Resolved
	if !change || is.Locked || slices.Contains(n.Heard, m.ID()) {
		return nil
	}
	text := "**" + m.Title + "**\n\n" + markdown(m)
	if m.Link != "" {
		text += "\n" + m.Link + "\n"
	}
	return t.CommentIssue(ctx, is.Number, fit(harmless(text), maxIssue, leftOut(m.Link)))
}

func issueTitle(m Message) string { return "reconciler: " + m.Fleet }

func markdown(m Message) string {
	if m.Markdown != "" {
		return m.Markdown
	}
	return "```\n" + strings.ReplaceAll(m.Text, "```", "'''") + "\n```\n"
}

// write has the forge take the issue's text: a shorter one where it says that this one
// is too long, or says nothing and does not keep it.
func (s *Issue) write(ctx context.Context, t Tracker, is forge.Issue, open bool, n note, m Message) error {
	n.At, n.Clear = m.At, m.Clear
	n.Heard = append([]string{m.ID()}, slices.DeleteFunc(n.Heard, func(id string) bool { return id == m.ID() })...)
	n.Heard = n.Heard[:min(len(n.Heard), maxHeard)]
	head := issueMark(m.Source) + "\n" + n.line() + "\n"
	for _, most := range []int{maxIssue, maxIssue / 4} {
		var err error
		now, body := is, head+page(m, most-len(head))
		if is.Number == 0 {
			now, err = t.OpenIssue(ctx, issueTitle(m), body)
			s.last[m.Source] = opened{now, time.Now()}
		} else {
			now, err = t.EditIssue(ctx, is, body, open)
		}
		if _, long := errors.AsType[*forge.TooLongError](err); long {
			continue
		}
		if err != nil || strings.HasPrefix(unixLines(now.Body), head) {
			return err
		}
		is = now
	}
	return errors.New("the forge does not keep the text of the issue, however short it is")
}

// page is all that is open now.
func page(m Message, most int) string {
	text := m.Page
	if text == "" {
		text = markdown(m)
	}
	return fit(harmless(text), most, leftOut(m.Link))
}

// harmless is Markdown that commands nobody: GitLab obeys lines that begin with a /.
func harmless(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if rest := strings.TrimLeft(line, " \t"); strings.HasPrefix(rest, "/") {
			line = strings.TrimSuffix(line, rest) + `\` + rest
		}
		out.WriteString(line)
	}
	return out.String()
}

func (n note) line() string {
	data, _ := json.Marshal(n) // plain data always marshals
	return noteOpen + base64.StdEncoding.EncodeToString(data) + markClose
}

// noteOf is what the second line of an issue says; nothing where it cannot be read.
func noteOf(body string) (n note) {
	_, rest, _ := strings.Cut(unixLines(body), "\n")
	line, _, _ := strings.Cut(rest, "\n")
	text, ok := strings.CutPrefix(strings.TrimSpace(line), noteOpen)
	data, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, markClose))
	if !ok || err != nil || json.Unmarshal(data, &n) != nil {
		return note{}
	}
	n.Heard = n.Heard[:min(len(n.Heard), maxHeard)]
	return n
}

func unixLines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }
