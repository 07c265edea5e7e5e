//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTheUnitRunsTheDaemon installs the program and its unit on a host on which root
// began, hands it over to an account as the README has it, and leaves both to the systemd
// there. The daemon may write its state folder and the key stores and nothing else, and
// within that a cluster is born, kept and repaired. One that hangs or is killed is started
// anew, and one whose host boots again comes back.
func TestTheUnitRunsTheDaemon(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 2)
	all := l.Nodes
	l.Nodes = all[:1] // what the helpers know as the cluster
	t.Cleanup(func() { l.Nodes = all })
	s := l.install(all[1])
	vault := l.Nodes[0]

	l.part("it is ready when a commit is in force", func() {
		s.host.Must("reconciler plan || [ $? = 5 ]") // the state folder is root's until then
		s.host.Must(l.handOver())
		l.want(s.show("ActiveState"), "active")
		l.must(Until("a status that names the cluster", time.Minute, func() bool { return strings.Contains(s.show("StatusText"), "prod") }))
		l.want(s.journal(), "msg=started", "commit="+l.head())
	})
	l.part("root is told whose the state folder is, and leaves nothing in it", func() {
		before := s.owners()
		for _, command := range []string{"plan", "approve --init prod --reason 'a new cluster'", "hold prod --reason 'a new disk'", "history"} {
			out, err := s.host.Exec("reconciler " + command + " 2>&1")
			if err == nil {
				l.t.Errorf("root may %q\n%s", command, out)
			}
			l.want(fmt.Sprint(out, err), "belongs to reconciler", "runuser -u reconciler -- reconciler")
		}
		if after := s.owners(); !slices.Equal(before, after) {
			l.t.Errorf("the state folder was of %s, and is of %s", before, after)
		}
	})
	l.part("a cluster is born from a shell on its host", func() {
		s.run("approve --init prod --reason 'a new cluster'")
		s.says("reason=confirm-keys")
		alice, err := os.ReadFile(l.alice.File)
		l.must(err)
		s.host.Put("/run/alice.key", bytes.NewReader(alice), "reconciler", "0600")
		s.run("keys confirm prod --identity /run/alice.key")
		s.host.Must("rm /run/alice.key")
		s.says(`msg="in sync"`)
		if !l.sealStatus(vault, `"sealed":false`) {
			l.t.Error("Vault is not open")
		}
		s.run("plan --detailed-exitcode")
		s.run("status")
		s.run("history")
	})
	l.part("a reload takes what is right and leaves what is wrong", func() {
		s.host.Must("systemctl reload reconciler")
		s.says(`msg="reconciler.yaml is taken"`)
		s.host.Must("cp -p /etc/reconciler/reconciler.yaml /etc/reconciler/right; echo 'interwal: {' >>/etc/reconciler/reconciler.yaml; systemctl reload reconciler")
		s.says("is not taken")
		s.host.Must("mv /etc/reconciler/right /etc/reconciler/reconciler.yaml")
		l.want(s.show("ActiveState"), "active")
		s.repairs(vault)
	})
	l.part("one that hangs is started anew by the watchdog", func() {
		// In seconds instead of minutes; a stopped process cannot end by itself.
		s.host.Must(`printf '[Service]\nWatchdogSec=5s\nTimeoutAbortSec=2s\nRestartSec=1s\n' >/etc/systemd/system/reconciler.service.d/quick.conf
systemctl daemon-reload; systemctl restart reconciler`)
		hung := s.show("MainPID")
		s.host.Must("kill -STOP " + hung)
		s.startedAnew(hung)
		l.want(s.host.Must("journalctl --no-pager -o cat -u reconciler"), "Watchdog timeout")
		s.repairs(vault)
	})
	l.part("one that is killed is started anew", func() {
		killed := s.show("MainPID")
		s.host.Must("systemctl kill --kill-who=main --signal=KILL reconciler")
		s.startedAnew(killed)
		s.repairs(vault)
	})
	l.part("it comes back with its host, and ends when it is told", func() {
		s.host.Reboot()
		l.must(Until("the daemon after a boot", time.Minute, func() bool { return s.show("ActiveState") == "active" }))
		s.repairs(vault)
		s.host.Must("systemctl stop reconciler")
		l.want(s.show("Result")+" "+s.show("ExecMainStatus"), "success 0")
	})
	l.part("the account owns nothing but what it was given", func() {
		found := s.host.Must(`find / /run /dev/shm -xdev -user reconciler ! -path '/var/lib/reconciler*' ! -path '/mnt/escrow/keys*' ! -path '/proc/*' 2>/dev/null || :`)
		if found != "" {
			l.t.Errorf("it left\n%s", found)
		}
		said := s.host.Must("systemd-analyze security --no-pager reconciler")
		exposure := regexp.MustCompile(`Overall exposure level for reconciler\.service: ([0-9.]+)`).FindStringSubmatch(said)
		if exposure == nil {
			l.t.Fatalf("no exposure level in\n%s", said)
		}
		if level, err := strconv.ParseFloat(exposure[1], 64); err != nil || level > 1.1 {
			l.t.Errorf("the exposure level of the unit is %s, and docs/operations.md says 1.1", exposure[1])
		}
	})
}

// service is the unit on its host.
type service struct {
	l    *lab
	host *Node
}

// install puts the program, its unit, its settings and what they name on a host, whose
// first node is the cluster prod. At the end of the story, what it wrote lies where the
// lab looks for secrets.
func (l *lab) install(host *Node) service {
	l.t.Helper()
	l.write("fleet.yaml", "format: 1\nfleet: lab\nreleases: {source: file:///srv/releases}\n")
	l.write("clusters/prod/cluster.yaml", strings.Replace(l.spec("  log_level: info\n  ui: true"), "cluster: prod\n", "cluster: prod\nrules: learning\n", 1))
	l.commit("a cluster of one node")
	binary, err := l.product()
	l.must(err)
	unit, err := os.ReadFile(filepath.Join("..", "..", "packaging", "reconciler.service"))
	l.must(err)
	settings, err := os.ReadFile(l.config)
	l.must(err)
	text := strings.NewReplacer(l.repo, "/srv/fleet.git", l.KnownHosts, "/etc/reconciler/known_hosts", filepath.Join(l.Dir, "releases"), "/srv/releases",
		l.Key, "/etc/reconciler/id_ed25519", l.identity.File, "/etc/reconciler/age.key", filepath.Join(l.Dir, "state"), "/var/lib/reconciler",
		l.stores[0], "/var/lib/reconciler-keys", l.stores[1], "/mnt/escrow/keys").Replace(string(settings))

	// The rig's account of this name is for nodes to be logged in to: here it is the daemon's.
	host.Must("userdel -r reconciler; mkdir -p /mnt/escrow; mkdir -m 0700 /etc/reconciler /var/lib/reconciler-keys /mnt/escrow/keys")
	for path, from := range map[string]string{"/etc/reconciler/known_hosts": l.KnownHosts, "/etc/reconciler/id_ed25519": l.Key, "/etc/reconciler/age.key": l.identity.File} {
		b, err := os.ReadFile(from)
		l.must(err)
		host.Put(path, bytes.NewReader(b), "root", "0600")
	}
	host.Put("/etc/reconciler/reconciler.yaml", strings.NewReader(text), "root", "0644")
	host.Put("/etc/systemd/system/reconciler.service", bytes.NewReader(unit), "root", "0644")
	program, err := os.Open(binary)
	l.must(err)
	defer program.Close()
	host.Put("/usr/local/bin/reconciler", program, "root", "0755")
	for _, args := range [][]string{
		{"cp", "-r", filepath.Join(l.Dir, "releases"), filepath.Join(host.disk(), "srv", "releases")},
		{"git", "clone", "--quiet", "--bare", l.repo, filepath.Join(host.disk(), "srv", "fleet.git")},
	} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			l.t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	s := service{l, host}
	l.t.Cleanup(func() {
		if l.t.Failed() {
			l.t.Logf("the daemon said\n%s", s.journal())
		}
		for from, to := range map[string]string{"/var/lib/reconciler": filepath.Join(l.Dir, "state"), "/var/lib/reconciler-keys": l.stores[0], "/mnt/escrow/keys": l.stores[1]} {
			out, err := exec.Command("cp", "-a", "-T", filepath.Join(host.disk(), from), to).CombinedOutput()
			if err != nil {
				l.t.Errorf("copy %s: %v\n%s", from, err, out)
			}
		}
	})
	return s
}

// handOver is what the README has its reader type to leave all to the daemon, but for the
// look at a cluster that is born there already.
func (l *lab) handOver() string {
	l.t.Helper()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	l.must(err)
	_, after, found := strings.Cut(string(readme), "**9. Leave it to the daemon**")
	_, after, begins := strings.Cut(after, "```sh\n")
	block, _, ends := strings.Cut(after, "runuser -u reconciler -- reconciler status\n```")
	if !found || !begins || !ends || !strings.Contains(block, "systemctl enable --now reconciler") {
		l.t.Fatal("the README does not say how to leave it to the daemon")
	}
	return block
}

// run is a command of the operator's, as the account of the daemon.
func (s service) run(command string) {
	s.l.t.Helper()
	out := s.host.Must("runuser -u reconciler -- reconciler " + command + " 2>&1")
	s.l.said.WriteString(out)
}

func (s service) show(property string) string {
	out, err := s.host.Exec("systemctl show --value -p " + property + " reconciler")
	if err != nil {
		return "" // it boots
	}
	return strings.TrimSpace(out)
}

// journal is what the daemon said since the host booted.
func (s service) journal() string {
	out, _ := s.host.Exec("journalctl --no-pager -b -o cat _SYSTEMD_UNIT=reconciler.service")
	return out
}

// says waits for one line of the daemon that holds all of these words.
func (s service) says(words ...string) {
	s.l.t.Helper()
	s.l.must(Until("a line with "+strings.Join(words, " and "), 10*time.Minute, func() bool { return oneLineSays(s.journal(), words) }))
}

// repairs kills Vault on a node, and waits until it is open again.
func (s service) repairs(n *Node) {
	s.l.t.Helper()
	n.Must("systemctl kill --signal=KILL vault")
	s.l.must(Until("Vault on "+n.Name+" to be open again", 10*time.Minute, func() bool { return s.l.sealStatus(n, `"sealed":false`) }))
}

// startedAnew waits for another process than that one to be ready.
func (s service) startedAnew(pid string) {
	s.l.t.Helper()
	s.l.must(Until("the daemon to be started anew", 5*time.Minute, func() bool {
		return s.show("ActiveState") == "active" && s.show("MainPID") != pid
	}))
}

// owners are whose the files of the state folder are.
func (s service) owners() []string {
	s.l.t.Helper()
	return strings.Fields(s.host.Must("find /var/lib/reconciler -printf '%u\n' | sort -u"))
}
