package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// queue is what waits for one sink: a file for each message, named by its number, so
// that the order of names is that of messages. Only what is needed to choose among
// them is in memory.
type queue struct {
	dir     string
	next    uint64
	waiting []*item // by number
	bytes   int
	told    *told
	limits  limits
}

type limits struct{ count, bytes int }

// most that waits for one sink.
func most() limits { return limits{1000, 64 << 20} }

// item is a message that waits.
type item struct {
	number uint64
	id     string
	kind   Kind
	size   int // bytes of its file
	since  time.Time

	failures  int
	overtaken bool      // a later one went through since it failed
	again     time.Time // when it is tried, once it was overtaken
}

// sealed is a message as it lies in the queue.
type sealed struct {
	FormatVersion string    `json:"formatVersion"`
	Since         time.Time `json:"since"` // when it was put
	Message       Message   `json:"message"`
}

func seal(m Message, now time.Time) ([]byte, error) {
	kept, err := json.Marshal(sealed{"1.0", now.UTC(), m})
	if err == nil && len(kept) > maxMessage {
		err = fmt.Errorf("a message has %d bytes; at most %d are kept", len(kept), maxMessage)
	}
	return kept, err
}

const extension = ".json"

// openQueue reads what waits. What was sent already, and what is no message, goes.
func openQueue(dir string, log *slog.Logger) (*queue, error) {
	q := &queue{dir: filepath.Join(dir, "queue"), limits: most()}
	if err := durable.MakeFolder(q.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if q.told, err = openTold(filepath.Join(dir, "sent"), time.Now()); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(q.dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		i := &item{}
		if _, err := fmt.Sscanf(name, "%016x"+extension, &i.number); err != nil || name != i.name() {
			if strings.HasPrefix(name, ".") { // of a write that did not end
				os.Remove(filepath.Join(q.dir, name))
			}
			continue
		}
		q.next = i.number + 1
		kept, size, err := q.read(i)
		if errors.Is(err, errNoMessage) {
			log.Error("a message is lost", keyError, err)
			os.Remove(q.path(i))
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the queue: %w", err)
		}
		i.id, i.kind, i.size, i.since = kept.Message.ID(), kept.Message.Kind, size, kept.Since
		if q.told.has(i.id, time.Now()) {
			os.Remove(q.path(i)) // we died between the two
			continue
		}
		q.waiting = append(q.waiting, i)
		q.bytes += i.size
	}
	return q, nil
}

func (i *item) name() string { return fmt.Sprintf("%016x%s", i.number, extension) }

func (q *queue) path(i *item) string { return filepath.Join(q.dir, i.name()) }

// errNoMessage says that a file holds none, or is gone.
var errNoMessage = errors.New("it holds no message")

// read is a message, and how large its file is.
func (q *queue) read(i *item) (kept sealed, size int, err error) {
	data, err := os.ReadFile(q.path(i))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return sealed{}, 0, fmt.Errorf("%w: %w", errNoMessage, err)
	case err != nil:
		return sealed{}, 0, err
	}
	if err = json.Unmarshal(data, &kept); err == nil {
		_, err = kept.Message.valid(kept.Since)
	}
	if err != nil {
		return sealed{}, 0, fmt.Errorf("%s: %w: %w", q.path(i), errNoMessage, err)
	}
	return kept, len(data), nil
}

// has says that no other message of this ID is to be put.
func (q *queue) has(id string, now time.Time) bool {
	return q.told.has(id, now) || slices.ContainsFunc(q.waiting, func(i *item) bool { return i.id == id })
}

// add makes a message durable behind the others.
func (q *queue) add(m Message, kept []byte, now time.Time) error {
	i := &item{number: q.next, id: m.ID(), kind: m.Kind, size: len(kept), since: now}
	if err := durable.WriteFile(q.path(i), kept, 0o600); err != nil {
		return err
	}
	q.next++
	q.waiting = append(q.waiting, i)
	q.bytes += i.size
	return nil
}

// room says which of the messages that wait has to go so that another one fits; nil:
// none. The oldest digest goes first, since the next one says it all again. False: the
// other one itself is the only digest, and is not worth what waits.
func (q *queue) room(size int, kind Kind, busy *item) (victim *item, fits bool) {
	if len(q.waiting) < q.limits.count && q.bytes+size <= q.limits.bytes {
		return nil, true
	}
	free := func(i *item) bool { return i != busy }
	if n := slices.IndexFunc(q.waiting, func(i *item) bool { return i.kind == Digest && free(i) }); n >= 0 {
		return q.waiting[n], true
	}
	n := slices.IndexFunc(q.waiting, free)
	if kind == Digest || n < 0 {
		return nil, false
	}
	return q.waiting[n], true
}

// remove takes a message away, whether it was sent or not. It is gone from memory also
// where its file could not be removed. A file that a power cut brings back is known as
// sent, or is only sent later than never.
func (q *queue) remove(i *item) error {
	n := slices.Index(q.waiting, i)
	if n < 0 {
		return nil
	}
	q.waiting = slices.Delete(q.waiting, n, n+1)
	q.bytes -= i.size
	if err := os.Remove(q.path(i)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
