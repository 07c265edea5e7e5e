package forge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	// ErrExists says that a branch, or a pull request from it, is there already.
	ErrExists = errors.New("it is there already")
	// ErrMoved says that the repository has not, or not any more, what a change
	// begins at.
	ErrMoved = errors.New("the repository has moved on")
	// ErrProtected says that a rule of the forge keeps us from a branch or a file,
	// whatever the token may do.
	ErrProtected = errors.New("a rule of the forge protects it")
)

// Change is one file that is another, in one commit on a branch of its own.
type Change struct {
	Branch  string // that is made for it
	Base    string // commit that it begins at
	Path    string // of the file, which is there
	Was, Is []byte
	Message string
}

// Request is a pull request to be opened, from a branch of the repository itself.
type Request struct {
	Title, Body  string
	Branch, Base string // from where, and to where
}

func (c *client) PullFrom(ctx context.Context, base, branch string) (Pull, bool, error) {
	list, err := c.Pulls(ctx, base)
	i := slices.IndexFunc(list, func(p Pull) bool { return p.HeadRef == branch && !p.Fork })
	if err != nil || i < 0 {
		return Pull{}, false, err
	}
	return list[i], true, nil
}

func (c *client) CommitFile(ctx context.Context, change Change) error {
	if err := change.check(); err != nil {
		return err
	}
	err := c.commitFile(ctx, change)
	if refused(err, http.StatusNotFound) {
		if err = c.visible(ctx); err == nil {
			err = fmt.Errorf("%w: it does not have %s of %s", ErrMoved, quoted(change.Path), change.Base)
		}
	}
	return failed(inTheWay(err), c.rights().propose, "commit %s on branch %s", quoted(change.Path), quoted(change.Branch))
}

func (c *client) OpenPull(ctx context.Context, r Request) (Pull, error) {
	r.Title, r.Body = clean(r.Title), clean(r.Body)
	switch {
	case !isBranch(r.Branch) || !isBranch(r.Base):
		return Pull{}, fmt.Errorf("%s to %s is no way from branch to branch", quoted(r.Branch), quoted(r.Base))
	case strings.TrimSpace(r.Title) == "":
		return Pull{}, errors.New("a pull request has no title")
	case len(r.Body) > c.maxIssue:
		return Pull{}, &TooLongError{c.maxIssue}
	}
	p, err := c.openPull(ctx, r)
	if err == nil && p.Number > 0 && p.Head == "" { // GitLab may not have read the branch yet
		p.Head = strings.Repeat("0", 40)
	}
	if err == nil {
		p, err = p.valid()
	}
	if err != nil {
		return Pull{}, failed(inTheWay(err), c.rights().propose, "open a pull request from %s", quoted(r.Branch))
	}
	return p, nil
}

// inTheWay finds in a refusal what keeps a change from being proposed. The forges say
// it with 400, 403, 409, 422 or 423, as it comes, and differ in their words.
func inTheWay(err error) error {
	no, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(no.says), w) })
	}
	switch {
	case no.status == http.StatusUnauthorized || no.status == http.StatusNotFound || no.status >= 500:
		return err
	case says("already exists", "exists already"):
		return fmt.Errorf("%w (%v)", ErrExists, no)
	case says("protected", "rule violation", "not allowed to push", "push rule"):
		return fmt.Errorf("%w (%v); let whoever keeps the repository allow it, or commit the change by hand", ErrProtected, no)
	case no.status == http.StatusConflict, says("sha does not match", "object does not exist", "not a fast forward", "has changed since", "cannot find"):
		return fmt.Errorf("%w (%v)", ErrMoved, no)
	}
	return err
}

func (c Change) check() error {
	switch {
	case !isBranch(c.Branch):
		return fmt.Errorf("%s is no name of a branch", quoted(c.Branch))
	case !fs.ValidPath(c.Path) || c.Path == ".":
		return fmt.Errorf("%s is no file of a repository", quoted(c.Path))
	case !utf8.Valid(c.Is):
		return fmt.Errorf("%s is no text", quoted(c.Path))
	case strings.TrimSpace(c.Message) == "":
		return errors.New("a commit has no message")
	}
	return checkCommit(c.Base)
}

// isBranch says that a text can be the name of a branch, and stays one where it stands
// (man git-check-ref-format).
func isBranch(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || part[0] == '-' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return !strings.Contains(name, "..") && !strings.Contains(name, "@{") && !strings.HasSuffix(name, ".") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) })
}
