package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/vaultfleet/reconciler/internal/lease/flock"
	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// Lease is the right to act on a cluster, held until Release or the end of the
// process.
type Lease struct {
	Epoch        uint64 // higher than that of every lease on this cluster before
	Holder       string // host:pid:installation, for people
	Installation string // the holder in a node's fence: outlives a restart of the process
	lock         *flock.Lock
}

// Release lets the next one act. Twice is harmless.
func (l Lease) Release() {
	if l.lock != nil {
		l.lock.Unlock()
	}
}

// BusyError says who has the lease. Holder is empty where its words could not
// be read.
type BusyError struct {
	What   string // "prod-eu", or "the daemon's place in /var/lib/reconciler"
	Holder string // host:pid:installation
	PID    int
	Since  time.Time
}

func (e *BusyError) Error() string {
	by := "another process"
	if e.Holder != "" {
		by = fmt.Sprintf("%s (process %d, since %s)", e.Holder, e.PID, e.Since.Format(time.RFC3339))
	}
	return fmt.Sprintf("%s is busy: held by %s; wait for it, or stop it", e.What, by)
}

// Acquire takes the lease of a cluster, or returns a [*BusyError] at once. The
// new epoch is on disk when it returns.
func Acquire(ctx context.Context, stateDir, cluster string) (Lease, error) {
	dir, err := folder(stateDir, cluster)
	if err != nil {
		return Lease{}, err
	}
	return acquire(ctx, stateDir, dir, cluster)
}

// Daemon takes the one place that a state folder has for a daemon, or returns
// a [*BusyError] at once.
func Daemon(ctx context.Context, stateDir string) (Lease, error) {
	return acquire(ctx, stateDir, filepath.Join(stateDir, "daemon"), "the daemon's place in "+stateDir)
}

// Raise makes the next epoch of a cluster higher than one that was seen on a
// node: for the takeover after a state folder was lost. It never lowers. It
// needs the lease to be free, else the error is a [*BusyError].
func Raise(ctx context.Context, stateDir, cluster string, seen uint64) error {
	l, err := Acquire(ctx, stateDir, cluster)
	if err != nil {
		return err
	}
	defer l.Release()
	if l.Epoch >= seen {
		return nil
	}
	if _, err := after(seen); err != nil {
		return fmt.Errorf("raise the epoch of %s: %w", cluster, err)
	}
	t := newTerm(l.Installation)
	t.Epoch = seen
	if err := writeTerm(filepath.Join(stateDir, "clusters", cluster, "epoch"), t); err != nil {
		return fmt.Errorf("raise the epoch of %s: %w", cluster, err)
	}
	return nil
}

func acquire(ctx context.Context, stateDir, dir, what string) (Lease, error) {
	if err := ctx.Err(); err != nil {
		return Lease{}, err
	}
	id, err := Installation(stateDir)
	if err != nil {
		return Lease{}, fmt.Errorf("acquire %s: %w", what, err)
	}
	if err := durable.MakeFolder(dir, 0o700); err != nil {
		return Lease{}, fmt.Errorf("acquire %s: %w", what, err)
	}
	epoch := filepath.Join(dir, "epoch")
	lock, err := flock.Try(filepath.Join(dir, "lease"))
	if errors.Is(err, flock.ErrHeld) {
		t, _ := readTerm(epoch) // busy is what matters; who is for people
		return Lease{}, &BusyError{what, t.Holder, t.PID, t.Since}
	}
	if err != nil {
		return Lease{}, fmt.Errorf("acquire %s: %w", what, err)
	}
	t, err := advance(epoch, id)
	if err != nil {
		lock.Unlock()
		return Lease{}, fmt.Errorf("acquire %s: %w", what, err)
	}
	return Lease{Epoch: t.Epoch, Holder: t.Holder, Installation: id, lock: lock}, nil
}

// advance begins the next term of a lease whose lock is held.
func advance(path, installation string) (term, error) {
	last, err := readTerm(path)
	if err != nil {
		return term{}, err
	}
	t := newTerm(installation)
	if t.Epoch, err = after(last.Epoch); err != nil {
		return term{}, err
	}
	return t, writeTerm(path, t)
}

func newTerm(installation string) term {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	pid := os.Getpid()
	return term{Holder: fmt.Sprintf("%s:%d:%s", host, pid, installation), PID: pid, Since: time.Now().UTC().Truncate(time.Second)}
}

// folder is where a cluster's files are, beside its journal. A name that could
// point elsewhere is refused.
func folder(stateDir, cluster string) (string, error) {
	strange := func(r rune) bool {
		return r == '/' || r == '\\' || unicode.IsControl(r) || r == unicode.ReplacementChar
	}
	if cluster == "" || len(cluster) > 200 || cluster[0] == '.' || strings.IndexFunc(cluster, strange) >= 0 {
		return "", fmt.Errorf("acquire: %q cannot be a cluster's name", cluster)
	}
	return filepath.Join(stateDir, "clusters", cluster), nil
}
