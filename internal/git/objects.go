package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// objects reads a clone's objects, each checked against its hash.
type objects struct {
	mu  sync.Mutex // go-git's storage is for one at a time
	dir string
	s   *filesystem.Storage
	own map[plumbing.Hash]made // that are in memory alone
	// lender is the clone, where this is a proposal beside it: what is not here, it
	// has, or it was not sent. (What go-git reads through alternates it does not tell
	// the size of, in v5.19.3.)
	lender *objects
}

// made is an object of ours.
type made struct {
	kind plumbing.ObjectType
	data []byte
}

// add makes an object that is in memory alone. It must not be called while others
// read.
func (o *objects) add(kind plumbing.ObjectType, data []byte) plumbing.Hash {
	h := plumbing.ComputeHash(kind, data)
	if o.own == nil {
		o.own = map[plumbing.Hash]made{}
	}
	o.own[h] = made{kind, data}
	return h
}

func openObjects(dir string) *objects { return &objects{dir: dir, s: snapshot(dir)} }

// snapshot opens objects as they are now: with ExclusiveAccess go-git lists
// the folder once, instead of asking the disk for each object whether it is
// loose. (Its HasEncodedObject is wrong then, in v5.19.3; reads are right.)
func snapshot(dir string) *filesystem.Storage {
	return filesystem.NewStorageWithOptions(osfs.New(dir), cache.NewObjectLRU(4*cache.MiByte), filesystem.Options{MaxOpenDescriptors: 8, ExclusiveAccess: true})
}

// tooLargeError says that an object is larger than what it is read as may be.
type tooLargeError struct{ size, limit int64 }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("it has %d bytes, more than the %d that are allowed", e.size, e.limit)
}

// read is the content of an object of up to limit bytes.
func (o *objects) read(kind plumbing.ObjectType, h plumbing.Hash, limit int64) ([]byte, error) {
	size, err := o.size(h)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, &tooLargeError{size, limit}
	}
	var data []byte
	var found plumbing.ObjectType
	if m, ok := o.own[h]; ok && m.kind == kind {
		return m.data, nil
	}
	if !o.here(h) {
		data, err := o.lender.read(kind, h, limit)
		return data, unsent(h, err)
	}
	err = o.retry(h, func() error {
		obj, err := o.s.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return err
		}
		found = obj.Type()
		data, err = content(obj, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	if found != kind { // committed so, not damaged
		return nil, fmt.Errorf("object %s is a %s, not a %s", h, found, kind)
	}
	if plumbing.ComputeHash(kind, data) != h {
		return nil, fmt.Errorf("%w: object %s does not match its hash", ErrDamaged, h)
	}
	return data, nil
}

func content(obj plumbing.EncodedObject, limit int64) ([]byte, error) {
	r, err := obj.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, limit+1))
}

// size is what an object says to have, in bytes; and that it is there.
func (o *objects) size(h plumbing.Hash) (size int64, err error) {
	if m, ok := o.own[h]; ok {
		return int64(len(m.data)), nil
	}
	if !o.here(h) {
		size, err := o.lender.size(h)
		return size, unsent(h, err)
	}
	err = o.retry(h, func() (err error) {
		size, err = o.s.EncodedObjectSize(h)
		return err
	})
	return size, err
}

// has says that an object is there.
func (o *objects) has(h plumbing.Hash) bool {
	_, err := o.size(h)
	return err == nil
}

// here says that an object is here, or nowhere else. It asks here first: the lender
// opens its clone again for each object that it misses.
func (o *objects) here(h plumbing.Hash) bool {
	if o.lender == nil {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return !lost(guard(func() error {
		_, err := o.s.EncodedObjectSize(h)
		return err
	}))
}

// errIncomplete says that a server left out what a proposal needs. The clone is without
// fault: it is read by itself where it has to have something.
var errIncomplete = errors.New("the proposal is incomplete")

func unsent(h plumbing.Hash, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fmt.Errorf("%w: the server did not send object %s", errIncomplete, h)
	}
	return err
}

// retry opens the clone again when something is missing: another process may
// have made its packs one in between. What stays wrong is damage, unless the
// machine would not let us read.
func (o *objects) retry(h plumbing.Hash, do func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := guard(do)
	if err != nil && lost(err) {
		o.s = snapshot(o.dir)
		err = guard(do)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("object %s: %w", h, judge(err))
}

// judge says whether an error of reading the clone is damage, or the machine
// that would not let us read.
func judge(err error) error {
	_, machine := errors.AsType[*fs.PathError](err)
	if machine && !lost(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrUnread, err)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// guard turns a panic into an error: go-git's reader of packs trusts their
// index, which may be damaged.
func guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("unreadable pack: %v", p)
		}
	}()
	return do()
}
