//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWhoSleptThroughATakeoverIsRefused stops a daemon in the middle of a roll,
// as a machine does that is suspended. A laptop takes the cluster over and brings
// it further. When the daemon wakes up, it is in the act of restarting a node,
// and that node no longer obeys it.
func TestWhoSleptThroughATakeoverIsRefused(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	l.born()
	slow := l.Nodes[1]
	slow.Proxy("22", 150*time.Millisecond) // long enough to be stopped between two calls of one act
	l.through(slow, "  log_level: info\n  ui: false")

	first := l.daemon("-v")
	l.must(Until("files that are staged, and not live", 2*time.Minute, func() bool {
		staged, _ := filepath.Glob(filepath.Join(slow.disk(), "opt/vault/generations/*.new/manifest"))
		return len(staged) > 0 || first.ended()
	}))
	first.Pause()
	holder := l.installation()
	l.want(l.run(6, "apply", "--yes").Stdout, "prod is busy", holder, fmt.Sprintf("process %d,", first.cmd.Process.Pid))

	laptop := l.laptop()
	l.through(slow, "  log_level: debug\n  ui: false")
	l.want(l.runBy(laptop, 6, "apply", "--yes").Stdout, "another one acts here", holder, "reconciler takeover prod")
	l.want(l.runBy(laptop, 0, "takeover", "prod", "--reason", "the daemon's machine sleeps", "--yes").Stdout, holder, "of this installation now")
	l.runBy(laptop, 0, "apply", "--yes")
	l.runBy(laptop, 0, "plan", "--detailed-exitcode")
	l.untouched(func() {
		first.Continue()
		first.says("another one acts here", l.installationIn("laptop"))
		turns := first.turns()
		first.until("some more turns", func() bool { return first.turns() >= turns+5 })
	}, l.Nodes...)
	first.ends(0)
	l.runBy(laptop, 0, "plan", "--detailed-exitcode")
}

// born takes the cluster from empty machines to the end of its birth.
func (l *lab) born() {
	l.t.Helper()
	l.run(0, "approve", "--init", "prod", "--reason", "a new cluster")
	l.run(8, "apply", "--yes")
	l.run(0, "keys", "confirm", "prod", "--identity", l.alice.File)
	l.run(0, "apply", "--yes")
	l.inSync()
}

// through commits a configuration, with one node reached through its proxy.
func (l *lab) through(via *Node, config string) {
	l.t.Helper()
	address := "address: " + via.Address + ","
	l.write("clusters/prod/cluster.yaml", strings.Replace(l.spec(config), address, address+" ssh: {address: "+via.Via+"},", 1))
	l.commit("another configuration")
}

// laptop is the reconciler.yaml of another machine: the same keys and key
// stores, and a state folder of its own that begins with a copy of the journal.
func (l *lab) laptop() (config string) {
	l.t.Helper()
	journal, err := os.ReadFile(filepath.Join(l.Dir, "state", "clusters", "prod", "journal"))
	l.must(err)
	folder := filepath.Join(l.Dir, "laptop", "clusters", "prod")
	l.must(os.MkdirAll(folder, 0o700))
	l.must(os.WriteFile(filepath.Join(folder, "journal"), journal, 0o600))
	settings, err := os.ReadFile(l.config)
	l.must(err)
	config = filepath.Join(l.Dir, "laptop.yaml")
	mine := "state: " + filepath.Join(l.Dir, "state")
	l.must(os.WriteFile(config, []byte(strings.Replace(string(settings), mine, "state: "+filepath.Join(l.Dir, "laptop"), 1)), 0o600))
	return config
}

// untouched expects that something leaves no trace on these nodes.
func (l *lab) untouched(do func(), nodes ...*Node) {
	l.t.Helper()
	before := map[string]string{}
	for _, n := range nodes {
		before[n.Name] = l.traces(n)
	}
	do()
	for _, n := range nodes {
		if after := l.traces(n); after != before[n.Name] {
			l.t.Errorf("%s was\n%s\nand is\n%s", n.Name, before[n.Name], after)
		}
	}
}

// ended says whether it has.
func (r *Running) ended() bool {
	select {
	case <-r.Done:
		return true
	default:
		return false
	}
}
