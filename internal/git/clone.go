package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

const (
	// tracked is the one ref of a clone: the commit that was fetched last.
	tracked = "refs/reconciler/tracked"
	// window is how many objects a new one is tried against for a delta.
	window = 10
	// maxPacks is after how many fetches the packs are made one.
	maxPacks = 50
)

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
func (c clone) pull(ctx context.Context, s *source, tip plumbing.Hash) error {
	own := storage(c.dir)
	if err := own.HasEncodedObject(plumbing.ZeroHash); !lost(err) { // reads the index of each pack
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	have := func(h plumbing.Hash) bool { return own.HasEncodedObject(h) == nil }
	list, err := s.missing(ctx, tip, have)
	if err != nil {
		return err
	}
	if err := c.take(ctx, s.repo.Storer, list, nil); err != nil {
		return fmt.Errorf("copy %d objects from %s: %w", len(list), s.path, err)
	}
	return c.setHead(tip)
}

// take copies objects as one pack, and drops old packs for it. The pack is
// made beside the clone and moved in when it is whole: a clone that held half
// of a commit would never ask for the other half.
func (c clone) take(ctx context.Context, from storer.EncodedObjectStorer, list, old []plumbing.Hash) error {
	beside := clone{c.dir + ".incoming"}
	if err := os.RemoveAll(beside.dir); err != nil {
		return err
	}
	defer os.RemoveAll(beside.dir) // what a killed process left, the next one takes away
	if err := os.MkdirAll(filepath.Join(beside.dir, "objects", "pack"), 0o700); err != nil {
		return err
	}
	if err := beside.pack(ctx, from, list); err != nil {
		return err
	}
	return c.adopt(beside, old)
}

// pack writes objects as one pack, durably, and checks that each of them is
// there: an object whose content is not what its name says is not.
func (c clone) pack(ctx context.Context, from storer.EncodedObjectStorer, list []plumbing.Hash) error {
	if len(list) == 0 {
		return nil
	}
	own := storage(c.dir)
	out, err := own.PackfileWriter()
	if err != nil {
		return err
	}
	_, err = packfile.NewEncoder(&obedient{ctx, out}, wholeObjects{from}, false).Encode(list, window)
	if e := out.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = c.sync()
	}
	if err != nil {
		return err
	}
	own = storage(c.dir)
	for _, h := range list {
		if err := own.HasEncodedObject(h); err != nil {
			return fmt.Errorf("object %s: its content is not what its name says; run `git fsck` there", h)
		}
	}
	return nil
}

// wholeObjects keeps go-git from copying deltas as they are: it would not find
// those that the remote borrows from another repository.
type wholeObjects struct{ storer.EncodedObjectStorer }

// sync makes the packs durable: go-git leaves that to chance.
func (c clone) sync() error {
	folder := filepath.Join(c.dir, "objects", "pack")
	names, err := filepath.Glob(filepath.Join(folder, "pack-*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := syncFile(name); err != nil {
			return err
		}
	}
	return durable.SyncFolder(folder)
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// tidy makes many packs one. Nobody else writes the clone meanwhile; a reader
// that misses a pack opens the clone again.
func (c clone) tidy(ctx context.Context) error {
	own := storage(c.dir)
	packs, err := own.ObjectPacks()
	if err != nil || len(packs) < maxPacks {
		return err
	}
	var list []plumbing.Hash
	seen := map[plumbing.Hash]bool{}
	for _, p := range packs {
		hashes, err := c.index(p)
		if err != nil {
			return err
		}
		for _, h := range hashes {
			if !seen[h] {
				seen[h] = true
				list = append(list, h)
			}
		}
	}
	if err := c.take(ctx, own, list, packs); err != nil {
		return fmt.Errorf("make the clone's packs one: %w", judge(err))
	}
	return nil
}

// adopt moves another clone's packs here, then takes the old ones away.
func (c clone) adopt(other clone, old []plumbing.Hash) error {
	names, err := filepath.Glob(filepath.Join(other.dir, "objects", "pack", "pack-*"))
	if err != nil {
		return err
	}
	folder := filepath.Join(c.dir, "objects", "pack")
	kept := map[string]bool{}
	for _, name := range names {
		base := filepath.Base(name)
		kept[base] = true
		if err := os.Rename(name, filepath.Join(folder, base)); err != nil {
			return err
		}
	}
	if err := durable.SyncFolder(folder); err != nil {
		return err
	}
	for _, p := range old {
		for _, suffix := range []string{".pack", ".idx", ".rev"} {
			base := "pack-" + p.String() + suffix
			if kept[base] {
				continue
			}
			if err := os.Remove(filepath.Join(folder, base)); err != nil && !lost(err) {
				return err
			}
		}
	}
	return durable.SyncFolder(folder)
}

// index is what a pack holds.
func (c clone) index(pack plumbing.Hash) ([]plumbing.Hash, error) {
	f, err := os.Open(filepath.Join(c.dir, "objects", "pack", "pack-"+pack.String()+".idx"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	idx := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(f).Decode(idx); err != nil {
		return nil, fmt.Errorf("%w: index of pack %s: %w", ErrDamaged, pack, err)
	}
	entries, err := idx.Entries()
	if err != nil {
		return nil, err
	}
	var hashes []plumbing.Hash
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return hashes, nil
		}
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, e.Hash)
	}
}

// obedient writes until its context ends.
type obedient struct {
	ctx context.Context
	w   io.Writer
}

func (o *obedient) Write(p []byte) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.w.Write(p)
}

func parseHash(text string) (plumbing.Hash, error) {
	if !plumbing.IsHash(text) || strings.ToLower(text) != text || len(text) != 40 {
		return plumbing.ZeroHash, fmt.Errorf("%.50q is not a commit: 40 lower-case hex digits", text)
	}
	return plumbing.NewHash(text), nil
}
