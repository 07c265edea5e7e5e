package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/vaultfleet/reconciler/internal/lease/flock"
	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// ErrDamaged says that our own clone misses objects or holds wrong ones. The
// next Fetch makes it anew.
var ErrDamaged = errors.New("the local clone is damaged")

// ErrUnread says that this machine would not let us read our own clone: a full
// table of files, a missing right, a caller that gave up. The commit may be
// without fault.
var ErrUnread = errors.New("the local clone cannot be read")

// Repo is a clone in the state folder:
//
//	lock     held by whoever writes
//	remote   what is tracked; another URL or branch begins without a last commit
//	repo     the clone; beside it what is fetched, until it is looked at
//	damaged  there when somebody found the clone damaged
//
// It may be used by many goroutines and processes.
type Repo struct {
	dir    string
	remote Remote
	up     upstream
	limits limits
}

// Open opens the clone of a remote in a folder of its own, and makes it where
// it is missing. The remote itself is not touched.
func Open(ctx context.Context, dir string, remote Remote) (*Repo, error) {
	limits := defaultLimits()
	up, err := remote.upstream(limits)
	if err != nil {
		return nil, fmt.Errorf("open the fleet repo: %w", err)
	}
	r := &Repo{dir: dir, remote: remote, up: up, limits: limits}
	if err := durable.MakeFolder(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the fleet repo: %w", err)
	}
	if r.prepared() {
		return r, nil // whoever fetches right now may take long
	}
	if err := r.locked(ctx, r.prepare); err != nil {
		return nil, fmt.Errorf("open the clone of the fleet repo at %s: %w", dir, err)
	}
	return r, nil
}

// Folder is where in the repo the fleet lies; "." is the top.
func (r *Repo) Folder() string { return r.remote.folder() }

// Last is the commit that was fetched last; false: none was yet.
func (r *Repo) Last() (string, bool, error) {
	h, ok, err := r.clone().head()
	if err != nil {
		r.mark(err)
		return "", false, fmt.Errorf("read the last fetched commit: %w", err)
	}
	if !ok {
		return "", false, nil
	}
	return h.String(), true, nil
}

// within bounds a fetch: a server that sends a little all the time is silent at no
// time.
const within = 10 * time.Minute

// Fetch asks the remote for its branch, gets what is new, and returns the
// commit that the branch stands at, which is on disk then. On an error what was
// fetched before stands.
func (r *Repo) Fetch(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("it took longer than %v", within))
	defer cancel()
	var tip plumbing.Hash
	err := r.locked(ctx, func() (err error) {
		if err := errors.Join(os.RemoveAll(r.file("repo.fetched")), os.RemoveAll(r.file("repo.new.fetched"))); err != nil { // of who was killed
			return err
		}
		tip, err = r.fetch(ctx)
		return err
	})
	if err != nil {
		r.mark(err)
		return "", fmt.Errorf("fetch %s of the fleet repo: %w", r.remote.Branch, err)
	}
	return tip.String(), nil
}

func (r *Repo) fetch(ctx context.Context) (plumbing.Hash, error) {
	tip, err := r.up.tip(ctx, r.remote)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	err = r.bring(ctx, tip)
	if err == nil {
		return tip, nil
	}
	if !moved(err) {
		return tip, err
	}
	if tip, err = r.up.tip(ctx, r.remote); err != nil {
		return tip, err
	}
	return tip, r.bring(ctx, tip)
}

// moved says that a server does not give a commit, which it said a moment ago that
// the branch stands at.
func moved(err error) bool {
	said, ok := errors.AsType[interface {
		error
		NotOurs() bool
	}](err)
	return ok && said.NotOurs()
}

// bring gets a commit into the clone, which is made anew where it is damaged.
func (r *Repo) bring(ctx context.Context, tip plumbing.Hash) error {
	if !r.damaged() {
		if err := r.advance(ctx, tip); !errors.Is(err, ErrDamaged) {
			return err
		}
	}
	return r.rebuild(ctx, tip)
}

// advance gets what is new into the clone that is there.
func (r *Repo) advance(ctx context.Context, tip plumbing.Hash) error {
	last, ok, err := r.clone().head()
	if err != nil || ok && last == tip {
		return err
	}
	if err := r.clone().resume(); err != nil {
		return err
	}
	if err := r.clone().tidy(ctx); err != nil {
		return err
	}
	return r.clone().pull(ctx, r.up, tip)
}

// rebuild clones anew beside a damaged clone and swaps the two. The damaged one
// is kept until the next time, for whoever wants to know.
func (r *Repo) rebuild(ctx context.Context, tip plumbing.Hash) error {
	fresh, err := create(r.file("repo.new"))
	if err != nil {
		return err
	}
	if err := os.RemoveAll(fresh.beside().dir); err != nil {
		return err
	}
	if err := fresh.pull(ctx, r.up, tip); err != nil {
		return err
	}
	if err := os.RemoveAll(r.file("repo.damaged")); err != nil {
		return err
	}
	if err := os.Rename(r.file("repo"), r.file("repo.damaged")); err != nil && !lost(err) {
		return err
	}
	if err := os.Rename(fresh.dir, r.file("repo")); err != nil {
		return err
	}
	if err := durable.SyncFolder(r.dir); err != nil {
		return err
	}
	if err := os.Remove(r.file("damaged")); err != nil && !lost(err) {
		return err
	}
	return nil
}

// prepared says that there is nothing to prepare.
func (r *Repo) prepared() bool {
	_, err := os.Stat(r.file("repo"))
	tracks, other := os.ReadFile(r.file("remote"))
	return err == nil && other == nil && string(tracks) == r.tracks()
}

// tracks is the text of the file that says what is tracked.
func (r *Repo) tracks() string { return r.remote.URL + "\n" + r.remote.Branch + "\n" }

// prepare finishes a swap that was cut short, and begins what is missing.
func (r *Repo) prepare() error {
	if _, err := os.Stat(r.file("repo")); lost(err) {
		if _, whole, _ := (clone{r.file("repo.new")}).head(); whole { // its head is written last
			err = os.Rename(r.file("repo.new"), r.file("repo"))
		} else {
			err = r.begin()
		}
		if err != nil {
			return err
		}
	}
	tracks := []byte(r.tracks())
	before, err := os.ReadFile(r.file("remote"))
	if err == nil && string(before) == string(tracks) {
		return nil
	}
	if err != nil && !lost(err) {
		return err
	}
	if err := r.clone().dropHead(); err != nil { // it was another branch's
		return err
	}
	return durable.WriteFile(r.file("remote"), tracks, 0o600)
}

// begin makes an empty clone, whole or not at all.
func (r *Repo) begin() error {
	empty, err := create(r.file("repo.empty"))
	if err != nil {
		return err
	}
	if err := os.Rename(empty.dir, r.file("repo")); err != nil {
		return err
	}
	return durable.SyncFolder(r.dir)
}

// mark notes that the clone was found damaged. If that cannot be written, the
// next one to find it notes it.
func (r *Repo) mark(err error) {
	if errors.Is(err, ErrDamaged) {
		_ = os.WriteFile(r.file("damaged"), []byte(err.Error()+"\n"), 0o600)
	}
}

func (r *Repo) damaged() bool {
	_, err := os.Stat(r.file("damaged"))
	return err == nil
}

// waits bounds how long somebody waits for another who writes the clone.
const waits = time.Minute

func (r *Repo) locked(ctx context.Context, do func() error) error {
	waiting, cancel := context.WithTimeout(ctx, waits)
	defer cancel()
	lock, err := flock.Wait(waiting, r.file("lock"))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return do()
}

func (r *Repo) file(name string) string { return filepath.Join(r.dir, name) }
func (r *Repo) clone() clone            { return clone{r.file("repo")} }
