//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/throwaway"
)

// A lab is a rig with a fleet repo of one cluster on it and everything that an
// operator sets up beside it: reconciler.yaml, key stores, a holder.
type lab struct {
	*Rig
	t        *testing.T
	op       Operator
	repo     string // the fleet repo, a git work tree
	config   string // reconciler.yaml
	stores   []string
	identity throwaway.Identity // of the reconciler
	alice    throwaway.Identity // a holder
	version  string             // of Vault, in the spec
	http     *http.Client
	said     strings.Builder
}

func newLab(t *testing.T, nodes int) *lab {
	t.Helper()
	return newLabWith(t, Options{Nodes: nodes})
}

// newLabWith is newLab on a rig that differs from the usual one.
func newLabWith(t *testing.T, options Options) *lab {
	t.Helper()
	rig := NewRigWith(t, options)
	l := &lab{Rig: rig, t: t, repo: filepath.Join(rig.Dir, "fleet"), config: filepath.Join(rig.Dir, "reconciler.yaml"),
		stores:   []string{filepath.Join(rig.Dir, "keys-1"), filepath.Join(rig.Dir, "keys-2")},
		identity: rig.NewIdentity("reconciler"), alice: rig.NewIdentity("alice"), version: "1.21.0"}
	l.http = rig.api("").Client
	t.Cleanup(l.http.CloseIdleConnections)
	l.op = rig.Operator(rig.Dir)
	l.op.Wait = 15 * time.Minute                   // a birth on a machine that has other work, too
	t.Cleanup(func() { l.noSecret(l.canaries()) }) // at the end of every story, however it ended
	for _, dir := range l.stores {
		rig.must(os.MkdirAll(dir, 0o700))
	}
	releases := rig.Releases(l.version)
	l.write("fleet.yaml", "format: 1\nfleet: lab\nreleases: {source: \"file://"+releases.Dir+"\"}\n")
	l.write("vault.lock", releases.Lock)
	l.write("clusters/prod/tls/ca.crt", string(rig.CA.PEM))
	for _, n := range rig.Nodes {
		key, err := l.identity.Encrypt(n.CertKey)
		rig.must(err)
		l.write("clusters/prod/tls/"+n.Name+".crt", string(n.Cert))
		l.write("clusters/prod/tls/"+n.Name+".key.age", string(key))
	}
	l.write("clusters/prod/cluster.yaml", l.spec("  log_level: info\n  ui: true"))
	l.settings("10.0.0.0/8")
	l.git("init", "--quiet", "--initial-branch=main")
	l.commit("a cluster of " + fmt.Sprint(options.Nodes))
	return l
}

// spec is the cluster's file with some lines of its config to choose.
func (l *lab) spec(config string) string {
	var nodes strings.Builder
	for i, n := range l.Nodes {
		fmt.Fprintf(&nodes, "  - {name: %s, address: %s, zone: z%d}\n", n.Name, n.Address, i+1)
	}
	return `cluster: prod
mode: enforce
vault: {version: ` + l.version + `}
ca: tls/ca.crt
storage: {raft: {path: /opt/vault/data}}
listener:
  - tcp: {address: "0.0.0.0:8200", tls_cert_file: /etc/vault.d/tls/vault.crt, tls_key_file: /etc/vault.d/tls/vault.key}
seal: shamir
keys: {secret_shares: 5, secret_threshold: 3, held_by: reconciler}
config:
  disable_mlock: true
  telemetry: {prometheus_retention_time: 24h, disable_hostname: true}
` + config + `
files:
  - {path: /etc/vault.d/tls/vault.crt, source: "tls/{node}.crt", group: vault, mode: "0644", on_change: reload}
  - {path: /etc/vault.d/tls/vault.key, source: "age:tls/{node}.key.age", group: vault, mode: "0640", on_change: reload}
  - {path: /etc/vault.d/tls/ca.crt, source: tls/ca.crt}
audit:
  - {path: file, type: file, options: {file_path: /var/log/vault/audit.log}}
  - {path: second, type: file, options: {file_path: /var/log/vault/second.log}}
nodes:
` + nodes.String()
}

// settings writes reconciler.yaml with nodes trusted in one network.
func (l *lab) settings(network string) {
	l.t.Helper()
	text := fmt.Sprintf(`fleets:
  - {repo: %q, branch: main, path: ., interval: 1s}
trust:
  known_hosts: %s
  networks: [%s]
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
`, l.repo, l.KnownHosts, network, filepath.Join(l.Dir, "releases"), l.Key, l.identity.File, l.alice.Recipient,
		filepath.Join(l.Dir, "state"), l.stores[0], l.stores[1])
	l.must(os.WriteFile(l.config, []byte(text), 0o600))
}

func (l *lab) write(path, text string) {
	l.t.Helper()
	path = filepath.Join(l.repo, path)
	l.must(os.MkdirAll(filepath.Dir(path), 0o755))
	l.must(os.WriteFile(path, []byte(text), 0o644))
}

func (l *lab) commit(subject string) {
	l.t.Helper()
	l.git("add", "-A")
	l.git("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "--allow-empty", "-m", subject)
}

func (l *lab) git(args ...string) {
	l.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = l.repo
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

// run runs reconciler and expects an exit code.
func (l *lab) run(code int, args ...string) Ended {
	l.t.Helper()
	return l.runBy(l.config, code, args...)
}

// runBy is run by another reconciler.yaml.
func (l *lab) runBy(config string, code int, args ...string) Ended {
	l.t.Helper()
	began := time.Now()
	ended := l.op.Run(append([]string{"--config", config}, args...)...)
	l.t.Logf("%5.1f s  reconciler %s", time.Since(began).Seconds(), strings.Join(args, " "))
	l.said.WriteString(ended.Stdout + ended.Stderr)
	if ended.Code != code {
		l.t.Fatalf("reconciler %q exits %d, not %d\n%s\n%s", args, ended.Code, code, ended.Stdout, ended.Stderr)
	}
	return ended
}

// inSync plans again and expects nothing to do.
func (l *lab) inSync() {
	l.t.Helper()
	l.run(0, "plan", "--detailed-exitcode")
}

// want fails unless a text holds these words.
func (l *lab) want(text string, words ...string) {
	l.t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			l.t.Fatalf("nothing says %q in\n%s", w, text)
		}
	}
}

// traces are everything on a node that a converged apply must not change: file
// times and inodes, the service's start, the epoch.
func (l *lab) traces(n *Node) string {
	l.t.Helper()
	return n.Must(`find /etc/vault.d /opt/vault/versions /opt/vault/generations /usr/local /etc/systemd/system /var/lib/reconciler-node /etc/passwd /etc/group -printf '%p %T@ %C@ %i %m %u\n' | sort
systemctl show -p InvocationID,ExecMainStartTimestampMonotonic,NRestarts vault
cat /var/lib/reconciler-node/epoch`)
}

var token = regexp.MustCompile(`hv[sb]\.[A-Za-z0-9_-]{20,}`)

// noSecret looks for secrets everywhere but in their place: in what was
// printed, in the state folder, in the repo, and on the nodes.
func (l *lab) noSecret(canaries []string) {
	l.t.Helper()
	look := func(where, text string) {
		for _, c := range canaries {
			if c != "" && strings.Contains(text, c) {
				l.t.Errorf("a secret stands in %s", where)
			}
		}
		if found := token.FindString(text); found != "" {
			l.t.Errorf("a Vault token stands in %s", where)
		}
	}
	look("what was printed", l.said.String())
	for _, dir := range []string{filepath.Join(l.Dir, "state"), l.repo, l.stores[0], l.stores[1]} {
		l.must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err == nil {
				look(path, string(b))
			}
			return err
		}))
	}
	for _, n := range l.Nodes {
		look("the journal of "+n.Name, n.Must("journalctl --no-pager -o cat"))
		look("the folders of "+n.Name, n.Must(`find /var/lib/reconciler-node /run/reconciler-node /etc/reconciler-node /tmp /root /home /var/log -type f -size -4M ! -name 'audit.log' ! -name 'second.log' ! -path '*/journal/*' -exec cat {} + 2>/dev/null || true`))
	}
}
