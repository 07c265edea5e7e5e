package git

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxCommit caps a commit object, in bytes.
const maxCommit = 1 << 20

// Commit is what people want to know of a commit. Its texts were written by
// whoever committed: control characters are taken out and they are cut, but
// markdown and HTML are not.
type Commit struct {
	ID      string    // 40 hex digits
	Short   string    // the first 12
	Subject string    // first line of the message, up to 200 characters
	Author  string    // name, up to 100 characters
	Time    time.Time // when the author says to have made it
}

// Info describes a commit.
func (r *Repo) Info(commit string) (Commit, error) {
	c, err := r.commit(openObjects(r.clone().dir), commit)
	if err != nil {
		r.mark(err)
		return Commit{}, fmt.Errorf("read commit %.12s of the fleet repo: %w", commit, err)
	}
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return Commit{
		ID: commit, Short: commit[:12],
		Subject: plain(subject, 200), Author: plain(c.Author.Name, 100), Time: c.Author.When,
	}, nil
}

// commit reads a commit object. One that is not there was not fetched, unless
// it is the last that was: then the clone is damaged.
func (r *Repo) commit(o *objects, commit string) (*object.Commit, error) {
	h, err := parseHash(commit)
	if err != nil {
		return nil, err
	}
	data, err := o.read(plumbing.CommitObject, h, maxCommit)
	if err != nil && errors.Is(err, plumbing.ErrObjectNotFound) {
		if last, ok, e := r.clone().head(); e == nil && (!ok || last != h) {
			return nil, errors.New("it was never fetched, or the clone was made anew since")
		}
	}
	if err != nil {
		return nil, err
	}
	return decodeCommit(data)
}

// plain makes a text of others fit for a line of ours.
func plain(text string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n == limit {
			b.WriteRune('…')
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			n++
		}
	}
	return strings.TrimSpace(b.String())
}
