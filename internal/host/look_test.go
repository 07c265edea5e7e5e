package host

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

const config = `
storage "raft" { path = "/opt/vault/data" }
log_level = "info"
`

// running is a machine on which everything is there: installed, started by us,
// used.
func running(t *testing.T) (*machine, actual.Target) {
	t.Helper()
	m := newMachine(t).installed()
	target := m.target()
	target.Files = map[string]string{
		"/etc/vault.d/vault.hcl": "sha256:" + hexOf(config), "/etc/systemd/system/vault.service": "sha256:" + hexOf("[Service]\n"),
		"/etc/vault.d/missing": "sha256:" + hexOf(""), "/etc/vault.d": "",
	}
	target.AuditFiles, target.AuditUser = []string{"/var/log/vault/audit.log", "/srv/audit.log"}, m.user
	m.must(fakeVault, "binary", "3", holder, "op0", "1.21.0", hexOf(fakeVault))
	m.must("", "folder", "3", holder, "op0", "/opt/vault/data", m.user, m.group, "0700", "/var/log/vault", m.user, m.group, "0750")
	m.must(stream(m.put("config", "/etc/vault.d/vault.hcl", config), m.put("unit", "/etc/systemd/system/vault.service", "[Service]\n")), "stage", "3", holder, "op1", "g1")
	m.must(inputs(target), "activate", "3", holder, "op1", "g1", "1.21.0", hexOf(fakeVault), "/usr/local/bin/vault", "start", "vault")
	m.must("", "enable", "3", holder, "op1", "vault")
	m.write("/opt/vault/data/vault.db", "x")
	m.write("/opt/vault/data/node-id", "eu-1")
	return m, target
}

// age waits until a file's ctime is old enough for its digest to be remembered.
func (m *machine) age(path string) {
	m.t.Helper()
	wait(m.t, func() bool {
		i, err := os.Stat(m.root + path)
		if err != nil {
			m.t.Fatal(err)
		}
		changed := i.Sys().(*syscall.Stat_t).Ctim
		return time.Since(time.Unix(changed.Unix())) > hashRacy
	})
}

func TestLookTellsWhatIsThere(t *testing.T) {
	m, target := running(t)
	n := m.host().Look(t.Context(), target)
	if n.Unknown != nil {
		t.Errorf("unknown: %v", n.Unknown)
	}
	if n.Machine == nil || n.Process == nil || n.Process.PID == 0 || n.Process.Started.IsZero() {
		t.Fatalf("machine %+v, process %+v", n.Machine, n.Process)
	}
	if since := time.Since(n.Process.Started); since < 0 || since > time.Minute {
		t.Errorf("started %s ago", since)
	}
	exe, err := os.ReadFile("/bin/sleep") // what the systemctl shim runs
	if err != nil {
		t.Fatal(err)
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	digest := func(s string) string { return "sha256:" + hexOf(s) }
	want := actual.Node{
		Name: "eu-1",
		Machine: &actual.Machine{MachineID: "0123456789abcdef0123456789abcdef", BootID: strings.TrimSpace(string(boot)), Root: false,
			Script: digest(script), Fence: &actual.Fence{Epoch: 3, Holder: holder}, PeersReach: map[string]string{}},
		Binary: &actual.Binary{Digest: digest(fakeVault), Target: "/opt/vault/versions/1.21.0/vault", Versions: map[string]string{"1.21.0": digest(fakeVault)}},
		Service: &actual.Service{LoadState: "loaded", ActiveState: "active", SubState: "running", Result: "success", UnitFileState: "enabled",
			FragmentPath: "/etc/systemd/system/vault.service", InvocationID: m.read("/sd/invocation")},
		Process: &actual.Process{PID: n.Process.PID, Binary: digest(string(exe)), Mark: &actual.Mark{
			Files: map[string]string{"/etc/vault.d/vault.hcl": digest(config), "/etc/systemd/system/vault.service": digest("[Service]\n")}, Unit: digest("[Service]\n")}},
		Files: map[string]actual.File{
			"/etc/vault.d/vault.hcl":            {Kind: "file", Digest: digest(config), Owner: m.user, Group: m.group, Mode: "0640", Size: int64(len(config)), Target: "/opt/vault/generations/current/etc/vault.d/vault.hcl"},
			"/etc/systemd/system/vault.service": {Kind: "file", Digest: digest("[Service]\n"), Owner: m.user, Group: m.group, Mode: "0640", Size: 10},
			"/etc/vault.d/missing":              {Kind: "absent"},
			"/etc/vault.d":                      {Kind: "folder", Owner: m.user, Group: m.group, Mode: "0755"},
		},
		Users: map[string]bool{m.user: true, "vault": false, "group:" + m.group: true, "group:vault": false},
		Data:  &actual.Data{State: actual.DataUsed, Device: n.Data.Device},
		Audit: &actual.Audit{Opens: map[string]bool{"/var/log/vault/audit.log": true, "/srv/audit.log": false}},
	}
	ignore := cmp.Options{
		cmpopts.IgnoreFields(actual.Node{}, "At"), cmpopts.IgnoreFields(actual.Process{}, "Started"), cmpopts.IgnoreFields(actual.File{}, "Mtime"),
		cmpopts.IgnoreFields(actual.Machine{}, "Clock", "Platform", "FreeBytes"),
		cmp.FilterPath(func(p cmp.Path) bool { return p.GoString() == `root.Files["/etc/vault.d"].Size` }, cmp.Ignore()),
	}
	got := n
	got.Files = map[string]actual.File{}
	for p, f := range n.Files {
		if f.Kind == actual.KindFolder {
			f.Size = 0
		}
		got.Files[p] = f
	}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Error(diff)
	}
	if n.Machine.Platform == "" || time.Since(n.Machine.Clock) > time.Minute || n.Machine.FreeBytes["/opt/vault/data"] == 0 {
		t.Errorf("%+v", n.Machine)
	}
}

// A warm look is one exec, sends no bodies, and hashes no binary again.
func TestWarmLookIsOneExec(t *testing.T) {
	t.Parallel()
	m, target := running(t)
	m.age("/opt/vault/versions/1.21.0/vault")
	h := m.host()
	h.Look(t.Context(), target)
	if ran := m.ran(); len(ran) != 2 || !strings.Contains(ran[1], " hash ") {
		t.Errorf("the first look ran %q", ran)
	}
	m.write("/etc/vault.d/vault.hcl", config+"ui = true\n")
	first := h.Look(t.Context(), target)
	second := h.Look(t.Context(), target)
	ran := m.ran()
	if len(ran) != 2 {
		t.Fatalf("two warm looks ran %q", ran)
	}
	if !strings.HasPrefix(ran[0], "sudo -n "+ScriptPath+" probe ") || strings.Contains(ran[0], "'") || len(ran[1]) > 1500 {
		t.Errorf("ran %q", ran[1])
	}
	if !strings.Contains(ran[1], "have="+hexOf(config+"ui = true\n")) {
		t.Errorf("the second look asks for a body that we have: %q", ran[1])
	}
	for _, n := range []actual.Node{first, second} {
		if got := n.Files["/etc/vault.d/vault.hcl"].Config; got["ui"] != "true" || got["log_level"] != `"info"` {
			t.Errorf("the drifted configuration says %v", got)
		}
		if n.Binary == nil || n.Process.Binary == "" {
			t.Errorf("%v %v", n.Binary, n.Process)
		}
	}
	var saved bytes.Buffer
	if err := h.Hashes.Save(&saved); err != nil {
		t.Fatal(err)
	}
	h = m.host()
	if err := h.Hashes.Load(&saved); err != nil {
		t.Fatal(err)
	}
	if n := h.Look(t.Context(), target); len(m.ran()) != 1 || n.Binary == nil {
		t.Error("a remembered digest was taken again")
	}
}

func TestHashesForgetWhatMayHaveChanged(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).UTC()
	old, fresh := fingerprint("1 2 3 4.0 1600000000.5"), fingerprint("1 2 3 4.0 1699999999.5")
	h := NewHashes()
	h.put("m", old, "sha256:a", now, now)
	h.put("m", fresh, "sha256:b", now, now)
	for _, c := range []struct {
		f    fingerprint
		at   time.Time
		want string
	}{
		{old, now, "sha256:a"},
		{old, now.Add(24 * time.Hour), "sha256:a"},
		{old, now.Add(27 * time.Hour), ""},
		{old, now.Add(-time.Hour), ""}, // our own clock was set back
		{fresh, now, ""},               // changed within the tick in which it was hashed
		{"1 2 3 4.0 1600000000.6", now, ""},
	} {
		if got, _ := h.get("m", c.f, c.at); got != c.want {
			t.Errorf("%s at %s: %q, want %q", c.f, c.at, got, c.want)
		}
	}
}

// Without the script the reading part travels; without sudo it runs as the
// account, and what that may not read is Unknown with the way to mend it.
func TestLookWithoutScript(t *testing.T) {
	m := newMachine(t)
	m.write("/etc/vault.d/vault.hcl", config)
	h := m.host()
	n := h.Look(t.Context(), m.target())
	ran := m.ran()
	if n.Machine == nil || n.Machine.Script != "" || n.Files["/etc/vault.d/vault.hcl"].Digest == "" || n.Data == nil || n.Data.State != actual.DataAbsent {
		t.Errorf("%+v", n)
	}
	if len(ran) != 2 || !strings.HasPrefix(ran[1], "sudo -n /bin/sh -c ") || strings.Contains(ran[1], "verb_") {
		t.Errorf("ran %q", ran)
	}
	if len(ran[1]) > 12_300 { // of 10 segments of 1,448 bytes, which go out at once (RFC 6928)
		t.Errorf("the travelling script has %d bytes, which is more than the packets of one round trip", len(ran[1]))
	}
	h.Look(t.Context(), m.target())
	if ran = m.ran(); len(ran) != 1 {
		t.Errorf("the second look ran %q", ran)
	}
	m.write("/sudo", "none")
	n = m.host().Look(t.Context(), m.target())
	if ran = m.ran(); len(ran) != 3 || !strings.HasPrefix(ran[2], "/bin/sh -c ") || n.Machine == nil {
		t.Errorf("without sudo it ran %q", ran)
	}
	observed := New(Settings{Connect: m.host().Connect, Now: time.Now})
	observed.Look(t.Context(), m.target())
	if ran = m.ran(); len(ran) != 2 || !strings.HasPrefix(ran[1], "/bin/sh -c ") {
		t.Errorf("a node that is only observed: %q", ran)
	}
}

func TestLookAsSomebodyWhoMayNotReadIt(t *testing.T) {
	m := newMachine(t)
	m.write("/sudo", "none")
	m.writeMode("/etc/vault.d/vault.hcl", config, 0o600)
	m.write("/opt/vault/data/vault.db", "x")
	m.write("/opt/vault/closed/x", "x")
	target := m.target()
	target.Files["/opt/vault/closed/x"] = "sha256:" + hexOf("x")
	for _, p := range []string{"/opt/vault/data", "/opt/vault/closed", "/etc/vault.d/vault.hcl"} {
		if err := os.Chmod(m.root+p, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(m.root+p, 0o755) })
	}
	n := m.host().Look(t.Context(), target)
	if n.Data != nil || n.Files["/etc/vault.d/vault.hcl"].Digest != "" || n.Files["/etc/vault.d/vault.hcl"].Kind != actual.KindFile {
		t.Errorf("%+v", n)
	}
	if f, ok := n.Files["/opt/vault/closed/x"]; ok {
		t.Errorf("a file behind a closed folder is %+v, and not Unknown", f)
	}
	why := n.Unknown[actual.PhaseSudo]
	for _, part := range []string{"/opt/vault/data", "/etc/vault.d/vault.hcl", "/opt/vault/closed/x", "sudo asks for a password", SudoersLine} {
		if !strings.Contains(why, part) {
			t.Errorf("%q does not name %q", why, part)
		}
	}
	if strings.Index(why, SudoersLine) > strings.Index(why, "/opt/vault/") {
		t.Errorf("%q may lose the way out where it is cut", why)
	}
}

func TestDataFolder(t *testing.T) {
	m := newMachine(t)
	h := m.host()
	for _, c := range []struct {
		file string
		want actual.Data
	}{
		{"", actual.Data{State: actual.DataAbsent}},
		{"node-id", actual.Data{State: actual.DataEmpty}},
		{"lost+found/", actual.Data{State: actual.DataEmpty}},
		{"raft/snapshots/", actual.Data{State: actual.DataEmpty}},
		{"raft/peers.json", actual.Data{State: actual.DataUsed, Peers: true}},
		{"raft/raft.db", actual.Data{State: actual.DataUsed, Peers: true}},
	} {
		if c.file != "" {
			if name, folder := strings.CutSuffix("/opt/vault/data/"+c.file, "/"); folder {
				m.mkdir(name)
			} else {
				m.write(name, "x")
			}
		}
		n := h.Look(t.Context(), m.target())
		if diff := cmp.Diff(&c.want, n.Data, cmpopts.IgnoreFields(actual.Data{}, "Device")); diff != "" {
			t.Errorf("%s: %s", c.file, diff)
		}
	}
}

func TestDeviceHasTheSameNameAfterAReboot(t *testing.T) {
	for in, want := range map[string]string{
		`UUID="42-a" FSTYPE="ext4" SOURCE="/dev/vdb" FSROOT="/"`:     "UUID=42-a /",
		`UUID="" FSTYPE="overlay" SOURCE="overlay" FSROOT="/"`:       "overlay overlay /",
		`UUID="" FSTYPE="nfs4" SOURCE="10.0.0.9:/vault" FSROOT="/x"`: "nfs4 10.0.0.9:/vault /x",
		``: "",
	} {
		if got := device(in); got != want {
			t.Errorf("device(%s) = %q, want %q", in, got, want)
		}
	}
}

// Names, links and files of a hostile node end up as text, or not at all.
func TestHostileNode(t *testing.T) {
	m := newMachine(t).installed()
	m.mkdir("/etc/vault.d")
	evil := "/tmp/x\nend N\nuid\t=0\n\x1b[2J"
	if err := os.Symlink(evil, m.root+"/etc/vault.d/vault.hcl"); err != nil {
		t.Fatal(err)
	}
	m.write("/etc/reconciler-node/hold", "disk swap\n\x1b[31m\x00alice\nend x\n")
	m.write("/usr/local/libexec/reconciler-node", strings.Replace(script, "tell_machine\n\ttell_accounts", "tell_machine\n\tprintf 'user mallory\\t=1\\nstat /etc/shadow\\t=81a4 a b 1 1.0 1.0 1 1\\nnoise\\t=1\\n'\n\ttell_accounts", 1))
	n := m.host().Look(t.Context(), m.target())
	if n.Machine == nil || n.Machine.Hold == nil {
		t.Fatalf("%+v", n)
	}
	if got := n.Files["/etc/vault.d/vault.hcl"]; got.Kind != actual.KindAbsent || got.Target != "/tmp/x end N uid =0 ?[2J" {
		t.Errorf("%+v", got)
	}
	if got := n.Machine.Hold.Text; got != "disk swap ?[31m?alice end x" {
		t.Errorf("hold is %q", got)
	}
	if len(n.Files) != 2 || len(n.Users) != 4 {
		t.Errorf("took what nobody asked for: %v %v", n.Files, n.Users)
	}
}

func TestLookThatIsCutOrLostIsUnknown(t *testing.T) {
	m, target := running(t)
	h := m.host()
	h.Connect = func(context.Context, actual.Target) (Conn, error) {
		return nil, &ConnectError{actual.PhaseHostKey, errors.New("the host key changed")}
	}
	if n := h.Look(t.Context(), target); n.Unknown[actual.PhaseHostKey] != "hostkey: the host key changed" || n.Machine != nil {
		t.Errorf("%+v", n)
	}
	h = m.host()
	m.drop = func(string) bool { return true }
	if n := h.Look(t.Context(), target); !strings.Contains(n.Unknown[actual.PhaseTCP], "connection lost") || n.Machine != nil {
		t.Errorf("%+v", n)
	}
	m.drop = nil
	m.write(ScriptPath, "#!/bin/sh\nprintf 'begin %s 1\\nuid\\t=0\\n' \"$2\"\n")
	if n := h.Look(t.Context(), target); n.Unknown[actual.PhaseParse] != "the answer was cut" || n.Machine != nil {
		t.Errorf("%+v", n.Unknown)
	}
}

// A Vault that does not run is no Unknown; one that runs and is silent is.
func TestSilenceOfVault(t *testing.T) {
	t.Parallel()
	m, target := running(t)
	target.APIAddress = "10.1.0.11:8200"
	h := m.host()
	h.API = func(context.Context, Dial, actual.Target) (Answers, error) {
		return Answers{}, errors.New("connection refused")
	}
	if n := h.Look(t.Context(), target); n.Unknown[actual.PhaseVaultAPI] != "connection refused" {
		t.Errorf("%v", n.Unknown)
	}
	m.stop()
	if n := h.Look(t.Context(), target); n.Unknown != nil || n.Process == nil || n.Process.PID != 0 {
		t.Errorf("%v %+v", n.Unknown, n.Process)
	}
	h.API = func(context.Context, Dial, actual.Target) (Answers, error) {
		return Answers{Vault: &actual.Vault{Sealed: true}, Devices: map[string]actual.Device{}}, nil
	}
	target.API = "script"
	if n := h.Look(t.Context(), target); n.Vault != nil {
		t.Errorf("%+v", n.Vault)
	}
	target.API = "tunnel"
	if n := h.Look(t.Context(), target); n.Vault == nil || n.Audit == nil || n.Audit.Devices == nil {
		t.Errorf("%+v", n)
	}
}

func TestCertificateOnDisk(t *testing.T) {
	m := newMachine(t).installed()
	now := time.Now()
	ca, caKey := issue(t, "ca", nil, nil, now, true)
	leaf, key := issue(t, "vault.internal", ca, caKey, now, false)
	text := pemOf("CERTIFICATE", leaf.Raw) + pemOf("EC PRIVATE KEY", []byte("never leaves the node"))
	m.writeMode("/etc/vault.d/tls.crt", text, 0o644)
	_ = key
	target := m.target()
	target.Certificate, target.Files["/etc/vault.d/tls.crt"] = "/etc/vault.d/tls.crt", "sha256:"+hexOf(text)
	target.ServerName, target.CAs = "vault.internal", [][]byte{[]byte(pemOf("CERTIFICATE", ca.Raw))}
	h := m.host()
	see := func() *actual.Certificate {
		return h.Look(t.Context(), target).Files["/etc/vault.d/tls.crt"].Certificate
	}
	if c := see(); c == nil || c.Problem != "" || c.Digest != "sha256:"+hexOf(string(leaf.Raw)) || !c.NotAfter.Equal(leaf.NotAfter) || c.Names[0] != "vault.internal" {
		t.Errorf("%+v", c)
	}
	if c := see(); c == nil || c.Problem != "" {
		t.Errorf("from memory: %+v", c)
	}
	if out := m.must("", "probe", "n", "certificate=/etc/vault.d/tls.crt"); strings.Contains(out, "bmV2ZXIgbGVhdmVz") {
		t.Error("a private key left the node")
	}
	target.ServerName = "other.internal"
	if c := see(); c.Problem != "wrong-name" {
		t.Errorf("%+v", c)
	}
	other, _ := issue(t, "other ca", nil, nil, now, true)
	target.CAs = [][]byte{[]byte(pemOf("CERTIFICATE", other.Raw))}
	if c := see(); c.Problem != "unknown-authority" {
		t.Errorf("%+v", c)
	}
	h.Now = func() time.Time { return now.Add(48 * time.Hour) }
	if c := see(); c.Problem != "expired" {
		t.Errorf("%+v", c)
	}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// issue makes a certificate that is good for a day.
func issue(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, now time.Time, isCA bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: isCA, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// What lies beside the configuration is told where Vault would read it, and a node
// cannot tell of files elsewhere.
func TestFilesBesideTheConfigurationAreTold(t *testing.T) {
	m := newMachine(t)
	m.write("/etc/vault.d/vault.hcl", config)
	for _, name := range []string{"more.hcl", "other.json", "vault.hcl.bak", "vault.hcl~", "sub dir.hcl", "vault.env"} {
		m.write("/etc/vault.d/"+name, "x")
	}
	m.write("/etc/elsewhere.hcl", "x")
	n := m.host().Look(t.Context(), m.target())
	if want := []string{"/etc/vault.d/more.hcl", "/etc/vault.d/other.json", "/etc/vault.d/sub dir.hcl"}; !slices.Equal(n.Beside, want) {
		t.Errorf("%q", n.Beside)
	}
}
