package simvault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vaultfleet/reconciler/internal/embed"
	"github.com/vaultfleet/reconciler/internal/lease/flock"
	"github.com/vaultfleet/reconciler/internal/sim"
)

// cluster is what the servers of one raft cluster share: a file, which whoever
// holds the folder's lock reads and writes.
type cluster struct {
	Raft    *sim.Raft          `json:"raft"`
	Servers map[string]*server `json:"servers"` // by raft node_id
	Key     string             `json:"key"`     // sha256 of the key that the shares make
	Name    string             `json:"name"`
	Access  access             `json:"access"`
	Led     []string           `json:"led"`    // versions that were active
	Making  rooting            `json:"making"` // of a root token, in the leader's memory

	text []byte // as it was read
}

// server is one of them as all see it.
type server struct {
	sim.Vault
	API     string    `json:"api"`
	Cluster string    `json:"cluster"`
	PID     int       `json:"pid"`
	Root    string    `json:"root"`  // of its node, on this machine
	Since   time.Time `json:"since"` // when it began to lead
	Lost    time.Time `json:"lost"`  // since when it is not open; zero: it is
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// shared is the folder of all clusters of a fleet.
type shared struct{ dir string }

// Hasten makes the clusters that will be born on a fleet let a new server vote
// after a shorter time than Vault's own.
func Hasten(f *embed.Fleet, watch time.Duration) error {
	return shared{f.Shared}.hasten(watch)
}

func (s shared) hasten(watch time.Duration) error {
	if err := os.WriteFile(s.watch(), []byte(watch.String()), 0o644); err != nil {
		return err
	}
	return os.Chmod(s.watch(), 0o644) // whatever the umask: the servers may be another user's
}

func (s shared) watch() string { return filepath.Join(s.dir, "server_stabilization_time") }

// stabilization is how long a new server is watched before it votes.
func (s shared) stabilization() (time.Duration, error) {
	text, err := os.ReadFile(s.watch())
	if errors.Is(err, fs.ErrNotExist) {
		return sim.Stabilization, nil
	}
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(string(text))
}

// locked does something with the folder's lock held.
func (s shared) locked(do func() error) error {
	lock, err := flock.Wait(context.Background(), filepath.Join(s.dir, "lock"))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return do()
}

func (s shared) file(id string) string { return filepath.Join(s.dir, id+".json") }

// load reads a cluster. Servers whose process is gone are down.
func (s shared) load(id string) (*cluster, error) {
	body, err := kept(s.file(id))
	if err != nil {
		return nil, err
	}
	var c cluster
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", s.file(id), err)
	}
	c.text = body
	for _, m := range c.Servers {
		m.Raft = c.Raft
		if m.Up && syscall.Kill(m.PID, 0) == syscall.ESRCH {
			m.Stop()
		}
	}
	return &c, nil
}

func (s shared) save(c *cluster) error {
	for _, m := range c.Servers {
		m.Raft = nil // one is enough
	}
	body, err := json.Marshal(c)
	for _, m := range c.Servers {
		m.Raft = c.Raft
	}
	if err != nil {
		return err
	}
	if bytes.Equal(body, c.text) {
		return nil
	}
	return keep(s.file(c.Raft.ID), body)
}

// reachable is a cluster whose leader has one of these API addresses.
func (s shared) reachable(apis []string) (*cluster, error) {
	files, err := filepath.Glob(s.file("*"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		c, err := s.load(strings.TrimSuffix(filepath.Base(f), ".json"))
		if err != nil {
			return nil, err
		}
		if leader := c.leader(); leader != nil && slices.Contains(apis, leader.API) {
			return c, nil
		}
	}
	return nil, fs.ErrNotExist
}

// leader is the server that leads, or nil.
func (c *cluster) leader() *server {
	if m := c.Servers[c.Raft.Leader]; m != nil && m.Open {
		return m
	}
	return nil
}

// tick lets time pass.
func (c *cluster) tick(now time.Time) {
	var all []*sim.Vault
	before := c.Raft.Leader
	for _, m := range c.Servers {
		all = append(all, &m.Vault)
	}
	c.Raft.Tick(all, now)
	for _, m := range c.Servers {
		m.note(now)
	}
	l := c.leader()
	switch {
	case l == nil:
		c.Making = rooting{}
	case c.Raft.Leader != before:
		c.lead(l, now)
	}
}

// contact is for how long autopilot takes a silent server for one that is well
// (last_contact_threshold).
const contact = 10 * time.Second

// note notes since when a server is not open.
func (m *server) note(now time.Time) {
	switch {
	case !m.Open && m.Lost.IsZero():
		m.Lost = now
	case m.Open && !m.Lost.IsZero():
		m.Lost = time.Time{}
	}
}

// lead makes a server the leader.
func (c *cluster) lead(m *server, now time.Time) {
	c.Raft.Leader, m.Since, c.Making = m.ID, now, rooting{}
	if !slices.Contains(c.Led, m.Version) {
		c.Led = append(c.Led, m.Version)
	}
}

// marker is the file in a data folder that says of which cluster it is.
func marker(data string) string { return filepath.Join(data, "vault.db") }

// belongs is the cluster that a data folder is of, or "".
func belongs(data string) (string, error) {
	id, err := os.ReadFile(marker(data))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(id)), err
}

// settle makes a data folder one of a cluster.
func settle(data, id string) error {
	if err := os.MkdirAll(filepath.Join(data, "raft"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "raft", "raft.db"), nil, 0o600); err != nil {
		return err
	}
	return os.WriteFile(marker(data), []byte(id+"\n"), 0o600)
}
