package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/ceremony"
	nodes "github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/lease"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/release"
	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/internal/ssh"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/internal/store/durable"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// This file and its neighbours wire_*.go are the only place where the ports of
// the loop are filled with the real world, from reconciler.yaml.

// How much is done at a time: connections of a look, and clusters.
const (
	nodesAtOnceMost    = 64
	clustersAtOnceMost = 16
)

// world is the real world as reconciler.yaml lets us at it.
type world struct {
	host
	pool    *ssh.Pool
	nodes   *nodes.Host
	vaults  *vaults
	store   *store.Store
	cache   release.Cache
	secrets *secret.Book
	ages    *secret.Keys
	keys    ceremony.Keys
	holder  string // who we are in a node's fence
	fails   failpoint
	asked   bool // a person asks: what was changed by hand is put back now

	mu         sync.Mutex
	enforced   map[string]bool               // clusters that may be acted on
	ceremonies map[string]*ceremony.Ceremony // by cluster
	targets    map[string][]actual.Target    // by cluster
	tokens     map[string]func(context.Context) (secret.Bytes, error)
}

// newWorld opens what lies on this machine. No node is contacted.
func newWorld(h host) (*world, error) {
	w := &world{host: h,
		enforced: map[string]bool{}, ceremonies: map[string]*ceremony.Ceremony{}, targets: map[string][]actual.Target{},
		tokens: map[string]func(context.Context) (secret.Bytes, error){}}
	var err error
	if w.store, err = h.openStore(); err != nil {
		return nil, err
	}
	if w.holder, err = lease.Installation(h.settings.State); err != nil {
		return nil, err
	}
	if err := w.openKeys(); err != nil {
		return nil, err
	}
	w.cache = release.Cache{Folder: filepath.Join(h.settings.State, "cache"), Sources: h.settings.Trust.Releases}
	w.pool = ssh.New(ssh.Settings{KnownHosts: h.settings.Trust.KnownHosts, Key: h.settings.SSH.Key, Allow: h.policy.Dial})
	w.vaults = newVaults(w.token, w.forget)
	w.nodes = nodes.New(nodes.Settings{
		Connect: w.connect, API: w.vaults.read, Direct: w.direct, Hashes: w.hashes(), Now: time.Now,
		Enforced: func(t actual.Target) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.enforced[t.Cluster]
		},
	})
	return w, nil
}

// openKeys reads our own age identities, and says where the keys of clusters
// are kept.
func (w *world) openKeys() error {
	var err error
	if w.ages, err = secret.Identities(w.settings.Identities...); err != nil {
		return err
	}
	definitions := map[string]secret.Definition{}
	for name, s := range w.settings.Secrets {
		definitions[name] = secret.Definition{Clusters: s.Clusters, File: s.File, Env: s.Env, Exec: s.Exec, Age: s.Age}
	}
	if w.secrets, err = secret.New(definitions, w.ages); err != nil {
		return err
	}
	w.keys.Holders = w.settings.Holders
	if w.keys.Stores, err = ceremony.Folders(w.settings.KeyStores); err != nil {
		return err
	}
	w.keys.Identities, err = ceremony.Identities(w.settings.Identities...)
	return err
}

// close ends all connections, and keeps what spares the nodes work next time.
func (w *world) close() {
	w.vaults.close()
	w.pool.Close()
	w.keepHashes()
}

// cluster is the ports and the spec of one cluster.
func (w *world) cluster(ctx context.Context, in wanted) (loop.Ports, loop.Spec, error) {
	want := in.Cluster
	memory, _, err := w.store.Load(ctx, want.Name)
	if err != nil {
		return loop.Ports{}, loop.Spec{}, err
	}
	targets := diff.Targets(want, memory)
	c, err := w.ceremony(want.Name)
	if err != nil {
		return loop.Ports{}, loop.Spec{}, err
	}
	w.mu.Lock()
	w.enforced[want.Name] = want.Mode == desired.ModeEnforce
	w.targets[want.Name] = targets
	w.tokens[want.Name] = func(ctx context.Context) (secret.Bytes, error) { return c.Token(ctx, want) }
	w.mu.Unlock()
	w.pool.Only(want.Name, targets)
	ports := loop.Ports{
		Host: w.nodes.Look, Each: nodesAtOnce, Store: memories{w.store}, Lease: w.lease,
		Hands: w.hands(want, c, targets), Clock: clock{}, Op: newOp,
	}
	return logged(w.fails.ports(ports), w.log, want.Name), loop.Spec{Cluster: want, Commit: in.commit, Contents: w.contents(want), Before: in.before,
		Asked: w.asked, Waits: in.waits, Ahead: in.ahead, Noted: in.noted}, nil
}

// letGo ends what binds us to a cluster that is gone.
func (w *world) letGo(ctx context.Context, cluster string) error {
	w.pool.Only(cluster, nil)
	return forget(ctx, w.store, cluster)
}

// ceremony is the one ceremony of a cluster: it keeps the session of our own
// credential from turn to turn.
func (w *world) ceremony(cluster string) (*ceremony.Ceremony, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.ceremonies[cluster]; c != nil {
		return c, nil
	}
	c, err := ceremony.New(w.ceremonyPorts(cluster), w.keys)
	if err != nil {
		return nil, fmt.Errorf("read the holders of reconciler.yaml: %w", err)
	}
	w.ceremonies[cluster] = c
	return c, nil
}

// connect is a connection to a node, in the words of internal/host.
func (w *world) connect(ctx context.Context, t actual.Target) (nodes.Conn, error) {
	conn, err := w.pool.Connect(ctx, t)
	var failed *ssh.PhaseError
	switch {
	case errors.As(err, &failed):
		return nil, &nodes.ConnectError{Phase: failed.Phase, Err: hinted(failed)}
	case err != nil:
		return nil, err
	}
	return w.fails.conn(t.Node, sshConn{conn}), nil
}

// hinted is what went wrong and the way out, without the phase, which stands
// beside it.
func hinted(e *ssh.PhaseError) error {
	if e.Hint == "" {
		return e.Err
	}
	return fmt.Errorf("%w; %s", e.Err, e.Hint)
}

// direct dials a node's Vault without SSH, at an address that may be dialled.
func (w *world) direct(ctx context.Context, network, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	resolved, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	if err := w.policy.Dial(actual.Target{Node: name, Address: name}, resolved); err != nil {
		return nil, err
	}
	var dialer net.Dialer
	var failed error
	for _, ip := range resolved {
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// lease is the right to act on a cluster.
func (w *world) lease(ctx context.Context, cluster string) (uint64, func(), error) {
	held, err := lease.Acquire(ctx, w.settings.State, cluster)
	var busy *lease.BusyError
	switch {
	case errors.As(err, &busy):
		return 0, nil, busyElsewhere{busy}
	case err != nil:
		return 0, nil, err
	}
	return held.Epoch, held.Release, nil
}

// hashes is what is remembered of binaries that were read on nodes; losing it
// costs time and nothing else.
func (w *world) hashes() *nodes.Hashes {
	h := nodes.NewHashes()
	if f, err := os.Open(filepath.Join(w.settings.State, "hashes.json")); err == nil {
		defer f.Close()
		_ = h.Load(f)
	}
	return h
}

func (w *world) keepHashes() {
	var b bytes.Buffer
	if w.nodes.Hashes.Save(&b) == nil {
		_ = durable.WriteFile(filepath.Join(w.settings.State, "hashes.json"), b.Bytes(), 0o600)
	}
}

// newOp is the ID of an operation: it can be ordered by time, and no two are
// the same.
func newOp() string {
	var chance [6]byte
	_, _ = rand.Read(chance[:]) // never fails (crypto/rand)
	return fmt.Sprintf("%s-%s", time.Now().UTC().Format("20060102t150405"), hex.EncodeToString(chance[:]))
}
