package flock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/lease/flock"
)

func TestOneHolderAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := flock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := flock.Try(path); !errors.Is(err, flock.ErrHeld) {
		t.Fatalf("second try: %v, want ErrHeld", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := flock.Wait(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("wait: %v, want the deadline", err)
	}
	held.Unlock()
	held.Unlock()
	if _, err := flock.Wait(t.Context(), path); err != nil {
		t.Fatal(err)
	}
}

func TestWaitersExcludeEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, count atomic.Int32 // atomic: the race detector does not know flock
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				l, err := flock.Wait(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d holders at once", n)
				}
				count.Add(1)
				inside.Add(-1)
				l.Unlock()
			}
		})
	}
	group.Wait()
	if count.Load() != 160 {
		t.Fatalf("counted %d, want 160", count.Load())
	}
}

func TestALockOnARemovedFileExcludesNobodySoANewOneIsTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	old, err := flock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Unlock()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l, err := flock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if _, err := flock.Try(path); !errors.Is(err, flock.ErrHeld) {
		t.Fatalf("third: %v, want ErrHeld", err)
	}
}

func TestLockSaysWhereItFailed(t *testing.T) {
	if _, err := flock.Try(filepath.Join(t.TempDir(), "none", "lock")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%v, want not-exist", err)
	}
}
