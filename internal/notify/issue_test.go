package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/outbound"
)

// board is a forge with issues. It keeps to what forges do: it lists what is ours and
// open, or was closed since, has no comment on what is locked, and takes only so much.
type board struct {
	issues   map[int]*forge.Issue
	theirs   map[int]bool // opened by somebody else
	comments map[int][]string
	last     int
	most     int  // bytes; 0: any
	silent   bool // it says 200 to what is too long, and keeps what it had
	unlisted int  // a number that the list has not yet
	fault    map[string]error
	asked    []string
}

func newBoard() *board {
	return &board{issues: map[int]*forge.Issue{}, theirs: map[int]bool{}, comments: map[int][]string{}, fault: map[string]error{}}
}

func (b *board) ask(what string) error {
	b.asked = append(b.asked, what)
	return b.fault[what]
}

func (b *board) OurIssues(_ context.Context, since time.Time) (list []forge.Issue, err error) {
	for n := 1; n <= b.last; n++ {
		if i := b.issues[n]; i != nil && !b.theirs[n] && n != b.unlisted && (i.Open || !i.Closed.Before(since)) {
			list = append(list, *i)
		}
	}
	return list, b.ask("list")
}

func (b *board) OpenIssue(_ context.Context, title, body string) (forge.Issue, error) {
	if err := b.ask("open"); err != nil {
		return forge.Issue{}, err
	}
	if b.most > 0 && len(body) > b.most {
		return forge.Issue{}, &forge.TooLongError{MaxBody: b.most}
	}
	b.last++
	b.issues[b.last] = &forge.Issue{Number: b.last, Title: title, Body: strings.ReplaceAll(body, "\n", "\r\n"), Open: true}
	return *b.issues[b.last], nil
}

func (b *board) EditIssue(_ context.Context, was forge.Issue, body string, open bool) (forge.Issue, error) {
	if err := b.ask("edit"); err != nil {
		return forge.Issue{}, err
	}
	i := b.issues[was.Number]
	if i == nil {
		return forge.Issue{}, fmt.Errorf("edit issue %d: %w", was.Number, forge.ErrNotFound)
	}
	if was.Open != i.Open {
		return forge.Issue{}, errors.New("it is not as it was thought to be")
	}
	if b.most > 0 && len(body) > b.most {
		if b.silent {
			return *i, nil
		}
		return forge.Issue{}, &forge.TooLongError{MaxBody: b.most}
	}
	if i.Open && !open {
		i.Closed = time.Now()
	}
	i.Body, i.Open = body, open
	return *i, nil
}

func (b *board) CommentIssue(_ context.Context, number int, body string) error {
	if err := b.ask("comment"); err != nil {
		return err
	}
	if b.issues[number].Locked {
		return fmt.Errorf("comment: %w", forge.ErrForbidden)
	}
	b.comments[number] = append(b.comments[number], body)
	return nil
}

// state is what a person sees: "1 open 2 comments", for each issue.
func (b *board) state() string {
	var all []string
	for n := 1; n <= b.last; n++ {
		i := b.issues[n]
		switch {
		case i == nil:
			all = append(all, fmt.Sprintf("%d gone", n))
		case i.Open:
			all = append(all, fmt.Sprintf("%d open %d", n, len(b.comments[n])))
		default:
			all = append(all, fmt.Sprintf("%d closed %d", n, len(b.comments[n])))
		}
	}
	return strings.Join(all, ", ")
}

// issues runs a story in which time passes at once.
func issues(t *testing.T, story func(b *board, send func(kind Kind, clear bool) error, want func(string))) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		s := NewIssue(func(source string) (Tracker, bool) { return b, source == "fleet.git" })
		count := 0
		story(b, func(kind Kind, clear bool) error {
			count++
			m := news(fmt.Sprint("story ", count))
			m.Kind, m.Clear, m.At = kind, clear, time.Now()
			m.Page = fmt.Sprintf("### Drift of acme, page %d\n", count)
			time.Sleep(time.Minute)
			return s.Send(t.Context(), m)
		}, func(state string) {
			t.Helper()
			if got := b.state(); got != state {
				t.Errorf("issues: %s\nwant %s", got, state)
			}
		})
	})
}

func TestAnIssueIsOpenedEditedClosedAndOpenedAgain(t *testing.T) {
	issues(t, func(b *board, send func(Kind, bool) error, want func(string)) {
		must(t, send(Digest, true)) // nothing is wrong
		want("")
		must(t, send(New, false))
		want("1 open 0") // its text is the news
		must(t, send(Digest, false))
		must(t, send(Unchecked, false))
		want("1 open 0") // neither is a change
		must(t, send(Worse, false))
		want("1 open 1")
		if said := b.comments[1][0]; !strings.HasSuffix(said, "\nhttps://reconciler.internal/D-121\n") {
			t.Errorf("the comment does not lead to the page:\n%s", said)
		}
		if text := unixLines(b.issues[1].Body); !strings.HasPrefix(text, issueMark("fleet.git")+"\n<!-- reconciler:note ") || !strings.HasSuffix(text, " -->\n### Drift of acme, page 5\n") || b.issues[1].Title != "reconciler: acme" {
			t.Errorf("%s\n%s", b.issues[1].Title, text)
		}
		must(t, send(Resolved, true))
		want("1 closed 2")
		edits := len(b.asked)
		must(t, send(Digest, true))
		if got := b.asked[edits:]; len(got) != 1 {
			t.Errorf("what is clear asks %q", got)
		}
		time.Sleep(13 * 24 * time.Hour)
		must(t, send(Digest, false))
		want("1 open 2")
		must(t, send(Resolved, true))
		time.Sleep(15 * 24 * time.Hour)
		must(t, send(New, false))
		want("1 closed 3, 2 open 0")
	})
}

func TestAnIssueThatAPersonClosedIsOpenedByNewsAlone(t *testing.T) {
	issues(t, func(b *board, send func(Kind, bool) error, want func(string)) {
		must(t, send(New, false))
		b.issues[1].Open, b.issues[1].Closed = false, time.Now()
		must(t, send(Digest, false))
		must(t, send(Unchecked, false))
		want("1 closed 0")
		must(t, send(Worse, false))
		want("1 open 1")
	})
}

func TestAnIssueThatAPersonDeletedIsOpenedAnew(t *testing.T) {
	issues(t, func(b *board, send func(Kind, bool) error, want func(string)) {
		must(t, send(New, false))
		b.issues[1] = nil
		err := send(Digest, false) // it was opened just now, so the list may only be late
		says(t, err, "keep the issue of acme", "edit issue 1")
		must(t, send(Digest, false))
		want("1 gone, 2 open 0")
		time.Sleep(time.Hour)
		b.issues[2] = nil
		must(t, send(New, false))
		want("1 gone, 2 gone, 3 open 0")
	})
}

func TestAnIssueThatIsNotInTheListYetIsNotOpenedTwice(t *testing.T) {
	issues(t, func(b *board, send func(Kind, bool) error, want func(string)) {
		b.unlisted = 1
		must(t, send(New, false))
		must(t, send(Worse, false))
		want("1 open 1")
	})
}

func TestAnIssueOfSomebodyElseIsNotOurs(t *testing.T) {
	issues(t, func(b *board, send func(Kind, bool) error, want func(string)) {
		b.last = 2
		b.issues[1] = &forge.Issue{Number: 1, Open: true, Body: issueMark("fleet.git") + "\nspoofed"}
		b.theirs[1] = true
		b.issues[2] = &forge.Issue{Number: 2, Open: true, Body: issueMark("other.git") + "\nof another fleet of ours\n" + issueMark("fleet.git")}
		must(t, send(New, false))
		want("1 open 0, 2 open 0, 3 open 0")
		if !strings.HasSuffix(b.issues[1].Body, "spoofed") || !strings.Contains(b.issues[2].Body, "of another fleet") {
			t.Error("somebody else's was edited")
		}
	})
}

func TestOnALockedIssueNobodyComments(t *testing.T) {
	issues(t, func(b *board, send func(Kind, bool) error, want func(string)) {
		must(t, send(New, false))
		b.issues[1].Locked = true
		must(t, send(Worse, false))
		must(t, send(Resolved, true))
		want("1 closed 0")
	})
}

func TestAnIssueHasAsMuchTextAsTheForgeTakes(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBoard()
			s := NewIssue(func(string) (Tracker, bool) { return b, true })
			m := news("first")
			m.Page = "short\n"
			must(t, s.Send(t.Context(), m))
			b.most, b.silent = 40_000, silent
			m.Key, m.Kind, m.Page = "long", Digest, "| a | b |\n|---|---|\n"+strings.Repeat("| a row | of many |\n", 10_000)
			must(t, s.Send(t.Context(), m))
			got := b.issues[1].Body
			if len(got) > maxIssue/4 || !strings.HasSuffix(got, " more lines: "+m.Link) || strings.Contains(got, "| a row |\n") {
				t.Errorf("%d bytes, and its end is %q", len(got), got[len(got)-80:])
			}
			b.most = 100
			m.Key = "longer"
			says(t, s.Send(t.Context(), m), "does not keep the text of the issue")
		})
	}
	b := newBoard()
	b.most = 40_000
	m := news("k")
	m.Page = strings.Repeat("a row\n", 20_000)
	must(t, NewIssue(func(string) (Tracker, bool) { return b, true }).Send(t.Context(), m))
	if got := b.state(); got != "1 open 0" || len(unixLines(b.issues[1].Body)) > maxIssue/4 {
		t.Errorf("%s: %d bytes", got, len(b.issues[1].Body))
	}
}

func TestAMessageIsCommentedOnceAndAnOlderOneShowsNothing(t *testing.T) {
	b := newBoard()
	s := NewIssue(func(string) (Tracker, bool) { return b, true })
	old, m := news("old"), news("k")
	m.At = old.At.Add(time.Hour)
	m.Page, old.Page = "newer\n", "older\n"
	old.Kind = Worse
	must(t, s.Send(t.Context(), news("first")))
	for range 3 {
		must(t, s.Send(t.Context(), m)) // as after a crash before it was noted
	}
	must(t, s.Send(t.Context(), old))
	if got := b.state(); got != "1 open 2" || !strings.HasSuffix(b.issues[1].Body, "newer\n") {
		t.Errorf("%s\n%s", got, b.issues[1].Body)
	}
}

func TestWhatStandsInAnIssueGivesNoCommand(t *testing.T) {
	b := newBoard()
	s := NewIssue(func(string) (Tracker, bool) { return b, true })
	m := news("k")
	m.Page = "/close\n  /label ~x\n/opt/vault is gone\n"
	must(t, s.Send(t.Context(), m))
	m.Key, m.Kind, m.Markdown, m.Text = "l", Worse, "", "/unlabel\n```\n/close\n"
	must(t, s.Send(t.Context(), m))
	for _, text := range []string{b.issues[1].Body, b.comments[1][0]} {
		for line := range strings.Lines(unixLines(text)) {
			if strings.HasPrefix(strings.TrimSpace(line), "/") {
				t.Errorf("a line is %q", line)
			}
		}
	}
}

func TestANoteThatSomebodyChangedIsNone(t *testing.T) {
	for _, line := range []string{"", "x", noteOpen + "!!" + markClose, noteOpen + "bm90IEpTT04=" + markClose, noteOpen} {
		if n := noteOf("mark\r\n" + line + "\r\ntext"); len(n.Heard) > 0 || n.Clear || !n.At.IsZero() {
			t.Errorf("%q: %+v", line, n)
		}
	}
	n := note{Heard: []string{"a"}, Clear: true, At: time.Unix(5, 0).UTC()}
	if got := noteOf("mark\r\n" + n.line() + "\r\ntext"); !got.Clear || !got.At.Equal(n.At) || len(got.Heard) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestFaultsOfAForgeAreTriedAgain(t *testing.T) {
	for _, what := range []string{"list", "open", "edit", "comment"} {
		b := newBoard()
		s := NewIssue(func(string) (Tracker, bool) { return b, true })
		if what != "open" && what != "list" {
			must(t, s.Send(t.Context(), news("first")))
		}
		b.fault[what] = &outbound.BusyError{Status: 403, After: time.Minute}
		m := news("k")
		err := s.Send(t.Context(), m)
		if busy, ok := errors.AsType[*outbound.BusyError](err); !ok || busy.After != time.Minute || isRefused(err) {
			t.Errorf("%s: %v", what, err)
		}
		delete(b.fault, what)
		must(t, s.Send(t.Context(), m))
	}
	err := NewIssue(func(string) (Tracker, bool) { return nil, false }).Send(t.Context(), news("k"))
	if says(t, err, "has no forge"); !isRefused(err) {
		t.Error(err)
	}
}
