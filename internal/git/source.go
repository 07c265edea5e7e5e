package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// maxObjects caps how many objects one fetch takes.
const maxObjects = 1_000_000

// source is a repository on this machine that is only read. go-git's own file
// transport would start the git binary, which runs hooks and reads
// configuration that we know nothing of.
type source struct {
	path string
	repo *gogit.Repository
	most int64 // bytes of one object that is taken
}

func openSource(path string, l limits) (*source, error) {
	repo, err := gogit.PlainOpenWithOptions(path, &gogit.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, gogit.ErrRepositoryNotExists) {
		return nil, fmt.Errorf("there is no git repository at %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	// Opened again, so that objects are found that it borrows from another
	// repository (`git clone --shared`), packs stay open while it is read, and what is
	// too large is not in memory before its size is looked at (but for what is borrowed).
	if own, ok := repo.Storer.(*filesystem.Storage); ok {
		repo.Storer = filesystem.NewStorageWithOptions(own.Filesystem(), cache.NewObjectLRU(16*cache.MiByte),
			filesystem.Options{MaxOpenDescriptors: 8, AlternatesFS: osfs.New("/"), LargeObjectThreshold: l.Object})
	}
	return &source{path, repo, l.Object}, nil
}

// tip is the commit that a branch stands at.
func (s *source) tip(remote Remote) (plumbing.Hash, error) {
	ref, err := s.repo.Reference(remote.ref(), true)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return plumbing.ZeroHash, fmt.Errorf("%s has no branch %s; %s", s.path, remote.Branch, s.branches())
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("read branch %s of %s: %w", remote.Branch, s.path, err)
	}
	return ref.Hash(), nil
}

// branches says which branches there are, for whoever misspelt one.
func (s *source) branches() string {
	iter, err := s.repo.Branches()
	if err != nil {
		return "its branches cannot be listed"
	}
	var names []string
	_ = iter.ForEach(func(r *plumbing.Reference) error {
		names = append(names, plain(r.Name().Short(), 100))
		return nil
	})
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return "it has none at all yet"
	case len(names) > 10:
		names = append(names[:10], "…")
	}
	return "it has " + strings.Join(names, ", ")
}

// missing lists all objects that a commit needs and that we do not have, with
// its whole history, and where they are to be had. What we have, we have with all
// that it needs.
func (s *source) missing(ctx context.Context, tip plumbing.Hash, have func(plumbing.Hash) bool) ([]plumbing.Hash, wanted, error) {
	shallow, err := s.repo.Storer.Shallow()
	if err != nil {
		return nil, wanted{}, fmt.Errorf("read %s: %w", s.path, err)
	}
	if len(shallow) > 0 {
		return nil, wanted{}, fmt.Errorf("%s is a shallow clone, its history is cut; run `git fetch --unshallow` there", s.path)
	}
	w := walk{source: s, ctx: ctx, have: have, kinds: map[plumbing.Hash]plumbing.ObjectType{}}
	commits := []plumbing.Hash{tip}
	for len(commits) > 0 {
		h := commits[len(commits)-1]
		commits = commits[:len(commits)-1]
		fresh, err := w.take(h, plumbing.CommitObject)
		if err != nil {
			return nil, wanted{}, err
		}
		if !fresh {
			continue
		}
		c, err := object.GetCommit(w.wanted(), h)
		if err != nil {
			return nil, wanted{}, s.broken("commit", h, err)
		}
		if err := w.tree(c.TreeHash, 0); err != nil {
			return nil, wanted{}, err
		}
		commits = append(commits, c.ParentHashes...)
	}
	return w.list, w.wanted(), nil
}

func (s *source) broken(what string, h plumbing.Hash, err error) error {
	if errors.As(err, new(*oversizeError)) {
		return err
	}
	mend := "run `git fsck` there"
	if what == "commit" && lost(err) {
		mend += ", and `git fetch --unshallow` if it is a shallow clone"
	}
	return fmt.Errorf("read %s %s of %s: %w; %s", what, h, s.path, err, mend)
}

// walk collects what a fetch takes.
type walk struct {
	*source
	ctx  context.Context
	have func(plumbing.Hash) bool
	// kinds are what the objects that were seen have to be, by where they stand.
	kinds map[plumbing.Hash]plumbing.ObjectType
	list  []plumbing.Hash
}

func (w *walk) wanted() wanted { return wanted{w.repo.Storer, w.kinds, w.most} }

// take notes an object. True: it is new, so look at what it needs.
func (w *walk) take(h plumbing.Hash, kind plumbing.ObjectType) (bool, error) {
	before, seen := w.kinds[h]
	if seen && before != kind {
		return false, fmt.Errorf("object %s of %s stands where a %s belongs, and where a %s does", h, w.path, before, kind)
	}
	if seen || w.have(h) {
		return false, nil
	}
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	if len(w.list) == maxObjects {
		return false, fmt.Errorf("%s needs more than %d objects; keep the fleet in a repository of its own", w.path, maxObjects)
	}
	w.kinds[h] = kind
	w.list = append(w.list, h)
	return true, nil
}

func (w *walk) tree(h plumbing.Hash, depth int) error {
	if depth > 1000 { // beyond any honest tree; At is stricter
		return fmt.Errorf("%s holds a tree deeper than %d folders", w.path, depth)
	}
	if fresh, err := w.take(h, plumbing.TreeObject); err != nil || !fresh {
		return err
	}
	t, err := object.GetTree(w.wanted(), h)
	if err != nil {
		return w.broken("tree", h, err)
	}
	for _, e := range t.Entries {
		switch e.Mode {
		case filemode.Dir:
			err = w.tree(e.Hash, depth+1)
		case filemode.Submodule: // a commit of another repository
		default:
			_, err = w.take(e.Hash, plumbing.BlobObject)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lost says that an error means a file that is not there.
func lost(err error) bool {
	return errors.Is(err, plumbing.ErrObjectNotFound) || errors.Is(err, fs.ErrNotExist)
}
