package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A browser is told that something changed, and not what: it fetches the page anew if
// it wants to. So a stream is a set of names, however slowly it is read, and whoever
// does not read at all is dropped.

// Bounds of streams.
const (
	mostStreams = 64
	beatEvery   = 15 * time.Second
	writeTakes  = 5 * time.Second
	streamLasts = time.Hour // then it comes again, and is asked again who it is
	againAfter  = "5000"    // milliseconds, for the browser
)

// stream is one browser that listens.
type stream struct {
	wake  chan struct{}
	over  chan struct{}     // closed: it has to come again
	names map[string]uint64 // what changed since it was told last, and the counter then
}

// join is a new stream, and the counter from which on it is told; nil: there are as
// many as may be.
func (b *Board) join() (*stream, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.streams) >= mostStreams {
		return nil, 0
	}
	s := &stream{wake: make(chan struct{}, 1), over: make(chan struct{}), names: map[string]uint64{}}
	b.streams[s] = true
	return s, b.n
}

func (b *Board) leave(s *stream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.streams, s)
}

// AskAgain ends all streams: who may listen has changed, and whoever still may comes
// again by himself.
func (b *Board) AskAgain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.streams {
		close(s.over)
		delete(b.streams, s)
	}
}

// changed tells all who listen of a cluster; the empty name is all of them. The lock
// is held.
func (b *Board) changed(cluster string) {
	b.n++
	for s := range b.streams {
		s.names[cluster] = b.n
		select {
		case s.wake <- struct{}{}:
		default: // told already, and not heard yet
		}
	}
}

// news is what a stream was not told yet, in the order in which it came.
func (b *Board) news(s *stream) []change {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []change
	for name, n := range s.names {
		all = append(all, change{name, n})
	}
	clear(s.names)
	slices.SortFunc(all, func(a, b change) int { return cmp.Compare(a.N, b.N) })
	return all
}

// change is what a browser is told: the cluster, and the counter.
type change struct {
	Cluster string `json:"cluster"`
	N       uint64 `json:"n"`
}

func (c change) words(event string) string {
	data, _ := json.Marshal(c) // plain data always marshals
	return fmt.Sprintf("event: %s\ndata: %s\n\n", event, data)
}

// events is a stream of server-sent events.
func (p *pages) events(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		return
	}
	s, n := p.Board.join()
	if s == nil {
		w.Header().Set("Retry-After", "30")
		p.message(w, r, http.StatusServiceUnavailable, "Too many pages are open to be told of changes. Reload the page instead.")
		return
	}
	defer p.Board.leave(s)
	conn := http.NewResponseController(w)
	send := func(text string) bool {
		_ = conn.SetWriteDeadline(time.Now().Add(writeTakes))
		_, err := io.WriteString(w, text)
		return err == nil && conn.Flush() == nil
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold it back
	ok := send("retry: " + againAfter + "\n" + change{N: n}.words("hello"))
	beat, end := time.NewTicker(beatEvery), time.NewTimer(streamLasts)
	defer beat.Stop()
	defer end.Stop()
	for ok {
		select {
		case <-r.Context().Done():
			return
		case <-s.over:
			return
		case <-end.C:
			return
		case <-beat.C:
			ok = send(": it goes on\n\n")
		case <-s.wake:
			var text strings.Builder
			for _, c := range p.Board.news(s) {
				text.WriteString(c.words("changed"))
			}
			ok = send(text.String())
		}
	}
}
