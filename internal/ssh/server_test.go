package ssh

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// server is an sshd with switches for what can go wrong.
type server struct {
	hostKeys []ssh.Signer
	user     ssh.PublicKey // who may log in; nil: nobody
	config   ssh.Config

	raw func(conn net.Conn) // speaks instead of SSH
	// exec runs a command; nil: echoes it to stdout and exits with 0.
	exec     func(command string, c ssh.Channel, request *ssh.Request)
	sessions int           // that are open at a time; 0: any number
	lag      time.Duration // until the end of a session is counted
	forward  func(c ssh.NewChannel)
	global   func(conn *ssh.ServerConn) // runs beside
	deaf     bool                       // reads nothing after the login
	latency  time.Duration
	cutAfter int

	mu    sync.Mutex
	open  int
	dials int
	ran   []string
}

// dial is the network of the tests: every address is this server.
func (s *server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	s.dials++
	s.mu.Unlock()
	select {
	case <-time.After(2 * s.latency): // SYN, SYN ACK
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	here, there := newPipe(s.latency, s.cutAfter)
	go s.serve(there)
	return here, nil
}

func (s *server) serve(wire net.Conn) {
	defer wire.Close()
	if s.raw != nil {
		s.raw(wire)
		return
	}
	config := &ssh.ServerConfig{Config: s.config, PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if s.user != nil && bytes.Equal(key.Marshal(), s.user.Marshal()) {
			return nil, nil
		}
		return nil, fmt.Errorf("no")
	}}
	for _, key := range s.hostKeys {
		config.AddHostKey(key)
	}
	conn, channels, requests, err := ssh.NewServerConn(wire, config)
	if err != nil {
		return
	}
	defer conn.Close()
	gone := make(chan struct{})
	defer close(gone)
	if s.deaf {
		_ = conn.Wait()
		return
	}
	if s.global != nil {
		go s.global(conn)
	}
	go func() {
		for r := range requests {
			_ = r.Reply(false, nil)
		}
	}()
	for c := range channels {
		switch {
		case c.ChannelType() == "direct-tcpip" && s.forward != nil:
			go s.forward(c)
		case c.ChannelType() == "session" && s.admit():
			go s.session(c, gone)
		default:
			_ = c.Reject(ssh.ConnectionFailed, "open failed")
		}
	}
}

func (s *server) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions > 0 && s.open >= s.sessions {
		return false
	}
	s.open++
	return true
}

// held is a channel that knows when its connection is over.
type held struct {
	ssh.Channel
	gone <-chan struct{}
}

// hang is a command that does nothing until the connection is over.
func hang(c ssh.Channel) { <-c.(held).gone }

func (s *server) session(n ssh.NewChannel, gone <-chan struct{}) {
	accepted, requests, err := n.Accept()
	if err != nil {
		return
	}
	c := held{accepted, gone}
	free := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}
	defer func() {
		if s.lag == 0 { // whoever hears of the end may open the next one at once
			free()
			c.Close()
			return
		}
		c.Close()
		time.Sleep(s.lag)
		free()
	}()
	for r := range requests {
		var message struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &message) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		s.mu.Lock()
		s.ran = append(s.ran, message.Command)
		s.mu.Unlock()
		go func() {
			for r := range requests {
				_ = r.Reply(false, nil)
			}
		}()
		if s.exec != nil {
			s.exec(message.Command, c, r)
			return
		}
		_ = r.Reply(true, nil)
		fmt.Fprint(c, message.Command)
		leave(c, 0)
		return
	}
}

// leave says how the command ended.
func leave(c ssh.Channel, status uint32) {
	_, _ = c.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
}

// accept makes a handler of exec out of what the command does.
func accept(run func(c ssh.Channel)) func(string, ssh.Channel, *ssh.Request) {
	return func(_ string, c ssh.Channel, r *ssh.Request) {
		_ = r.Reply(true, nil)
		run(c)
	}
}

// rig is a server and the files with which we trust it.
type rig struct {
	*server
	folder, knownHosts, key string
	hostKey, ours           ssh.Signer
}

func newKey(t testing.TB) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return marshalled(t, private, err)
}

func newECDSA(t testing.TB) ssh.Signer {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	signer, _ := marshalled(t, private, err)
	return signer
}

func newRSA(t testing.TB, bits int) (ssh.Signer, []byte) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	private, err := rsa.GenerateKey(rand.Reader, bits)
	return marshalled(t, private, err)
}

func marshalled(t testing.TB, private any, err error) (ssh.Signer, []byte) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// newRig is an sshd at 10.1.0.11:22 that is as it should be.
func newRig(t testing.TB) *rig {
	t.Helper()
	hostKey, _ := newKey(t)
	ours, private := newKey(t)
	folder := t.TempDir()
	r := &rig{
		server: &server{hostKeys: []ssh.Signer{hostKey}, user: ours.PublicKey()},
		folder: folder, knownHosts: filepath.Join(folder, "known_hosts"), key: filepath.Join(folder, "id_ed25519"),
		hostKey: hostKey, ours: ours,
	}
	r.write(t, r.key, string(private))
	r.knows(t, xknownhosts.Line([]string{"10.1.0.11"}, hostKey.PublicKey()))
	return r
}

func (r *rig) write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// knows replaces the lines of known_hosts.
func (r *rig) knows(t testing.TB, lines ...string) {
	t.Helper()
	r.write(t, r.knownHosts, strings.Join(lines, "\n")+"\n")
}

func (r *rig) settings() Settings {
	return Settings{
		KnownHosts: r.knownHosts, Key: r.key, Dial: r.dial,
		Allow: func(actual.Target, []netip.Addr) error { return nil },
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("10.1.0.11")}, nil
		},
	}
}

func target() actual.Target {
	return actual.Target{Cluster: "prod-eu", Node: "eu-1", Address: "10.1.0.11", Port: 22, User: "reconciler"}
}

// connected runs a test on a connection and ends it. testing/synctest fails
// the test when a goroutine is left.
func (r *rig) connected(t *testing.T, test func(ctx context.Context, c *Conn)) {
	t.Helper()
	pool := New(r.settings())
	defer pool.Close()
	c, err := pool.Connect(t.Context(), target())
	if err != nil {
		t.Fatal(err)
	}
	test(t.Context(), c)
}
