package git

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// receive gets a pack into a repository: as a file first, so that what is in it is
// known before anything is held in memory.
func (s served) receive(ctx context.Context, into clone, want string, haves []string) error {
	folder := filepath.Join(into.dir, "objects", "pack")
	if err := durable.MakeFolder(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, "tmp_pack_")
	if err != nil {
		return err
	}
	defer f.Close()
	limited := &packLimit{w: f, most: s.limits.Pack, bytes: s.limits.Pack}
	err = s.Pack(ctx, want, haves, limited)
	if limited.failed != nil { // which the server's end may have wrapped
		err = limited.failed
	}
	if err != nil {
		return err
	}
	count, err := inspect(ctx, f, s.limits)
	if err == nil && count > 0 {
		err = index(f, folder)
	}
	if err != nil {
		return fmt.Errorf("the pack that the server sent cannot be read: %w", err)
	}
	return nil
}

// inspect reads a pack for how large its objects say to be, and inflates each of
// them to nowhere, which may not come to more.
func inspect(ctx context.Context, f *os.File, l limits) (count uint32, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	scanner := packfile.NewScanner(f)
	_, count, err = scanner.Header()
	if err != nil {
		return 0, err
	}
	var all int64
	for range count {
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		size, err := sizeOf(scanner)
		if err != nil {
			return 0, err
		}
		if size > l.Object {
			return 0, &oversizeError{fmt.Sprintf("an object of it has %d MiB, more than %d", size>>20, l.Object>>20)}
		}
		if all += size; all > l.Objects {
			return 0, &oversizeError{fmt.Sprintf("its objects have more than %d MiB together", l.Objects>>20)}
		}
	}
	return count, nil
}

// oversizeError says that something is more than may be fetched.
type oversizeError struct{ text string }

func (e *oversizeError) Error() string {
	return e.text + "; keep the fleet in a repository of its own"
}

// sizeOf is how large the next object will be, in bytes. A delta says it at its
// beginning, behind the size of what it is a delta to.
func sizeOf(scanner *packfile.Scanner) (int64, error) {
	h, err := scanner.NextObjectHeader()
	if err != nil {
		return 0, err
	}
	if !h.Type.IsDelta() {
		return h.Length, nil
	}
	var head beginning
	if _, _, err := scanner.NextObject(&head); err != nil {
		return 0, err
	}
	_, n := binary.Uvarint(head)
	if n <= 0 {
		return 0, errors.New("a delta does not say what it is to")
	}
	size, m := binary.Uvarint(head[n:])
	if m <= 0 || size > 1<<62 {
		return 0, errors.New("a delta does not say what it makes")
	}
	return max(int64(size), h.Length), nil
}

// beginning keeps the first bytes of what is written.
type beginning []byte

func (b *beginning) Write(p []byte) (int, error) {
	if missing := 2*binary.MaxVarintLen64 - len(*b); missing > 0 {
		*b = append(*b, p[:min(len(p), missing)]...)
	}
	return len(p), nil
}

// index makes a file a pack of a repository.
func index(f *os.File, folder string) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	writer := new(idxfile.Writer)
	parser, err := packfile.NewParser(packfile.NewScanner(f), writer)
	if err != nil {
		return err
	}
	sum, err := parser.Parse()
	if err != nil {
		return err
	}
	idx, err := writer.Index()
	if err != nil {
		return err
	}
	name := filepath.Join(folder, "pack-"+sum.String())
	out, err := os.OpenFile(name+".idx", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = idxfile.NewEncoder(out).Encode(idx)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name+".pack")
}

// packLimit writes a pack until it is larger than one of a fleet repo may be.
type packLimit struct {
	w      io.Writer
	most   int64 // bytes
	bytes  int64 // that may still come
	head   []byte
	failed error
}

func (l *packLimit) Write(p []byte) (int, error) {
	if l.bytes -= int64(len(p)); l.bytes < 0 {
		l.failed = &oversizeError{fmt.Sprintf("the pack that the server sends is larger than %d MiB", l.most>>20)}
	}
	if missing := packHeader - len(l.head); missing > 0 && l.failed == nil {
		if l.head = append(l.head, p[:min(len(p), missing)]...); len(l.head) == packHeader {
			l.failed = judgePack(l.head)
		}
	}
	if l.failed != nil {
		return 0, l.failed
	}
	return l.w.Write(p)
}

// packHeader is how many bytes say what a pack is (gitformat-pack(5)).
const packHeader = 12

func judgePack(head []byte) error {
	objects := binary.BigEndian.Uint32(head[8:])
	switch {
	case !strings.HasPrefix(string(head), "PACK"):
		return errors.New("what the server sends is not a pack")
	case objects > maxObjects:
		return &oversizeError{fmt.Sprintf("the pack that the server sends has %d objects, more than %d", objects, maxObjects)}
	}
	return nil
}
