//go:build linux

package e2e

import (
	"bytes"
	"testing"
	"time"
)

// TestDamageIsFoundAndRepaired hurts one node at a time in a way of its own.
// Each time a plan finds it, an apply repairs it, and nothing is left to do.
func TestDamageIsFoundAndRepaired(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	l.born()
	client := l.client()
	script := func(text string) func(*Node) { return func(n *Node) { n.Must(text) } }

	for i, damage := range []struct {
		name  string
		do    func(n *Node)
		words []string // of the plan
	}{
		{"a configuration that was edited", script("echo '# edited' >>/etc/vault.d/vault.hcl"), []string{"/etc/vault.d/vault.hcl", "place"}},
		{"a unit that was edited without daemon-reload", script("echo '# edited' >>/etc/systemd/system/vault.service"), []string{"vault.service", "place"}},
		{"a binary that was replaced at its path while it runs", script("rm /usr/local/bin/vault; cp /bin/true /usr/local/bin/vault"), []string{"vault", "restart"}},
		{"a binary that was replaced in its folder while it runs", script("cp /bin/true /opt/vault/other; mv /opt/vault/other /opt/vault/versions/1.21.0/vault"), []string{"1.21.0", "install"}},
		{"a binary that was replaced before Vault was killed", func(n *Node) {
			n.Must("cp /bin/true /opt/vault/other; mv /opt/vault/other /opt/vault/versions/1.21.0/vault; systemctl kill --signal=KILL vault")
		}, []string{"1.21.0", "install"}},
		{"a Vault that was killed", func(n *Node) {
			n.Must("systemctl kill --signal=KILL vault")
			l.comesBackSealed(n)
		}, []string{"unseal"}},
		{"a service that was disabled", script("systemctl disable --quiet vault"), []string{"vault at boot", "disabled"}},
		{"a file whose mode was changed", script("chmod 0666 /etc/vault.d/tls/vault.key"), []string{"/etc/vault.d/tls/vault.key", "0666", "0640"}},
		{"a node that was rebooted", func(n *Node) {
			n.Reboot()
			l.comesBackSealed(n)
		}, []string{"unseal"}},
		{"a TLS key that was swapped for another", l.swapKey, []string{"/etc/vault.d/tls/vault.key"}},
		{"a TLS key that was swapped for another and reloaded", func(n *Node) {
			l.swapKey(n)
			n.Must("systemctl reload vault")
		}, []string{"/etc/vault.d/tls/vault.key"}},
		{"a TLS key that was swapped for another before Vault was killed", func(n *Node) {
			l.swapKey(n)
			n.Must("systemctl kill --signal=KILL vault")
		}, []string{"/etc/vault.d/tls/vault.key"}},
	} {
		n := l.Nodes[i%len(l.Nodes)]
		l.part(damage.name, func() {
			damage.do(n)
			l.want(l.run(2, "plan", "--detailed-exitcode").Stdout, append(damage.words, n.Name)...)
			l.run(0, "apply", "--yes")
			l.inSync()
			l.must(client.Shows())
		})
	}
	l.serves()
	t.Logf("the client through all of it: %s", client.Lap())
}

// comesBackSealed returns once Vault was started by systemd alone.
func (l *lab) comesBackSealed(n *Node) {
	l.t.Helper()
	l.must(Until("Vault on "+n.Name+" is back, and sealed", time.Minute, func() bool { return l.sealStatus(n, `"sealed":true`) }))
}

// swapKey puts the key of another certificate beside the node's certificate.
func (l *lab) swapKey(n *Node) {
	l.t.Helper()
	_, key, err := l.CA.Issue(n.Name, n.Address, "127.0.0.1", "localhost")
	l.must(err)
	n.Put("/etc/vault.d/tls/vault.key", bytes.NewReader(key), "root:vault", "0640")
}
