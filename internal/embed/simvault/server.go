package simvault

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vaultfleet/reconciler/internal/embed"
)

// every is how often a server takes part in its cluster.
const every = 200 * time.Millisecond

// process is a running server.
type process struct {
	version string
	root    string
	address string // of the node, where 0.0.0.0 and 127.0.0.1 lead
	shared  shared
	config  configuration
	path    string // of the configuration
	log     *logger
	pair    atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // one request at a time
	id     string     // cluster; empty: not initialised
	joins  string     // cluster that retry_join reached, before anything is on disk
	open   bool       // as this process was last seen, for the log
	shares [][]byte   // of an unsealing under way
	nonce  string
	// followed is the server that led, where it was another one, and heard is when
	// it was last heard of.
	followed string
	heard    time.Time
}

// serve is `vault server -config=PATH`.
func serve(path, version string, out io.Writer) error {
	p := &process{version: version, path: path, root: os.Getenv(embed.RootVariable), address: os.Getenv(embed.AddressVariable),
		shared: shared{os.Getenv(embed.SharedVariable)}, log: &logger{out: out}}
	fmt.Fprintf(out, "==> Vault simulator, not Vault: configuration\n\n             Version: Vault v%s\n\n", version)
	var err error
	if p.config, err = readConfiguration(path, p.root, version); err != nil {
		return err
	}
	p.log.set(p.config.level)
	if !p.config.plain {
		pair, err := p.config.keyPair(p.root)
		if err != nil {
			return fmt.Errorf("Error initializing listener of type tcp: %w", err)
		}
		p.pair.Store(pair)
	}
	if p.id, err = belongs(p.config.data); err != nil {
		return err
	}
	l, err := net.Listen("tcp", p.here(p.config.listen))
	if err != nil {
		return fmt.Errorf("Error initializing listener of type tcp: %w", err)
	}
	api := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, ErrorLog: p.log.std()}
	if !p.config.plain {
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.pair.Load(), nil }})
	}
	go func() { _ = api.Serve(l) }() // ends with Close
	defer api.Close()
	if err := p.stand(true); err != nil {
		return err
	}
	fmt.Fprintln(out, "==> Vault server started! Log data will stream in below:")
	if err := p.notify("READY=1"); err != nil {
		return err
	}
	return p.live(out)
}

// live is the life of a started server, until it is told to end.
func (p *process) live(out io.Writer) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go p.clusterPort(ctx)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := p.takePart(); err != nil {
				p.log.say("error", "core: the shared folder: "+err.Error())
			}
		case s := <-signals:
			if s != syscall.SIGHUP {
				_ = p.notify("STOPPING=1") // systemd may not listen
				fmt.Fprintln(out, "==> Vault shutdown triggered")
				return p.stand(false)
			}
			p.reload(out)
		}
	}
}

// reload is SIGHUP.
func (p *process) reload(out io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.notify("RELOADING=1") // systemd may not listen
	defer func() { _ = p.notify("READY=1") }()
	fmt.Fprintln(out, "==> Vault reload triggered")
	c, err := readConfiguration(p.path, p.root, p.version)
	if err != nil {
		p.log.say("error", fmt.Sprintf("could not reload config: path=%s error=%q", p.path, err))
	} else {
		p.log.set(c.level)
	}
	if p.config.plain {
		return
	}
	pair, err := p.config.keyPair(p.root) // of the paths that it was started with
	if err != nil {
		fmt.Fprintf(out, "Error(s) were encountered during reload: 1 error occurred:\n\t* error encountered reloading listener: %v\n\n", err)
		return
	}
	p.pair.Store(pair)
}

// here is where an address of the configuration leads: a node has one of its own.
func (p *process) here(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || p.address == "" {
		return address
	}
	switch host {
	case "0.0.0.0", "", "::", "127.0.0.1", "localhost":
		return net.JoinHostPort(p.address, port)
	}
	return address
}

// clusterPort is there while the server is open: others look whether it answers.
func (p *process) clusterPort(ctx context.Context) {
	u, err := url.Parse(p.config.cluster)
	if err != nil {
		return
	}
	var l net.Listener
	for ctx.Err() == nil {
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		switch {
		case open && l == nil:
			if l, err = net.Listen("tcp", p.here(u.Host)); err != nil {
				p.log.say("error", "core.cluster-listener: "+err.Error())
				l = nil
			} else {
				go answer(l)
			}
		case !open && l != nil:
			l.Close()
			l = nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	if l != nil {
		l.Close()
	}
}

func answer(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}

// me is this server in its cluster, or nil.
func (p *process) me(c *cluster) *server { return c.Servers[p.config.nodeID] }

// with is [process.in] of the cluster that this server is of.
func (p *process) with(do func(c *cluster) error) error { return p.in(p.id, do) }

// in reads a cluster, lets time pass, does something and writes it back. Without
// a cluster, do gets nil.
func (p *process) in(id string, do func(c *cluster) error) error {
	return p.shared.locked(func() error {
		if id == "" {
			return do(nil)
		}
		c, err := p.shared.load(id)
		if err != nil {
			return err
		}
		c.tick(time.Now())
		p.seen(c)
		if err := do(c); err != nil {
			return err
		}
		return p.shared.save(c)
	})
}

// stand puts this server up, sealed, or down.
func (p *process) stand(up bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.with(func(c *cluster) error {
		if c == nil {
			return nil
		}
		m := p.self()
		if before := p.me(c); before != nil { // which keeps what it has on disk
			m.Applied, m.Removed, m.Lost = before.Applied, before.Removed, before.Lost
		}
		m.Raft, m.Up = c.Raft, up
		c.Servers[m.ID] = m
		return nil
	})
}

// self is this server, up and sealed, without a cluster.
func (p *process) self() *server {
	m := &server{API: p.config.api, Cluster: p.config.cluster, PID: os.Getpid(), Root: p.root}
	m.ID, m.Up, m.Version = p.config.nodeID, true, p.version
	return m
}

// found is the cluster that this server is of, or that retry_join reached.
func (p *process) found() string {
	if p.id != "" {
		return p.id
	}
	return p.joins
}

// takePart lets time pass for the cluster, and looks for one through retry_join.
func (p *process) takePart() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.with(func(c *cluster) error {
		if c != nil {
			return nil
		}
		found, err := p.shared.reachable(p.config.joins)
		if err == nil {
			p.joins = found.Raft.ID // the challenge is fetched: initialised and sealed
			return nil
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

// heartbeats is how long a standby may hear nothing of its leader: two of them.
const heartbeats = 10 * time.Second

// seen says in the log what became of this server, and notes whom it follows.
func (p *process) seen(c *cluster) {
	if l := c.leader(); l != nil {
		p.followed, p.heard = l.ID, time.Now()
		if l.ID == p.config.nodeID {
			p.followed = ""
		}
	}
	open := p.me(c) != nil && p.me(c).Open
	if open != p.open {
		p.log.say("info", map[bool]string{true: "core: vault is unsealed", false: "core: vault is sealed"}[open])
	}
	p.open = open
}

// notify tells systemd.
func (p *process) notify(word string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(word)); err != nil {
		return err
	}
	p.log.say("debug", "sent systemd notification: notification="+word)
	return nil
}

// text is random, of letters and digits.
func text(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return strings.NewReplacer("-", "x", "_", "y").Replace(base64.RawURLEncoding.EncodeToString(b))
}

func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
