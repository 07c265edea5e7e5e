//go:build linux

package embed_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const unit = `[Service]
Type=simple
EnvironmentFile=-/etc/vault.d/vault.env
ExecStartPre=+-/usr/bin/env -i INVOCATION_ID=${INVOCATION_ID} /bin/sh -c true
ExecStart=/bin/sh /opt/serve --config=/etc/vault.d/vault.hcl
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=0
`

// serve is a service that says what it is asked and what it finds.
const serve = `trap 'echo reloaded' HUP
trap 'echo bye; exit 0' TERM
echo "up with ${1#--config=} $COLOUR"
while :; do sleep 0.05; done
`

func TestASystemdKeepsItsUnits(t *testing.T) {
	f, pool := fleet(t, "eu-1")
	n := f.Nodes[0]
	run := func(command string) string {
		t.Helper()
		out := shell(t, pool, n, command, "")
		return strings.TrimSpace(string(out.Stdout) + string(out.Stderr))
	}
	says := func(command, want string) {
		t.Helper()
		if got := run(command); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	const show = "systemctl show vault.service --no-pager -p "
	says(show+"LoadState,ActiveState,SubState,UnitFileState,MainPID", "LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\nMainPID=0")
	says("systemctl start vault", "Failed to start vault.service: Unit vault.service not found.")
	for path, text := range map[string]string{"etc/systemd/system/vault.service": unit, "opt/serve": serve,
		"etc/vault.d/vault.hcl": "ui = true\n", "etc/vault.d/vault.env": "COLOUR='blue'\n"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(n.Root, path)), 0o755))
		must(t, os.WriteFile(filepath.Join(n.Root, path), []byte(text), 0o644))
	}
	says("systemctl daemon-reload; systemctl enable --quiet vault; systemctl start vault; systemctl is-active vault", "active")
	says("systemctl is-active vault 3>&- 4<&-", "systemctl: the node's systemd does not answer")
	says(show+"LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,FragmentPath,Result",
		"LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNeedDaemonReload=no\nFragmentPath=/etc/systemd/system/vault.service\nResult=success")
	words := "journalctl --quiet --no-pager -o cat _SYSTEMD_UNIT=vault.service"
	until(t, "its first words", func() bool { return run(words) == "up with "+n.Root+"/etc/vault.d/vault.hcl blue" })

	cursor := strings.TrimPrefix(run("journalctl --quiet -o cat -n 1 --show-cursor _SYSTEMD_UNIT=vault.service | tail -n 1"), "-- cursor: ")
	says("systemctl reload vault", "")
	until(t, "the words of a reload", func() bool { return run(words+" --after-cursor "+cursor) == "reloaded" })

	must(t, os.WriteFile(filepath.Join(n.Root, "etc/systemd/system/vault.service"), []byte(unit+"# edited\n"), 0o644))
	says("systemctl show vault -P NeedDaemonReload; systemctl daemon-reload; systemctl show vault -P NeedDaemonReload", "yes\nno")

	first := run("systemctl show vault -P InvocationID")
	pid, err := strconv.Atoi(run("systemctl show vault -P MainPID"))
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	until(t, "systemd's own restart", func() bool { return run("systemctl show vault -P NRestarts,ActiveState") == "1\nactive" })
	if run("systemctl show vault -P InvocationID") == first {
		t.Error("another run has the same invocation")
	}
	says("systemctl stop vault; systemctl is-active vault; systemctl show vault -P Result", "inactive\nsuccess")
	says("systemctl reload vault", "vault.service is not active, cannot reload.")

	must(t, os.WriteFile(filepath.Join(n.Root, "opt/serve"), []byte("printf 'the disk is on fire'; exit 3\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(n.Root, "etc/systemd/system/vault.service"), []byte(strings.NewReplacer("simple", "notify", "on-failure", "no").Replace(unit)), 0o644))
	says("systemctl daemon-reload; systemctl start vault 2>/dev/null; systemctl show vault -P ActiveState,Result", "failed\nexit-code")
	says("journalctl --quiet -o cat -n 1 -u vault", "the disk is on fire")
	says("systemctl reset-failed vault; systemctl is-active vault", "inactive")
}

// What was begun ends with the power of the node.
func TestNothingOutlivesAFleet(t *testing.T) {
	f, pool := fleet(t, "eu-1")
	n := f.Nodes[0]
	must(t, os.WriteFile(filepath.Join(n.Root, "etc/systemd/system/vault.service"), []byte(unit), 0o644))
	must(t, os.WriteFile(filepath.Join(n.Root, "opt/serve"), []byte("trap '' TERM HUP\nwhile :; do sleep 0.05; done\n"), 0o644))
	pid, err := strconv.Atoi(strings.TrimSpace(string(shell(t, pool, n, "systemctl daemon-reload; systemctl start vault; systemctl show vault -P MainPID", "").Stdout)))
	must(t, err)
	conn, err := pool.Connect(t.Context(), target(n))
	must(t, err)
	hangs := make(chan error, 1)
	go func() {
		_, err := conn.Run(t.Context(), "setsid sleep 600 >/dev/null 2>&1 & echo $! >"+n.Root+"/tmp/away; echo $$ >"+n.Root+"/tmp/pid; sleep 600", nil, 1<<10)
		hangs <- err
	}()
	noted := func(file string) int {
		text, _ := os.ReadFile(filepath.Join(n.Root, "tmp", file)) // not there yet
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return pid
	}
	until(t, "a command that hangs", func() bool { return noted("pid") > 0 && noted("away") > 0 })
	command, away := noted("pid"), noted("away")
	must(t, f.Close())
	for what, pid := range map[string]int{"the service": pid, "the command": command, "what went its own way": away} {
		if runs(pid) {
			t.Errorf("%s still runs", what)
		}
	}
	if <-hangs == nil {
		t.Error("a command ended well on a node without power")
	}
}

// runs says that a process is there, and more than an entry that its parent has
// not taken notice of.
func runs(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
