package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// Names are what the files go by in the settings, for errors.
type Names struct{ KnownHosts, Key string }

// Settings are what a pool needs. KnownHosts, Key and Allow are required;
// without them every connection is refused with the setting to change.
type Settings struct {
	Names      Names  // zero: those of nodes
	KnownHosts string // file: who the nodes are
	Key        string // OpenSSH private key file: who we are
	// Allow says whether a target that resolved to these addresses may be
	// dialled; its error says what would make it so.
	Allow func(target actual.Target, resolved []netip.Addr) error

	Sessions int           // commands at a time per connection; 0: 4
	Command  time.Duration // deadline of a command whose context has none; 0: 5 minutes

	// Resolve and Dial are the network; nil: this host's.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// Pool keeps one connection per node. Its methods may be called from several
// goroutines.
type Pool struct {
	settings Settings
	files    files

	mu    sync.Mutex
	conns map[[2]string]*Conn // by cluster and node
}

// New makes a pool; nothing is read or dialled before it is asked for.
func New(settings Settings) *Pool {
	if settings.Sessions <= 0 {
		settings.Sessions = 4
	}
	if settings.Command <= 0 {
		settings.Command = 5 * time.Minute
	}
	if settings.Resolve == nil {
		settings.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if settings.Names == (Names{}) {
		settings.Names = Names{"trust.known_hosts", "ssh.key"}
	}
	if settings.Dial == nil {
		settings.Dial = new(net.Dialer).DialContext
	}
	return &Pool{
		settings: settings,
		files:    files{knownHosts: settings.KnownHosts, key: settings.Key, names: settings.Names},
		conns:    map[[2]string]*Conn{},
	}
}

// Connect returns the connection to a target, dialled or kept. Its error is a
// [*PhaseError].
func (p *Pool) Connect(ctx context.Context, target actual.Target) (*Conn, error) {
	c := p.conn(target)
	if _, err := c.use(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// conn finds the connection of a node. One whose address changed in the spec
// is another one.
func (p *Pool) conn(target actual.Target) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := [2]string{target.Cluster, target.Node}
	c := p.conns[key]
	if c != nil && hostPort(c.target) == hostPort(target) && c.target.User == target.User {
		return c
	}
	if c != nil {
		c.end()
	}
	c = &Conn{pool: p, target: target, dialling: make(chan struct{}, 1)}
	p.conns[key] = c
	return c
}

// Only ends the connections to nodes of a cluster that are not among these.
func (p *Pool) Only(cluster string, targets []actual.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, c := range p.conns {
		if key[0] == cluster && !slices.ContainsFunc(targets, func(t actual.Target) bool { return t.Node == key[1] }) {
			c.end()
			delete(p.conns, key)
		}
	}
}

// Close ends all connections and waits until their goroutines have.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.end()
	}
	for _, c := range p.conns {
		c.wait()
	}
	clear(p.conns)
}

// Conn is the way to one node: kept while it lives, dialled again when sshd
// closed it.
type Conn struct {
	pool   *Pool
	target actual.Target

	dialling chan struct{} // held while one goroutine dials

	mu    sync.Mutex
	live  *link
	past  Stats // of the links before
	dials int64
	held  hold
	ended bool // by us, for good
}

// Stats are what a connection cost so far, over all its dials.
type Stats struct {
	BytesIn, BytesOut int64
	// RoundTrips is how often this side waited for an answer of the node's
	// sshd: connecting, opening a channel, starting a command, keepalives.
	RoundTrips int64
	Dials      int64
}

// Stats are what this connection cost so far.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.past
	s.Dials = c.dials
	if c.live != nil {
		s = s.plus(c.live.wire)
	}
	return s
}

func (s Stats) plus(w *counted) Stats {
	s.BytesIn += w.in.Load()
	s.BytesOut += w.out.Load()
	s.RoundTrips += w.trips.Load()
	return s
}

// use is the live link, dialled when there is none. One goroutine dials, the
// others wait for it.
func (c *Conn) use(ctx context.Context) (*link, error) {
	if l := c.current(); l != nil {
		return l, nil
	}
	select {
	case c.dialling <- struct{}{}:
		defer func() { <-c.dialling }()
	case <-ctx.Done():
		return nil, &PhaseError{Phase: actual.PhaseTCP, Err: context.Cause(ctx)}
	}
	if l := c.current(); l != nil {
		return l, nil
	}
	if failed := c.refrain(); failed != nil {
		return nil, failed
	}
	l, failed := c.pool.dial(ctx, c.target)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials++
	if failed != nil {
		c.held = c.held.after(failed, c.pool.files.stamp())
		return nil, failed
	}
	if c.ended {
		l.kill(errEnded)
		<-l.done
		return nil, &PhaseError{Phase: actual.PhaseTCP, Err: errEnded}
	}
	if c.live != nil {
		c.past = c.past.plus(c.live.wire)
	}
	c.live, c.held = l, hold{}
	return l, nil
}

func (c *Conn) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == nil || c.live.dead() {
		return nil
	}
	return c.live
}

var errEnded = errors.New("we closed the connection")

func (c *Conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.live != nil {
		c.live.kill(errEnded)
	}
}

func (c *Conn) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live != nil {
		<-c.live.done
	}
}

// Since OpenSSH 9.8 sshd shuts out an address that fails to log in often
// (PerSourcePenalties), for all nodes behind the same firewall at once. So a
// refusal is not tried again for a while that doubles, unless our own files
// changed.
const (
	minHold = 30 * time.Second
	maxHold = 10 * time.Minute
)

// hold is a pause after a refusal.
type hold struct {
	failed *PhaseError
	length time.Duration
	until  time.Time
	stamp  string // of the files that were refused
}

func (h hold) after(failed *PhaseError, stamp string) hold {
	refused := failed.Phase == actual.PhaseAuth || failed.Phase == actual.PhaseHostKey
	if !refused || !failed.answered {
		return hold{}
	}
	length := min(max(minHold, 2*h.length), maxHold)
	return hold{failed: failed, length: length, until: time.Now().Add(length), stamp: stamp}
}

// refrain is the refusal that is still held, nil when there is none.
func (c *Conn) refrain() *PhaseError {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := time.Until(c.held.until)
	if left <= 0 || c.held.stamp != c.pool.files.stamp() {
		return nil
	}
	again := *c.held.failed
	again.Err = fmt.Errorf("%w (not tried again for %v, so that sshd does not shut us out)", c.held.failed.Err, left.Round(time.Second))
	return &again
}
