package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/lease/flock"
	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// Keys of the log.
const (
	keySink    = "sink"
	keyMessage = "message"
	keyKind    = "kind"
	keyError   = "error"
)

// Outbox keeps messages until their sinks have taken them. Its methods may be called
// from several goroutines.
type Outbox struct {
	dir  string
	log  *slog.Logger
	lock *flock.Lock

	mu      sync.Mutex
	workers map[string]*worker // by sink, and those whose sink is not named any more
	begin   func(*worker)      // nil: nothing is sent yet
}

// Open is the outbox of a folder, with what was not sent when it was closed. One
// process has it at a time.
func Open(dir string, log *slog.Logger) (*Outbox, error) {
	if err := durable.MakeFolder(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the outbox: %w", err)
	}
	lock, err := flock.Try(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("open the outbox in %s: %w", dir, err)
	}
	o := &Outbox{dir: dir, log: log, lock: lock, workers: map[string]*worker{}}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err == nil && e.IsDir() && isName(e.Name()) {
			_, err = o.worker(e.Name())
		}
	}
	if err != nil {
		lock.Unlock()
		return nil, fmt.Errorf("open the outbox: %w", err)
	}
	return o, nil
}

// isName says that a text can name a sink.
func isName(text string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`).MatchString(text)
}

// worker is that of a name, made where there is none yet. The lock is held, or nobody
// else has the outbox yet.
func (o *Outbox) worker(name string) (*worker, error) {
	if w, known := o.workers[name]; known {
		return w, nil
	}
	w, err := newWorker(name, filepath.Join(o.dir, name), o.log.With(keySink, name))
	if err != nil {
		return nil, err
	}
	o.workers[name] = w
	if o.begin != nil {
		o.begin(w)
	}
	return w, nil
}

// Use has messages go to these sinks from now on. What waits for one that is not among
// them waits for it to come back, as long as messages wait for anything. On an error
// the sinks are as before.
func (o *Outbox) Use(sinks map[string]Sink) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(sinks)) {
		if !isName(name) {
			return fmt.Errorf("%q cannot name a sink", name)
		}
		if _, err := o.worker(name); err != nil {
			return err
		}
	}
	for name, w := range o.workers {
		w.use(sinks[name])
	}
	return nil
}

// Put keeps a message for sinks, and returns once that would survive a crash. Nothing
// is sent meanwhile. A sink that was sent a message of this key already, or for which
// one waits, gets no other. The error says which sinks will not get it.
func (o *Outbox) Put(sinks []string, m Message) error {
	now := time.Now()
	m, err := m.valid(now)
	if err != nil {
		return err
	}
	kept, err := seal(m, now)
	if err != nil {
		return err
	}
	var wrong []error
	for _, name := range sinks {
		o.mu.Lock()
		w := o.workers[name]
		o.mu.Unlock()
		if w == nil {
			wrong = append(wrong, fmt.Errorf("there is no sink %q", name))
			continue
		}
		if err := w.put(m, kept, now); err != nil {
			wrong = append(wrong, fmt.Errorf("keep a message for %s: %w", name, err))
		}
	}
	return errors.Join(wrong...)
}

// Run sends what waits and what comes, until the context ends and nothing is being sent
// any more.
func (o *Outbox) Run(ctx context.Context) {
	var all sync.WaitGroup
	o.mu.Lock()
	o.begin = func(w *worker) { all.Go(func() { w.run(ctx) }) }
	for _, w := range o.workers {
		o.begin(w)
	}
	o.mu.Unlock()
	<-ctx.Done()
	o.mu.Lock()
	o.begin = nil
	o.mu.Unlock()
	all.Wait()
}

// Close lets another process have the folder. Run has returned, or was never called.
func (o *Outbox) Close() { o.lock.Unlock() }

// State is how a sink is.
type State struct {
	Sink      string
	Pending   int       // messages that wait
	Dropped   int       // since the start, because too many waited or they waited too long
	LastError string    // why the last message was not sent; empty: it was
	LastSent  time.Time // zero: none within 30 days
}

// States are those of the sinks in use, by name.
func (o *Outbox) States() []State {
	o.mu.Lock()
	workers := slices.Collect(maps.Values(o.workers))
	o.mu.Unlock()
	var all []State
	for _, w := range workers {
		if s, used := w.state(); used {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b State) int { return strings.Compare(a.Sink, b.Sink) })
	return all
}
