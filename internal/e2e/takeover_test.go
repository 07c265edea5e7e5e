//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestATakeoverGoesOnAfterALostStateFolder loses the state folder once a node
// obeys its installation, goes on by a takeover from an empty one, and brings
// the old one back. Each time the other one is refused, and told from a
// folder that is merely older.
func TestATakeoverGoesOnAfterALostStateFolder(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 1)
	n := l.Nodes[0]
	l.single()
	state, away := filepath.Join(l.Dir, "state"), filepath.Join(l.Dir, "state-away")
	l.run(5, "apply", "--yes") // up to the birth that nobody approved
	first := l.installation()
	l.want(n.Must("cat /var/lib/reconciler-node/epoch"), first)

	l.must(os.Rename(state, away))
	l.adjusted("  log_level: debug\n  ui: true")
	before := n.Must("cat /var/lib/reconciler-node/epoch")
	l.want(l.run(6, "apply", "--yes").Stdout, "another one acts here", first, "reconciler takeover prod")
	if after := n.Must("cat /var/lib/reconciler-node/epoch"); after != before {
		t.Errorf("a refused apply made %q of the epoch %q", after, before)
	}
	taken := l.run(0, "takeover", "prod", "--reason", "the state folder is gone", "--yes").Stdout
	l.want(l.run(0, "history").Stdout, "taken over: ", "the state folder is gone")
	l.want(taken, n.Name+" obeys epoch", first, "of this installation now")
	l.want(n.Must("cat /var/lib/reconciler-node/epoch"), l.installation())
	l.run(5, "apply", "--yes")
	l.want(n.Must("cat /etc/vault.d/vault.hcl"), "debug")

	// The old installation is a stranger now. Its own past is another thing.
	l.must(os.Rename(state, state+"-second"))
	l.must(os.Rename(away, state))
	l.adjusted("  log_level: info\n  ui: true")
	l.want(l.run(6, "apply", "--yes").Stdout, "another one acts here")
	l.run(0, "takeover", "prod", "--reason", "the old disk is back", "--yes")
	epoch := filepath.Join(state, "clusters", "prod", "epoch")
	l.must(os.WriteFile(epoch, []byte(`{"epoch":1,"holder":"a backup","pid":1,"since":"2026-01-01T00:00:00Z"}`), 0o600))
	older := l.run(5, "apply", "--yes").Stdout // 1, but for the birth that is not approved
	l.want(older, "this very installation", "older than the node", "reconciler takeover prod")
	if strings.Contains(older, "another one acts here") {
		t.Errorf("an older state folder looks like another installation:\n%s", older)
	}
	l.run(0, "takeover", "prod", "--reason", "restored from a backup", "--yes")
	l.run(5, "apply", "--yes")
	l.want(n.Must("cat /etc/vault.d/vault.hcl"), "info")

	n.StopSSHD()
	l.want(l.run(3, "takeover", "prod", "--reason", "once more", "--yes").Stdout, n.Name+": not reached: tcp")
	n.StartSSHD()
}

// installation is who the state folder is.
func (l *lab) installation() string { l.t.Helper(); return l.installationIn("state") }

func (l *lab) installationIn(state string) string {
	l.t.Helper()
	id, err := os.ReadFile(filepath.Join(l.Dir, state, "installation"))
	l.must(err)
	return strings.TrimSpace(string(id))
}

// adjusted has something to do on the node of a single cluster.
func (l *lab) adjusted(config string) {
	l.t.Helper()
	l.write("clusters/prod/cluster.yaml", strings.Replace(l.spec(config), "mode: enforce\n", "mode: enforce\nrules: learning\n", 1))
	l.commit("another log level")
}
