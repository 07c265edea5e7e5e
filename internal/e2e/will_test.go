//go:build linux

package e2e

import (
	"net/http"
	"testing"
)

// TestAHumansWillIsLeftAlone has a person do something to a node on purpose.
// Each time nothing at all is written there, plan, status and why name what was
// done and what lifts it, and what lifts it does.
func TestAHumansWillIsLeftAlone(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	l.born()
	client := l.client()
	// That would be repaired. What drifts three times within a week, on whatever node, is a
	// fight, and is not: so each is done twice at most.
	damage, other, third := "chmod 0666 /etc/vault.d/tls/vault.key; ", "chmod 0666 /etc/vault.d/tls/vault.crt; ", "chmod 0666 /etc/vault.d/vault.hcl; "
	script := func(text string) func(*Node) { return func(n *Node) { n.Must(text) } }

	for i, will := range []struct {
		reason string
		do     func(n *Node)
		way    string // out of it, as the reports have it
		lift   func(n *Node)
	}{
		{"stopped-by-hand", script("systemctl stop vault"), "systemctl start vault", script("systemctl start vault")},
		{"masked", script(damage + "ln -sf /dev/null /etc/systemd/system/vault.service; systemctl daemon-reload"),
			"systemctl unmask vault", script("systemctl unmask vault")},
		{"hold-file", script(damage + "mkdir -p /etc/reconciler-node; echo a new disk >/etc/reconciler-node/hold"),
			"rm /etc/reconciler-node/hold", script("rm /etc/reconciler-node/hold")},
		{"held", func(n *Node) {
			n.Must(other)
			l.run(0, "hold", "prod", "--node", n.Name, "--reason", "a new disk")
		}, "reconciler resume prod", func(n *Node) { l.run(0, "resume", "prod", "--node", n.Name) }},
		{"peers-json", script(other + "echo '[]' >/opt/vault/data/raft/peers.json"),
			"take the file away", script("rm /opt/vault/data/raft/peers.json")},
	} {
		n := l.Nodes[i%len(l.Nodes)]
		l.part(will.reason, func() {
			will.do(n)
			l.leftAlone(n, 5, will.reason, will.way)
			will.lift(n)
			l.run(0, "apply", "--yes")
			l.inSync()
			l.must(client.Shows())
		})
	}

	l.part("sealed-by-hand", func() {
		n := l.leader() // the only node on which Vault allows it
		l.must(client.api.Ask(l.t.Context(), http.MethodPut, n.Address, "sys/seal", nil, nil))
		l.leftAlone(n, 5, "sealed-by-hand", "vault operator unseal")
		n.Reboot()
		l.comesBackSealed(n)
		l.leftAlone(n, 5, "sealed-by-hand", "vault operator unseal")
		l.unsealByHand(n)
		l.run(0, "apply", "--yes")
		l.inSync()
		l.must(client.Shows())
	})

	l.part("the whole cluster is held", func() {
		l.run(0, "hold", "prod", "--reason", "an audit")
		for _, n := range l.Nodes {
			n.Must(third)
		}
		l.untouched(func() { l.run(5, "apply", "--yes") }, l.Nodes...)
		l.leftAlone(l.Nodes[0], 5, "held", "reconciler resume prod")
		l.run(0, "resume", "prod")
		l.run(0, "apply", "--yes")
		l.inSync()
	})

	l.part("data-missing", func() {
		n := l.Nodes[0]
		n.Must("systemctl stop vault; systemctl disable --quiet vault; mv /opt/vault/data /opt/vault/away; install -d -o vault -g vault -m 0700 /opt/vault/data")
		n.Reboot() // a stop by hand is over, and the service is the reconciler's to start
		l.leftAlone(n, 8, "data-missing", "mount the right volume")
		n.Must("rmdir /opt/vault/data; mv /opt/vault/away /opt/vault/data")
		l.run(0, "apply", "--yes")
		l.inSync()
		l.serves()
		l.must(client.Shows())
	})
	t.Logf("the client through all of it: %s", client.Lap())
}

// leftAlone applies, and expects that nothing was written on a node, and that
// everything that reports on it says why and what would lift it.
func (l *lab) leftAlone(n *Node, code int, reason, way string) {
	l.t.Helper()
	l.untouched(func() {
		l.want(l.run(code, "apply", "--yes").Stdout, reason, way)
		l.want(l.run(code, "plan", "--detailed-exitcode").Stdout, reason, way)
		l.want(l.run(code, "status").Stdout, n.Name, reason, way)
		l.want(l.run(code, "why", "prod").Stdout, reason, way)
	}, n)
}
