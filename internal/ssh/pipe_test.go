package ssh

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A pipe is a network in memory with a latency, under the clock of
// testing/synctest: what takes a minute of waiting takes no time, and a round
// trip takes exactly one.

// half is one direction.
type half struct {
	mu      sync.Mutex
	changed *sync.Cond
	latency time.Duration
	flight  []packet
	closed  bool
	waiting int // bytes in flight
	limit   int // bytes until the wire is cut; 0: none
	cut     bool
}

type packet struct {
	arrives time.Time
	data    []byte
}

func newHalf(latency time.Duration) *half {
	h := &half{latency: latency}
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *half) wake() {
	h.mu.Lock()
	h.changed.Broadcast()
	h.mu.Unlock()
}

// buffer is how many bytes may be in flight before a writer waits.
const buffer = 4 << 20

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.waiting > buffer && !h.closed && !h.cut {
		h.changed.Wait()
	}
	if h.closed || h.cut {
		return 0, io.ErrClosedPipe
	}
	data := append([]byte(nil), p...)
	if h.limit > 0 {
		data = data[:min(len(data), h.limit)]
		if h.limit -= len(data); h.limit == 0 {
			h.cut = true
		}
	}
	h.waiting += len(data)
	h.flight = append(h.flight, packet{time.Now().Add(h.latency), data})
	if h.latency > 0 {
		time.AfterFunc(h.latency, h.wake)
	}
	h.changed.Broadcast()
	return len(p), nil
}

func (h *half) read(p []byte, state func() error) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if err := state(); err != nil {
			return 0, err
		}
		if len(h.flight) > 0 && (h.closed || !time.Now().Before(h.flight[0].arrives)) {
			n := copy(p, h.flight[0].data)
			h.waiting -= n
			h.changed.Broadcast()
			if h.flight[0].data = h.flight[0].data[n:]; len(h.flight[0].data) == 0 {
				h.flight = h.flight[1:]
			}
			return n, nil
		}
		if len(h.flight) == 0 && (h.closed || h.cut) {
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) close() {
	h.mu.Lock()
	h.closed = true
	h.changed.Broadcast()
	h.mu.Unlock()
}

// end is one end of a pipe.
type end struct {
	in, out *half

	mu       sync.Mutex
	closed   bool
	deadline time.Time
}

// newPipe makes a pipe; cutAfter is the number of bytes from b to a after
// which the wire breaks, 0 for never.
func newPipe(latency time.Duration, cutAfter int) (a, b *end) {
	there, back := newHalf(latency), newHalf(latency)
	back.limit = cutAfter
	return &end{in: back, out: there}, &end{in: there, out: back}
}

func (e *end) state() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	if !e.deadline.IsZero() && !time.Now().Before(e.deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (e *end) Read(p []byte) (int, error) { return e.in.read(p, e.state) }

func (e *end) Write(p []byte) (int, error) {
	if err := e.state(); err != nil {
		return 0, err
	}
	return e.out.write(p)
}

func (e *end) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.out.close()
	e.in.close() // who still writes to us need not wait
	return nil
}

func (e *end) SetDeadline(at time.Time) error {
	e.mu.Lock()
	e.deadline = at
	e.mu.Unlock()
	if !at.IsZero() {
		time.AfterFunc(time.Until(at), e.in.wake)
	}
	return nil
}

func (e *end) SetReadDeadline(at time.Time) error  { return e.SetDeadline(at) }
func (e *end) SetWriteDeadline(at time.Time) error { return nil }
func (e *end) LocalAddr() net.Addr                 { return &net.TCPAddr{IP: net.IPv4(10, 1, 0, 1), Port: 40000} }
func (e *end) RemoteAddr() net.Addr                { return &net.TCPAddr{IP: net.IPv4(10, 1, 0, 11), Port: 22} }
