//go:build linux

package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/throwaway"
)

// Account is the account on the nodes that the reconciler logs in with.
const Account = "reconciler"

// Sudoers is what an operator grants that account: the node script, and a
// shell for the first contact, when the script is not there yet.
const Sudoers = Account + " ALL=(root) NOPASSWD: /usr/local/libexec/reconciler-node, /bin/sh\n"

// Options say how a rig differs from the usual one.
type Options struct {
	Nodes    int
	Sudoers  string   // the text of /etc/sudoers.d/reconciler; empty means [Sudoers]
	Packages []string // of Debian, which the nodes have besides the base root's
	Tools    []string // of this machine, which the test needs besides the rig's
}

// A Rig is a few nodes on one switch, and the place beside them from which the
// reconciler works. Its addresses exist in its own network namespaces only, so
// two rigs on one machine do not meet.
type Rig struct {
	Nodes      []*Node
	Dir        string        // the rig's own files; gone with the rig
	Key        string        // path of the private key that Account accepts
	KnownHosts string        // path of a known_hosts that holds every node's keys
	CA         *throwaway.CA // signs the certificate of every node

	t       *testing.T
	name    string
	use     *os.File  // open while the rig is in use
	netns   namespace // the switch, and the reconciler's side of it
	tools   string    // cgroup of everything that is not a node
	signer  ssh.Signer
	options Options
	product func() (string, error) // as it is released
	mortal  func() (string, error) // with failpoints
}

var rigs atomic.Int32

// NewRig boots that many nodes and returns when each of them answers SSH and
// its systemd has settled. The rig goes with the test.
func NewRig(t *testing.T, nodes int) *Rig {
	t.Helper()
	return NewRigWith(t, Options{Nodes: nodes})
}

// NewRigWith is [NewRig] for a rig that differs from the usual one.
func NewRigWith(t *testing.T, options Options) *Rig {
	t.Helper()
	if os.Getenv("RECONCILER_E2E") != "1" {
		t.Skip("boots real nodes as root; RECONCILER_E2E=1 runs it")
	}
	needs(t, options.Tools...)
	if options.Sudoers == "" {
		options.Sudoers = Sudoers
	}
	base, err := recipe(append([]string{"base-root"}, options.Packages...)...)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("rce2e-%d-%d", os.Getpid(), rigs.Add(1))
	r := &Rig{t: t, name: name, netns: namespace(name), options: options}
	if r.Dir, r.use, err = claim(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.remove)
	r.product = sync.OnceValues(func() (string, error) { return r.build("reconciler") })
	r.mortal = sync.OnceValues(func() (string, error) { return r.build("reconciler-mortal", "-tags", "failpoints") })
	r.must(r.prepare(base))

	var booted sync.WaitGroup
	for _, n := range r.Nodes {
		r.must(n.start())
		booted.Go(func() {
			if err := n.up(); err != nil {
				t.Error(err)
			}
		})
	}
	booted.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return r
}

// needs fails the test when this machine cannot carry a rig.
func needs(t *testing.T, more ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("RECONCILER_E2E=1 needs root, for namespaces and mounts")
	}
	tools := append(more, "systemd-nspawn", "debootstrap", "ip", "nft", "nsenter", "chroot", "ssh-keygen")
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("RECONCILER_E2E=1 needs %s: %v; .ci/run installs it", tool, err)
		}
	}
}

// recipe runs a script of .ci that makes something once and prints its path.
func recipe(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join("..", "..", ".ci", args[0]), args[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("make %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// NewIdentity makes an age key pair; its file is named for it.
func (r *Rig) NewIdentity(name string) throwaway.Identity {
	r.t.Helper()
	id, err := throwaway.NewIdentity(filepath.Join(r.Dir, name+".key"))
	r.must(err)
	return id
}

// prepare makes all of the rig that exists while its nodes are off.
func (r *Rig) prepare(base string) error {
	var err error
	if r.tools, err = makeCgroup(r.name, "tools"); err != nil {
		return err
	}
	if err := r.makeKey(); err != nil {
		return err
	}
	if r.CA, err = throwaway.NewCA(); err != nil {
		return err
	}
	for i := range r.options.Nodes {
		name := fmt.Sprintf("node-%d", i+1)
		r.Nodes = append(r.Nodes, &Node{
			Name:    name,
			Address: fmt.Sprintf("10.77.0.%d", 11+i),
			Via:     fmt.Sprintf("10.77.0.%d", 111+i),
			Dir:     filepath.Join(r.Dir, name),
			rig:     r,
			netns:   namespace(r.name + "-" + name),
		})
	}
	if err := r.makeNetwork(); err != nil {
		return err
	}
	var known strings.Builder
	for _, n := range r.Nodes {
		keys, err := n.install(base)
		if err != nil {
			return fmt.Errorf("install %s: %w", n.Name, err)
		}
		for _, key := range keys {
			fmt.Fprintf(&known, "%s,%s,%s %s\n", n.Address, n.Via, n.Name, key)
		}
	}
	r.KnownHosts = filepath.Join(r.Dir, "known_hosts")
	return os.WriteFile(r.KnownHosts, []byte(known.String()), 0o644)
}

func (r *Rig) makeKey() error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if r.signer, err = ssh.NewSignerFromKey(private); err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "rig")
	if err != nil {
		return err
	}
	r.Key = filepath.Join(r.Dir, "id_ed25519")
	return os.WriteFile(r.Key, pem.EncodeToMemory(block), 0o600)
}

// remove takes the rig down; of a failed test it first shows what the nodes
// had to say.
func (r *Rig) remove() {
	if r.t.Failed() {
		for _, n := range r.Nodes {
			r.t.Logf("%s:\n%s", n.Name, n.lastWords())
		}
	}
	defer r.use.Close()
	if err := removeRig(r.name); err != nil {
		r.t.Error(err)
	}
}

func (r *Rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// Until returns when done says so, or says what it waited for in vain. It asks
// often, and leaves the machine, which the rig is on too, three times as long as
// asking took: a question may start processes on a node.
func Until(what string, limit time.Duration, done func() bool) error {
	deadline := time.After(limit)
	for {
		asked := time.Now()
		if done() {
			return nil
		}
		select {
		case <-time.After(max(10*time.Millisecond, 3*time.Since(asked))):
		case <-deadline:
			return fmt.Errorf("wait %s for %s: not so", limit, what)
		}
	}
}
