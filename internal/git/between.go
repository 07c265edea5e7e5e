package git

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Between hands out the commits that lead to a commit and not to an older one, the
// commit itself first, each with the object as git hashes it. Forward says that the
// older one is the commit or among its ancestors. Of an older one that we do not
// have, and of none (""), it is the commit alone.
func (r *Repo) Between(ctx context.Context, older, commit string, each func(id string, object []byte) error) (forward bool, err error) {
	forward, err = r.between(ctx, older, commit, each)
	if err != nil {
		r.mark(err)
		return false, fmt.Errorf("read the history of %.12s: %w", commit, err)
	}
	return forward, nil
}

func (r *Repo) between(ctx context.Context, older, commit string, each func(id string, object []byte) error) (bool, error) {
	to, err := parseHash(commit)
	if err != nil {
		return false, err
	}
	h := history{ctx, openObjects(r.clone().dir)}
	var from plumbing.Hash
	behind := map[plumbing.Hash]bool{}
	if older != "" {
		if from, err = parseHash(older); err != nil {
			return false, err
		}
		behind, err = h.walk(from, nil, func(string, []byte) error { return nil })
	}
	if older == "" || errors.Is(err, errUnknown) {
		body, _, err := h.read(to)
		if err != nil {
			return false, err
		}
		return older == "", each(commit, body)
	}
	if err != nil {
		return false, err
	}
	upon, err := h.walk(to, behind, each)
	return upon[from], err
}

// Mainline hands out a commit and its first parents, the newest first, as far as they
// are not behind an older one. Reached says that the older one is the next of them, or
// the commit itself. Of an older one that we do not have, and of none (""), it is the
// commit alone.
func (r *Repo) Mainline(ctx context.Context, older, commit string, each func(id string, object []byte) error) (reached bool, err error) {
	reached, err = r.mainline(ctx, older, commit, each)
	if err != nil {
		r.mark(err)
		return false, fmt.Errorf("read the history of %.12s: %w", commit, err)
	}
	return reached, nil
}

func (r *Repo) mainline(ctx context.Context, older, commit string, each func(id string, object []byte) error) (bool, error) {
	id, err := parseHash(commit)
	if err != nil {
		return false, err
	}
	h := history{ctx, openObjects(r.clone().dir)}
	var from plumbing.Hash
	var behind map[plumbing.Hash]bool // nil: the commit alone
	if older != "" {
		if from, err = parseHash(older); err != nil {
			return false, err
		}
		if behind, err = h.walk(from, nil, func(string, []byte) error { return nil }); err != nil && !errors.Is(err, errUnknown) {
			return false, err
		}
	}
	for {
		body, parents, err := h.read(id)
		if err == nil {
			err = each(id.String(), body)
		}
		switch {
		case err != nil:
			return false, err
		case behind == nil:
			return older == "", nil
		case id == from || len(parents) == 0:
			return id == from, nil
		}
		if id = parents[0]; behind[id] {
			return id == from, nil
		}
	}
}

// history reads commits.
type history struct {
	ctx     context.Context
	objects *objects
}

// errUnknown says that a walk began at a commit that we do not have.
var errUnknown = errors.New("it was never fetched")

// walk visits a commit and its ancestors, but for those to skip and what is behind
// them, and returns what it came upon, which the skipped are. The first it visits in
// any case.
func (h history) walk(start plumbing.Hash, skip map[plumbing.Hash]bool, each func(id string, object []byte) error) (map[plumbing.Hash]bool, error) {
	upon := map[plumbing.Hash]bool{start: true}
	for queue := []plumbing.Hash{start}; len(queue) > 0; {
		id := queue[0]
		queue = queue[1:]
		if skip[id] && id != start {
			continue
		}
		body, parents, err := h.read(id)
		if id == start && err != nil && errors.Is(err, plumbing.ErrObjectNotFound) {
			return nil, errUnknown
		}
		if err != nil {
			return nil, err
		}
		if err := each(id.String(), body); err != nil {
			return nil, err
		}
		for _, p := range parents {
			if !upon[p] {
				upon[p] = true
				queue = append(queue, p)
			}
		}
	}
	return upon, nil
}

// read is a commit object and its parents.
func (h history) read(id plumbing.Hash) (body []byte, parents []plumbing.Hash, err error) {
	if err := h.ctx.Err(); err != nil {
		return nil, nil, err
	}
	body, err = h.objects.read(plumbing.CommitObject, id, maxCommit)
	if err != nil {
		return nil, nil, err
	}
	c, err := decodeCommit(body)
	if err != nil {
		return nil, nil, fmt.Errorf("commit %s: %w", id, err)
	}
	return body, c.ParentHashes, nil
}

func decodeCommit(body []byte) (*object.Commit, error) {
	obj := &plumbing.MemoryObject{}
	obj.SetType(plumbing.CommitObject)
	if _, err := obj.Write(body); err != nil {
		return nil, err
	}
	return object.DecodeCommit(nil, obj)
}
