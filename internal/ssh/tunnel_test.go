package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// asked is the address that a tunnel is to lead to.
func asked(n ssh.NewChannel) string {
	var to struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if ssh.Unmarshal(n.ExtraData(), &to) != nil || to.Port != 8200 {
		return "?"
	}
	return to.Host
}

func TestDialCarriesBytesBothWays(t *testing.T) {
	r := newRig(t)
	r.forward = func(n ssh.NewChannel) {
		if asked(n) != "127.0.0.1" {
			_ = n.Reject(ssh.ConnectionFailed, "wrong address")
			return
		}
		c, requests, _ := n.Accept()
		go ssh.DiscardRequests(requests)
		_, _ = io.Copy(c, c)
		c.Close()
	}
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			tunnel, err := c.Dial(ctx, "tcp", "127.0.0.1:8200")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tunnel.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			if _, err := io.ReadFull(tunnel, got); err != nil || string(got) != "hello" {
				t.Errorf("%q %v", got, err)
			}
			if err := tunnel.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestDialSaysWhyThereIsNoTunnel(t *testing.T) {
	for name, c := range map[string]struct {
		reason     ssh.RejectionReason
		forbidden  bool
		connection bool // stays
	}{
		"forwarding is off": {ssh.Prohibited, true, true},
		"nothing listens":   {ssh.ConnectionFailed, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.forward = func(n ssh.NewChannel) { _ = n.Reject(c.reason, "\x1b[31mno") }
			synctest.Test(t, func(t *testing.T) {
				r.connected(t, func(ctx context.Context, conn *Conn) {
					_, err := conn.Dial(ctx, "tcp", "127.0.0.1:8200")
					if err == nil || errors.Is(err, ErrForwarding) != c.forbidden {
						t.Error(err)
					}
					if (conn.current() != nil) != c.connection {
						t.Error("the connection is gone")
					}
				})
			})
		})
	}
}

// sshd answers when its own connect(2) does. Vault that does not answer must
// not cost the connection on which we ask why.
func TestDialGivenUpLeavesTheConnection(t *testing.T) {
	r := newRig(t)
	r.forward = func(n ssh.NewChannel) {
		time.Sleep(2 * time.Minute)
		c, requests, err := n.Accept()
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if _, err := c.Dial(short, "tcp", "127.0.0.1:8200"); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			time.Sleep(3 * time.Minute)
			if _, err := c.Run(ctx, "x", nil, 10); err != nil || r.dials != 1 {
				t.Error(err, r.dials)
			}
		})
	})
}

func TestDialHasDeadlines(t *testing.T) {
	r := newRig(t)
	r.forward = func(n ssh.NewChannel) {
		c, requests, _ := n.Accept()
		ssh.DiscardRequests(requests) // says nothing, but follows a close
		c.Close()
	}
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			tunnel, err := c.Dial(ctx, "tcp", "127.0.0.1:8200")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := tunnel.SetDeadline(began.Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			_, err = tunnel.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 5*time.Second {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			if c.current() == nil {
				t.Error("the connection is gone")
			}
		})
	})
}

// A peer that never confirms our close loses the connection: nothing else ends
// the reader.
func TestDialClosedAndNotConfirmedEndsTheConnection(t *testing.T) {
	r := newRig(t)
	r.raw = func(wire net.Conn) { stubborn(r, wire) }
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			tunnel, err := c.Dial(ctx, "tcp", "127.0.0.1:8200")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			go tunnel.Close()
			_, _ = tunnel.Read(make([]byte, 1))
			if took := time.Since(began); took != closeGrace {
				t.Errorf("the reader came back after %v", took)
			}
			if c.current() != nil {
				t.Error("the connection is still used")
			}
		})
	})
}

// stubborn is a server that stops reading when it opens a tunnel.
func stubborn(r *rig, wire net.Conn) {
	gate := &gated{Conn: wire, shut: make(chan struct{})}
	defer gate.open()
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(r.hostKey)
	conn, channels, requests, err := ssh.NewServerConn(gate, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	n := <-channels
	if n == nil {
		return
	}
	gate.close() // before the tunnel opens, or a quick close would still be read
	_, more, _ := n.Accept()
	go ssh.DiscardRequests(more)
	_ = conn.Wait()
}

// gated is a wire whose reader can be made deaf until the wire ends.
type gated struct {
	net.Conn
	shut chan struct{}
}

func (g *gated) close() { close(g.shut) }
func (g *gated) open()  { g.Conn.Close() }

func (g *gated) Read(p []byte) (int, error) {
	for {
		n, err := g.Conn.Read(p)
		select {
		case <-g.shut:
			if err != nil {
				return 0, err
			}
			continue // swallowed
		default:
			return n, err
		}
	}
}
