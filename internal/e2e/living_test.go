//go:build linux

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestALivingClusterIsKept has commits change a cluster that an application
// uses: what they change is changed in the gentlest way there is, and nothing
// else is. The application loses nothing.
func TestALivingClusterIsKept(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	l.born()
	client := l.client()

	l.part("a log level is reloaded", func() {
		began := time.Now()
		l.change("log more", l.spec("  log_level: debug\n  ui: true"), "log_level", "reload")
		l.t.Logf("reload of three: %.1f s; %s", time.Since(began).Seconds(), client.Lap())
		if downs := l.downs(began); len(downs) > 0 {
			l.t.Errorf("a change of log_level took nodes down: %v", downs)
		}
		for _, n := range l.Nodes {
			if reloads := len(n.vaultSaid(began, "Vault reload triggered")); reloads != 1 {
				l.t.Errorf("%s was reloaded %d times for one change", n.Name, reloads)
			}
		}
		l.must(client.Shows())
	})

	l.part("a user interface is rolled", func() {
		began, leader := time.Now(), l.leader().Name
		client.Lap()
		l.change("no UI", l.spec("  log_level: debug\n  ui: false"), "ui", "restart")
		l.t.Logf("roll of three: %.1f s; %s", time.Since(began).Seconds(), client.Lap())
		l.rolled(began, leader)
		l.serves()
		l.must(client.Shows())
	})

	l.part("a comment or another cluster is nothing", func() {
		spec := l.spec("  log_level: debug\n  ui: false")
		l.untouched(func() {
			l.write("clusters/prod/cluster.yaml", "# who to ask: ada@example.com\n"+spec)
			l.commit("only a comment")
			l.inSync()
			l.run(0, "apply", "--yes")
		}, l.Nodes...)
		l.untouched(func() {
			l.write("clusters/other/cluster.yaml", elsewhere)
			l.write("clusters/other/tls/ca.crt", string(l.CA.PEM))
			l.commit("another cluster")
			l.want(l.run(5, "apply", "--yes").Stdout, "other", "not seen", "prod   3 nodes   in sync")
		}, l.Nodes...)
		l.git("rm", "-r", "--quiet", "clusters/other")
		l.commit("without the other cluster")
	})

	l.upgrades(client)
}

// upgrades goes to the next version, past a binary that is not the lock's, and
// in vain back.
func (l *lab) upgrades(client *Client) {
	const old, next = "1.21.0", "1.21.1"
	config := "  log_level: debug\n  ui: false"
	releases := l.Releases(old, next)

	l.part("a binary that is not the lock's is never placed", func() {
		l.version = next
		l.write("vault.lock", spoiled(releases.Lock, next))
		l.write("clusters/prod/cluster.yaml", l.spec(config))
		l.commit("the next version, with the digest of another binary")
		began := time.Now()
		apply := l.op.Start("--config", l.config, "apply", "--yes")
		l.must(Until("a word about the binary", 2*time.Minute, func() bool { return strings.Contains(l.journal(), "vault.lock says") }))
		apply.Terminate()
		ended := apply.Ended()
		l.heard(apply)
		l.want(ended.Stdout+ended.Stderr, "has sha256", "vault.lock says")
		if placed := l.onDisk("opt/vault/versions/" + next); placed > 0 {
			l.t.Errorf("a binary that is not the lock's was placed on %d nodes", placed)
		}
		if downs := l.downs(began); len(downs) > 0 {
			l.t.Errorf("nodes went down for a binary that was not placed: %v", downs)
		}
	})

	l.part("a version is rolled, leader last", func() {
		began, leader := time.Now(), l.leader().Name
		client.Lap()
		l.write("vault.lock", releases.Lock)
		l.change("the digest of the release", l.spec(config), next, "no way back")
		l.t.Logf("upgrade of three: %.1f s; %s", time.Since(began).Seconds(), client.Lap())
		downs := l.rolled(began, leader)
		for _, n := range l.Nodes {
			staged, err := strconv.ParseFloat(strings.TrimSpace(n.Must("stat -c %.Z /opt/vault/versions/"+next+"/vault")), 64)
			l.must(err)
			if len(downs) > 0 && staged > downs[0].from {
				l.t.Errorf("%s was staged on %s when %s was down already", next, n.Name, downs[0].node)
			}
		}
		l.serves()
		l.must(client.Shows())
	})

	l.part("a commit back is a block", func() {
		l.version = old
		l.write("clusters/prod/cluster.yaml", l.spec(config))
		l.commit("the old version again")
		l.untouched(func() {
			l.want(l.run(5, "plan", "--detailed-exitcode").Stdout, "downgrade", next+" was active", "commit "+next+" or newer")
			l.run(5, "apply", "--yes")
		}, l.Nodes...)
		l.version = next
		l.write("clusters/prod/cluster.yaml", l.spec(config))
		l.commit("forward")
		l.inSync()
		l.must(client.Shows())
	})
}

// elsewhere is a cluster whose machines do not exist.
const elsewhere = `cluster: other
mode: observe
rules: learning
vault: {version: 1.21.0}
ca: tls/ca.crt
storage: {raft: {path: /opt/vault/data}}
listener:
  - tcp: {address: "0.0.0.0:8200", tls_cert_file: /etc/vault.d/tls/vault.crt, tls_key_file: /etc/vault.d/tls/vault.key}
seal: shamir
keys: {secret_shares: 5, secret_threshold: 3, held_by: reconciler}
config: {disable_mlock: true}
files: [{path: /etc/vault.d/tls/ca.crt, source: tls/ca.crt}]
nodes: [{name: far, address: 10.77.0.201, zone: z1}]
`

// spoiled is a lock that names a binary of a version that there is not.
func spoiled(lock, version string) string {
	lines := strings.SplitAfter(lock, "\n")
	for i := range lines {
		if i > 0 && strings.HasPrefix(strings.TrimSpace(lines[i-1]), version) {
			lines[i] = regexp.MustCompile(`binary: sha256:[0-9a-f]*`).ReplaceAllString(lines[i], "binary: sha256:"+strings.Repeat("0", 64))
		}
	}
	return strings.Join(lines, "")
}

// change commits a spec, expects the plan to say these words, and applies it.
func (l *lab) change(subject, spec string, words ...string) {
	l.t.Helper()
	l.write("clusters/prod/cluster.yaml", spec)
	l.commit(subject)
	l.want(l.run(2, "plan", "--detailed-exitcode").Stdout, words...)
	l.run(0, "apply", "--yes")
	l.inSync()
}

// down is a time in which a node served nobody, by its own journal, in seconds
// since 1970. The nodes share a clock.
type down struct {
	node     string
	from, to float64 // to: unsealed again; 0 while it is not
}

func (d down) String() string { return fmt.Sprintf("%s from %.3f to %.3f", d.node, d.from, d.to) }

// downs are the times in which these nodes, by default all, were down since
// then, in their order.
func (l *lab) downs(since time.Time, nodes ...*Node) []down {
	l.t.Helper()
	if len(nodes) == 0 {
		nodes = l.Nodes
	}
	var all []down
	for _, n := range nodes {
		stopped := n.vaultSaid(since, "Stopping vault.service")
		opened := n.vaultSaid(since, "vault is unsealed")
		for _, from := range stopped {
			d := down{node: n.Name, from: from}
			if i := slices.IndexFunc(opened, func(at float64) bool { return at > from }); i >= 0 {
				d.to = opened[i]
			}
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b down) int { return cmp.Compare(a.from, b.from) })
	return all
}

// rolled expects that since then each node was down once, one at a time, and
// the one that led last.
func (l *lab) rolled(since time.Time, leader string) []down {
	l.t.Helper()
	downs := l.downs(since)
	nodes := map[string]bool{}
	for i, d := range downs {
		nodes[d.node] = true
		if d.to == 0 || i > 0 && downs[i-1].to > d.from {
			l.t.Errorf("more than one node was down at a time: %v", downs)
		}
	}
	if len(downs) != len(l.Nodes) || len(nodes) != len(l.Nodes) || downs[len(downs)-1].node != leader {
		l.t.Errorf("%s led, and what went down is %v", leader, downs)
	}
	return downs
}

// vaultSaid is when the journal of Vault's unit says some words since then.
func (n *Node) vaultSaid(since time.Time, words string) []float64 {
	n.rig.t.Helper()
	var all []float64
	for line := range strings.Lines(n.Must("journalctl --sync; journalctl --no-pager -o short-unix -u vault")) {
		stamp, text, _ := strings.Cut(line, " ")
		at, err := strconv.ParseFloat(stamp, 64)
		if err == nil && at > float64(since.UnixMicro())/1e6 && strings.Contains(text, words) {
			all = append(all, at)
		}
	}
	return all
}

// away moves something of this machine out of the way until it is called back.
func (l *lab) away(path string) (back func()) {
	l.t.Helper()
	hidden := filepath.Join(l.Dir, "away-"+filepath.Base(path))
	l.must(os.Rename(path, hidden))
	return func() { l.t.Helper(); l.must(os.Rename(hidden, path)) }
}
