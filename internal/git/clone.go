package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// tracked is the one ref of a clone: the commit that was fetched last.
const tracked = "refs/reconciler/tracked"

// clone is a bare repository of our own, in a folder that only we write.
type clone struct{ dir string }

// create makes an empty clone in a folder that is not there yet.
func create(dir string) (clone, error) {
	if err := os.RemoveAll(dir); err != nil {
		return clone{}, err
	}
	if err := durable.MakeFolder(filepath.Join(dir, filepath.Dir(tracked)), 0o700); err != nil {
		return clone{}, err
	}
	if _, err := gogit.Init(storage(dir), nil); err != nil {
		return clone{}, fmt.Errorf("make a bare repository at %s: %w", dir, err)
	}
	if err := durable.MakeFolder(filepath.Join(dir, "objects", "pack"), 0o700); err != nil {
		return clone{}, err
	}
	return clone{dir}, nil
}

// storage opens the objects of a bare repository. It keeps what it has seen of
// the folder, so it is opened anew for each use.
func storage(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(dir), cache.NewObjectLRU(4*cache.MiByte), filesystem.Options{MaxOpenDescriptors: 8})
}

// head is the commit that was fetched last; false: none was.
func (c clone) head() (plumbing.Hash, bool, error) {
	data, err := os.ReadFile(filepath.Join(c.dir, tracked))
	if lost(err) {
		return plumbing.ZeroHash, false, nil
	}
	if err != nil {
		return plumbing.ZeroHash, false, err
	}
	h, err := parseHash(strings.TrimSuffix(string(data), "\n"))
	if err != nil {
		return plumbing.ZeroHash, false, fmt.Errorf("%w: %s: %w", ErrDamaged, tracked, err)
	}
	return h, true, nil
}

func (c clone) setHead(h plumbing.Hash) error {
	return durable.WriteFile(filepath.Join(c.dir, tracked), []byte(h.String()+"\n"), 0o600)
}

func (c clone) dropHead() error {
	if err := os.Remove(filepath.Join(c.dir, tracked)); err != nil && !lost(err) {
		return err
	}
	return durable.SyncFolder(filepath.Join(c.dir, filepath.Dir(tracked)))
}

// pull copies a commit with all that it needs and points head at it. Either
// all of it is there afterwards, durably, or head is as it was.
func (c clone) pull(ctx context.Context, up upstream, tip plumbing.Hash) (err error) {
	own := storage(c.dir)
	if err := own.HasEncodedObject(plumbing.ZeroHash); !lost(err) { // reads the index of each pack
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	s, end, err := up.source(ctx, c, tip)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	have := func(h plumbing.Hash) bool { return own.HasEncodedObject(h) == nil }
	if _, err := own.EncodedObject(plumbing.CommitObject, tip); have(tip) && err != nil {
		return fmt.Errorf("object %s is no commit: %w", tip, err)
	}
	list, from, err := s.missing(ctx, tip, have)
	if err != nil {
		return err
	}
	if err := c.take(ctx, from, list, nil); err != nil {
		return fmt.Errorf("copy %d objects from %s: %w", len(list), s.path, err)
	}
	return c.setHead(tip)
}

func parseHash(text string) (plumbing.Hash, error) {
	if !plumbing.IsHash(text) || strings.ToLower(text) != text || len(text) != 40 {
		return plumbing.ZeroHash, fmt.Errorf("%.50q is not a commit: 40 lower-case hex digits", text)
	}
	return plumbing.NewHash(text), nil
}
