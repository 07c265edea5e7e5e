package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

const (
	// window is how many objects a new one is tried against for a delta.
	window = 10
	// batch is how many objects go into one pack. Finding their deltas takes
	// seconds, in which go-git does not hear that the context ended.
	batch = 5_000
	// maxPacks is after how many fetches their packs are made one.
	maxPacks = 50
)

// take copies objects, and drops old packs for them. New packs are made beside
// the clone and moved in when all are whole: a clone that held half of a commit
// would never ask for the other half.
func (c clone) take(ctx context.Context, from wanted, list, old []plumbing.Hash) error {
	beside := c.beside()
	err := durable.MakeFolder(filepath.Join(beside.dir, "objects", "pack"), 0o700)
	if err == nil {
		err = beside.pack(ctx, from, list)
	}
	if err == nil {
		err = durable.WriteFile(filepath.Join(beside.dir, ready), nil, 0o600)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(beside.dir))
	}
	if err := c.adopt(beside, old); err != nil {
		return err
	}
	return os.RemoveAll(beside.dir)
}

func (c clone) beside() clone { return clone{c.dir + ".incoming"} }

// ready is a file beside packs that are whole and only have to be moved in.
const ready = "ready"

// resume finishes, or takes away, what a killed process had beside the clone.
func (c clone) resume() error {
	beside := c.beside()
	if _, err := os.Stat(filepath.Join(beside.dir, ready)); err == nil {
		if err := c.adopt(beside, nil); err != nil {
			return err
		}
	}
	return os.RemoveAll(beside.dir)
}

// pack writes objects as packs, durably, and checks that each of them is there:
// an object whose content is not what its name says is not.
func (c clone) pack(ctx context.Context, from wanted, list []plumbing.Hash) error {
	for part := range slices.Chunk(list, batch) {
		if err := c.packOne(ctx, from, part); err != nil {
			return err
		}
	}
	if err := c.sync(); err != nil {
		return err
	}
	own := storage(c.dir)
	for _, h := range list {
		if err := own.HasEncodedObject(h); err != nil {
			return fmt.Errorf("object %s: its content is not what its name says; run `git fsck` there", h)
		}
	}
	return nil
}

func (c clone) packOne(ctx context.Context, from wanted, list []plumbing.Hash) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	out, err := storage(c.dir).PackfileWriter()
	if err != nil {
		return err
	}
	_, err = packfile.NewEncoder(&obedient{ctx, out}, from, false).Encode(list, window)
	if e := out.Close(); err == nil {
		err = e
	}
	return err
}

// wanted are objects to copy, of which it may be known what they have to be. As it
// is no more than an [storer.EncodedObjectStorer], go-git copies no deltas as they
// are: it would not find those that the remote borrows from another repository.
type wanted struct {
	storer.EncodedObjectStorer
	kinds map[plumbing.Hash]plumbing.ObjectType
	most  int64 // bytes of one; 0: any
}

// EncodedObject implements [storer.EncodedObjectStorer]. A blob in whose place a
// commit is copied would be half of a commit: what that needs is not looked for.
func (w wanted) EncodedObject(kind plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	obj, err := w.EncodedObjectStorer.EncodedObject(kind, h)
	if err != nil {
		return nil, err
	}
	if want, known := w.kinds[h]; known && obj.Type() != want {
		return nil, fmt.Errorf("object %s is a %s and stands where a %s belongs", h, obj.Type(), want)
	}
	if w.most > 0 && obj.Size() > w.most {
		return nil, &oversizeError{fmt.Sprintf("object %s has %d MiB, more than %d", h, obj.Size()>>20, w.most>>20)}
	}
	return obj, nil
}

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

// tidy makes many small packs one. Full packs stay as they are, so what this
// costs does not grow with the history. Nobody else writes the clone meanwhile;
// a reader that misses a pack opens the clone again.
func (c clone) tidy(ctx context.Context) error {
	own := storage(c.dir)
	packs, err := own.ObjectPacks()
	if err != nil || len(packs) < maxPacks {
		return err
	}
	var small, list []plumbing.Hash
	seen := map[plumbing.Hash]bool{}
	for _, p := range packs {
		hashes, err := c.index(p)
		if err != nil {
			return err
		}
		if len(hashes) >= batch {
			continue
		}
		small = append(small, p)
		for _, h := range hashes {
			if !seen[h] {
				seen[h] = true
				list = append(list, h)
			}
		}
	}
	if len(small) < maxPacks {
		return nil
	}
	if err := c.take(ctx, wanted{EncodedObjectStorer: own}, list, small); err != nil {
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
