//go:build linux

package e2e

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Proxy stands between the reconciler and a port of a node, at the node's
// Via address and the same port: it delays, counts, and breaks.
type Proxy struct {
	Address string // where it listens, address and port

	delay  time.Duration
	open   func() (net.Conn, error)
	listen net.Listener

	toNode, fromNode    atomic.Int64
	connections, trips  atomic.Int64
	lastSpoke, cutAfter atomic.Int64

	mu   sync.Mutex
	held map[net.Conn]bool
	done sync.WaitGroup
}

// Traffic is what went through a [Proxy].
type Traffic struct {
	ToNode, FromNode int64 // bytes
	Connections      int64
	// RoundTrips counts how often the reconciler spoke after the node had, or
	// first: what waits for an answer costs one, what is sent ahead does not.
	RoundTrips int64
}

const (
	nodeSpoke = iota // the zero value: the reconciler's first word opens a trip
	homeSpoke
)

// Proxy opens a proxy to a port of the node; each byte arrives that much later
// than it was sent, in both directions, so a round trip takes twice the delay.
func (n *Node) Proxy(port string, delay time.Duration) *Proxy {
	n.rig.t.Helper()
	p := &Proxy{Address: net.JoinHostPort(n.Via, port), delay: delay, held: map[net.Conn]bool{}}
	p.cutAfter.Store(-1)
	p.open = func() (net.Conn, error) {
		return n.rig.Dial(n.rig.t.Context(), "tcp", net.JoinHostPort(n.Address, port))
	}
	var err error
	p.listen, err = n.rig.Listen(p.Address)
	n.rig.must(err)
	p.done.Go(p.accept)
	n.rig.t.Cleanup(p.Close)
	return p
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	p.listen.Close()
	p.Cut()
	p.done.Wait()
}

// Cut resets the connections that are open; new ones are still let through.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.held {
		conn.(*net.TCPConn).SetLinger(0) // a reset, not a goodbye
		conn.Close()
	}
}

// CutAfter lets that many more bytes reach the node and then cuts, once.
func (p *Proxy) CutAfter(bytes int64) { p.cutAfter.Store(bytes) }

// Traffic is what has gone through since the proxy was opened.
func (p *Proxy) Traffic() Traffic {
	return Traffic{p.toNode.Load(), p.fromNode.Load(), p.connections.Load(), p.trips.Load()}
}

func (p *Proxy) accept() {
	for {
		home, err := p.listen.Accept()
		if err != nil {
			return // closed
		}
		p.done.Go(func() { p.carry(home) })
	}
}

func (p *Proxy) carry(home net.Conn) {
	defer p.hold(home)()
	node, err := p.open()
	if err != nil {
		return
	}
	defer p.hold(node)()
	p.connections.Add(1)
	var both sync.WaitGroup
	both.Go(func() { p.pump(node, home, p.said, p.ahead) })
	both.Go(func() { p.pump(home, node, func() {}, p.back) })
	both.Wait()
}

// hold has Cut reach the connection until the returned function closes it.
func (p *Proxy) hold(conn net.Conn) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[conn] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.held, conn)
		conn.Close()
	}
}

// said notes that the reconciler spoke: a new trip if the node had the last
// word that reached it.
func (p *Proxy) said() {
	if p.lastSpoke.Swap(homeSpoke) == nodeSpoke {
		p.trips.Add(1)
	}
}

// ahead counts what is about to reach the node, and returns how much of it may.
func (p *Proxy) ahead(size int) int {
	if left := p.cutAfter.Load(); left >= 0 {
		size = int(min(int64(size), left))
		p.cutAfter.Store(left - int64(size))
	}
	p.toNode.Add(int64(size))
	return size
}

// back counts what is about to reach the reconciler.
func (p *Proxy) back(size int) int {
	p.lastSpoke.Store(nodeSpoke)
	p.fromNode.Add(int64(size))
	return size
}

type chunk struct {
	due  time.Time
	data []byte
}

// pump carries one direction. Reading goes on while earlier chunks wait, so
// the delay costs time and no bandwidth.
func (p *Proxy) pump(to, from net.Conn, read func(), write func(int) int) {
	late := make(chan chunk, 4096)
	go func() {
		defer close(late)
		for {
			data := make([]byte, 32<<10)
			n, err := from.Read(data)
			if n > 0 {
				read()
				late <- chunk{time.Now().Add(p.delay), data[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range late {
		time.Sleep(time.Until(c.due)) // the delay itself
		_, err := to.Write(c.data[:write(len(c.data))])
		if p.cutAfter.CompareAndSwap(0, -1) {
			p.Cut()
		}
		if err != nil {
			from.Close() // ends the reader, and with it this loop
		}
	}
	// One side has said all it has to say; the other may still be answering.
	to.(*net.TCPConn).CloseWrite()
}
