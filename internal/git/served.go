package git

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// Server is a repository that somebody else serves. What it says is hostile.
type Server interface {
	// Tip is what a ref, such as refs/heads/main, stands at: 40 hex digits.
	Tip(ctx context.Context, ref string) (string, error)
	// Pack writes all that a commit needs beyond what is had, as a pack.
	Pack(ctx context.Context, want string, haves []string, to io.Writer) error
}

// upstream is where a branch is followed from.
type upstream interface {
	tip(ctx context.Context, remote Remote) (plumbing.Hash, error)
	// ref is what any ref stands at.
	ref(ctx context.Context, name plumbing.ReferenceName) (plumbing.Hash, error)
	// source is a repository on this machine that has a commit and all that it
	// needs beyond what the clone has. It may be beside the clone, until end.
	source(ctx context.Context, c clone, tip plumbing.Hash) (s *source, end func() error, err error)
}

// here is a repository on this machine.
type here struct {
	path   string
	limits limits
}

func (h here) tip(_ context.Context, remote Remote) (plumbing.Hash, error) {
	s, err := openSource(h.path, h.limits)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return s.tip(remote)
}

func (h here) ref(_ context.Context, name plumbing.ReferenceName) (plumbing.Hash, error) {
	s, err := openSource(h.path, h.limits)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	ref, err := s.repo.Reference(name, true)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return ref.Hash(), nil
}

func (h here) source(context.Context, clone, plumbing.Hash) (*source, func() error, error) {
	s, err := openSource(h.path, h.limits)
	return s, func() error { return nil }, err
}

// served is a repository that is fetched from over a network.
type served struct {
	Server
	limits limits
}

func (s served) tip(ctx context.Context, remote Remote) (plumbing.Hash, error) {
	return s.ref(ctx, remote.ref())
}

func (s served) ref(ctx context.Context, name plumbing.ReferenceName) (plumbing.Hash, error) {
	text, err := s.Tip(ctx, name.String())
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return parseHash(text)
}

// source fetches into a repository of its own, which borrows what the clone has:
// what comes over the network is looked at object by object before any of it is
// in the clone.
func (s served) source(ctx context.Context, c clone, tip plumbing.Hash) (*source, func() error, error) {
	fetched, err := create(c.dir + ".fetched")
	if err != nil {
		return nil, nil, err
	}
	end := func() error { return os.RemoveAll(fetched.dir) }
	from, err := s.fetch(ctx, c, fetched, tip)
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return from, end, nil
}

func (s served) fetch(ctx context.Context, c, fetched clone, tip plumbing.Hash) (*source, error) {
	objects, err := filepath.Abs(filepath.Join(c.dir, "objects"))
	if err == nil {
		err = durable.MakeFolder(filepath.Join(fetched.dir, "objects", "info"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(fetched.dir, "objects", "info", "alternates"), []byte(objects+"\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	var haves []string
	last, ok, err := c.head()
	if err != nil {
		return nil, err
	}
	if ok {
		haves = append(haves, last.String())
	}
	if err := guard(func() error { return s.receive(ctx, fetched, tip.String(), haves) }); err != nil {
		return nil, err
	}
	from, err := openSource(fetched.dir, s.limits)
	if err == nil {
		from.path = "what the server sent"
	}
	return from, err
}
