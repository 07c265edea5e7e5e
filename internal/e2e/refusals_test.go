//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNoClusterIsBornOverWhatIsThere has everything wrong at once that must
// keep a cluster from being born. Each reason is named, with what lifts it; one
// after another is lifted, and until the last is gone nothing is initialised.
func TestNoClusterIsBornOverWhatIsThere(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 4)
	first, second, third, others := l.Nodes[0], l.Nodes[1], l.Nodes[2], l.Nodes[3]
	right := strings.Replace(l.spec("  log_level: info\n  ui: true"), "  - {name: node-4, address: "+others.Address+", zone: z4}\n", "", 1)
	wrong := strings.Replace(right, "{name: node-1, address: "+first.Address, "{name: node-1, address: "+others.Address, 1)
	l.write("clusters/prod/cluster.yaml", wrong)
	l.commit("a slip in the address of node-1")
	key := l.foreign(others)
	before := others.Must(foreignTraces)
	second.Must("mkdir -p /opt/vault/data; echo precious >/opt/vault/data/left-over")
	third.StopSSHD()

	standing := map[string]planBlock{ // by reason: where, and a word of what lifts it
		"initialized-before": {Node: first.Name, Lift: "correct the address"},
		"data-not-empty":     {Node: second.Name, Lift: "a person stops Vault and empties it"},
		"node-unknown":       {Node: third.Name, Lift: "make the node reachable"},
		"init-unapproved":    {Node: "", Lift: "reconciler approve --init prod"},
	}
	l.unborn(standing)

	l.run(0, "approve", "--init", "prod", "--reason", "a new cluster")
	delete(standing, "init-unapproved")
	l.unborn(standing)

	third.StartSSHD()
	delete(standing, "node-unknown")
	l.unborn(standing)

	// Open, it tells its cluster_id. That makes it no less another cluster.
	others.vault("write sys/unseal key=" + key)
	l.must(Until("an active node", time.Minute, func() bool { return l.sealStatus(others, `"cluster_id"`) }))
	l.unborn(standing)
	if after := others.Must(foreignTraces); after != before {
		t.Errorf("on the node of another cluster there was\n%s\nand there is\n%s", before, after)
	}
	l.write("clusters/prod/cluster.yaml", right)
	l.commit("the right address")
	delete(standing, "initialized-before")
	l.unborn(standing)

	// Data comes to a node that was seen empty: what counts is what lies there
	// when Vault is to be started.
	second.Must("rm /opt/vault/data/left-over")
	third.Must("echo precious >/opt/vault/data/left-over")
	standing["data-not-empty"] = planBlock{Node: third.Name, Lift: "a person stops Vault and empties it"}
	l.unborn(standing)
	third.Must("rm /opt/vault/data/left-over")

	second.Partition(third.Address)
	cut := l.planOf(l.run(5, "apply", "--yes", "-o", "json"))
	if got := cut.blocked("peers-unreachable"); !slices.Contains(got, second.Name) {
		t.Errorf("with a cable cut apply is blocked by %+v", cut.Clusters[0].Plan.Blocks)
	}
	l.nothingAsked()
	second.Heal()
	whole := l.planOf(l.op.Run("--config", l.config, "plan", "-o", "json"))
	if steps := whole.steps(); len(steps) == 0 || steps[0] != (planStep{first.Name, "init"}) {
		t.Errorf("nothing stands against the birth any more, and planned is %+v, blocked %+v", steps, whole.Clusters[0].Plan.Blocks)
	}
}

// foreignTraces are what a person put on a node for a Vault that is not ours.
const foreignTraces = `find /etc/vault.d /usr/local/bin /etc/systemd/system/vault.service -printf '%p %T@ %C@ %i %m %u\n' | sort
systemctl show -p InvocationID,NRestarts vault`

// unborn expects exactly these blocks, from plan and from apply, and that no
// node is asked for init.
func (l *lab) unborn(standing map[string]planBlock) {
	l.t.Helper()
	for _, command := range [][]string{{"plan", "-o", "json"}, {"apply", "--yes", "-o", "json"}} {
		plan := l.planOf(l.run(5, command...))
		var reasons []string
		for _, b := range plan.Clusters[0].Plan.Blocks {
			if b.Reason == "unproven" {
				continue // what a Vault of others was started with; it speaks against a restart, not a birth
			}
			reasons = append(reasons, b.Reason+" "+b.Node)
			want, ok := standing[b.Reason]
			if !ok || b.Node != want.Node || !strings.Contains(b.Lift, want.Lift) || b.Detail == "" {
				l.t.Errorf("%s blocks by %+v, and what stands against a birth is %+v", command[0], b, standing)
			}
		}
		if len(reasons) != len(standing) {
			l.t.Errorf("%s is blocked by %v, and what stands against a birth is %+v", command[0], reasons, standing)
		}
		if slices.ContainsFunc(plan.steps(), func(s planStep) bool { return s.Action == "init" || s.Action == "start" }) {
			l.t.Errorf("%s has in it %+v", command[0], plan.steps())
		}
	}
	l.nothingAsked()
}

// nothingAsked expects that no node was ever asked for init, and that no key
// store holds a thing.
func (l *lab) nothingAsked() {
	l.t.Helper()
	if l.onDisk("var/lib/reconciler-node/init/*") > 0 || l.kept("*") > 0 {
		l.t.Fatal("a node was asked for init")
	}
}

// foreign has a person make a cluster of one node, sealed, and returns its
// unseal key.
func (l *lab) foreign(n *Node) string {
	l.t.Helper()
	binary, err := os.Open(l.Vault("1.21.0"))
	l.must(err)
	defer binary.Close()
	n.Put("/usr/local/bin/vault", binary, "root", "0755")
	n.Put("/etc/vault.d/tls/ca.crt", bytes.NewReader(l.CA.PEM), "root", "0644")
	n.Put("/etc/vault.d/tls/vault.crt", bytes.NewReader(n.Cert), "root:vault", "0644")
	n.Put("/etc/vault.d/tls/vault.key", bytes.NewReader(n.CertKey), "root:vault", "0640")
	n.Put("/etc/vault.d/vault.hcl", strings.NewReader(strings.ReplaceAll(vaultConfig, "ADDRESS", n.Address)), "root:vault", "0640")
	n.Put("/etc/systemd/system/vault.service", strings.NewReader(vaultUnit), "root", "0644")
	n.Must("install -d -o vault -g vault -m 0700 /opt/vault/data; systemctl daemon-reload; systemctl enable --quiet --now vault")
	var answer struct {
		Keys []string `json:"unseal_keys_b64"`
	}
	l.must(json.Unmarshal([]byte(n.vault("operator init -format=json -key-shares=1 -key-threshold=1")), &answer))
	if len(answer.Keys) != 1 {
		l.t.Fatalf("init gave %d keys", len(answer.Keys))
	}
	return answer.Keys[0]
}

// vault runs Vault's client on the node, as a person there would.
func (n *Node) vault(command string) string {
	n.rig.t.Helper()
	return n.Must("export VAULT_ADDR=https://" + n.Address + ":8200 VAULT_CACERT=/etc/vault.d/tls/ca.crt; vault " + command)
}
