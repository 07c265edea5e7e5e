//go:build linux

package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/e2e"
	"github.com/vaultfleet/reconciler/internal/embed"
	"github.com/vaultfleet/reconciler/internal/embed/simvault"
)

// story is an operator with a fleet of three embedded nodes and simulated
// Vaults.
type story struct {
	t      *testing.T
	dir    string
	repo   string
	config string
	fleet  *embed.Fleet
	locks  map[string]string // by version
	own    *age.X25519Identity
	alice  *age.X25519Identity
}

func newStory(t *testing.T) *story {
	t.Helper()
	dir := t.TempDir()
	check(t, os.Chmod(filepath.Dir(dir), 0o755))
	check(t, os.Chmod(dir, 0o755))
	s := &story{t: t, dir: dir, repo: filepath.Join(dir, "fleet"), config: filepath.Join(dir, "reconciler.yaml"), locks: map[string]string{}}
	key := sshKey(t)
	check(t, os.WriteFile(s.at("ssh.key"), key, 0o600))
	login, err := ssh.ParsePrivateKey(key)
	check(t, err)
	nodes := s.at("nodes")
	check(t, os.Mkdir(nodes, 0o755))
	s.fleet, err = embed.New(embed.Options{Dir: nodes, Nodes: []string{"eu-1", "eu-2", "eu-3"}, Key: login.PublicKey()})
	check(t, err)
	t.Cleanup(func() { check(t, s.fleet.Close()) })
	var known strings.Builder
	for _, n := range s.fleet.Nodes {
		known.WriteString(n.HostKey + "\n")
	}
	check(t, os.WriteFile(s.at("known_hosts"), []byte(known.String()), 0o600))
	s.own, err = age.GenerateX25519Identity()
	check(t, err)
	s.alice, err = age.GenerateX25519Identity()
	check(t, err)
	check(t, os.WriteFile(s.at("age.key"), []byte(s.own.String()+"\n"), 0o600))
	check(t, os.WriteFile(s.at("alice.key"), []byte(s.alice.String()+"\n"), 0o600))
	for _, store := range []string{"keys-1", "keys-2"} {
		check(t, os.Mkdir(s.at(store), 0o700))
	}
	check(t, os.WriteFile(s.config, fmt.Appendf(nil, `fleets:
  - {repo: %q, branch: main, path: ., interval: 1s}
trust:
  known_hosts: %s
  networks: [127.0.0.0/8]
  roots: [/opt/vault, /etc/vault.d, /var/log/vault, /usr/local/bin, /etc/systemd/system]
  services: [vault]
  users: [vault, root]
  releases: [%s]
  modes: {"*": enforce}
  folders: true
ssh: {key: %s}
identities: [%s]
holders: {alice: %s}
state: %s
key_stores: [%s, %s]
`, s.repo, s.at("known_hosts"), s.at("releases"), s.at("ssh.key"), s.at("age.key"), s.alice.Recipient(), s.at("state"), s.at("keys-1"), s.at("keys-2")), 0o600))
	s.certify()
	s.write("fleet.yaml", "format: 1\nfleet: lab\nreleases: {source: \"file://"+s.at("releases")+"\"}\n")
	return s
}

func (s *story) at(path string) string { return filepath.Join(s.dir, path) }

// certify commits a CA, and a certificate of every node.
func (s *story) certify() {
	s.t.Helper()
	ca, err := e2e.NewCA()
	check(s.t, err)
	s.write("clusters/prod/tls/ca.crt", string(ca.PEM))
	for _, n := range s.fleet.Nodes {
		cert, key, err := ca.Issue(n.Name, n.Address, "localhost", "127.0.0.1")
		check(s.t, err)
		s.write("clusters/prod/tls/"+n.Name+".crt", string(cert))
		s.write("clusters/prod/tls/"+n.Name+".key.age", encryptedTo(s.t, s.own.Recipient(), string(key)))
	}
}

// release lays out a version of the simulator, and notes what vault.lock says
// of it.
func (s *story) release(version string) {
	s.t.Helper()
	var binary, archive bytes.Buffer
	check(s.t, simvault.Release(&binary, version))
	z := zip.NewWriter(&archive)
	header := &zip.FileHeader{Name: "vault", Method: zip.Store}
	header.SetMode(0o755)
	member, err := z.CreateHeader(header)
	check(s.t, err)
	_, err = io.Copy(member, bytes.NewReader(binary.Bytes()))
	check(s.t, err)
	check(s.t, z.Close())
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	dir, name := s.at("releases/vault/"+version), "vault_"+version+"_linux_"+runtime.GOARCH+".zip"
	check(s.t, os.MkdirAll(dir, 0o755))
	check(s.t, os.WriteFile(filepath.Join(dir, name), archive.Bytes(), 0o644))
	check(s.t, os.WriteFile(filepath.Join(dir, "vault_"+version+"_SHA256SUMS"), fmt.Appendf(nil, "%s  %s\n", sum(archive.Bytes()), name), 0o644))
	s.locks[version] = fmt.Sprintf("  %s:\n    linux_%s: {archive: sha256:%s, binary: sha256:%s}\n", version, runtime.GOARCH, sum(archive.Bytes()), sum(binary.Bytes()))
	lock := "format: 1\nvault:\n"
	for _, v := range []string{"1.21.0", "1.21.1"} {
		lock += s.locks[v]
	}
	s.write("vault.lock", lock)
}

func (s *story) spec(version, config string) {
	s.t.Helper()
	var nodes strings.Builder
	for i, n := range s.fleet.Nodes {
		fmt.Fprintf(&nodes, "  - {name: %s, address: %s, zone: z%d}\n", n.Name, n.Address, i+1)
	}
	s.write("clusters/prod/cluster.yaml", `cluster: prod
mode: enforce
rules: learning
vault: {version: `+version+`}
ca: tls/ca.crt
ssh: {port: 2222}
storage: {raft: {path: /opt/vault/data}}
listener:
  - tcp: {address: "0.0.0.0:8200", tls_cert_file: /etc/vault.d/tls/vault.crt, tls_key_file: /etc/vault.d/tls/vault.key}
seal: shamir
keys: {secret_shares: 5, secret_threshold: 3, held_by: reconciler}
config:
  disable_mlock: true
`+config+`
files:
  - {path: /etc/vault.d/tls/vault.crt, source: "tls/{node}.crt", group: vault, mode: "0644", on_change: reload}
  - {path: /etc/vault.d/tls/vault.key, source: "age:tls/{node}.key.age", group: vault, mode: "0640", on_change: reload}
  - {path: /etc/vault.d/tls/ca.crt, source: tls/ca.crt}
audit:
  - {path: file, type: file, options: {file_path: /var/log/vault/audit.log}}
  - {path: second, type: file, options: {file_path: /var/log/vault/second.log}}
nodes:
`+nodes.String())
}

func (s *story) write(path, text string) {
	s.t.Helper()
	check(s.t, lay(filepath.Join(s.repo, path), text))
}

func (s *story) commit(subject string) {
	s.t.Helper()
	for _, args := range [][]string{{"init", "--quiet", "--initial-branch=main"}, {"add", "-A"},
		{"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", subject}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = s.repo
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
}

// run runs a command and expects an exit code.
func (s *story) run(code int, args ...string) string {
	s.t.Helper()
	began := time.Now()
	var out, errs bytes.Buffer
	got := run(append([]string{"--config", s.config}, args...), strings.NewReader(""), &out, &errs)
	s.t.Logf("%.1f s  reconciler %s", time.Since(began).Seconds(), strings.Join(args, " "))
	if got != code {
		s.t.Fatalf("reconciler %q exits %d, want %d\n%s\n%s", args, got, code, out.String(), errs.String())
	}
	return out.String()
}

// TestAClusterIsBornAndKeptOnAnEmbeddedFleet is the whole product over SSH, the
// real node script and simulated Vaults: nothing of it is replaced but them.
func TestAClusterIsBornAndKeptOnAnEmbeddedFleet(t *testing.T) {
	t.Parallel() // it waits more than it works
	s := newStory(t)
	s.release("1.21.0")
	s.spec("1.21.0", "  log_level: info\n  ui: true")
	s.commit("a cluster of three")
	s.run(0, "approve", "--init", "prod", "--reason", "a new cluster")
	s.says(s.run(8, "apply", "--yes"), "confirm-keys")
	s.run(0, "keys", "confirm", "prod", "--identity", s.at("alice.key"))
	s.run(0, "apply", "--yes")
	s.inSync()
	born := s.processes()

	s.spec("1.21.0", "  log_level: debug\n  ui: true")
	s.commit("log more")
	s.says(s.run(2, "plan", "--detailed-exitcode"), "log_level", "reload")
	s.run(0, "apply", "--yes")
	s.inSync()
	if now := s.processes(); !slices.Equal(now, born) {
		t.Errorf("a reload made other processes: %v, %v", born, now)
	}

	s.spec("1.21.0", "  log_level: debug\n  ui: false")
	s.commit("no ui")
	s.run(0, "apply", "--yes")
	s.inSync()
	rolled := s.processes()
	for i := range rolled {
		if rolled[i] == born[i] {
			t.Errorf("%s was not restarted", s.fleet.Nodes[i].Name)
		}
	}

	s.release("1.21.1")
	s.spec("1.21.1", "  log_level: debug\n  ui: false")
	s.commit("a newer Vault")
	s.says(s.run(2, "plan", "--detailed-exitcode"), "1.21.1", "no way back")
	s.run(0, "apply", "--yes")
	s.inSync()
	s.spec("1.21.0", "  log_level: debug\n  ui: false")
	s.commit("the older one again")
	s.says(s.run(5, "plan", "--detailed-exitcode"), "downgrade")
	s.spec("1.21.1", "  log_level: debug\n  ui: false")
	s.commit("forward")

	edited := filepath.Join(s.fleet.Nodes[1].Root, "etc/vault.d/vault.hcl")
	before, err := os.ReadFile(edited)
	check(t, err)
	after := regexp.MustCompile(`(?m)^(ui *= )false$`).ReplaceAll(before, []byte("${1}true"))
	if bytes.Equal(before, after) {
		t.Fatalf("there is nothing to edit in\n%s", before)
	}
	check(t, os.WriteFile(edited, after, 0o640))
	s.says(s.run(2, "plan", "--detailed-exitcode"), "eu-2", "vault.hcl")
	s.run(0, "apply", "--yes")
	s.inSync()

	pid, err := strconv.Atoi(s.processes()[2])
	check(t, err)
	check(t, syscall.Kill(pid, syscall.SIGKILL))
	s.run(0, "apply", "--yes")
	s.inSync()
}

// inSync plans and expects nothing to do.
func (s *story) inSync() {
	s.t.Helper()
	s.run(0, "plan", "--detailed-exitcode")
}

func (s *story) says(text string, words ...string) {
	s.t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			s.t.Fatalf("nothing says %q in\n%s", w, text)
		}
	}
}

// processes are those of Vault, node by node.
func (s *story) processes() []string {
	s.t.Helper()
	var pids []string
	for _, n := range s.fleet.Nodes {
		pids = append(pids, n.Systemctl("show", "vault", "-P", "MainPID"))
	}
	return pids
}
