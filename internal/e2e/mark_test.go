//go:build linux

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// TestTheMarkRunsApartFromTheEnvironment is the real systemd's part of what the
// unit promises: the line that runs as root learns the invocation and nothing
// else of an environment that a commit can write, at each way to start.
func TestTheMarkRunsApartFromTheEnvironment(t *testing.T) {
	r := NewRig(t, 1)
	n := r.Nodes[0]
	text, _ := host.Script()
	n.Put(host.ScriptPath, strings.NewReader(text), "root:root", "0755")
	n.Put("/etc/vault.d/vault.hcl", strings.NewReader("v = 1\n"), "root:vault", "0640")
	n.Put("/var/lib/reconciler-node/marks/vault", strings.NewReader("config /etc/vault.d/vault.hcl\n"), "root:root", "0600")
	for _, shim := range []string{"cat", "sha256sum", "mkdir", "mv", "grep", "id", "env", "sh"} {
		n.Put("/etc/vault.d/r/shims/"+shim, strings.NewReader("#!/bin/sh\n/usr/bin/id -u >>/tmp/led.$$\n"), "root:root", "0755")
	}
	n.Put("/etc/vault.d/vault.env", strings.NewReader("RECONCILER_NODE_ROOT=/etc/vault.d/r\nPATH=/etc/vault.d/r/shims\nENV=/etc/vault.d/r/shims/id\n"+
		"LD_DEBUG=libs\nLD_DEBUG_OUTPUT=/run/loader\nKEPT=yes\n"), "root:root", "0600")
	n.Put("/etc/systemd/system/vault.service", strings.NewReader(markedUnit(t)), "root:root", "0644")

	n.Must("systemctl daemon-reload; systemctl enable --quiet vault; systemctl start vault")
	first := marked(t, n)
	n.Must("systemctl restart vault")
	second := marked(t, n)
	n.Must("systemctl kill --signal=KILL --kill-whom=main vault")
	r.must(Until("systemd's own restart", 30*time.Second, func() bool {
		out, _ := n.Exec("systemctl show -P NRestarts vault; systemctl is-active vault")
		return out == "1\nactive\n"
	}))
	third := marked(t, n)
	n.Reboot()
	fourth := marked(t, n)
	if first == second || second == third || third == fourth {
		t.Errorf("invocations %s %s %s %s", first, second, third, fourth)
	}

	// Why a start fails reaches whoever asked for it.
	n.Must("sed -i -e 's|^User=|Type=notify\\nUser=|' -e 's|^ExecStart=.*|ExecStart=/bin/sh -c \"echo the disk is on fire >\\&2; exit 1\"|' /etc/systemd/system/vault.service; systemctl daemon-reload")
	_, err := n.Exec(host.ScriptPath + " activate 1 e2e op1 - - - /usr/local/bin/vault restart vault </dev/null")
	if err == nil || !strings.Contains(err.Error(), "vault.service does not start; it said (journalctl -u vault has it all): the disk is on fire") {
		t.Errorf("a start that fails says %v", err)
	}
}

// markedUnit is a unit as it is rendered, as far as environment and mark go,
// round a service that says its environment.
func markedUnit(t *testing.T) string {
	t.Helper()
	return "[Service]\nUser=vault\nEnvironmentFile=-/etc/vault.d/vault.env\n" + desired.UnsetLoader + "\n" + desired.MarkCommand("vault") +
		"\nExecStart=/usr/bin/sleep infinity\nRestart=on-failure\nRestartSec=1\n[Install]\nWantedBy=multi-user.target\n"
}

// marked expects that the running process has its mark, and that nobody was led
// elsewhere on the way. It returns the invocation.
func marked(t *testing.T, n *Node) string {
	t.Helper()
	id := strings.TrimSpace(n.Must("systemctl show -P InvocationID vault"))
	if got := n.Must("cat /run/reconciler-node/started/vault/mark"); !strings.HasPrefix(got, "invocation "+id+"\nfile ") || !strings.HasSuffix(got, " /etc/vault.d/vault.hcl\n") {
		t.Errorf("invocation %s has the mark %q", id, got)
	}
	if got := n.Must("ls -d /tmp/led.* /run/loader* /etc/vault.d/r/run 2>/dev/null || :"); got != "" {
		t.Errorf("the environment led root elsewhere: %s", got)
	}
	if got := n.Must("tr '\\0' '\\n' </proc/$(systemctl show -P MainPID vault)/environ"); !strings.Contains(got, "KEPT=yes\n") || strings.Contains(got, "LD_DEBUG") {
		t.Errorf("the service's environment is\n%s", got)
	}
	return id
}
