package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxPulls    = 500
	maxComments = 2000
	maxTexts    = 32 << 20 // bytes of all comments of one, or of all issues
	maxReviews  = 2000
	maxTeams    = 1000
	perPage     = 100
	maxPages    = 200 // of whatever size a forge makes them
)

// dialect is how one kind of forge is asked. It sends what was checked, and hands
// back what is not checked yet.
type dialect interface {
	me(ctx context.Context) (string, error)
	pulls(ctx context.Context, base string, page int) (list []Pull, next int, err error)
	pull(ctx context.Context, number int) (Pull, error)
	pullsOf(ctx context.Context, commit string) ([]Pull, error)
	queued(ctx context.Context, base string) ([]string, error)
	comments(ctx context.Context, number, page, got int) (list []note, next int, err error)
	comment(ctx context.Context, number int, body string) (note, error)
	edit(ctx context.Context, number int, id int64, body string) (note, error)
	react(ctx context.Context, number int, id int64, with Reaction) error
	setStatus(ctx context.Context, commit string, s Status) error
	reviews(ctx context.Context, number int) ([]said, error)
	issues(ctx context.Context, me string, open bool, since time.Time, page, got int) (list []Issue, next int, err error)
	openIssue(ctx context.Context, title, body string) (Issue, error)
	editIssue(ctx context.Context, number int, body string, to move) (Issue, error)
	commentIssue(ctx context.Context, number int, body string) (note, error)
	commitFile(ctx context.Context, c Change) error
	openPull(ctx context.Context, r Request) (Pull, error)
	mayWrite(ctx context.Context, user string) (bool, error)
	inTeam(ctx context.Context, user, team string) (bool, error)
	// visible tells somebody or something that is not there from a repository that
	// we may not see.
	visible(ctx context.Context) error
	rights() rights
	pullRef(number int) string
}

// rights are what a token has to be allowed, in the words of its forge.
type rights struct{ me, read, queue, comment, status, permission, team, issue, propose string }

// note is a comment, or one that the forge made of something that happened.
type note struct {
	Comment
	system bool
}

// said is a review, and whether it says yes or no.
type said struct {
	Review
	opinion bool
	id      int64 // a later one has a higher one
}

// client is what is the same for all dialects: what is asked is checked before, and
// what is answered after.
type client struct {
	dialect
	maxBody  int // bytes of a comment
	maxIssue int // bytes of an issue, or of a pull request's own text

	mu     sync.Mutex
	login  string
	kept   map[string][]page // by branch
	queues map[string]queue  // by branch
}

// page is one of a list of pull requests, as it was given last.
type page struct {
	known
	pulls []Pull
	next  int
}

func (c *client) Me(ctx context.Context) (string, error) {
	c.mu.Lock()
	login := c.login
	c.mu.Unlock()
	if login != "" {
		return login, nil
	}
	login, err := c.me(ctx)
	if err == nil && !isName(login) {
		err = fmt.Errorf("it says that we are %s, which is no login", quoted(login))
	}
	if err != nil {
		return "", failed(err, c.rights().me, "ask who we are")
	}
	c.mu.Lock()
	c.login = login
	c.mu.Unlock()
	return login, nil
}

// Pulls gets the pages that it has not got yet.
func (c *client) Pulls(ctx context.Context, base string) ([]Pull, error) {
	c.mu.Lock()
	before := c.kept[base]
	c.mu.Unlock()
	var now []page
	list, _, err := all(maxPulls, func(p Pull) int { return p.Number }, func(n int) ([]Pull, int, error) {
		var had page
		if len(now) < len(before) {
			had = before[len(now)]
		}
		got := page{known: had.known}
		var err error
		got.pulls, got.next, err = c.pulls(withKnown(ctx, &got.known), base, n)
		if errors.Is(err, errUnchanged) {
			got, err = had, nil
		}
		now = append(now, got)
		return got.pulls, got.next, err
	})
	if err == nil {
		list, err = valid(list, func(p Pull) bool { return p.Open && p.BaseRef == base })
	}
	if err != nil {
		return nil, failed(err, c.rights().read, "list pull requests")
	}
	c.mu.Lock()
	c.kept[base] = now
	c.mu.Unlock()
	return list, nil
}

// valid are the pull requests of a list that are wanted, by number. Those without a
// head are none of them: GitLab lists also what nothing was pushed for yet, and
// there is nothing to say about that.
func valid(list []Pull, wanted func(Pull) bool) ([]Pull, error) {
	var kept []Pull
	for _, p := range list {
		if p.Number > 0 && p.Head == "" {
			continue
		}
		p, err := p.valid()
		if err != nil {
			return nil, err
		}
		if wanted(p) {
			kept = append(kept, p)
		}
	}
	slices.SortFunc(kept, func(a, b Pull) int { return cmp.Compare(a.Number, b.Number) })
	return kept, nil
}

func (c *client) Pull(ctx context.Context, number int) (Pull, error) {
	if err := checkNumber(number); err != nil {
		return Pull{}, err
	}
	p, err := c.pull(ctx, number)
	if err == nil {
		p, err = p.valid()
	}
	if err == nil && p.Number != number {
		err = fmt.Errorf("it tells of pull request %d", p.Number)
	}
	if err != nil {
		return Pull{}, failed(err, c.rights().read, "read pull request %d", number)
	}
	return p, nil
}

func (c *client) PullsOf(ctx context.Context, commit string) ([]Pull, error) {
	if err := checkCommit(commit); err != nil {
		return nil, err
	}
	list, err := c.pullsOf(ctx, commit)
	if refused(err, http.StatusNotFound) {
		err = c.visible(ctx)
	}
	if err == nil {
		list, err = valid(list, func(p Pull) bool { return p.Merged })
	}
	return list, failed(err, c.rights().read, "look for the pull request of %s", commit)
}

func (c *client) Comments(ctx context.Context, number int) ([]Comment, error) {
	if err := checkNumber(number); err != nil {
		return nil, err
	}
	list, err := c.conversation(ctx, number)
	return list, failed(err, c.rights().read, "read the comments of pull request %d", number)
}

func (c *client) conversation(ctx context.Context, number int) ([]Comment, error) {
	got, size := 0, 0
	notes, more, err := all(maxComments, func(n note) int64 { return n.ID }, func(page int) ([]note, int, error) {
		items, next, err := c.comments(ctx, number, page, got)
		got += len(items)
		for _, n := range items {
			size += len(n.Body)
		}
		if size > maxTexts {
			return nil, 0, fmt.Errorf("they are larger than %d MiB; open another one with the same commits", maxTexts>>20)
		}
		return items, next, err
	})
	if err == nil && more {
		err = fmt.Errorf("it has more than %d comments; open another one with the same commits", maxComments)
	}
	if err != nil {
		return nil, err
	}
	var list []Comment
	for _, n := range notes {
		one, err := n.Comment.valid()
		if err != nil {
			return nil, err
		}
		if !n.system {
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Comment) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

func (c *client) Comment(ctx context.Context, number int, body string) (Comment, error) {
	if err := checkNumber(number); err != nil {
		return Comment{}, err
	}
	one, err := c.write(body, func(body string) (note, error) { return c.comment(ctx, number, body) })
	return one, failed(err, c.rights().comment, "comment on pull request %d", number)
}

func (c *client) Edit(ctx context.Context, number int, id int64, body string) (Comment, error) {
	if err := checkComment(number, id); err != nil {
		return Comment{}, err
	}
	one, err := c.write(body, func(body string) (note, error) { return c.edit(ctx, number, id, body) })
	return one, failed(err, c.rights().comment, "edit comment %d of pull request %d", id, number)
}

// write sends a comment's text, which the forge says to take.
func (c *client) write(body string, send func(string) (note, error)) (Comment, error) {
	body = clean(body)
	switch {
	case strings.TrimSpace(body) == "":
		return Comment{}, errors.New("a comment is empty")
	case len(body) > c.maxBody:
		return Comment{}, &TooLongError{c.maxBody}
	}
	n, err := send(body)
	if err != nil {
		return Comment{}, err
	}
	return n.Comment.valid()
}

func (c *client) React(ctx context.Context, number int, id int64, with Reaction) error {
	if err := cmp.Or(checkComment(number, id), checkReaction(with)); err != nil {
		return err
	}
	return failed(c.react(ctx, number, id, with), c.rights().comment, "react to comment %d of pull request %d", id, number)
}

func (c *client) SetStatus(ctx context.Context, commit string, s Status) error {
	if err := checkCommit(commit); err != nil {
		return err
	}
	s, err := s.valid()
	if err != nil {
		return err
	}
	return failed(c.setStatus(ctx, commit, s), c.rights().status, "set status %s of %s", quoted(s.Context), commit)
}

// Reviews keeps of reviews what each reviewer said last. A comment alone is no word:
// it leaves standing what was said before.
func (c *client) Reviews(ctx context.Context, number int) ([]Review, error) {
	if err := checkNumber(number); err != nil {
		return nil, err
	}
	reviews, err := c.reviews(ctx, number)
	if err != nil {
		return nil, failed(err, c.rights().read, "read the reviews of pull request %d", number)
	}
	slices.SortStableFunc(reviews, func(a, b said) int { return cmp.Compare(a.id, b.id) })
	last := map[string]Review{}
	for _, r := range reviews {
		if !isHash(r.Commit) {
			r.Commit = "" // what was looked at is unknown then
		}
		if r.opinion && r.Author != "" {
			r.Author = clean(r.Author)
			last[r.Author] = r.Review
		}
	}
	return slices.SortedFunc(maps.Values(last), func(a, b Review) int { return strings.Compare(a.Author, b.Author) }), nil
}

// allReviews reads them to their end: of a part the last word is not known.
func allReviews(read func(page int) ([]said, int, error)) ([]said, error) {
	list, more, err := all(maxReviews, func(r said) int64 { return r.id }, read)
	if err == nil && more {
		err = fmt.Errorf("it has more than %d reviews; open another one with the same commits", maxReviews)
	}
	return list, err
}

func (c *client) MayWrite(ctx context.Context, user string) (bool, error) {
	if err := checkUser(user); err != nil {
		return false, err
	}
	may, err := c.mayWrite(ctx, user)
	if refused(err, http.StatusNotFound) {
		may, err = false, c.visible(ctx)
	}
	return may && err == nil, failed(err, c.rights().permission, "ask what %s may do", user)
}

func (c *client) InTeam(ctx context.Context, user, team string) (bool, error) {
	if err := cmp.Or(checkUser(user), checkTeam(team)); err != nil {
		return false, err
	}
	in, err := c.inTeam(ctx, user, team)
	return in && err == nil, failed(err, c.rights().team, "ask whether %s is in team %s", user, team)
}

func (c *client) PullRef(number int) string { return c.pullRef(number) }

// all reads a list to its end, or until it has more than most items. Each item
// counts once: lists move while they are read, and a server that does not page gives
// the same at every page, which ends it.
func all[T any, K comparable](most int, key func(T) K, read func(page int) (items []T, next int, err error)) (list []T, more bool, err error) {
	seen := map[K]bool{}
	for n, pages := 1, 0; pages < maxPages; pages++ {
		items, next, err := read(n)
		if err != nil {
			return nil, false, err
		}
		before := len(list)
		for _, item := range items {
			if k := key(item); !seen[k] {
				seen[k] = true
				list = append(list, item)
			}
		}
		switch {
		case len(list) > most || len(list) == most && next > n:
			return list[:most], true, nil
		case next <= n || len(list) == before:
			return list, false, nil
		}
		n = next
	}
	return list, true, nil
}

// each are a list's items in our words.
func each[T, U any](items []T, of func(T) U) []U {
	list := make([]U, len(items))
	for i, item := range items {
		list[i] = of(item)
	}
	return list
}

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
