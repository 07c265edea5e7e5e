package ceremony

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// maxObject bounds what is read from a key store, in bytes: an answer of 255
// shares has some 150 KiB.
const maxObject = 1 << 20

// Folder is a key store on a file system. It is never made here: the folder of
// an escrow disk that is not mounted would come into being on the wrong disk,
// and would say that it holds no keys.
type Folder struct{ path string }

// Folders are the key stores of the settings. Two names of one folder are an
// error: they would be one disk that dies. A folder that is missing is not,
// until it is needed.
func Folders(paths []string) ([]Store, error) {
	var stores []Store
	var infos []os.FileInfo
	for i, path := range paths {
		path = filepath.Clean(path)
		info, err := os.Stat(path)
		for j, other := range infos {
			if path == filepath.Clean(paths[j]) || err == nil && other != nil && os.SameFile(info, other) {
				return nil, fmt.Errorf("key_stores: %s and %s are the same folder; keys that are to survive a disk need two", paths[j], paths[i])
			}
		}
		if err != nil {
			info = nil
		}
		infos = append(infos, info)
		stores = append(stores, Folder{path})
	}
	return stores, nil
}

// Name is the folder's path.
func (f Folder) Name() string { return f.path }

// open says whether the folder can be trusted to say what it holds.
func (f Folder) open() error {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Not %w: that the store is missing does not mean that it holds nothing.
		return fmt.Errorf("key store %s is not there; mount it, or make it: mkdir -m 700 %s", f.path, f.path)
	case err != nil:
		return fmt.Errorf("key store: %w", err)
	case !info.IsDir():
		return fmt.Errorf("key store %s is not a folder", f.path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("key store %s can be written by others; chmod 700 %s", f.path, f.path)
	}
	return nil
}

// at is the place of an object.
func (f Folder) at(name string) (string, error) {
	if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("key store %s: %q is no name of an object", f.path, name)
	}
	if err := f.open(); err != nil {
		return "", err
	}
	return filepath.Join(f.path, filepath.FromSlash(name)), nil
}

// Check writes, reads back and deletes a test object.
func (f Folder) Check(ctx context.Context) error {
	name := ".test-" + rand.Text()
	path, err := f.at(name)
	if err != nil {
		return err
	}
	text := []byte(rand.Text())
	if err := f.Put(ctx, name, text); err != nil {
		return err
	}
	back, err := f.Get(ctx, name)
	if err == nil && !bytes.Equal(back, text) {
		err = fmt.Errorf("key store %s reads back other bytes than were written", f.path)
	}
	if removed := os.Remove(path); err == nil && removed != nil {
		err = fmt.Errorf("key store %s: %w", f.path, removed)
	}
	return err
}

// Put writes an object, readable by nobody else, beside its place and swaps it
// in.
func (f Folder) Put(_ context.Context, name string, data []byte) error {
	path, err := f.at(name)
	if err != nil {
		return err
	}
	if err := durable.MakeFolder(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("key store %s: %w", f.path, err)
	}
	if err := durable.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("key store %s: %w", f.path, err)
	}
	return nil
}

// Get reads an object.
func (f Folder) Get(_ context.Context, name string) ([]byte, error) {
	path, err := f.at(name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxObject+1))
	if err != nil {
		return nil, fmt.Errorf("key store: %w", err)
	}
	if len(data) > maxObject {
		return nil, fmt.Errorf("key store: %s has more than %d bytes", path, maxObject)
	}
	return data, nil
}

// List walks a folder of the store.
func (f Folder) List(_ context.Context, folder string) ([]string, error) {
	root := f.path
	if err := f.open(); err != nil {
		return nil, err
	}
	if folder != "" {
		var err error
		if root, err = f.at(folder); err != nil {
			return nil, err
		}
	}
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == root && errors.Is(err, fs.ErrNotExist) {
				return nil // the store is there, and has no such folder
			}
			return err
		}
		if d.IsDir() {
			return nil
		}
		name, err := filepath.Rel(f.path, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("key store %s: %w", f.path, err)
	}
	slices.Sort(names)
	return names, nil
}
