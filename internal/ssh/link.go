package ssh

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Keepalive: a peer that we heard nothing of for keepaliveInterval is asked,
// and has keepaliveMisses intervals to answer.
const (
	keepaliveInterval = 15 * time.Second
	keepaliveMisses   = 3
)

// counted is the wire with what went over it.
type counted struct {
	net.Conn
	in, out atomic.Int64 // bytes
	heard   atomic.Int64 // when something last came in, Unix nanoseconds
	trips   atomic.Int64
	broken  atomic.Bool // nothing more comes in
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	c.heard.Store(time.Now().UnixNano())
	if err != nil {
		c.broken.Store(true)
	}
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

// link is one live SSH connection. Its goroutines end when the wire does.
type link struct {
	conn     ssh.Conn
	wire     *counted
	sessions *slots
	opening  chan struct{} // tunnels that wait for the peer's answer
	done     chan struct{} // closed when the connection is over

	once  sync.Once
	cause atomic.Pointer[error] // why we ended it; nil: the peer did
}

func newLink(conn ssh.Conn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request, wire *counted, sessions int) *link {
	l := &link{
		conn: conn, wire: wire, sessions: newSlots(sessions),
		opening: make(chan struct{}, maxOpening), done: make(chan struct{}),
	}
	go l.serve(channels, requests)
	time.AfterFunc(keepaliveInterval, l.keepalive)
	return l
}

// serve refuses all that a server may ask of a client. It ends with the
// connection.
func (l *link) serve(channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	defer close(l.done)
	for channels != nil || requests != nil {
		select {
		case c, open := <-channels:
			if !open {
				channels = nil
				continue
			}
			_ = c.Reject(ssh.Prohibited, "this client serves nothing")
		case r, open := <-requests:
			if !open {
				requests = nil
				continue
			}
			_ = r.Reply(false, nil)
		}
	}
}

// keepalive notices a peer that is gone without a word. The question itself
// may block for ever, so its deadline is a timer that cuts the wire. A timer calls it,
// and it sets the next one until the connection is over: a goroutine that waits would
// cost each idle connection a stack, and serve may hang where a peer does not read.
func (l *link) keepalive() {
	if l.dead() {
		return
	}
	if time.Since(time.Unix(0, l.wire.heard.Load())) >= keepaliveInterval {
		const patience = keepaliveInterval * keepaliveMisses
		deadline := time.AfterFunc(patience, func() { l.kill(fmt.Errorf("no answer to keepalives for %v", patience)) })
		_, _, err := l.conn.SendRequest("keepalive@openssh.com", true, nil)
		deadline.Stop()
		if err != nil {
			return // the connection is over
		}
		l.wire.trips.Add(1)
	}
	time.AfterFunc(keepaliveInterval, l.keepalive)
}

// kill cuts the wire: the only thing that ends every wait on it, whatever the
// peer does. The first cause is kept.
func (l *link) kill(cause error) {
	l.once.Do(func() {
		l.cause.Store(&cause)
		l.wire.Close()
	})
}

// dead says whether the connection is over.
func (l *link) dead() bool {
	select {
	case <-l.done:
		return true
	default:
		return l.cause.Load() != nil || l.wire.broken.Load()
	}
}

// errLost is what a command ends with when the peer closed the connection.
var errLost = errors.New("the connection was lost")

// lost is why the connection is over.
func (l *link) lost() error {
	if cause := l.cause.Load(); cause != nil {
		return *cause
	}
	return errLost
}
