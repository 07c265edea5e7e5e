//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Vault answers init once. These tests break what can break around that one
// answer, each at a moment that they choose: the gate below has the node's own
// client wait at the door of its Vault, so that init was asked for and has not
// begun.

// TestABirthGoesOnWhereItWasKilled kills the reconciler again and again in the
// middle of a birth, cuts its connection, and takes a key store away. What each
// left behind is where the next one goes on, and init is asked for once.
func TestABirthGoesOnWhereItWasKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	seed, second, third := l.Nodes[0], l.Nodes[1], l.Nodes[2]
	ssh := seed.Proxy("22", 0)
	spec := l.spec("  log_level: info\n  ui: true")
	l.write("clusters/prod/cluster.yaml", strings.Replace(spec, "address: "+seed.Address+",", "address: "+seed.Address+", ssh: {address: "+seed.Via+"},", 1))
	l.commit("the first node is behind a proxy")
	l.run(0, "approve", "--init", "prod", "--reason", "a new cluster")

	l.killedWhen("a binary is on its way", func() bool { return l.onDisk("opt/vault/versions/*/.vault.*") > 0 })
	l.killedWhen("the first Vault was started", func() bool { return l.onDisk("opt/vault/data/vault.db") > 0 })

	seed.shutGate()
	l.killedWhen("init was asked for, and the connection was cut since", func() bool {
		if l.onDisk("var/lib/reconciler-node/init/*.started") == 0 {
			return false
		}
		before := ssh.Traffic().Connections
		ssh.Cut()
		l.must(Until("another connection", time.Minute, func() bool { return ssh.Traffic().Connections > before }))
		return true
	})
	seed.openGate()
	l.must(Until("the answer, with nobody there to hear it", time.Minute, func() bool { return l.onDisk("var/lib/reconciler-node/init/*.json") == 1 }))
	if kept := l.kept("init.age"); kept > 0 {
		t.Errorf("%d key stores hold an answer that nobody heard", kept)
	}

	failing := l.readOnly(l.stores[1], "apply", "--yes")
	l.must(Until("a word about the key store", time.Minute, func() bool { return strings.Contains(l.journal(), "lies on "+seed.Name+" until then") }))
	failing.Kill()
	l.heard(failing)
	if left, kept := l.onDisk("var/lib/reconciler-node/init/*.json"), l.kept("init.age"); left != 1 || kept != 1 {
		t.Errorf("with one key store that failed the answer lies %d times on the nodes and in %d key stores", left, kept)
	}

	l.killedWhen("both key stores hold the answer", func() bool { return l.kept("init.age") == 2 })
	l.killedWhen("a second node was unsealed", func() bool { return l.sealStatus(second, `"sealed":false`) })
	l.killedWhen("the credential is stored", func() bool { return l.kept("credential.age") > 0 })

	l.want(l.run(8, "apply", "--yes").Stdout, "confirm-keys")
	l.run(0, "keys", "confirm", "prod", "--identity", l.alice.File)
	l.run(0, "apply", "--yes")
	l.inSync()
	l.serves()
	l.initialisedOnce()
	l.keysOnlyEncrypted()
	l.noSecret(l.canaries())

	l.losesSight(third) // a birth takes a while, so the cluster that it made serves for this too
}

// TestAKeyStoreOrAFullDiskCostsNoKeys has init refused while a key store does
// not take a write, and then fail for want of space: the cluster is frozen as
// it is, and Vault is not asked again.
func TestAKeyStoreOrAFullDiskCostsNoKeys(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 1)
	n := l.Nodes[0]
	l.single()
	n.Must("mkdir -p /opt/vault/data; mount -t tmpfs -o size=16m,mode=0755 data /opt/vault/data")
	l.run(0, "approve", "--init", "prod", "--reason", "a new cluster")

	refused := l.readOnly(l.stores[1], "apply", "--yes", "-o", "json").Ended()
	if refused.Code != 8 {
		t.Errorf("with a read-only key store apply exits %d\n%s\n%s", refused.Code, refused.Stdout, refused.Stderr)
	}
	l.want(refused.Stdout, "key store "+l.stores[1], "read-only file system")
	if l.onDisk("var/lib/reconciler-node/init/*") > 0 || !l.sealStatus(n, `"initialized":false`) || l.kept("*.age") > 0 {
		t.Errorf("a key store was read-only, and init was asked for all the same")
	}

	l.run(0, "resume", "prod")
	n.shutGate()
	apply := l.op.Start("--config", l.config, "apply", "--yes")
	l.asked(apply)
	n.Must("! dd if=/dev/zero of=/opt/vault/data/other-data bs=4k 2>/dev/null")
	n.openGate()
	failed := apply.Ended()
	if failed.Code != 8 {
		t.Errorf("after a failed init apply exits %d\n%s\n%s", failed.Code, failed.Stdout, failed.Stderr)
	}
	l.want(failed.Stdout, "init-lost", "init failed on "+n.Name, "docs/operations.md")

	n.Must("rm /opt/vault/data/other-data") // room again changes nothing: somebody must look
	l.frozen()
}

// TestALostAnswerFreezesTheCluster loses the answer for good, twice: first the
// node loses its power before Vault has answered, then its disk loses what
// Vault answered. In between a person goes by docs/operations.md.
func TestALostAnswerFreezesTheCluster(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 1)
	n := l.Nodes[0]
	l.single()
	l.run(0, "approve", "--init", "prod", "--reason", "a new cluster")
	n.shutGate()
	apply := l.op.Start("--config", l.config, "apply", "--yes")
	l.asked(apply)
	n.PowerCut()
	apply.Kill()
	l.heard(apply)
	n.openGate()
	n.Boot()
	l.want(l.run(8, "apply", "--yes").Stdout, "init-lost", "its process ended without an answer", "docs/operations.md")
	l.frozen()

	l.beginAgain()
	l.run(0, "approve", "--init", "prod", "--reason", "once more")
	n.shutGate()
	apply = l.op.Start("--config", l.config, "apply", "--yes")
	l.asked(apply)
	apply.Kill()
	l.heard(apply)
	n.openGate()
	l.must(Until("the answer, and the end of who wrote it", time.Minute, func() bool { return l.onDisk("var/lib/reconciler-node/init/*.rc") == 1 }))
	n.Must("rm -r /var/lib/reconciler-node/init")
	l.want(l.run(8, "apply", "--yes").Stdout, "init-lost", "is initialised, and the node has no answer", "docs/operations.md")
	l.frozen()
}

// single makes the cluster one that may have a single node.
func (l *lab) single() {
	l.t.Helper()
	spec := l.spec("  log_level: info\n  ui: true")
	l.write("clusters/prod/cluster.yaml", strings.Replace(spec, "mode: enforce\n", "mode: enforce\nrules: learning\n", 1))
	l.commit("a single node, to learn with")
}

// frozen tries in vain to have anything done to a cluster whose answer is
// lost.
func (l *lab) frozen() {
	l.t.Helper()
	asked := l.onDisk("var/lib/reconciler-node/init/*.started")
	var before []string
	for _, n := range l.Nodes {
		before = append(before, l.traces(n)+n.Must("find /opt/vault/data | sort"))
	}
	l.want(l.run(8, "plan").Stdout, "init-lost", "A PERSON IS NEEDED NOW", "docs/operations.md")
	l.want(l.run(1, "approve", "--init", "prod", "--reason", "impatience").Stderr, "born once")
	l.run(8, "apply", "--yes")
	l.want(l.run(0, "keys", "list").Stdout, "transport.age")
	for i, n := range l.Nodes {
		if after := l.traces(n) + n.Must("find /opt/vault/data | sort"); after != before[i] {
			l.t.Errorf("%s of a frozen cluster was\n%s\nand is\n%s", n.Name, before[i], after)
		}
	}
	if now := l.onDisk("var/lib/reconciler-node/init/*.started"); now != asked {
		l.t.Errorf("init was asked for %d times, and is now %d", asked, now)
	}
}

// beginAgain does what docs/operations.md says under init-lost when there is
// no answer.
func (l *lab) beginAgain() {
	l.t.Helper()
	for _, n := range l.Nodes {
		n.Must("systemctl stop vault; find /opt/vault/data -mindepth 1 -delete; rm -r /var/lib/reconciler-node/init")
	}
	// The epoch beside the journal stays: the nodes know it, and obey no lower one.
	for i, path := range []string{filepath.Join(l.Dir, "state", "clusters", "prod", "journal"),
		filepath.Join(l.stores[0], "prod"), filepath.Join(l.stores[1], "prod")} {
		l.must(os.Rename(path, filepath.Join(l.Dir, fmt.Sprintf("away-%d", i))))
	}
}

// killedWhen has an apply killed once something is so.
func (l *lab) killedWhen(what string, so func() bool) {
	l.t.Helper()
	apply := l.op.Start("--config", l.config, "apply", "--yes")
	err := Until(what, 2*time.Minute, func() bool {
		select {
		case <-apply.Done:
			return true
		default:
			return so()
		}
	})
	select {
	case <-apply.Done:
		l.t.Fatalf("apply ended before %s\n%s\n%s", what, apply.Stdout(), apply.Stderr())
	default:
	}
	apply.Kill()
	l.heard(apply)
	if err != nil {
		l.t.Fatalf("%v\n%s\n%s", err, apply.Stdout(), apply.Stderr())
	}
}

// asked returns once a node was asked for init, by an apply that still runs.
func (l *lab) asked(apply *Running) {
	l.t.Helper()
	err := Until("init is asked for", 2*time.Minute, func() bool {
		select {
		case <-apply.Done:
			return true
		default:
			return l.onDisk("var/lib/reconciler-node/init/*.started") > 0
		}
	})
	if err != nil || l.onDisk("var/lib/reconciler-node/init/*.started") == 0 {
		l.t.Fatalf("init was not asked for: %v\n%s\n%s", err, apply.Stdout(), apply.Stderr())
	}
}

func (l *lab) heard(r *Running) { l.said.WriteString(r.Stdout() + r.Stderr()) }

// initialisedOnce counts how often a node was asked for init, and how often a
// Vault did it.
func (l *lab) initialisedOnce() {
	l.t.Helper()
	calls, inits := 0, 0
	for _, n := range l.Nodes {
		calls += strings.Count(n.Must("cat /var/lib/reconciler-node/ops/*"), "started vault-init ")
		inits += strings.Count(n.Must("journalctl --no-pager -o cat -u vault"), "security barrier initialized")
	}
	if started := l.onDisk("var/lib/reconciler-node/init/*.started"); started != 1 || calls != 1 || inits != 1 {
		l.t.Errorf("init was begun %d times, asked for %d times, and done %d times", started, calls, inits)
	}
}

// onDisk counts the files that a pattern finds on the disks of all nodes. It
// costs next to nothing, so a test can wait for a moment with it.
func (l *lab) onDisk(pattern string) int {
	l.t.Helper()
	found := 0
	for _, n := range l.Nodes {
		paths, err := filepath.Glob(filepath.Join(n.disk(), pattern))
		l.must(err)
		found += len(paths)
	}
	return found
}

// kept counts the key stores' records of the cluster with a name.
func (l *lab) kept(pattern string) int {
	l.t.Helper()
	found := 0
	for _, dir := range l.stores {
		paths, err := filepath.Glob(filepath.Join(dir, "prod", pattern))
		l.must(err)
		found += len(paths)
	}
	return found
}

// journal is what is remembered of the cluster, as it lies in the state folder.
func (l *lab) journal() string {
	l.t.Helper()
	paths, err := filepath.Glob(filepath.Join(l.Dir, "state", "clusters", "prod", "*"))
	l.must(err)
	all := ""
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err == nil { // one that was just replaced is looked at next time
			all += string(b)
		}
	}
	return all
}

func (l *lab) sealStatus(n *Node, words string) bool {
	out, err := n.Exec("curl -s --max-time 5 --cacert /etc/vault.d/tls/ca.crt https://" + n.Address + ":8200/v1/sys/seal-status")
	return err == nil && strings.Contains(out, words)
}

// shutGate keeps root on the node away from the Vault there: the node script's
// client waits at the door, while sshd, which asks for the reconciler as
// another account, gets in.
func (n *Node) shutGate() {
	n.rig.t.Helper()
	n.rig.must(n.nft(`table inet gate {
	chain out { type filter hook output priority 0; oif lo tcp dport 8200 meta skuid 0 drop; }
}`))
}

func (n *Node) openGate() {
	n.rig.t.Helper()
	n.rig.must(n.nft("delete table inet gate"))
}

// readOnly starts a reconciler to whom a folder of this machine is read-only,
// by a mount that nobody else sees and that ends with it.
func (l *lab) readOnly(dir string, args ...string) *Running {
	l.t.Helper()
	var running *Running
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		err := unix.Unshare(unix.CLONE_NEWNS)
		for _, m := range []struct {
			source, target string
			flags          uintptr
		}{
			{"", "/", unix.MS_PRIVATE | unix.MS_REC},
			{dir, dir, unix.MS_BIND},
			{"", dir, unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY},
		} {
			if err == nil {
				err = unix.Mount(m.source, m.target, "", m.flags, "")
			}
		}
		if err == nil {
			running = l.op.Start(append([]string{"--config", l.config}, args...)...)
		}
		done <- err
	}()
	l.must(<-done)
	return running
}
