package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
)

// Messages go to a sink one after another, in the order in which they were put. A
// failure is the sink's, and all wait for it: 15 s, then twice as long each time, up to
// a quarter of an hour, or as long as it asks for. But a failure may be the message's
// own, as with a receiver that stumbles over one text: after five of them the next
// message is tried, and if that goes through, the one before waits by itself.

const (
	firstPause = 15 * time.Second
	mostPause  = 15 * time.Minute
	patience   = 5                  // failures of one message before another is tried
	giveUp     = 3 * 24 * time.Hour // after which a message is dropped
)

// worker sends to one sink.
type worker struct {
	name  string
	log   *slog.Logger
	news  chan struct{}
	mu    sync.Mutex
	sink  Sink // nil: it is not named any more
	queue *queue

	sending  *item
	failures int       // of the sink, one after another
	until    time.Time // before which nothing is sent
	dropped  int
	lastErr  string
	lastSent time.Time
}

func newWorker(name, dir string, log *slog.Logger) (*worker, error) {
	q, err := openQueue(dir, log)
	if err != nil {
		return nil, err
	}
	return &worker{name: name, log: log, news: make(chan struct{}, 1), queue: q, lastSent: q.told.last()}, nil
}

// use takes another sink of the same name, which is tried at once.
func (w *worker) use(sink Sink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.queue.waiting); sink == nil && n > 0 {
		w.log.Warn("messages wait for a sink that reconciler.yaml does not name", "messages", n)
	}
	w.sink, w.failures, w.until = sink, 0, time.Time{}
	w.wake()
}

func (w *worker) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (w *worker) put(m Message, kept []byte, now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.sink == nil:
		return errors.New("reconciler.yaml does not name it any more")
	case w.queue.has(m.ID(), now):
		return nil
	}
	for {
		victim, fits := w.queue.room(len(kept), m.Kind, w.sending)
		if !fits {
			w.drop(nil, m.Kind, "too many messages wait, and a digest is not worth one of them")
			return nil
		}
		if victim == nil {
			break
		}
		w.drop(victim, victim.kind, "too many messages wait")
	}
	if err := w.queue.add(m, kept, now); err != nil {
		w.lastErr = err.Error()
		return err
	}
	w.wake()
	return nil
}

// drop gives up a message. Of many only some are said, each with how many there were.
func (w *worker) drop(i *item, kind Kind, why string) {
	w.dropped++
	if w.dropped%100 == 1 {
		w.log.Error("a message is dropped", keyKind, kind, keyError, why, "dropped", w.dropped)
	}
	if i != nil {
		w.remove(i)
	}
}

func (w *worker) remove(i *item) {
	if err := w.queue.remove(i); err != nil {
		w.log.Error("a message stays in the queue", keyError, err)
	}
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		i, sink, wait := w.pick(time.Now())
		if i != nil {
			w.send(ctx, sink, i)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-w.news:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// idle is how long nothing is looked at where nothing is due.
const idle = time.Hour

// pick is the message that is tried now, or how long to wait for one.
func (w *worker) pick(now time.Time) (*item, Sink, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue.waiting) > 0 && now.Sub(w.queue.waiting[0].since) > giveUp {
		i := w.queue.waiting[0]
		w.dropped++
		w.log.Error("a message is given up: it could not be sent for 3 days", keyMessage, i.id, keyKind, i.kind, keyError, w.lastErr)
		w.remove(i)
	}
	switch {
	case w.sink == nil || len(w.queue.waiting) == 0:
		return nil, nil, idle
	case now.Before(w.until):
		return nil, nil, w.until.Sub(now)
	}
	wait := idle
	var least *item
	for _, i := range w.queue.waiting {
		switch {
		case i.overtaken && now.Before(i.again):
			wait = min(wait, i.again.Sub(now))
		case i.overtaken || i.failures < patience:
			w.sending = i
			return i, w.sink, 0
		case least == nil || i.failures < least.failures:
			least = i
		}
	}
	w.sending = least
	return least, w.sink, wait
}

// send tries one message, and notes what became of it.
func (w *worker) send(ctx context.Context, sink Sink, i *item) {
	err := caught(func() error {
		kept, _, err := w.queue.read(i)
		if err != nil {
			return err
		}
		ctx, end := context.WithTimeout(ctx, 2*longest) // every sink ends earlier by itself
		defer end()
		return sink.Send(ctx, kept.Message)
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sending = nil
	_, refused := errors.AsType[*RefusedError](err)
	_, partly := errors.AsType[*PartlyError](err)
	switch {
	case err == nil || partly:
		w.sent(i, time.Now(), err)
	case refused:
		w.dropped++
		w.lastErr = err.Error()
		w.log.Error("a message is refused, and dropped", keyMessage, i.id, keyKind, i.kind, keyError, err)
		w.remove(i)
	case errors.Is(err, errNoMessage): // somebody changed or took it
		w.log.Error("a message is lost", keyMessage, i.id, keyError, err)
		w.remove(i)
	case ctx.Err() != nil: // it is tried again after the next start
	default:
		w.failed(i, time.Now(), err)
	}
}

// sent notes that a sink has a message. What was sent is durable before its file goes:
// dying in between sends nothing again.
func (w *worker) sent(i *item, now time.Time, err error) {
	if w.failures > 0 {
		w.log.Info("messages are sent again", "waiting", len(w.queue.waiting)-1)
	}
	w.failures, w.lastSent, w.lastErr = 0, now.UTC(), ""
	if err != nil {
		w.lastErr = err.Error()
		w.log.Warn("a message did not reach everybody", keyMessage, i.id, keyError, err)
	}
	if err := w.queue.told.add(i.id, now); err != nil {
		w.log.Error("a message may be sent again after a restart", keyMessage, i.id, keyError, err)
	}
	w.remove(i)
	for _, before := range w.queue.waiting {
		if before.number < i.number && before.failures > 0 && !before.overtaken {
			before.overtaken, before.again = true, now // once more at once, now that the sink takes messages
		}
	}
}

// failed notes when to try again.
func (w *worker) failed(i *item, now time.Time, err error) {
	w.lastErr = err.Error()
	i.failures++
	after := time.Duration(0)
	if busy, ok := errors.AsType[*outbound.BusyError](err); ok {
		after = busy.After
		w.until = now.Add(after)
	}
	if i.overtaken {
		i.again = now.Add(max(pause(i.failures), after))
		return
	}
	w.failures++
	w.until = now.Add(max(pause(w.failures), after))
	if w.failures == 1 {
		w.log.Warn("messages wait: the sink does not take them", keyError, err, "waiting", len(w.queue.waiting), "again_in", w.until.Sub(now))
	}
}

func pause(failures int) time.Duration {
	return min(firstPause<<min(max(failures, 1)-1, 10), mostPause)
}

// caught turns a panic into an error: a sink reads what strangers answer, and a defect
// of ours must not end the daemon.
func caught(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("a defect of reconciler, please report it: %v", v)
		}
	}()
	return do()
}

func (w *worker) state() (s State, used bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return State{Sink: w.name, Pending: len(w.queue.waiting), Dropped: w.dropped, LastError: w.lastErr, LastSent: w.lastSent}, w.sink != nil
}
