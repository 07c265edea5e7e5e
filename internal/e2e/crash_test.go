//go:build linux

package e2e

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A reconciler that kills itself, at a point that a test names (Failpoint in
// operator.go). The next one goes on; the end and the cost in restarts are those
// of a run that nobody disturbed.

// bornDying, rollDying and upgradeDying are the points of each story, in the
// order in which it comes to them: what is done by then is not done again.
// Before there is a leader, the nodes work side by side, and only the first
// one's points are sure to come.
var (
	bornDying = []string{
		"before-save:memory:prod:1",
		"before-intent:install:node-1:1",
		"after-intent:install:node-1:1",
		"during-verb:binary:node-1:1", // half a binary
		"after-verb:stage:node-1:1",   // files staged, and not live
		"during-verb:activate:node-1:1",
		"before-act:enable:node-1:1",
		"after-act:start:node-1:1",
		"after-intent:init:node-1:1",
		"before-verb:vault-init:node-1:1",        // the intent of the birth is durable
		"during-verb:vault-init:node-1:1",        // asked, and the answer not heard
		"before-verb:vault-init-forget:node-1:1", // the key stores have it
		"during-verb:vault-unseal:node-1:1",
		"after-act:unseal:node-2:1",
		"after-intent:unseal:node-3:1",
		"after-verb:vault-audit:node-1:1",
		"during-verb:vault-approle:node-1:1", // a credential that nobody heard
		"before-outcome:credential:node-1:1",
	}
	confirmedDying = []string{
		"during-verb:vault-revoke:node-1:1",
		"before-outcome:revoke:node-1:1",
	}
	rollDying = []string{
		"before-intent:restart:FIRST:1",
		"after-intent:restart:FIRST:1",
		"after-verb:stage:FIRST:1",
		"during-verb:activate:FIRST:1", // the node restarts Vault, and nobody listens
		"before-act:unseal:FIRST:1",
		"during-verb:vault-unseal:FIRST:1",
		"before-act:restart:SECOND:1",
		"after-act:restart:SECOND:1",
		"before-outcome:unseal:SECOND:1",
		"before-verb:activate:LEADER:1",
		"during-verb:activate:LEADER:1",
		"after-act:unseal:LEADER:1",
	}
	upgradeDying = []string{
		"during-verb:binary:FIRST:1",
		"before-outcome:install:FIRST:1",
		"after-intent:restart:FIRST:1",
		"during-verb:activate:FIRST:1",
		"after-act:unseal:FIRST:1",
		"before-verb:activate:SECOND:1",
		"after-outcome:restart:SECOND:1",
		"during-verb:vault-unseal:SECOND:1",
		"before-intent:restart:LEADER:1",
		"during-verb:activate:LEADER:1",
		"before-act:unseal:LEADER:1",
	}
)

func TestKilledAnywhereItGoesOn(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	l.run(0, "approve", "--init", "prod", "--reason", "a new cluster")
	l.diesAt(bornDying...)
	l.want(l.run(8, "apply", "--yes").Stdout, "confirm-keys")
	l.run(0, "keys", "confirm", "prod", "--identity", l.alice.File)
	l.diesAt(confirmedDying...)
	l.run(0, "apply", "--yes")
	l.inSync()
	l.initialisedOnce()
	l.keysOnlyEncrypted()
	l.rootGone()
	l.startedSoOften(1)
	client := l.client()

	down := l.watchDown()
	l.write("clusters/prod/cluster.yaml", l.spec("  log_level: info\n  ui: false"))
	l.commit("no ui")
	l.diesAt(l.inTurn(rollDying)...)
	l.run(0, "apply", "--yes")
	l.inSync()
	l.startedSoOften(2)

	l.write("vault.lock", l.Releases(l.version, "1.21.1").Lock)
	l.version = "1.21.1"
	l.write("clusters/prod/cluster.yaml", l.spec("  log_level: info\n  ui: false"))
	l.commit("a newer Vault")
	l.diesAt(l.inTurn(upgradeDying)...)
	l.run(0, "apply", "--yes")
	l.inSync()
	l.startedSoOften(3)
	l.serves()
	l.initialisedOnce()
	if most := down(); most != 1 {
		t.Errorf("%d nodes were down at once", most)
	}
	l.must(client.Shows())
	points := slices.Concat(bornDying, confirmedDying, rollDying, upgradeDying)
	t.Logf("killed at %d points:\n%s", len(points), strings.Join(points, "\n"))
}

// diesAt has an apply after the other kill itself.
func (l *lab) diesAt(points ...string) {
	l.t.Helper()
	for _, point := range points {
		op, began := l.op, time.Now()
		op.Failpoint = point
		ended := op.Run("--config", l.config, "apply", "--yes")
		l.t.Logf("%5.1f s  killed %s", time.Since(began).Seconds(), point)
		l.said.WriteString(ended.Stdout + ended.Stderr)
		if ended.Code != -1 {
			l.t.Fatalf("apply exits %d, and was to kill itself at %s\n%s\n%s", ended.Code, point, ended.Stdout, ended.Stderr)
		}
	}
}

// inTurn names the nodes in points by the order in which a roll takes them.
func (l *lab) inTurn(points []string) []string {
	l.t.Helper()
	leader := l.leader().Name
	var followers []string
	for _, n := range l.Nodes {
		if n.Name != leader {
			followers = append(followers, n.Name)
		}
	}
	names := strings.NewReplacer("FIRST", followers[0], "SECOND", followers[1], "LEADER", leader)
	var out []string
	for _, point := range points {
		out = append(out, names.Replace(point))
	}
	return out
}

// startedSoOften counts how often each Vault came up.
func (l *lab) startedSoOften(times int) {
	l.t.Helper()
	for _, n := range l.Nodes {
		n.Must("journalctl --sync")
		if got := strings.Count(n.Must("journalctl --no-pager -o cat -u vault"), "Vault server started!"); got != times {
			l.t.Errorf("Vault was started %d times on %s, and %d times was needed", got, n.Name, times)
		}
	}
}

// health is what the Vault on a node says to who asks on the switch: 200 by the
// leader, 429 by a follower, 5xx by one that does not serve.
func (l *lab) health(n *Node) (int, error) {
	got, err := l.http.Get("https://" + n.Address + ":8200/v1/sys/health")
	if err != nil {
		return 0, err
	}
	got.Body.Close()
	return got.StatusCode, nil
}

// watchDown looks at all nodes until it is asked how many of them, at most, did
// not serve at the same time.
func (l *lab) watchDown() (most func() int) {
	stop, worst := make(chan struct{}), 0
	var watching sync.WaitGroup
	watching.Go(func() {
		again := time.NewTicker(50 * time.Millisecond)
		defer again.Stop()
		for {
			select {
			case <-stop:
				return
			case <-again.C:
				worst = max(worst, l.down())
			}
		}
	})
	return sync.OnceValue(func() int {
		close(stop)
		watching.Wait()
		return worst
	})
}

// down counts the nodes that do not serve now. One that does not answer in time
// is not counted: the machine that this runs on may be slow.
func (l *lab) down() int {
	answers := make([]bool, len(l.Nodes))
	var all sync.WaitGroup
	for i, n := range l.Nodes {
		all.Go(func() {
			code, err := l.health(n)
			answers[i] = errors.Is(err, syscall.ECONNREFUSED) || code >= 500
		})
	}
	all.Wait()
	down := 0
	for _, gone := range answers {
		if gone {
			down++
		}
	}
	return down
}
