package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const maxIssues = 1000

// Issue is one of the repository's issues. Title, Author and Body are foreign text:
// whoever may edit issues may have changed ours.
type Issue struct {
	Number int // above 0
	Title  string
	Author string // login
	Body   string
	URL    string // of its page
	Open   bool
	Locked bool // a person wants no comments on it
	Closed time.Time

	pull bool // GitHub and Gitea have pull requests among the issues
}

// move is what becomes of an issue besides its text.
type move string

const (
	stay    move = ""
	reopen  move = "reopen"
	closeIt move = "close"
)

// state is that of an issue afterwards, in the words of GitHub and Gitea; nil: as before.
func (m move) state() *string {
	switch m {
	case reopen:
		return new("open")
	case closeIt:
		return new("closed")
	}
	return nil
}

func (i Issue) valid() (Issue, error) {
	if i.Number <= 0 {
		return Issue{}, fmt.Errorf("it tells of issue %d", i.Number)
	}
	for _, text := range []*string{&i.Title, &i.Author, &i.Body, &i.URL} {
		*text = clean(*text)
	}
	return i, nil
}

// maxIssue is how many bytes a forge takes of the text of an issue or a pull request.
// GitHub takes 65,536 characters, and says 200 to a longer one without taking it.
func maxIssue(kind Kind) int {
	if kind == GitHub {
		return 65_536
	}
	return 1_000_000
}

func (c *client) OurIssues(ctx context.Context, since time.Time) ([]Issue, error) {
	me, err := c.Me(ctx)
	if err != nil {
		return nil, err
	}
	var ours []Issue
	for _, open := range []bool{true, false} {
		list, err := c.issuesOf(ctx, me, open, since)
		if err != nil {
			return nil, failed(err, c.rights().issue, "list our issues")
		}
		ours = append(ours, list...)
	}
	slices.SortFunc(ours, func(a, b Issue) int { return cmp.Compare(a.Number, b.Number) })
	return ours, nil
}

// issuesOf are the open ones, or those that were closed since a time. What a forge
// leaves in the list although it was asked not to is left out here.
func (c *client) issuesOf(ctx context.Context, me string, open bool, since time.Time) ([]Issue, error) {
	got, size := 0, 0
	list, more, err := all(maxIssues, func(i Issue) int { return i.Number }, func(page int) ([]Issue, int, error) {
		items, next, err := c.issues(ctx, me, open, since, page, got)
		got += len(items)
		for _, i := range items {
			size += len(i.Body)
		}
		if size > maxTexts {
			return nil, 0, fmt.Errorf("they are larger than %d MiB; close some", maxTexts>>20)
		}
		return items, next, err
	})
	if err == nil && more {
		err = fmt.Errorf("there are more than %d; give reconciler an account of its own, or close some", maxIssues)
	}
	if err != nil {
		return nil, err
	}
	var ours []Issue
	for _, i := range list {
		i, err := i.valid()
		if err != nil {
			return nil, err
		}
		if i.Author == me && i.Open == open && !i.pull && (open || !i.Closed.Before(since)) {
			ours = append(ours, i)
		}
	}
	return ours, nil
}

func (c *client) OpenIssue(ctx context.Context, title, body string) (Issue, error) {
	body = clean(body)
	err := c.checkIssue(body)
	if err == nil && strings.TrimSpace(title) == "" {
		err = errors.New("an issue has no title")
	}
	if err != nil {
		return Issue{}, err
	}
	i, err := c.openIssue(ctx, clean(title), body)
	if err == nil {
		i, err = i.valid()
	}
	return i, failed(err, c.rights().issue, "open an issue")
}

func (c *client) EditIssue(ctx context.Context, was Issue, body string, open bool) (Issue, error) {
	body = clean(body)
	if err := cmp.Or(checkIssueNumber(was.Number), c.checkIssue(body)); err != nil {
		return Issue{}, err
	}
	to := stay
	switch {
	case open && !was.Open:
		to = reopen
	case !open && was.Open:
		to = closeIt
	}
	i, err := c.editIssue(ctx, was.Number, body, to)
	if err == nil {
		i, err = i.valid()
	}
	return i, failed(err, c.rights().issue, "edit issue %d", was.Number)
}

func (c *client) CommentIssue(ctx context.Context, number int, body string) error {
	if err := checkIssueNumber(number); err != nil {
		return err
	}
	_, err := c.write(body, func(body string) (note, error) { return c.commentIssue(ctx, number, body) })
	return failed(err, c.rights().issue, "comment on issue %d", number)
}

func (c *client) checkIssue(body string) error {
	if len(body) > c.maxIssue {
		return &TooLongError{c.maxIssue}
	}
	return nil
}

func checkIssueNumber(number int) error {
	if number <= 0 {
		return fmt.Errorf("%d is no number of an issue", number)
	}
	return nil
}
