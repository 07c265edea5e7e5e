package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/vaultfleet/reconciler/internal/lease/flock"
	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// ErrConflict says that a memory was changed since it was loaded: load it and
// think again.
var ErrConflict = errors.New("the memory was changed in between")

// ErrNoLeave says that there is nothing to lift.
var ErrNoLeave = errors.New("there is no such leave")

// Store is the state folder's memories. It may be used by many goroutines and
// beside other processes.
type Store struct {
	dir string

	mu     sync.Mutex
	images map[string]image // by cluster: what its journal was found to hold
}

// Open opens a state folder and makes it where it is missing. The folder is
// the reconciler's own: nobody else may enter it.
func Open(dir string) (*Store, error) {
	if err := durable.MakeFolder(filepath.Join(dir, "clusters"), 0o700); err != nil {
		return nil, fmt.Errorf("open the state folder: %w; `state:` in reconciler.yaml names it", err)
	}
	if err := private(dir); err != nil {
		return nil, fmt.Errorf("open the state folder: %w", err)
	}
	return &Store{dir: dir, images: map[string]image{}}, nil
}

// private takes the rights of others away from a folder that holds nothing but
// state. One that holds other things, such as /tmp, is refused.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(dir, "installation"))
	if err != nil && len(entries) > 1 { // one entry: the clusters folder that was just made
		return fmt.Errorf("%s is open to other users and holds other things; give the reconciler a folder of its own, or `chmod 700 %s`", dir, dir)
	}
	return os.Chmod(dir, 0o700)
}

// Writable checks that the state folder takes and keeps a write. While it does
// not, nothing may be done to any node.
func (s *Store) Writable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := filepath.Join(s.dir, fmt.Sprintf(".writable-%d", os.Getpid()))
	block := make([]byte, 64<<10) // room for the records of a turn
	err := durable.WriteFile(path, block, 0o600)
	if e := os.Remove(path); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("check that the state folder %s can be written: %w; nothing is done to nodes until it can", s.dir, err)
	}
	return nil
}

// Alone returns once no other process decides over several clusters, and keeps all
// others from it until it is left.
func (s *Store) Alone(ctx context.Context) (leave func(), err error) {
	lock, err := flock.Wait(ctx, filepath.Join(s.dir, "deciding"))
	if err != nil {
		return nil, err
	}
	return lock.Unlock, nil
}

// Clusters are the names of all clusters that have a journal, sorted.
func (s *Store) Clusters() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "clusters"))
	if err != nil {
		return nil, fmt.Errorf("list remembered clusters: %w", err)
	}
	var names []string
	for _, e := range entries {
		_, err := os.Stat(filepath.Join(s.dir, "clusters", e.Name(), "journal"))
		switch {
		case err == nil:
			names = append(names, e.Name())
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("list remembered clusters: %w", err)
		}
	}
	slices.Sort(names)
	return names, nil
}

// folder is where a cluster's files are. Names come from a repo: one that
// could point elsewhere is refused.
func (s *Store) folder(cluster string) (string, error) {
	strange := func(r rune) bool {
		return r == '/' || r == '\\' || unicode.IsControl(r) || r == unicode.ReplacementChar
	}
	if cluster == "" || len(cluster) > 200 || cluster[0] == '.' || strings.IndexFunc(cluster, strange) >= 0 {
		return "", fmt.Errorf("%q cannot be a cluster's name", cluster)
	}
	return filepath.Join(s.dir, "clusters", cluster), nil
}
