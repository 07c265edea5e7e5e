package history

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// queued is how many turns may wait to be written; a change of every cluster of a
// large fleet at once.
const queued = 1024

// Options are what a history needs of its surroundings.
type Options struct {
	Keep time.Duration // older rows are deleted; 0: none is
	// Tell hears once that the history cannot be written and why, and nil once it
	// can be again. A [DamagedError] is told as well, and is over at once. It must not
	// call the history.
	Tell func(error)
}

// History writes down what turns came to. It may be used by many goroutines, and
// one process needs one. A nil one hears nothing.
type History struct {
	file string
	tell func(error)

	mu   sync.Mutex
	sums map[string][sha256.Size]byte // cluster → as it was written down last
	keep time.Duration
	lost report.Gap // since the last turn that was written
	told bool       // that it cannot be written
	over bool

	todo  chan any // a record, a said, or an [Episode]
	beat  <-chan time.Time
	ended chan struct{}

	// Of the one goroutine that writes:
	db     *sql.DB     // nil: not open
	opened os.FileInfo // the file that db is, or was
	zips   sync.Pool   // of gzip.Writer
	pruned time.Time
}

// Open begins a history of a state folder. It returns at once and cannot fail: what
// is wrong with the file is told, and tried again at the next turn.
func Open(state string, o Options) *History {
	h := newHistory(state, o, time.Tick(time.Minute))
	go h.write()
	return h
}

func newHistory(state string, o Options, beat <-chan time.Time) *History {
	return &History{file: File(state), tell: o.Tell, keep: o.Keep, sums: map[string][sha256.Size]byte{},
		todo: make(chan any, queued), beat: beat, ended: make(chan struct{}),
		zips: sync.Pool{New: func() any { return gzip.NewWriter(nil) }}}
}

// Of hears the turns of one fleet, and does not wait: what is news is queued.
func (h *History) Of(fleet string) func(loop.Turned) {
	if h == nil {
		return func(loop.Turned) {}
	}
	return func(t loop.Turned) {
		r := recorded(fleet, t)
		if len(r.steps) == 0 && h.stands(r) {
			return
		}
		h.queue(r)
	}
}

// stands says that a cluster was written down as it stands, or that the turn does
// not tell how it does.
func (h *History) stands(r record) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, known := h.sums[r.cluster]
	return len(r.stands) == 0 || known && last == r.sum
}

// Said hears what a person said of a cluster: a leave that was granted or lifted,
// with who lifts it, why and when.
func (h *History) Said(cluster string, verb report.Verb, l diff.Leave) {
	h.queue(said{cluster, verb, l})
}

type said struct {
	cluster string
	verb    report.Verb
	leave   diff.Leave
}

// Did hears what a person did that is no leave: of a fleet, of a cluster, or of some
// nodes of it.
func (h *History) Did(fleet string, e report.Event) { h.queue(did{fleet, e}) }

type did struct {
	fleet string // empty: the cluster's
	event report.Event
}

// SetKeep changes how long rows are kept.
func (h *History) SetKeep(keep time.Duration) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep = keep
}

func (h *History) queue(what any) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	select {
	case h.todo <- what:
	default:
		h.lose(fmt.Errorf("%d turns wait to be written already", queued))
	}
}

// lose counts what is not written down, and tells of it. The lock is held.
func (h *History) lose(why error) {
	if h.lost.Turns++; h.lost.Turns == 1 {
		h.lost.Since, h.lost.Why = time.Now(), why.Error()
	}
	h.hear(why)
}

// hear tells of trouble once, and that it is over. The lock is held.
func (h *History) hear(err error) {
	switch {
	case err != nil && !h.told:
		h.told = true
		h.tell(err)
	case err == nil && h.told:
		h.told = false
		h.tell(nil)
	}
}

// Close writes what was heard, and ends.
func (h *History) Close() {
	if h == nil {
		return
	}
	h.mu.Lock()
	if !h.over {
		h.over = true
		close(h.todo)
	}
	h.mu.Unlock()
	<-h.ended
}

// write is the one goroutine that writes. Between two beats in which nothing was
// written the file is closed: it is whole by itself then, and takes no memory.
func (h *History) write() {
	defer close(h.ended)
	ctx := context.Background() // a turn that was heard is written, whoever ends
	idle := false
	always := make(chan struct{})
	close(always)
	var more <-chan struct{} // always, while there is more to delete
	for {
		select {
		case what, open := <-h.todo:
			if !open {
				h.shut()
				return
			}
			h.one(ctx, what)
			idle = false
		case <-more:
		case <-h.beat:
			if idle && more == nil {
				h.shut()
			}
			idle = true
		}
		if h.prune(ctx, more != nil, time.Now()) {
			more = always
		} else {
			more = nil
		}
	}
}

// one writes one thing down. A damaged file is set aside, and the new one gets
// what the damaged one could not take.
func (h *History) one(ctx context.Context, what any) {
	err := h.put(ctx, what)
	var aside error
	if damaged(err) {
		h.shut()
		if aside = setAside(ctx, h.file, err, time.Now()); aside == nil || errors.As(aside, new(*DamagedError)) {
			h.forget()
			err = h.put(ctx, what)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if aside != nil {
		h.hear(aside)
	}
	switch {
	case err != nil:
		h.lose(fmt.Errorf("write %s: %w", h.file, err))
	case len(h.todo) == 0: // else more may be lost soon
		h.hear(nil)
	}
}

// put writes one thing into the file that has the name now: the one that was
// opened may have been deleted, or set aside by another process. A defect of ours in
// it must not end the turns.
func (h *History) put(ctx context.Context, what any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a defect of reconciler, please report it: %v", p)
		}
	}()
	named, err := os.Stat(h.file)
	if h.opened != nil && (err != nil || !os.SameFile(named, h.opened)) {
		h.shut()
		h.forget()
	}
	if h.db == nil {
		if h.db, err = openFile(ctx, h.file); err != nil {
			return err
		}
		if h.opened, err = os.Stat(h.file); err != nil {
			return err
		}
	}
	return h.transact(ctx, what)
}

// forget takes nothing for written.
func (h *History) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.sums)
}

func (h *History) shut() {
	if h.db != nil {
		h.db.Close()
		h.db = nil
	}
}
