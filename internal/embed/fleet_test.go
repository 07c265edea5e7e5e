//go:build linux

package embed_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/embed"
	"github.com/vaultfleet/reconciler/internal/ssh"
	"github.com/vaultfleet/reconciler/pkg/actual"
)

func TestMain(m *testing.M) {
	if os.Getenv(embed.RootVariable) != "" { // on a node, under whatever name
		vault()
	}
	os.Exit(m.Run())
}

// fleet makes a fleet, and the way to it that the product takes.
func fleet(t *testing.T, nodes ...string) (*embed.Fleet, *ssh.Pool) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	login, err := xssh.NewPublicKey(public)
	must(t, err)
	f, err := embed.New(embed.Options{Dir: dir, Nodes: nodes, Key: login})
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	block, err := xssh.MarshalPrivateKey(private, "")
	must(t, err)
	files := t.TempDir()
	key, known := filepath.Join(files, "key"), filepath.Join(files, "known_hosts")
	must(t, os.WriteFile(key, pem.EncodeToMemory(block), 0o600))
	var lines strings.Builder
	for _, n := range f.Nodes {
		lines.WriteString(n.HostKey + "\n")
	}
	must(t, os.WriteFile(known, []byte(lines.String()), 0o600))
	pool := ssh.New(ssh.Settings{KnownHosts: known, Key: key, Allow: func(actual.Target, []netip.Addr) error { return nil }})
	t.Cleanup(pool.Close)
	return f, pool
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func target(n *embed.Node) actual.Target {
	return actual.Target{Cluster: "demo", Node: n.Name, Address: n.Address, Port: embed.Port, User: embed.Account}
}

// shell runs a command on a node, as the product does.
func shell(t *testing.T, pool *ssh.Pool, n *embed.Node, command, stdin string) ssh.Output {
	t.Helper()
	conn, err := pool.Connect(t.Context(), target(n))
	must(t, err)
	out, err := conn.Run(t.Context(), command, strings.NewReader(stdin), 1<<20)
	must(t, err)
	return out
}

func TestANodeHasAShellOfItsOwn(t *testing.T) {
	f, pool := fleet(t, "eu-1", "eu-2")
	one, two := f.Nodes[0], f.Nodes[1]
	if one.Address == two.Address || one.Root == two.Root || one.HostKey == two.HostKey {
		t.Errorf("two nodes are one: %+v %+v", one, two)
	}
	out := shell(t, pool, one, "cat; echo $RECONCILER_NODE_ROOT; echo woe >&2; exit 7", "words")
	if string(out.Stdout) != "words"+one.Root+"\n" || string(out.Stderr) != "woe\n" || out.Exit != 7 {
		t.Errorf("%q %q %d", out.Stdout, out.Stderr, out.Exit)
	}
	conn, err := pool.Connect(t.Context(), target(two))
	must(t, err)
	if out, err := conn.Run(t.Context(), "kill -TERM $$", nil, 1<<10); err != nil || out.Exit != 128+15 {
		t.Errorf("a command that is killed: %d %v", out.Exit, err)
	}
}

func TestANodeHasProgramsOfItsOwn(t *testing.T) {
	f, pool := fleet(t, "eu-1")
	n := f.Nodes[0]
	must(t, os.WriteFile(filepath.Join(n.Root, "usr/local/bin/greet"), []byte("#!/bin/sh\necho hello\n"), 0o755))
	if out := shell(t, pool, n, "greet", ""); string(out.Stdout) != "hello\n" {
		t.Errorf("a program of the node: %q %q", out.Stdout, out.Stderr)
	}
	for _, dir := range strings.Split(strings.TrimSpace(string(shell(t, pool, n, "echo $PATH", "").Stdout)), ":") {
		if strings.HasPrefix(dir, "/usr/local/") {
			t.Errorf("programs of %s on this machine are on the node", dir)
		}
	}
}

func TestATunnelLeadsToLoopbackAndNowhereElse(t *testing.T) {
	f, pool := fleet(t, "eu-1")
	conn, err := pool.Connect(t.Context(), target(f.Nodes[0]))
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = c.Write([]byte("hello"))
			c.Close()
		}
	}()
	wire, err := conn.Dial(t.Context(), "tcp", l.Addr().String())
	must(t, err)
	got := make([]byte, 5)
	if _, err := io.ReadFull(wire, got); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
	wire.Close()
	if _, err := conn.Dial(t.Context(), "tcp", "192.0.2.1:80"); err == nil || !strings.Contains(err.Error(), "allows no forwarding") {
		t.Errorf("a way out: %v", err)
	}
	l.Close()
	if _, err := conn.Dial(t.Context(), "tcp", l.Addr().String()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens there: %v", err)
	}
}

func TestNobodyElseLogsIn(t *testing.T) {
	f, _ := fleet(t, "eu-1")
	_, other, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := xssh.NewSignerFromKey(other)
	must(t, err)
	_, err = xssh.Dial("tcp", net.JoinHostPort(f.Nodes[0].Address, "2222"), &xssh.ClientConfig{User: embed.Account,
		Auth: []xssh.AuthMethod{xssh.PublicKeys(signer)}, HostKeyCallback: xssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second})
	if err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Errorf("a stranger: %v", err)
	}
}

// until waits for a state of a unit.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
