package ssh

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// overTCP puts the server of a rig behind a real socket.
func overTCP(b *testing.B, r *rig) (Settings, actual.Target) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	settings := r.settings()
	settings.Dial = nil
	node := target()
	node.Address, node.Port = "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
	r.knows(b, xknownhosts.Line([]string{listener.Addr().String()}, r.hostKey.PublicKey()))
	return settings, node
}

// A warm look: a script of 3.7 KB in the command, 4 KB of answer. Allocations
// are those of both sides.
func BenchmarkWarmRun(b *testing.B) {
	r := newRig(b)
	answer := []byte(strings.Repeat("x", 4096))
	r.exec = accept(func(c ssh.Channel) { _, _ = c.Write(answer); leave(c, 0) })
	settings, node := overTCP(b, r)
	pool := New(settings)
	defer pool.Close()
	c, err := pool.Connect(b.Context(), node)
	if err != nil {
		b.Fatal(err)
	}
	script := strings.Repeat("s", 3700)
	before := c.Stats()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Run(b.Context(), script, nil, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
	after := c.Stats()
	b.ReportMetric(float64(after.BytesIn-before.BytesIn)/float64(b.N), "in-B/op")
	b.ReportMetric(float64(after.BytesOut-before.BytesOut)/float64(b.N), "out-B/op")
	b.ReportMetric(float64(after.RoundTrips-before.RoundTrips)/float64(b.N), "trips/op")
}

func BenchmarkConnect(b *testing.B) {
	r := newRig(b)
	settings, node := overTCP(b, r)
	b.ReportAllocs()
	for b.Loop() {
		pool := New(settings)
		if _, err := pool.Connect(b.Context(), node); err != nil {
			b.Fatal(err)
		}
		pool.Close()
	}
}

// What known_hosts of a large fleet costs per connection.
func BenchmarkKnownHosts(b *testing.B) {
	r := newRig(b)
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var lines []string
			for i := range n {
				lines = append(lines, xknownhosts.Line([]string{fmt.Sprintf("10.1.%d.%d", i/256, i%256)}, r.hostKey.PublicKey()))
			}
			r.knows(b, lines...)
			f := files{knownHosts: r.knownHosts, key: r.key}
			remote := &net.TCPAddr{IP: net.IPv4(10, 1, 0, 1), Port: 22}
			for b.Loop() {
				id, failed := f.load()
				if failed != nil {
					b.Fatal(failed)
				}
				if len(id.known.algorithms("10.1.0.1:22")) != 1 {
					b.Fatal("not found")
				}
				if failed := id.known.check("10.1.0.1:22", remote, r.hostKey.PublicKey()); failed != nil {
					b.Fatal(failed)
				}
			}
		})
	}
}
