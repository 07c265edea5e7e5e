package host

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// As root, the script knows no root but the host's, whatever its environment
// says. That variable could come from a commit: of a unit's environment.
func TestRootIsNotLedElsewhere(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("is about root")
	}
	m := newMachine(t)
	m.writeMode("/shims/id", "#!/bin/sh\ntouch "+m.root+"/pwned\necho 1000\n", 0o755)
	cmd := exec.Command("/bin/sh", "node.sh", "probe", "n1")
	cmd.Env = m.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if strings.Contains(string(out), "root\t=") || field(string(out), "machine-id") == "0123456789abcdef0123456789abcdef" || field(string(out), "uid") != "0" {
		t.Errorf("root works below %s:\n%s", m.root, out)
	}
	if m.read("/pwned") != "(absent)" {
		t.Error("root ran a program of the caller's PATH")
	}
}

// A mark names the invocation that systemd gave, or none is made.
func TestMarkWantsAnInvocation(t *testing.T) {
	m := newMachine(t)
	m.write("/var/lib/reconciler-node/marks/vault", "config /etc/vault.d/vault.hcl\n")
	m.write("/etc/vault.d/vault.hcl", config)
	for _, id := range []string{"", "x", strings.Repeat("g", 32), strings.Repeat("0", 31) + "\nfile 0 /x"} {
		if out := m.exec(nil, "/usr/bin/env", "INVOCATION_ID="+id, "/bin/sh", m.root+"/node.sh", "mark", "vault"); out.Exit != exitUsage {
			t.Errorf("%q: exit %d", id, out.Exit)
		}
	}
	if got := m.read("/run/reconciler-node/started/vault/mark"); got != "(absent)" {
		t.Errorf("marked %q", got)
	}
}

// What owns the host is out of reach, and a unit is reached by its own name only.
func TestStageKeepsAwayFromWhatOwnsTheHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.mkdir("/etc/systemd/system")
	m.mkdir("/opt/vault")
	if err := os.Symlink(m.root+"/etc/systemd/system", m.root+"/opt/vault/link"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{
		"/etc/init.d/x", "/etc/rc.local", "/etc/rc3.d/x", "/etc/udev/rules.d/x", "/etc/apt/apt.conf.d/x", "/etc/logrotate.d/x",
		"/etc/polkit-1/rules.d/x", "/var/spool/cron/crontabs/root", "/etc/systemd/system.conf", "/etc/systemd/system/x.timer",
		"/etc/systemd/system/x.service", "/etc/systemd/system/vault.service.d/x.conf", "/etc/systemd/system/vault.service/x.service",
		"/usr/local/lib/systemd/system-generators/x", "/opt/vault/link/x.service", "/opt/vault/link/vault.service.d/x.conf",
	} {
		if out := m.sh(stream(m.put("file", p, "x")), "stage", "1", holder, "op1", "g1"); out.Exit != exitNotAllowed {
			t.Errorf("a file at %s: exit %d: %s", p, out.Exit, out.Stderr)
		}
		if out := m.sh("", "folder", "1", holder, "op1", p, m.user, m.group, "0777"); out.Exit != exitNotAllowed {
			t.Errorf("a folder at %s: exit %d: %s", p, out.Exit, out.Stderr)
		}
	}
	for _, p := range []string{"/etc/systemd/system/vault.timer", "/etc/systemd/vault.service", "/opt/vault/link/vault.service", "/etc/systemd/system/x/vault.service"} {
		if out := m.sh(stream(m.put("unit", p, "x")), "stage", "1", holder, "op1", "g1"); out.Exit != exitNotAllowed {
			t.Errorf("a unit at %s: exit %d: %s", p, out.Exit, out.Stderr)
		}
	}
	m.must(stream(m.put("unit", "/etc/systemd/system/vault.service", "[Service]\n"), m.put("file", "/etc/vault.d/tls.crt", "x")), "stage", "1", holder, "op1", "g1")
}

// Somebody widened the mode of a key through its live link. Once it was put
// right, the file of the generation before is behind a closed door.
func TestGenerationsThatAreNotLiveAreForRootAlone(t *testing.T) {
	m := newMachine(t)
	key := "/etc/vault.d/tls.key"
	gens := m.root + "/opt/vault/generations/"
	mode := func(p string) os.FileMode {
		t.Helper()
		i, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		return i.Mode().Perm()
	}
	place := func(gen string) {
		t.Helper()
		m.must(stream(m.put("file", key, "s3cret")), "stage", "1", holder, "op-"+gen, gen)
		if got := mode(gens + gen + ".new"); got != 0o700 {
			t.Errorf("%s, only staged, is %o", gen, got)
		}
		m.must("", "activate", "1", holder, "op-"+gen, gen, "-", "-", "/usr/local/bin/vault", "none", "vault")
	}
	place("g1")
	if err := os.Chmod(m.root+key, 0o666); err != nil {
		t.Fatal(err)
	}
	place("g2")
	if got := mode(m.root + key); got != 0o640 {
		t.Errorf("the key is %o after it was put back", got)
	}
	if old, live := mode(gens+"g1"), mode(gens+"g2"); old != 0o700 || live != 0o755 {
		t.Errorf("the generation before is %o, the live one %o", old, live)
	}
	m.must("", "activate", "1", holder, "op-back", "g1", "-", "-", "/usr/local/bin/vault", "none", "vault")
	if old, live := mode(gens+"g2"), mode(gens+"g1"); old != 0o700 || live != 0o755 {
		t.Errorf("on the way back: the generation before is %o, the live one %o", old, live)
	}
}

// A start that fails says what Vault said, without what may be a secret.
func TestAFailedStartSaysWhy(t *testing.T) {
	t.Parallel()
	m := newMachine(t).installed()
	m.write("/sd/loaded", "[Service]\n")
	m.write("/sd/broken", "")
	m.write("/sd/journal", "too early to be shown\none\n\n"+
		"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIGL\n-----END EC PRIVATE KEY-----\n"+
		"token hvs.CAESIJ and hvb.AAAAAQ\nlegacy s.iyNUhq8Ov4hIAx6snw5mB2nL\nshare "+strings.Repeat("Ab1", 14)+"=\n"+
		"two\nthree\n\x1b[31mfour\x07\n"+
		"Error initializing listener of type tcp: open /etc/vault.d/tls.key: permission denied\n")
	fence := Fence{Epoch: 1, Holder: holder, Op: "op1"}
	for _, action := range []string{"start", "restart"} {
		_, err := m.host().Node(m.target()).Verb(t.Context(), fence, "activate", []string{"-", "-", "-", "/usr/local/bin/vault", action, "vault"}, nil)
		want := "vault.service does not start; it said (journalctl -u vault has it all): one two three [31mfour Error initializing listener of type tcp: open /etc/vault.d/tls.key: permission denied"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", action, err)
		}
	}
	m.write("/sd/journal", strings.Repeat("x y ", 5000)+"\n"+strings.Repeat("longer than it may be ", 100)+"\nlast\n")
	_, err := m.host().Node(m.target()).Verb(t.Context(), fence, "activate", []string{"-", "-", "-", "/usr/local/bin/vault", "start", "vault"}, nil)
	if err == nil || len(err.Error()) > 900 || !strings.HasSuffix(err.Error(), " last") {
		t.Errorf("%v", err)
	}
	m.write("/sd/journal", "")
	_, err = m.host().Node(m.target()).Verb(t.Context(), fence, "activate", []string{"-", "-", "-", "/usr/local/bin/vault", "start", "vault"}, nil)
	if err == nil || !strings.HasSuffix(err.Error(), "journalctl -u vault has it all): Job for vault.service failed.") {
		t.Errorf("without a word of Vault: %v", err)
	}
}
