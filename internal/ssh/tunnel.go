package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// maxOpening is how many tunnels may wait for the peer's answer at a time.
const maxOpening = 8

// closeGrace is how long a peer may take to confirm that a tunnel is closed.
const closeGrace = 10 * time.Second

// ErrForwarding: the node's sshd forwards nothing (AllowTcpForwarding no, or
// restrict in authorized_keys). Another way to Vault's API is needed.
var ErrForwarding = errors.New("the node's sshd allows no forwarding; set ssh: {api: direct} or {api: script} for the cluster")

// Dial connects, on the node, to an address that the node reaches
// (direct-tcpip, RFC 4254 §7.2). The network is tcp. Unlike a command, a tunnel
// that is given up leaves the connection alone: what does not answer is
// something behind the node.
func (c *Conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("tunnel to %s: network %s is not forwarded", address, network)
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("tunnel to %s: %w", address, err)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("tunnel to %s: port: %w", address, err)
	}
	for again := true; ; again = false {
		l, err := c.use(ctx)
		if err != nil {
			return nil, err
		}
		t, err := l.tunnel(ctx, host, uint32(number))
		if err == nil {
			return t, nil
		}
		if again && ctx.Err() == nil && l.dead() {
			continue
		}
		return nil, fmt.Errorf("tunnel through %s to %s: %w", c.target.Node, address, err)
	}
}

// opened is the peer's answer to an attempt to open a channel.
type opened struct {
	channel  ssh.Channel
	requests <-chan *ssh.Request
	err      error
}

func (l *link) tunnel(ctx context.Context, host string, port uint32) (net.Conn, error) {
	select {
	case l.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	answer := make(chan opened)
	go l.open(ctx, answer, ssh.Marshal(struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{host, port, "127.0.0.1", 0}))
	select {
	case o := <-answer:
		if o.err != nil {
			return nil, l.refusal(o.err)
		}
		t := &tunnel{Channel: o.channel, link: l, gone: make(chan struct{})}
		go t.drain(o.requests)
		return t, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// open asks for a channel and hands it over, or closes it when nobody waits
// any more. sshd answers when its own connect(2) does, minutes later perhaps;
// until then this goroutine belongs to the connection.
func (l *link) open(ctx context.Context, answer chan<- opened, payload []byte) {
	defer func() { <-l.opening }()
	channel, requests, err := l.conn.OpenChannel("direct-tcpip", payload)
	l.wire.trips.Add(1)
	select {
	case answer <- opened{channel, requests, err}:
	case <-ctx.Done():
		if err == nil {
			channel.Close()
			ssh.DiscardRequests(requests)
		}
	}
}

func (l *link) refusal(err error) error {
	var refused *ssh.OpenChannelError
	switch {
	case !errors.As(err, &refused):
		l.kill(errLost)
		return l.lost()
	case refused.Reason == ssh.Prohibited:
		return ErrForwarding
	}
	return tame(err)
}

// tunnel is a channel with deadlines, which x/crypto's have not: a deadline
// that passes closes it.
type tunnel struct {
	ssh.Channel
	link *link
	gone chan struct{} // closed when the peer confirmed the end

	once    sync.Once
	expired atomic.Bool
	mu      sync.Mutex
	timer   *time.Timer
}

func (t *tunnel) drain(requests <-chan *ssh.Request) {
	defer close(t.gone)
	ssh.DiscardRequests(requests)
}

// Close ends the tunnel. A peer that does not confirm it holds our buffers and
// readers; it loses the connection.
func (t *tunnel) Close() error {
	t.once.Do(func() {
		_ = t.Channel.Close()
		time.AfterFunc(closeGrace, func() {
			select {
			case <-t.gone:
			default:
				t.link.kill(errors.New("the node did not close a tunnel"))
			}
		})
	})
	return nil
}

func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.Channel.Read(p)
	return n, t.timeout(err)
}

func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.Channel.Write(p)
	return n, t.timeout(err)
}

func (t *tunnel) timeout(err error) error {
	if err != nil && t.expired.Load() {
		return os.ErrDeadlineExceeded
	}
	return err
}

// SetDeadline closes the tunnel at a time; the zero time never.
func (t *tunnel) SetDeadline(at time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	if !at.IsZero() {
		t.timer = time.AfterFunc(time.Until(at), func() {
			t.expired.Store(true)
			t.Close()
		})
	}
	return nil
}

// SetReadDeadline is SetDeadline: half a tunnel is of no use to anybody.
func (t *tunnel) SetReadDeadline(at time.Time) error { return t.SetDeadline(at) }

// SetWriteDeadline is SetDeadline.
func (t *tunnel) SetWriteDeadline(at time.Time) error { return t.SetDeadline(at) }

func (t *tunnel) LocalAddr() net.Addr  { return t.link.wire.LocalAddr() }
func (t *tunnel) RemoteAddr() net.Addr { return t.link.wire.RemoteAddr() }
