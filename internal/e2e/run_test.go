//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTheDaemonKeepsAFleet leaves a fleet to `run`: it is born, kept for a
// hundred turns without a write, changed by commits, repaired while git is gone
// and while the newest commit is broken, and left whole when the daemon is told
// to end in the middle of a roll. An application that uses it loses nothing.
func TestTheDaemonKeepsAFleet(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	l.run(0, "approve", "--init", "prod", "--reason", "a new cluster")
	d := l.daemon("-v")
	d.says("reason=confirm-keys")
	l.run(0, "keys", "confirm", "prod", "--identity", l.alice.File)
	d.says(`msg="in sync"`)
	l.serves()

	second := l.run(6, "run")
	l.want(second.Stderr, "the daemon's place", "held by", "stop that one")

	t.Run("a hundred turns write nothing", func(t *testing.T) {
		before := l.allTraces()
		turns := d.turns()
		d.until("a hundred turns", func() bool { return d.turns() >= turns+100 })
		if after := l.allTraces(); !slices.Equal(before, after) {
			t.Errorf("a fleet in sync was touched:\n%s\n%s", before, after)
		}
	})
	client := l.client()
	t.Run("a commit is followed", func(t *testing.T) {
		runs := l.runs()
		l.configure("  log_level: debug\n  ui: true")
		d.inSyncWith(l.head())
		if after := l.runs(); !slices.Equal(runs, after) {
			t.Errorf("a change of log_level restarted Vault: %v, %v", runs, after)
		}
		l.inSync()
	})
	away := l.repo + ".away"
	t.Run("without git it repairs, also after a start", func(t *testing.T) {
		l.must(os.Rename(l.repo, away))
		d.says("the repo does not answer")
		d.repairs(l.Nodes[1])
		d.ends(0)
		d = l.daemon()
		d.says("the repo does not answer")
		d.repairs(l.Nodes[2])
	})
	t.Run("a broken commit leaves the last spec in force", func(t *testing.T) {
		l.must(os.Rename(away, l.repo))
		good := l.head()
		l.write("clusters/prod/cluster.yaml", l.spec("  log_level: debug\n  uii: {"))
		l.commit("a mistake")
		d.says("stays in force", "in_force="+good)
		l.want(l.run(1, "plan").Stdout, "its spec is invalid, that of commit "+good[:12]+" stays in force")
		d.repairs(l.Nodes[0])
	})
	t.Run("told to end in the middle of a roll it leaves nobody sealed", func(t *testing.T) {
		l.configure("  log_level: debug\n  ui: false")
		d.says("action=restart")
		d.ends(0)
		l.serves()
		d = l.daemon()
		d.inSyncWith(l.head())
		l.inSync()
		l.serves()
	})
	l.must(client.Shows())
	d.ends(0)
}

// daemon is `reconciler run` in the background.
type daemon struct {
	*Running
	l *lab
}

func (l *lab) daemon(flags ...string) *daemon {
	l.t.Helper()
	d := &daemon{l.op.Start(append([]string{"--config", l.config, "run"}, flags...)...), l}
	l.t.Cleanup(func() {
		d.Kill()
		if l.t.Failed() {
			l.t.Logf("the daemon said\n%s", d.Stderr())
		}
	})
	return d
}

// until waits for something while the daemon runs.
func (d *daemon) until(what string, done func() bool) {
	d.l.t.Helper()
	d.l.must(Until(what, 15*time.Minute, func() bool {
		if d.ended() {
			d.l.t.Fatalf("while %s was waited for, the daemon ended\n%s", what, d.Stderr())
		}
		return done()
	}))
}

// says waits for one line of the log that holds all of these words.
func (d *daemon) says(words ...string) {
	d.l.t.Helper()
	d.until("a line with "+strings.Join(words, " and "), func() bool { return oneLineSays(d.Stderr(), words) })
}

// oneLineSays looks for a line of a text that holds all of these words.
func oneLineSays(text string, words []string) bool {
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return true
		}
	}
	return false
}

func (d *daemon) inSyncWith(commit string) { d.l.t.Helper(); d.says(`msg="in sync"`, "commit="+commit) }

// turns is how often it looked at the first node.
func (d *daemon) turns() int {
	return strings.Count(d.Stderr(), "msg=looked cluster=prod node="+d.l.Nodes[0].Name)
}

// repairs kills Vault on a node, and waits until it is open again.
func (d *daemon) repairs(n *Node) {
	d.l.t.Helper()
	n.Must("systemctl kill --signal=KILL vault")
	d.until("Vault on "+n.Name+" to be open again", func() bool { return d.l.sealStatus(n, `"sealed":false`) })
}

// ends asks it to end, and expects an exit code.
func (d *daemon) ends(code int) {
	d.l.t.Helper()
	d.Terminate()
	ended := d.Ended()
	d.l.said.WriteString(ended.Stdout + ended.Stderr)
	if ended.Code != code {
		d.l.t.Fatalf("the daemon exits %d, not %d\n%s", ended.Code, code, ended.Stderr)
	}
}

// configure commits the cluster with other lines of its configuration.
func (l *lab) configure(lines string) {
	l.t.Helper()
	l.write("clusters/prod/cluster.yaml", l.spec(lines))
	l.commit("another configuration")
}

func (l *lab) head() string {
	l.t.Helper()
	cmd := exec.Command("git", "rev-parse", "HEAD")
	cmd.Dir = l.repo
	out, err := cmd.Output()
	l.must(err)
	return strings.TrimSpace(string(out))
}

func (l *lab) allTraces() []string {
	l.t.Helper()
	var traces []string
	for _, n := range l.Nodes {
		traces = append(traces, l.traces(n))
	}
	return traces
}
