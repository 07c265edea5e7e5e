package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vaultfleet/reconciler/internal/lease/flock"
	"github.com/vaultfleet/reconciler/internal/store/durable"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// ErrAbsent says that a binary is not in the cache: fetch it by [Cache.Binary].
var ErrAbsent = errors.New("it is not in the cache")

// Cache keeps verified vault binaries, each under its sha256. It may be used
// by many goroutines and processes.
type Cache struct {
	Folder  string   // of the cache: STATE/cache
	Sources []string // absolute folders that file:// sources may lie below: trust.releases
	Web     Web
}

// Binary opens a version's vault binary for a platform ("linux_amd64"), from
// the cache or from a source. Archive and binary must have the lock's sha256.
// The file is at its beginning and belongs to the caller.
func (c Cache) Binary(ctx context.Context, source, version, platform string, artefact desired.Artefact) (*os.File, error) {
	f, err := c.binary(ctx, source, version, platform, artefact)
	if err != nil {
		return nil, fmt.Errorf("get vault %s for %s: %w", version, platform, err)
	}
	return f, nil
}

func (c Cache) binary(ctx context.Context, source, version, platform string, artefact desired.Artefact) (*os.File, error) {
	archive, err := parse(artefact.Archive)
	if err != nil {
		return nil, fmt.Errorf("vault.lock: archive: %w", err)
	}
	binary, err := parse(artefact.Binary)
	if err != nil {
		return nil, fmt.Errorf("vault.lock: binary: %w", err)
	}
	f, err := c.open(ctx, binary)
	if !errors.Is(err, ErrAbsent) {
		return f, err
	}
	if err := durable.MakeFolder(c.Folder, 0o700); err != nil {
		return nil, err
	}
	lock, err := flock.Wait(ctx, filepath.Join(c.Folder, "lock"))
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	if f, err := c.open(ctx, binary); !errors.Is(err, ErrAbsent) {
		return f, err // another process was faster
	}
	if err := c.fetch(ctx, source, version, platform, archive, binary); err != nil {
		return nil, err
	}
	return c.open(ctx, binary)
}

// Open opens a binary by its digest ("sha256:HEX") where it is in the cache;
// otherwise the error is [ErrAbsent].
func (c Cache) Open(ctx context.Context, digest string) (*os.File, error) {
	hex, err := parse(digest)
	if err != nil {
		return nil, fmt.Errorf("open a cached binary: %w", err)
	}
	f, err := c.open(ctx, hex)
	if err != nil {
		return nil, fmt.Errorf("open the cached binary %s: %w", digest, err)
	}
	return f, nil
}

// open checks a cached file before it hands it out. One that rotted on disk is
// taken away and counts as absent, so that it is fetched again.
func (c Cache) open(ctx context.Context, hex string) (*os.File, error) {
	f, err := os.Open(filepath.Join(c.Folder, hex))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrAbsent
	}
	if err != nil {
		return nil, err
	}
	err = check(ctx, f, hex)
	if err == nil {
		return f, nil
	}
	f.Close()
	if _, rotten := errors.AsType[*MismatchError](err); rotten {
		if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove a damaged file of the cache: %w", err)
		}
		return nil, ErrAbsent
	}
	return nil, fmt.Errorf("read the cache: %w", err)
}

// fetch puts a binary into the cache. It holds the cache's lock.
func (c Cache) fetch(ctx context.Context, from, version, platform, archiveSum, binarySum string) (err error) {
	named, err := parseSource(from, c.Web)
	if err != nil {
		return err
	}
	trusted, err := trust(named, c.Sources)
	if err != nil {
		return err
	}
	if err := c.sweep(); err != nil {
		return err
	}
	out, err := os.CreateTemp(c.Folder, partial)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(out.Name()) // what stays is swept by the next fetch
		}
	}()
	got, err := wanted{version, platform, archiveSum, saysLock}.take(ctx, trusted, c.Folder, out)
	if err != nil {
		return err
	}
	if got != binarySum {
		return &MismatchError{Path: "the binary of " + version + " for " + platform, Says: saysLock, Want: binarySum, Got: got}
	}
	return durable.Keep(out, filepath.Join(c.Folder, binarySum), 0o500)
}

// partial is what an archive, or a binary, is called while it is not whole.
const partial = "partial-*"

// sweep takes away what earlier processes left when they were killed. Nobody
// else unpacks while the lock is held.
func (c Cache) sweep() error {
	names, err := filepath.Glob(filepath.Join(c.Folder, partial))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("take away a leftover: %w", err)
		}
	}
	return nil
}
