//go:build linux

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/host"
)

// TestAReloadIsSeen: what a real Vault makes of a SIGHUP decides what is next.
// What it took up is done, what it refuses is left to a person, and where nobody
// can see what it did, it is restarted.
func TestAReloadIsSeen(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	l.born()
	began := l.runs()

	l.write("clusters/prod/cluster.yaml", l.spec("  log_level: debug\n  ui: true"))
	l.commit("log more")
	l.run(0, "apply", "--yes")
	l.inSync()
	for _, n := range l.Nodes {
		// Vault tells systemd that it is ready after it took up the new level, and
		// says so at that level alone.
		if got := l.logged(n, `\[DEBUG\] sent systemd notification`); got == 0 {
			t.Errorf("%s does not log at the new level", n.Name)
		}
	}
	if got := l.reloads(); !slices.Equal(got, []int{1, 1, 1}) {
		t.Errorf("reloads %v, want one each", got)
	}

	l.newLeaves(false)
	l.commit("certificates without their keys")
	l.want(l.run(8, "apply", "--yes").Stdout, "refused", "private key does not match public key", "reconciler resume prod --node")
	l.run(8, "apply", "--yes")
	refused := l.reloads()
	slices.Sort(refused)
	if !slices.Equal(refused, []int{1, 1, 2}) {
		t.Errorf("reloads %v: one node tries it, once", refused)
	}
	l.answers()

	l.newLeaves(true)
	l.commit("certificates with their keys")
	l.run(0, "apply", "--yes")
	l.inSync()
	l.serves()
	if now := l.runs(); !slices.Equal(began, now) {
		t.Errorf("Vault was restarted: %v, %v", began, now)
	}

	dark := l.Nodes[1]
	dark.Must("chmod a-x /usr/bin/journalctl")
	l.write("clusters/prod/cluster.yaml", l.spec("  log_level: info\n  ui: true"))
	l.commit("log less")
	said := l.run(0, "apply", "--yes")
	dark.Must("chmod a+x /usr/bin/journalctl")
	l.want(said.Stdout+said.Stderr, "the journal of vault.service cannot be read")
	l.inSync()
	l.serves()
	for i, run := range l.runs() {
		if restarted := run != began[i]; restarted != (l.Nodes[i] == dark) {
			t.Errorf("%s: restarted is %v", l.Nodes[i].Name, restarted)
		}
	}
}

// newLeaves gives every node a new certificate, with its key or without.
func (l *lab) newLeaves(matching bool) {
	l.t.Helper()
	for _, n := range l.Nodes {
		cert, key, err := l.CA.Issue(n.Name, n.Address)
		l.must(err)
		l.write("clusters/prod/tls/"+n.Name+".crt", string(cert))
		if matching {
			encrypted, err := l.identity.Encrypt(key)
			l.must(err)
			l.write("clusters/prod/tls/"+n.Name+".key.age", string(encrypted))
		}
	}
}

// reloads counts the signals that each node's Vault heard.
func (l *lab) reloads() []int {
	l.t.Helper()
	var counts []int
	for _, n := range l.Nodes {
		counts = append(counts, l.logged(n, "^==> Vault reload triggered$"))
	}
	return counts
}

func (l *lab) logged(n *Node, pattern string) int {
	l.t.Helper()
	return strings.Count(n.Must("journalctl --sync; journalctl --no-pager -o cat -u vault | grep '"+pattern+"' || :"), "\n")
}

// TestFileCapabilitiesAreKept: what was granted to the binary at vault.path goes
// over to the next one, each way that the next one comes.
func TestFileCapabilitiesAreKept(t *testing.T) {
	n := NewRig(t, 1).Nodes[0]
	text, _ := host.Script()
	n.Put(host.ScriptPath, strings.NewReader(text), "root:root", "0755")
	binary := func(version string) string { return "#!/bin/sh\necho 'Vault v" + version + " (abc), built 2026'\n" }
	digest := func(version string) string {
		sum := sha256.Sum256([]byte(binary(version)))
		return hex.EncodeToString(sum[:])
	}
	place := func(version string) {
		t.Helper()
		if _, err := n.run(strings.NewReader(binary(version)), host.ScriptPath+" binary 1 e2e op1 "+version+" "+digest(version)); err != nil {
			t.Fatal(err)
		}
	}
	use := func(version string) {
		t.Helper()
		n.Must(host.ScriptPath + " activate 1 e2e op1 - " + version + " " + digest(version) + " /usr/local/bin/vault none vault </dev/null")
	}
	granted := func(when, path string) {
		t.Helper()
		if got := n.Must("getcap " + path); !strings.Contains(got, "cap_ipc_lock") || !strings.Contains(got, "cap_net_bind_service") {
			t.Errorf("%s: %s may %q", when, path, got)
		}
	}
	n.Put("/usr/local/bin/vault", strings.NewReader(binary("1.0.0")), "root:root", "0755")
	n.Must("setcap cap_ipc_lock,cap_net_bind_service=+ep /usr/local/bin/vault")
	place("1.1.0")
	use("1.1.0")
	granted("a file that a person had put there", "/opt/vault/versions/1.1.0/vault")
	granted("its copy", "/opt/vault/versions/adopted/vault")
	place("1.2.0")
	n.Must("chmod a-x $(command -v getcap)")
	use("1.2.0")
	n.Must("chmod a+x /sbin/getcap /usr/sbin/getcap 2>/dev/null || :")
	granted("without getcap", "/opt/vault/versions/1.2.0/vault")
	place("1.2.0")
	use("1.2.0")
	granted("the same version placed again", "/opt/vault/versions/1.2.0/vault")
	n.Must("rm /usr/local/bin/vault")
	n.Put("/usr/local/bin/vault", strings.NewReader("somebody's own\n"), "root:root", "0755")
	use("1.2.0")
	granted("put back after somebody replaced it", "/opt/vault/versions/1.2.0/vault")
}
