// Package flock locks files between processes. The kernel frees a lock when
// its holder ends, however it ends (flock(2)); two opens of one file in the
// same process exclude each other too.
//
// It must not know what a lock protects.
//
//	lock, err := flock.Wait(ctx, "/var/lib/reconciler/clusters/prod-eu/lock")
//	…
//	lock.Unlock()
package flock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrHeld says that another holder has the lock.
var ErrHeld = errors.New("locked by another")

// pause between two tries of Wait.
const pause = 2 * time.Millisecond

// Lock is a file lock that is held.
type Lock struct{ file *os.File }

// Try locks a file, making it where it is missing. The error is [ErrHeld]
// where another has the lock.
func Try(path string) (*Lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if err := lock(f); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, ErrHeld
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// The name may have come to mean another file between open and lock;
		// a lock on a file that nobody can find excludes nobody.
		if named(f, path) {
			return &Lock{f}, nil
		}
		f.Close()
	}
}

// Wait locks a file as soon as it is free, or returns the context's error.
func Wait(ctx context.Context, path string) (*Lock, error) {
	for {
		l, err := Try(path)
		if !errors.Is(err, ErrHeld) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %s: %w (%w)", path, ctx.Err(), ErrHeld)
		case <-time.After(pause):
		}
	}
}

// Unlock frees the lock. Twice is harmless.
func (l *Lock) Unlock() { l.file.Close() }

func lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func named(f *os.File, path string) bool {
	held, err1 := f.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}
