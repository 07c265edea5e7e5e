package git

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// lfsPointer is how the file begins that Git LFS commits instead of a large
// one (git-lfs, docs/spec.md).
const lfsPointer = "version https://git-lfs.github.com/spec/"

// TreeID is the object ID of a folder or file: as long as it is the same, so
// is everything in it.
func (t *Tree) TreeID(name string) (string, error) {
	n, err := t.find("identify", name)
	if err != nil {
		return "", err
	}
	return n.hash.String(), nil
}

// Open implements [fs.FS].
func (t *Tree) Open(name string) (fs.File, error) {
	n, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	info := info{n, t.time}
	if n.mode.IsDir() {
		return &openFolder{info: info, rest: n.kids}, nil
	}
	data, err := t.content("open", name, n)
	if err != nil {
		return nil, err
	}
	return &openFile{Reader: bytes.NewReader(data), info: info}, nil
}

// ReadFile implements [fs.ReadFileFS].
func (t *Tree) ReadFile(name string) ([]byte, error) {
	n, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if n.mode.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("it is a folder")}
	}
	return t.content("read", name, n)
}

// ReadDir implements [fs.ReadDirFS].
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("it is not a folder")}
	}
	return listing(n.kids, t.time), nil
}

// Stat implements [fs.StatFS].
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	n, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return info{n, t.time}, nil
}

func (t *Tree) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n := t.root
	if name == "." {
		return n, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		i, ok := slices.BinarySearchFunc(n.kids, part, func(k *node, name string) int { return cmp.Compare(k.name, name) })
		if !ok {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		n = n.kids[i]
	}
	return n, nil
}

func (t *Tree) content(op, name string, n *node) ([]byte, error) {
	data, err := t.objects.read(plumbing.BlobObject, n.hash, t.limit)
	if err == nil && bytes.HasPrefix(data, []byte(lfsPointer)) {
		err = errors.New("it is a Git LFS pointer, the file itself is not in git; commit it without LFS")
	}
	if err != nil {
		t.fail(err)
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return data, nil
}

// info is both fs.FileInfo and fs.DirEntry.
type info struct {
	*node
	time time.Time
}

func (i info) Name() string               { return path.Base(i.name) }
func (i info) Size() int64                { return i.size }
func (i info) Mode() fs.FileMode          { return i.mode }
func (i info) Type() fs.FileMode          { return i.mode.Type() }
func (i info) ModTime() time.Time         { return i.time }
func (i info) IsDir() bool                { return i.mode.IsDir() }
func (i info) Sys() any                   { return nil }
func (i info) Info() (fs.FileInfo, error) { return i, nil }
func (i info) String() string             { return fs.FormatFileInfo(i) }

func listing(kids []*node, at time.Time) []fs.DirEntry {
	list := make([]fs.DirEntry, len(kids))
	for i, k := range kids {
		list[i] = info{k, at}
	}
	return list
}

type openFile struct {
	*bytes.Reader
	info info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openFolder struct {
	info info
	rest []*node
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFolder) Close() error               { return nil }
func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.name, Err: fmt.Errorf("it is a folder")}
}

// ReadDir implements [fs.ReadDirFile].
func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(f.rest) {
		if n > 0 && len(f.rest) == 0 {
			return nil, io.EOF
		}
		n = len(f.rest)
	}
	list := listing(f.rest[:n], f.info.time)
	f.rest = f.rest[n:]
	return list, nil
}
