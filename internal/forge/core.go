package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/vaultfleet/reconciler/internal/outbound"
	"github.com/vaultfleet/reconciler/internal/secret"
)

const (
	maxPulls    = 500
	maxComments = 2000
	maxTexts    = 32 << 20 // bytes of all comments of one
	maxReviews  = 2000
	perPage     = 100
	maxPages    = 200 // of whatever size a forge makes them
)

// core is what the clients of all forges have in common.
type core struct {
	url  string // as place says
	door *door
	http *http.Client

	mu   sync.Mutex
	me   string
	kept map[string][]page // by branch
}

// page is one of a list of pull requests, as it was given last.
type page struct {
	known
	pulls []Pull
	next  int
}

func newCore(o Options, at *url.URL) *core {
	transport := outbound.Transport(o.Roots)
	transport.MaxIdleConns, transport.IdleConnTimeout = 2, idle
	d := &door{host: at, maxBody: maxBody(o.Kind), next: transport}
	d.sign = func(r *http.Request) error { return sign(r, o.Kind, o.Token) }
	return &core{url: at.String(), door: d, http: d.client(), kept: map[string][]page{}}
}

// maxBody is how many bytes of a comment a forge takes. GitHub counts bytes, though
// its message speaks of 65,536 characters; GitLab counts characters; Gitea has no
// limit of its own, and gets none that would surprise the others.
func maxBody(kind Kind) int {
	if kind == GitHub {
		return 262_144
	}
	return 1_000_000
}

// sign adds the token, as it is now.
func sign(r *http.Request, kind Kind, token func() (secret.Bytes, error)) error {
	held, err := token()
	if err != nil {
		return fmt.Errorf("read the forge's token: %w", err)
	}
	text := strings.TrimSpace(string(held.Reveal()))
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("the forge's token is empty, or has spaces or lines in it")
	}
	switch kind {
	case GitLab:
		r.Header.Set("Private-Token", text)
	case GitHub:
		r.Header.Set("Authorization", "Bearer "+text)
	default:
		r.Header.Set("Authorization", "token "+text)
	}
	return nil
}

// whoami keeps our login once it was told.
func (c *core) whoami(ask func() (string, error)) (string, error) {
	c.mu.Lock()
	me := c.me
	c.mu.Unlock()
	if me != "" {
		return me, nil
	}
	me, err := ask()
	if err != nil {
		return "", err
	}
	if !isName(me) {
		return "", fmt.Errorf("it says that we are %s, which is no login", quoted(me))
	}
	c.mu.Lock()
	c.me = me
	c.mu.Unlock()
	return me, nil
}

// body is a comment's text as it is sent.
func (c *core) body(text string) (string, error) {
	text = clean(text)
	switch {
	case strings.TrimSpace(text) == "":
		return "", errors.New("a comment is empty")
	case len(text) > c.door.maxBody:
		return "", &TooLongError{c.door.maxBody}
	}
	return text, nil
}

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

// pulls lists the open pull requests against a branch, and gets the pages that it
// has not got yet.
func (c *core) pulls(ctx context.Context, base string, read func(ctx context.Context, page int) (pulls []Pull, next int, err error)) ([]Pull, error) {
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
		got.pulls, got.next, err = read(withKnown(ctx, &got.known), n)
		if errors.Is(err, errUnchanged) {
			got, err = had, nil
		}
		now = append(now, got)
		return got.pulls, got.next, err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.kept[base] = now
	c.mu.Unlock()
	list = slices.DeleteFunc(list, func(p Pull) bool { return !p.Open || p.BaseRef != base })
	slices.SortFunc(list, func(a, b Pull) int { return a.Number - b.Number })
	return list, nil
}

// headed are the pull requests of a list that have a head: GitLab also lists those
// that nothing was pushed for, and there is nothing to say about them.
func headed[T any](items []*T, of func(*T) Pull) ([]Pull, error) {
	list := make([]Pull, 0, len(items))
	for _, item := range items {
		if item == nil {
			return nil, errEmpty
		}
		p := of(item)
		if p.Head == "" {
			continue
		}
		p, err := p.valid()
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// comments lists a conversation, oldest first.
func comments(read func(page int) (items []Comment, next int, err error)) ([]Comment, error) {
	size := 0
	list, more, err := all(maxComments, func(c Comment) int64 { return c.ID }, func(page int) ([]Comment, int, error) {
		items, next, err := read(page)
		for _, c := range items {
			size += len(c.Body)
		}
		if size > maxTexts {
			return nil, 0, fmt.Errorf("its comments are larger than %d MiB; open another one with the same commits", maxTexts>>20)
		}
		return items, next, err
	})
	if err != nil {
		return nil, err
	}
	if more {
		return nil, fmt.Errorf("it has more than %d comments; open another one with the same commits", maxComments)
	}
	slices.SortFunc(list, func(a, b Comment) int {
		if d := a.Created.Compare(b.Created); d != 0 {
			return d
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return list, nil
}

// lastWords keeps of reviews what each reviewer said last. A comment alone is no
// word: it leaves standing what was said before.
func lastWords(reviews []said) []Review {
	slices.SortFunc(reviews, func(a, b said) int { return cmp.Compare(a.id, b.id) }) // in which they were given
	last := map[string]Review{}
	for _, r := range reviews {
		if r.opinion && r.Author != "" {
			last[r.Author] = r.Review
		}
	}
	list := make([]Review, 0, len(last))
	for _, r := range last {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Review) int { return strings.Compare(a.Author, b.Author) })
	return list
}

// said is a review, and whether it says yes or no.
type said struct {
	Review
	opinion bool
	id      int64 // a later one is higher
}
