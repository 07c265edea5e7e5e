package host

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

func TestParseFrame(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []fact
		err  string
	}{
		"plain":                       {"begin N 1\nuid\t=0\nend N\n", []fact{{"uid", "", "0"}}, ""},
		"with a subject":              {"begin N 1\nstat /etc/x\t=81a4 root\nend N\n", []fact{{"stat", "/etc/x", "81a4 root"}}, ""},
		"any bytes":                   {"begin N 1\nhold\t~" + base64.StdEncoding.EncodeToString([]byte("a\nend N\n\x00")) + "\nend N\n", []fact{{"hold", "", "a\nend N\n\x00"}}, ""},
		"a banner around it":          {"Welcome!\nbegin N\nbegin N 1\nuid\t=0\nend N\nbye\n", []fact{{"uid", "", "0"}}, ""},
		"begin in the middle of text": {"they say begin N 1\nbegin N 1\nend N\n", []fact{}, ""},
		"nothing":                     {"", nil, errNoFrame.Error()},
		"another nonce":               {"begin M 1\nuid\t=0\nend M\n", nil, errNoFrame.Error()},
		"cut":                         {"begin N 1\nuid\t=0\n", nil, "the answer was cut"},
		"cut in a line":               {"begin N 1\nuid\t=0\nend N", nil, "the answer was cut"},
		"another end":                 {"begin N 1\nuid\t=0\nend M\n", nil, "not a line of the node script: end M"},
		"no value":                    {"begin N 1\nuid\nend N\n", nil, "not a line of the node script: uid"},
		"no kind":                     {"begin N 1\nuid\t0\nend N\n", nil, "the value of uid is of no known kind"},
		"bad base64":                  {"begin N 1\nuid\t~?\nend N\n", nil, "the value of uid is not base64"},
		"escapes":                     {"begin N 1\nuid\t=\x1b[2Jx\nend N\n", nil, "the value of uid has bytes that it cannot have"},
		"too many":                    {"begin N 1\n" + strings.Repeat("a\t=\n", lineCap+1) + "end N\n", nil, "the answer has more than 4096 lines"},
	} {
		got, err := parseFrame([]byte(c.in), "N")
		if !slices.Equal(got, c.want) || (err != nil && err.Error() != c.err) || (err == nil && c.err != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := parseFrame(nil, "N"); !errors.Is(err, errNoFrame) {
		t.Error(err)
	}
}

func TestCleanLeavesNothingThatMovesACursor(t *testing.T) {
	for in, want := range map[string]string{
		"ok":                "ok",
		"\x1b[31mred\x07":   "?[31mred?",
		"a\nb\tc\r":         "a b c?",
		"\u202egnp.exe":     "???gnp.exe",
		"0123456789abcdef0": "0123456789abcdef…",
	} {
		if got := clean(in, 16); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

// hostileTarget is asked about by the fuzzer.
func hostileTarget() actual.Target {
	return actual.Target{Node: "eu-1", Service: "vault", BinaryPath: "/usr/local/bin/vault", Versions: []string{"1.21.0"},
		ConfigPath: "/etc/vault.d/vault.hcl", Certificate: "/etc/vault.d/tls.crt", DataPath: "/opt/vault/data",
		Files: map[string]string{"/etc/vault.d/vault.hcl": "sha256:00"}, Users: []string{"vault"}, AuditFiles: []string{"/var/log/a"}, Peers: []string{"10.0.0.2:8200"}}
}

// FuzzFrame: whatever a node says, the look neither panics nor lets through a
// fact that nobody asked for, a control character, or an absurd amount.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("begin N 1\nuid\t=0\nclock\t=1700000000.5\nunit MainPID\t=42\nexe\t=1 2 3 4.0 5.0\nstat /etc/vault.d/vault.hcl\t=81a4 root root 1 2.0 3.0 4 5\nend N\n"))
	f.Add([]byte("begin N 1\nlinks\t~L2EAYgAvYw==\nmark\t=invocation \nfree /\t=99999999999999999 9999\nepoch\t=18446744073709551616 x\nend N\n"))
	f.Add([]byte("begin N 1\ndata\t=used\ndata-device\t=UUID=\"\" FSTYPE=\"ext4\" SOURCE=\"/dev/a\nend N\n"))
	f.Add([]byte("begin N 1\nhold\t~" + base64.StdEncoding.EncodeToString([]byte("\x1b]0;x\x07")) + "\npem 00\t~LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K\nend N\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		facts, err := parseFrame(out, "N")
		if err != nil {
			return
		}
		target := hostileTarget()
		r := newReading(target, facts)
		for _, word := range r.wantHashed() {
			r.hashes[r.prints[word]] = "sha256:" + strings.Repeat("0", 64)
		}
		var known bodies
		known.take(target, r)
		var n actual.Node
		r.fill(&n, time.Unix(1700000000, 0), &known)
		for path := range n.Files {
			if path != target.ConfigPath && path != target.Certificate {
				t.Errorf("a file that nobody asked about: %q", path)
			}
		}
		for _, s := range []string{n.Machine.BootID, n.Machine.Platform, n.Machine.MachineID, r.garbled} {
			if !printable(strings.ReplaceAll(s, "…", "")) || len(s) > 400 {
				t.Errorf("let through %q", s)
			}
		}
		if n.Machine.Hold != nil && !printable(strings.ReplaceAll(n.Machine.Hold.Text, "…", "")) {
			t.Errorf("let through %q", n.Machine.Hold.Text)
		}
		if len(n.Users) > 1 || len(n.Machine.PeersReach) > 1 || len(n.Machine.FreeBytes) > 3 {
			t.Errorf("more than was asked for: %v %v %v", n.Users, n.Machine.PeersReach, n.Machine.FreeBytes)
		}
	})
}

// wire is what a converged node says on a warm look.
func wire() []byte {
	var b strings.Builder
	b.WriteString("begin N 1\nuid\t=0\nmachine-id\t=0123456789abcdef0123456789abcdef\nboot-id\t=5f4dcc3b-5aa7-65d6-1d83-27deb882cf99\nplatform\t=Linux x86_64\nclock\t=1795450734.980453653\nscript\t=" + strings.Repeat("a", 64) + "\nepoch\t=12 reconciler@ops-1\nuser vault\t=1\ngroup vault\t=1\n")
	for i := range 12 {
		fmt.Fprintf(&b, "stat /etc/vault.d/file%d\t=81a0 root vault 1267 1795450458.623561831 1795450458.623561831 65024 %d\nsha /etc/vault.d/file%d\t=%s\n", i, i, i, strings.Repeat("b", 64))
	}
	for _, p := range strings.Fields("LoadState=loaded ActiveState=active SubState=running Result=success UnitFileState=enabled NeedDaemonReload=no FragmentPath=/etc/systemd/system/vault.service DropInPaths= InvocationID=d00d NRestarts=0 MainPID=4242") {
		k, v, _ := strings.Cut(p, "=")
		fmt.Fprintf(&b, "unit %s\t=%s\n", k, v)
	}
	b.WriteString("unit ExecMainStartTimestamp\t=Mon 2026-11-23 10:00:00 UTC\nexe\t=65024 77 400000000 1795450458.623561831 1795450458.623561831\ndata\t=used\ndata-peers\t=0\ndata-device\t=UUID=\"42\" FSTYPE=\"ext4\" SOURCE=\"/dev/vdb\" FSROOT=\"/\"\naudit /var/log/vault/audit.log\t=1\nfree /opt/vault/data\t=19603504 4096\nend N\n")
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	target := hostileTarget()
	for i := range 12 {
		target.Files[fmt.Sprintf("/etc/vault.d/file%d", i)] = "sha256:" + strings.Repeat("b", 64)
	}
	out := wire()
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		facts, err := parseFrame(out, "N")
		if err != nil {
			b.Fatal(err)
		}
		var n actual.Node
		newReading(target, facts).fill(&n, time.Unix(1700000000, 0), &bodies{})
		if n.Process == nil || n.Process.PID != 4242 {
			b.Fatal("not parsed")
		}
	}
}
