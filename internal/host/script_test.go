package host

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/conform"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

const holder = "reconciler@ops-1"

func hexOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// put is a file of a stage stream.
func (m *machine) put(role, path, body string) string {
	return fmt.Sprintf("put %s 0640 %s %s %s %d %s\n%s", role, m.user, m.group, hexOf(body), len(body), path, body)
}

func stream(puts ...string) string {
	return strings.Join(puts, "") + fmt.Sprintf("end %d\n", len(puts))
}

func TestScriptIsCleanShell(t *testing.T) {
	for _, shell := range []string{"/bin/sh", "dash", "bash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		if out, err := exec.Command(shell, "-n", "node.sh").CombinedOutput(); err != nil {
			t.Errorf("%s: %s", shell, out)
		}
	}
	if _, err := exec.LookPath("shellcheck"); err == nil {
		if out, err := exec.Command("shellcheck", "-s", "sh", "node.sh").CombinedOutput(); err != nil {
			t.Errorf("shellcheck: %s", out)
		}
	}
}

// Nothing that a caller says is ever read by a shell a second time, and what is
// not of the script's own shape is refused before anything is done.
func TestScriptRefusesWhatIsNotOfItsShape(t *testing.T) {
	m := newMachine(t)
	m.write("/etc/reconciler-node/allow", "root /opt/vault\nroot /etc/vault.d/\nservice vault\nuser "+m.user)
	ok := []string{"7", holder, "op1"}
	bad := [][]string{
		{},
		{"frobnicate"},
		{"account"},
		{"account", "x", holder, "op1", m.user, m.group},
		{"account", "-1", holder, "op1", m.user, m.group},
		{"account", "007", holder, "op1", m.user, m.group},
		{"account", "99999999999999999999", holder, "op1", m.user, m.group},
		{"account", "7", "a b", "op1", m.user, m.group},
		{"account", "7", holder, "../op", m.user, m.group},
		append([]string{"account"}, append(ok, "-u", m.group)...),
		append([]string{"account"}, append(ok, "$(touch /tmp/pwned)", m.group)...),
		append([]string{"account"}, append(ok, "mallory", m.group)...),
		append([]string{"folder"}, append(ok, "/opt/vault/../../etc", m.user, m.group, "0750")...),
		append([]string{"folder"}, append(ok, "opt/vault", m.user, m.group, "0750")...),
		append([]string{"folder"}, append(ok, "/opt/vault/a b", m.user, m.group, "0750")...),
		append([]string{"folder"}, append(ok, "/opt/vault/a\nb", m.user, m.group, "0750")...),
		append([]string{"folder"}, append(ok, "/opt/vault//x", m.user, m.group, "0750")...),
		append([]string{"folder"}, append(ok, "/opt/vault/x/", m.user, m.group, "0750")...),
		append([]string{"folder"}, append(ok, "/opt/vault/x", m.user, m.group, "4755")...),
		append([]string{"folder"}, append(ok, "/opt/vault/x", m.user, m.group)...),
		append([]string{"folder"}, append(ok, "/srv/x", m.user, m.group, "0750")...),
		append([]string{"folder"}, append(ok, "/etc/sudoers.d", m.user, m.group, "0750")...),
		append([]string{"folder"}, append(ok, "/opt/vault/generations/x", m.user, m.group, "0750")...),
		append([]string{"binary"}, append(ok, "../x", hexOf("x"))...),
		append([]string{"binary"}, append(ok, "1.21.0", "abc")...),
		append([]string{"stage"}, append(ok, "..")...),
		append([]string{"activate"}, append(ok, "-", "-", "-", "/opt/vault/bin", "dance", "vault")...),
		append([]string{"activate"}, append(ok, "-", "-", "-", "/opt/vault/bin", "start", "ssh")...),
		append([]string{"activate"}, append(ok, "nothing", "-", "-", "/opt/vault/bin", "restart", "vault")...),
		append([]string{"activate"}, append(ok, "-", "1.21.0", hexOf("x"), "/opt/vault/bin", "restart", "vault")...),
		append([]string{"enable"}, append(ok, "ssh")...),
		append([]string{"enable"}, append(ok, "vault", "now")...),
		append([]string{"vault-unseal"}, append(ok, "/usr/local/bin/vault", "http://10.1.0.11:8200", "-", "-")...),
		append([]string{"vault-unseal"}, append(ok, "/usr/local/bin/vault", "https://a/b?c", "-", "-")...),
		append([]string{"vault-init"}, append(ok, "/usr/local/bin/vault", "n1", "https://127.0.0.1:8200", "-", "-", "3", "5")...),
		append([]string{"vault-audit"}, append(ok, "/usr/local/bin/vault", "https://127.0.0.1:8200", "-", "-", "../policy/x")...),
		{"probe", "a b"},
		{"probe", "n1", "file=/etc/../x"},
		{"probe", "n1", "dance=1"},
		{"probe", "n1", "config=/etc/shadow"},
		{"hash", "n1", "/etc/shadow"},
		{"did", "../epoch"},
		{"mark"},
	}
	for _, args := range bad {
		out := m.sh("", args...)
		if !slices.Contains([]int{exitUsage, exitContent, exitNotAllowed}, out.Exit) {
			t.Errorf("%q: exit %d, want a refusal; %s%s", args, out.Exit, out.Stdout, out.Stderr)
		}
	}
	if got := m.calls(); len(got) != 0 {
		t.Errorf("refused calls did %q", got)
	}
	for _, p := range []string{"/opt", "/srv", "/etc/sudoers.d"} {
		if _, err := os.Stat(m.root + p); err == nil {
			t.Errorf("refused calls made %s", p)
		}
	}
}

func TestStageRefusesWhatIsNotItsStream(t *testing.T) {
	m := newMachine(t)
	good := m.put("config", "/etc/vault.d/vault.hcl", "x = 1\n")
	for name, in := range map[string]string{
		"nothing":            "",
		"cut before its end": good,
		"cut inside a file":  good[:len(good)-2],
		"count":              good + "end 2\n",
		"noise":              "hello\nend 0\n",
		"another digest":     strings.Replace(stream(good), hexOf("x = 1\n"), hexOf("y"), 1),
		"an empty config":    stream(m.put("config", "/etc/vault.d/vault.hcl", "")),
		"role":               stream(m.put("root", "/etc/vault.d/vault.hcl", "x")),
		"setuid":             strings.Replace(stream(good), "0640", "4755", 1),
		"shadow":             stream(m.put("file", "/etc/shadow", "x")),
		"the script itself":  stream(m.put("file", ScriptPath, "x")),
		"a system folder":    stream(m.put("file", "/usr/bin/ls", "x")),
		"a unit elsewhere":   stream(m.put("unit", "/etc/vault.d/vault.service", "x")),
		"a file as a unit":   stream(m.put("file", "/etc/systemd/system/ssh.service", "x")),
		"up and out":         stream(m.put("file", "/opt/vault/../../etc/x", "x")),
	} {
		out := m.sh(in, "stage", "1", holder, "op1", "g1")
		if out.Exit != exitContent && out.Exit != exitNotAllowed && out.Exit != exitUsage {
			t.Errorf("%s: exit %d: %s", name, out.Exit, out.Stderr)
		}
		if _, err := os.Stat(m.root + "/opt/vault/generations/g1.new"); err == nil {
			t.Errorf("%s: left a half generation", name)
		}
	}
}

func TestFenceRefusesThePastAndOthers(t *testing.T) {
	m := newMachine(t)
	for _, f := range conform.Fence() {
		out := m.sh("", f.Verb, fmt.Sprint(f.Epoch), f.Holder, "op2")
		if want := map[bool]int{true: 0, false: exitFenced}[f.Obeyed]; out.Exit != want {
			t.Errorf("%s %d %s: exit %d, want %d", f.Verb, f.Epoch, f.Holder, out.Exit, want)
		}
		if !f.Obeyed && strings.TrimSpace(string(out.Stdout)) != "fenced "+f.After {
			t.Errorf("%s %d %s says %q", f.Verb, f.Epoch, f.Holder, out.Stdout)
		}
		if got := strings.TrimSpace(m.read("/var/lib/reconciler-node/epoch")); got != f.After {
			t.Fatalf("after %s %d %s the node obeys %q, want %q", f.Verb, f.Epoch, f.Holder, got, f.After)
		}
	}
	m.write("/var/lib/reconciler-node/epoch", "garbage\n")
	if out := m.sh("", "fence", "99", holder, "op3"); out.Exit != exitNotAllowed {
		t.Errorf("a damaged epoch: exit %d", out.Exit)
	}
	m.must("", "takeover", "12", holder, "op4")
}

// Forty callers at once, of whom each has a newer epoch than the last: whoever
// got in first decides what is refused, and the epoch never falls.
func TestFenceSerialises(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const callers = 40
	exits := make([]int, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			out := m.sh("", "folder", fmt.Sprint(i+1), holder, fmt.Sprintf("op%d", i+1), "/opt/vault/data", m.user, m.group, "0700")
			exits[i] = out.Exit
		})
	}
	all.Wait()
	done := 0
	for i, exit := range exits {
		_, err := os.Stat(fmt.Sprintf("%s/var/lib/reconciler-node/ops/op%d", m.root, i+1))
		switch {
		case exit == 0 && err == nil:
			done++
		case exit == exitFenced && err != nil:
		default:
			t.Errorf("epoch %d: exit %d, record: %v", i+1, exit, err)
		}
	}
	if exits[callers-1] != 0 || done == 0 {
		t.Errorf("the newest epoch was refused: %v", exits)
	}
	if got := m.read("/var/lib/reconciler-node/epoch"); got != fmt.Sprintf("%d %s\n", callers, holder) {
		t.Errorf("the node obeys %q", got)
	}
}

func TestHeldByAPerson(t *testing.T) {
	m := newMachine(t)
	m.write("/etc/reconciler-node/hold", "disk swap, alice\n")
	if out := m.sh("", "enable", "1", holder, "op1", "vault"); out.Exit != exitHeld {
		t.Errorf("exit %d: %s", out.Exit, out.Stderr)
	}
	m.must("", "fence", "1", holder, "op1")
	if got := m.calls(); len(got) != 0 {
		t.Errorf("did %q", got)
	}
}

func TestAccountAndFolder(t *testing.T) {
	m := newMachine(t)
	m.must("", "account", "1", holder, "op1", "vault", "vault")
	m.must("", "account", "1", holder, "op1", "vault", "vault")
	if got := m.calls(); len(got) != 2 || !strings.HasPrefix(got[0], "groupadd") || !strings.HasPrefix(got[1], "useradd") {
		t.Errorf("calls %q", got)
	}
	m.must("", "folder", "1", holder, "op2", "/opt/vault/data", m.user, m.group, "0700", "/var/log/vault", m.user, m.group, "0750")
	if i, err := os.Stat(m.root + "/var/log/vault"); err != nil || i.Mode().Perm() != 0o750 {
		t.Errorf("%v %v", i, err)
	}
	if err := os.Symlink(m.root+"/etc", m.root+"/opt/vault/link"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/opt/vault/link", "/opt/vault/link/sudoers.d"} {
		if out := m.sh("", "folder", "1", holder, "op3", p, m.user, m.group, "0777"); out.Exit != exitContent && out.Exit != exitNotAllowed {
			t.Errorf("%s: exit %d", p, out.Exit)
		}
	}
	if got := m.must("", "did", "op2"); !strings.HasPrefix(got, "started folder ") || !strings.Contains(got, "\ndone folder ") {
		t.Errorf("did says %q", got)
	}
	if got := m.must("", "did", "op99"); got != "" {
		t.Errorf("did says %q of what never was", got)
	}
}

const fakeVault = "#!/bin/sh\necho 'Vault v1.21.0 (abc), built 2026'\n"

func TestBinary(t *testing.T) {
	m := newMachine(t)
	for name, c := range map[string]struct{ body, digest, version string }{
		"cut":             {fakeVault[:20], hexOf(fakeVault), "1.21.0"},
		"another version": {fakeVault, hexOf(fakeVault), "1.20.0"},
		"no program":      {"hello", hexOf("hello"), "1.21.0"},
	} {
		if out := m.sh(c.body, "binary", "1", holder, "op1", c.version, c.digest); out.Exit != exitContent {
			t.Errorf("%s: exit %d: %s", name, out.Exit, out.Stderr)
		}
	}
	if left, _ := filepath.Glob(m.root + "/opt/vault/versions/*/*"); len(left) != 0 {
		t.Errorf("refused binaries left %q", left)
	}
	m.must(fakeVault, "binary", "1", holder, "op1", "1.21.0", hexOf(fakeVault))
	if m.read("/opt/vault/versions/1.21.0/vault") != fakeVault {
		t.Error("the binary is not in its folder")
	}
}

// A machine below a folder has its own programs of /usr/local, not this machine's.
func TestProgramsAreTheMachinesOwn(t *testing.T) {
	m := newMachine(t)
	teller := fakeVault + "echo \"$PATH\" >\"$RECONCILER_NODE_ROOT/path\"\n"
	m.must(teller, "binary", "1", holder, "op1", "1.21.0", hexOf(teller))
	dirs := strings.Split(strings.TrimSpace(m.read("/path")), ":")
	if !slices.Contains(dirs, m.root+"/usr/local/bin") || slices.Contains(dirs, "/usr/local/bin") || slices.Contains(dirs, "/usr/local/sbin") {
		t.Errorf("programs are taken from %q", dirs)
	}
}

// What was granted to the binary at vault.path goes over to the one that takes its
// place, whoever put it there and however getcap says it.
func TestFileCapabilitiesGoOver(t *testing.T) {
	m := newMachine(t)
	place := func(version string) string {
		body := strings.Replace(fakeVault, "1.21.0", version, 1)
		m.must(body, "binary", "1", holder, "op1", version, hexOf(body))
		return hexOf(body)
	}
	use := func(version string) {
		m.must("", "activate", "1", holder, "op1", "-", version, place(version), "/usr/local/bin/vault", "none", "vault")
	}
	granted := func(version, want string) {
		t.Helper()
		if got := m.read("/opt/vault/versions/" + version + "/vault.caps"); got != want {
			t.Errorf("%s may %q, want %q", version, got, want)
		}
	}
	m.writeMode("/usr/local/bin/vault", "somebody's\n", 0o755)
	use("1.20.0")
	granted("1.20.0", "(absent)")
	if err := os.Remove(m.root + "/usr/local/bin/vault"); err != nil {
		t.Fatal(err)
	}
	m.writeMode("/usr/local/bin/vault", "somebody's\n", 0o755)
	m.write("/usr/local/bin/vault.caps", "cap_ipc_lock,cap_net_bind_service=ep")
	use("1.21.0")
	granted("1.21.0", "cap_ipc_lock,cap_net_bind_service=ep")
	m.write("/opt/vault/versions/1.21.0/vault.caps", "cap_ipc_lock+ep")
	m.write("/sd/old-libcap", "")
	use("1.21.1")
	granted("1.21.1", "cap_ipc_lock+ep")
}

// A node's life: born with its first generation, reloaded, restarted into
// another version, and edited by hand in between.
func TestGenerations(t *testing.T) {
	t.Parallel()
	m := newMachine(t).installed()
	unit := "[Service]\n" + desired.MarkCommand("vault") + "\n"
	marks := "config /etc/vault.d/vault.hcl\nunit /etc/systemd/system/vault.service\nfile /etc/vault.d/tls.crt\n"
	m.must(fakeVault, "binary", "1", holder, "op1", "1.21.0", hexOf(fakeVault))
	m.must(stream(m.put("config", "/etc/vault.d/vault.hcl", "v = 1\n"), m.put("unit", "/etc/systemd/system/vault.service", unit), m.put("file", "/etc/vault.d/tls.crt", "cert 1")),
		"stage", "1", holder, "op2", "g1")
	if m.read("/etc/vault.d/vault.hcl") != "(absent)" {
		t.Fatal("what is only staged is live")
	}
	m.must(marks, "activate", "1", holder, "op2", "g1", "1.21.0", hexOf(fakeVault), "/usr/local/bin/vault", "start", "vault")
	if m.link("/etc/vault.d/vault.hcl") != "/opt/vault/generations/current/etc/vault.d/vault.hcl" || m.read("/etc/vault.d/vault.hcl") != "v = 1\n" {
		t.Errorf("config is %q at %q", m.read("/etc/vault.d/vault.hcl"), m.link("/etc/vault.d/vault.hcl"))
	}
	if m.link("/etc/systemd/system/vault.service") != "" || m.read("/etc/systemd/system/vault.service") != unit {
		t.Error("the unit is not a file of its own")
	}
	if m.link("/usr/local/bin/vault") != "/opt/vault/versions/1.21.0/vault" {
		t.Errorf("vault.path leads to %q", m.link("/usr/local/bin/vault"))
	}
	if got := m.calls(); !slices.Equal(got, []string{"systemctl daemon-reload", "systemctl reset-failed vault.service", "systemctl start vault.service"}) {
		t.Errorf("calls %q", got)
	}
	m.expectMark("v = 1\n", map[string]string{"/etc/vault.d/vault.hcl": "v = 1\n", "/etc/systemd/system/vault.service": unit, "/etc/vault.d/tls.crt": "cert 1"})

	// Somebody edits the configuration; our reload brings a new certificate. The
	// mark still says that the process runs with the old configuration.
	m.write("/etc/vault.d/vault.hcl", "v = edited\n")
	m.must(stream(m.put("file", "/etc/vault.d/tls.crt", "cert 2")), "stage", "1", holder, "op3", "g2")
	m.must(marks, "activate", "1", holder, "op3", "g2", "-", "-", "/usr/local/bin/vault", "reload", "vault")
	if m.read("/etc/vault.d/tls.crt") != "cert 2" || m.read("/etc/vault.d/vault.hcl") != "v = edited\n" {
		t.Error("the new generation does not hold what it does not replace")
	}
	if got := m.calls(); !slices.Equal(got, []string{"systemctl reload vault.service"}) {
		t.Errorf("calls %q", got)
	}
	m.expectMark("v = 1\n", map[string]string{"/etc/vault.d/vault.hcl": "v = 1\n", "/etc/systemd/system/vault.service": unit, "/etc/vault.d/tls.crt": "cert 2"})

	// A restart stops, flips, starts; an answer that was lost is asked for again.
	m.must(stream(m.put("config", "/etc/vault.d/vault.hcl", "v = 2\n")), "stage", "2", holder, "op4", "g3")
	before := m.must("", "probe", "n", "service=vault")
	m.must(marks, "activate", "2", holder, "op4", "g3", "1.21.0", hexOf(fakeVault), "/usr/local/bin/vault", "restart", "vault")
	m.expectMark("v = 2\n", map[string]string{"/etc/vault.d/vault.hcl": "v = 2\n", "/etc/systemd/system/vault.service": unit, "/etc/vault.d/tls.crt": "cert 2"})
	if pid := field(m.must("", "probe", "n", "service=vault"), "unit MainPID"); pid == field(before, "unit MainPID") || pid == "0" {
		t.Errorf("process %s after the restart", pid)
	}
	m.must("", "stage", "2", holder, "op4", "g3")
	m.must(marks, "activate", "2", holder, "op4", "g3", "1.21.0", hexOf(fakeVault), "/usr/local/bin/vault", "none", "vault")
	kept, err := os.ReadDir(m.root + "/opt/vault/generations")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range kept {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"current", "g2", "g3"}) {
		t.Errorf("kept %q, want the current and the previous generation", names)
	}
}

// field is the value of a line of a probe.
func field(frame, key string) string {
	_, after, _ := strings.Cut(frame, "\n"+key+"\t=")
	value, _, _ := strings.Cut(after, "\n")
	return value
}

func (m *machine) expectMark(config string, files map[string]string) {
	m.t.Helper()
	mark := m.read("/run/reconciler-node/started/vault/mark")
	lines := strings.Split(strings.TrimSpace(mark), "\n")
	if len(lines) != len(files)+1 || lines[0] != "invocation "+m.read("/sd/invocation") {
		m.t.Fatalf("mark is\n%s", mark)
	}
	for path, body := range files {
		if !slices.Contains(lines, "file "+hexOf(body)+" "+path) {
			m.t.Errorf("the mark does not say that %s was %q:\n%s", path, body, mark)
		}
	}
	if got := m.read("/run/reconciler-node/started/vault/config"); got != config {
		m.t.Errorf("the config of the mark is %q, want %q", got, config)
	}
}

// On a node that was never ours, what the process loaded is written down before
// the first thing is touched, and what a person had put there is kept.
func TestAdoption(t *testing.T) {
	t.Parallel()
	m := newMachine(t).installed()
	m.write("/etc/systemd/system/vault.service", "[Service]\n")
	m.write("/etc/vault.d/vault.hcl", "v = theirs\n")
	m.write("/etc/vault.d/late.crt", "changed after the start")
	m.writeMode("/usr/local/bin/vault", fakeVault, 0o755)
	shim := func(args ...string) {
		if out := m.exec(nil, append([]string{m.root + "/shims/systemctl"}, args...)...); out.Exit != 0 {
			t.Fatalf("%s", out.Stderr)
		}
	}
	shim("daemon-reload")
	shim("start", "vault.service")
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for path, at := range map[string]time.Time{"/etc/vault.d/vault.hcl": past, "/etc/systemd/system/vault.service": past, "/etc/vault.d/late.crt": future} {
		if err := os.Chtimes(m.root+path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	m.calls()
	marks := "config /etc/vault.d/vault.hcl\nunit /etc/systemd/system/vault.service\nfile /etc/vault.d/late.crt\nfile /etc/vault.d/motd\n"
	m.must(stream(m.put("file", "/etc/vault.d/motd", "hello")), "stage", "1", holder, "op1", "g1")
	m.must(marks, "activate", "1", holder, "op1", "g1", "1.21.0", hexOf(fakeVault), "/usr/local/bin/vault", "none", "vault")
	if got := m.calls(); len(got) != 0 {
		t.Errorf("placing a file called %q", got)
	}
	m.expectMark("v = theirs\n", map[string]string{"/etc/vault.d/vault.hcl": "v = theirs\n", "/etc/systemd/system/vault.service": "[Service]\n"})
	if m.link("/usr/local/bin/vault") != "" {
		t.Error("a binary that is the wanted one was replaced by a link")
	}
	m.must(stream(m.put("config", "/etc/vault.d/vault.hcl", "v = ours\n")), "stage", "1", holder, "op2", "g2")
	m.must(marks, "activate", "1", holder, "op2", "g2", "-", "-", "/usr/local/bin/vault", "restart", "vault")
	if m.read("/opt/vault/generations/adopted/etc/vault.d/vault.hcl") != "v = theirs\n" || m.read("/etc/vault.d/vault.hcl") != "v = ours\n" {
		t.Error("what a person had put there is not kept")
	}
	newer := strings.Replace(fakeVault, "1.21.0", "1.21.1", 1)
	m.must(newer, "binary", "1", holder, "op3", "1.21.1", hexOf(newer))
	m.must("", "activate", "1", holder, "op3", "-", "1.21.1", hexOf(newer), "/usr/local/bin/vault", "restart", "vault")
	if m.link("/usr/local/bin/vault") != "/opt/vault/versions/1.21.1/vault" || m.read("/opt/vault/versions/adopted/vault") != fakeVault {
		t.Error("the next version does not replace the adopted binary, or loses it")
	}
}

// A flip that fails after the stop brings the old Vault back.
func TestRestartComesBackWhenTheFlipFails(t *testing.T) {
	t.Parallel()
	m := newMachine(t).installed()
	m.must(stream(m.put("config", "/etc/vault.d/vault.hcl", "v = 1\n"), m.put("unit", "/etc/systemd/system/vault.service", "[Service]\n")), "stage", "1", holder, "op1", "g1")
	m.must("", "activate", "1", holder, "op1", "g1", "-", "-", "/usr/local/bin/vault", "start", "vault")
	m.must(stream(m.put("file", "/etc/vault.d/x", "x")), "stage", "1", holder, "op2", "g2")
	m.mkdir("/etc/vault.d/x") // where a file should go
	m.calls()
	out := m.sh("", "activate", "1", holder, "op2", "g2", "-", "-", "/usr/local/bin/vault", "restart", "vault")
	if out.Exit != 1 {
		t.Errorf("exit %d, want 1: something was done", out.Exit)
	}
	if got := m.calls(); !slices.Contains(got, "systemctl stop vault.service") || got[len(got)-1] != "systemctl start vault.service" {
		t.Errorf("calls %q", got)
	}
	if got := field(m.must("", "probe", "n", "service=vault"), "unit ActiveState"); got != "active" {
		t.Errorf("vault is %s", got)
	}
	m.write("/sd/broken", "")
	m.must("", "enable", "1", holder, "op3", "vault")
	if out := m.sh("", "activate", "1", holder, "op3", "-", "-", "-", "/usr/local/bin/vault", "restart", "vault"); out.Exit != 1 {
		t.Errorf("a start that fails: exit %d", out.Exit)
	}
}

func TestInstallScript(t *testing.T) {
	m := newMachine(t)
	if out := m.sh("echo no", "install-script", "1", holder, "op1", hexOf(script)); out.Exit != exitContent || m.read(ScriptPath) != "(absent)" {
		t.Errorf("exit %d", out.Exit)
	}
	m.must(script, "install-script", "1", holder, "op1", hexOf(script))
	if m.read(ScriptPath) != script {
		t.Error("the script is not in place")
	}
	if i, err := os.Stat(m.root + ScriptPath); err != nil || i.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", i, err)
	}
}
