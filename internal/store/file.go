package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/vaultfleet/reconciler/internal/lease/flock"
	"github.com/vaultfleet/reconciler/internal/store/durable"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// compactAt is the length in bytes at which a journal is replaced by the one
// record that it adds up to; never below compactOver times that record.
const (
	compactAt   = 128 << 10
	compactOver = 4
)

// image is what a journal file was found to hold. It stands as long as the
// file is the same and as long: journals only grow, and are replaced whole.
type image struct {
	info   os.FileInfo
	whole  int64  // bytes that check out; a torn tail may follow
	rev    uint64 // of the last record; 0: there is none
	folded []byte // JSON of the memory; kept as bytes so that nobody changes it
}

// journal is an open journal under its lock.
type journal struct {
	store   *Store
	cluster string
	path    string
	lock    *flock.Lock
	file    *os.File // nil until there is a file
	denied  error    // why the file can only be read
	image   image
}

// open locks a cluster's journal and reads it where it is not known yet.
// Without create a cluster that has none is fs.ErrNotExist.
func (s *Store) open(ctx context.Context, cluster string, create bool) (*journal, error) {
	dir, err := s.folder(cluster)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "journal")
	if create {
		err = durable.MakeFolder(dir, 0o700)
	} else {
		_, err = os.Stat(path)
	}
	if err != nil {
		return nil, err
	}
	lock, err := flock.Wait(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	j := &journal{store: s, cluster: cluster, path: path, lock: lock}
	if err := j.read(); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

func (j *journal) close() {
	if j.file != nil {
		j.file.Close()
	}
	j.lock.Unlock()
}

func (j *journal) read() error {
	f, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		j.denied = err
		f, err = os.Open(j.path) // enough to load
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	j.file = f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if known := j.store.known(j.cluster); known.info != nil && same(known.info, info) {
		j.image = known
		return nil
	}
	data, err := readAll(f, info.Size())
	if err != nil {
		return err
	}
	m, rev, whole, err := read(data)
	if corrupt, ok := errors.AsType[*CorruptError](err); ok {
		corrupt.Path = j.path
	}
	if err != nil {
		return err
	}
	return j.remember(info, int64(whole), rev, m)
}

// remember keeps what the journal holds now.
func (j *journal) remember(info os.FileInfo, whole int64, rev uint64, m diff.Memory) error {
	folded, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	j.image = image{info, whole, rev, folded}
	j.store.mu.Lock()
	defer j.store.mu.Unlock()
	j.store.images[j.cluster] = j.image
	return nil
}

func (s *Store) known(cluster string) image {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.images[cluster]
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// memory is a copy of what the journal adds up to.
func (j *journal) memory() (diff.Memory, error) {
	var m diff.Memory
	if j.image.rev == 0 {
		return m, nil
	}
	err := json.Unmarshal(j.image.folded, &m)
	return m, err
}

// write makes one record durable, in place or by compaction.
func (j *journal) write(r record) error {
	if j.denied != nil {
		return j.denied
	}
	m, err := j.memory()
	if err != nil {
		return err
	}
	r.Rev = j.image.rev + 1
	m, why := fold(m, r)
	if why != "" {
		return errors.New(why)
	}
	data, err := encode(r)
	if err != nil {
		return err
	}
	full := j.image.whole+int64(len(data)) > max(compactAt, compactOver*int64(len(j.image.folded)))
	if j.file == nil || full {
		err = j.replace(record{Rev: r.Rev, Kind: kindMemory, Memory: &m}, r)
	} else {
		err = j.extend(data)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	return j.remember(info, info.Size(), r.Rev, m)
}

// extend writes behind the last whole record, over a torn tail if there is
// one. A write that fails is taken back as far as the disk allows; what it
// leaves is a torn tail.
func (j *journal) extend(data []byte) error {
	at := j.image.whole
	if j.image.info.Size() > at {
		if err := j.file.Truncate(at); err != nil {
			return fmt.Errorf("cut a torn record: %w", err)
		}
	}
	_, err := j.file.WriteAt(data, at)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		_ = j.file.Truncate(at)
		return fmt.Errorf("write the journal: %w; nothing is done until it can be written", err)
	}
	return nil
}

// replace puts a new journal in the place of the old one: the memory that it
// adds up to. A first journal holds the record itself.
func (j *journal) replace(folded, first record) error {
	r := folded
	if j.file == nil {
		r = first
	}
	data, err := encode(r)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(j.path, data, 0o600); err != nil {
		return fmt.Errorf("write the journal: %w; nothing is done until it can be written", err)
	}
	return nil
}
