package demo

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/embed"
	"github.com/vaultfleet/reconciler/internal/embed/simvault"
	"github.com/vaultfleet/reconciler/internal/throwaway"
)

// Cluster is the name of the stage's cluster.
const Cluster = "prod-eu"

// Holder is who holds the shares of its key, beside the reconciler.
const Holder = "alice"

// nodes are those of the example's cluster.
func nodes() []string { return []string{"eu-1", "eu-2", "eu-3"} }

// Options say what stage is made.
type Options struct {
	// Dir is an empty folder for all of it, absolute. Everybody on this machine
	// must be able to reach it when the stage is made by root.
	Dir string
	// Watch is how long a simulated Vault watches a new server before that one
	// votes; zero: as long as Vault does.
	Watch time.Duration
	// Vault is what runs: the simulator or, with true, whatever [Stage.Release]
	// put into the mirror, confined to its node's folder.
	Vault bool
	// Source is where releases come from (releases.source of fleet.yaml); empty:
	// the stage's mirror. Keys are files with keys whose signatures count there,
	// beside HashiCorp's.
	Source string
	Keys   []string
}

// Stage is a fleet of three nodes and all that an operator has beside it.
type Stage struct {
	Dir    string
	Config string // reconciler.yaml
	Repo   string // the fleet repo, checked out
	Fleet  *embed.Fleet
	Holder throwaway.Identity

	ca     *throwaway.CA
	own    throwaway.Identity // the reconciler's
	mirror *throwaway.Mirror
	source string   // of releases
	keys   []string // that sign them
}

// NewStage makes a stage, with machines that run and that nothing is on. The
// caller closes it.
func NewStage(o Options) (*Stage, error) {
	s := &Stage{Dir: o.Dir, Config: filepath.Join(o.Dir, "reconciler.yaml"), Repo: filepath.Join(o.Dir, "fleet")}
	if err := s.set(o); err != nil {
		return nil, errors.Join(fmt.Errorf("set the stage: %w", err), s.Close())
	}
	return s, nil
}

// Close powers the machines off. The folder stays.
func (s *Stage) Close() error {
	if s.Fleet == nil {
		return nil
	}
	return s.Fleet.Close()
}

func (s *Stage) at(path string) string { return filepath.Join(s.Dir, path) }

func (s *Stage) set(o Options) (err error) {
	if err := os.Chmod(s.Dir, 0o755); err != nil {
		return err
	}
	login, err := s.login()
	if err != nil {
		return err
	}
	if err := os.Mkdir(s.at("nodes"), 0o755); err != nil {
		return err
	}
	if s.Fleet, err = embed.New(embed.Options{Dir: s.at("nodes"), Nodes: nodes(), Key: login, Confined: o.Vault}); err != nil {
		return err
	}
	if o.Watch != 0 {
		if err := simvault.Hasten(s.Fleet, o.Watch); err != nil {
			return err
		}
	}
	if s.ca, err = throwaway.NewCA(); err != nil {
		return err
	}
	if s.own, err = throwaway.NewIdentity(s.at("age.key")); err != nil {
		return err
	}
	if s.Holder, err = throwaway.NewIdentity(s.at(Holder + ".key")); err != nil {
		return err
	}
	if s.mirror, err = throwaway.NewMirror(s.at("releases")); err != nil {
		return err
	}
	s.source, s.keys = o.Source, o.Keys
	if o.Source == "" {
		s.source, s.keys = "file://"+s.mirror.Dir, []string{s.at("releases.asc")}
	}
	if err := s.settings(); err != nil {
		return err
	}
	return s.layRepo()
}

// login is the reconciler's key for the nodes.
func (s *Stage) login() (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.at("ssh.key"), pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(public)
}

// settings writes reconciler.yaml and the files that it names.
func (s *Stage) settings() error {
	var known strings.Builder
	for _, n := range s.Fleet.Nodes {
		known.WriteString(n.HostKey + "\n")
	}
	folder, ok := strings.CutPrefix(s.source, "file://")
	if !ok {
		folder = s.mirror.Dir // which nothing is taken from
	}
	text := fmt.Sprintf(`fleets:
  - {repo: %q, branch: main, path: ., interval: 2s}
trust:
  known_hosts: %s
  networks: [127.0.0.0/8]
  roots: [/opt/vault, /etc/vault.d, /var/log/vault, /usr/local/bin, /etc/systemd/system]
  services: [vault]
  users: [vault, root]
  releases: [%s]
  modes: {"*": enforce}
  folders: true
releases: {keys: [%s]}
ssh: {key: %s}
identities: [%s]
holders: {%s: %s}
state: %s
key_stores: [%s, %s]
`, s.Repo, s.at("known_hosts"), folder, strings.Join(s.keys, ", "), s.at("ssh.key"), s.own.File, Holder, s.Holder.Recipient,
		s.at("state"), s.at("keys-1"), s.at("keys-2"))
	return errors.Join(
		os.WriteFile(s.at("known_hosts"), []byte(known.String()), 0o600),
		os.WriteFile(s.at("releases.asc"), s.mirror.Key, 0o644),
		os.Mkdir(s.at("keys-1"), 0o700),
		os.Mkdir(s.at("keys-2"), 0o700),
		os.WriteFile(s.Config, []byte(text), 0o600),
	)
}

// Platform is that of the nodes, as vault.lock names it.
func Platform() string { return "linux_" + runtime.GOARCH }

// Simulate puts a version of the simulator into the mirror.
func (s *Stage) Simulate(version string) error {
	f, err := os.CreateTemp(s.Dir, "vault")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := simvault.Release(f, version); err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	return s.mirror.Add(version, Platform(), f)
}

// Release puts a version of Vault into the mirror.
func (s *Stage) Release(version, binary string) error {
	f, err := os.Open(binary)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.mirror.Add(version, Platform(), f)
}

// certify issues a node's certificate; the key is as the spec names it, encrypted
// for the reconciler.
func (s *Stage) certify(node *embed.Node) (cert, key []byte, err error) {
	cert, private, err := s.ca.Issue(node.Name, node.Address, "localhost", "127.0.0.1")
	if err != nil {
		return nil, nil, err
	}
	key, err = s.own.Encrypt(private)
	return cert, key, err
}
