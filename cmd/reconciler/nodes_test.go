package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/sim"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// TestNodes runs the stories of testdata/nodes: what the commands about nodes
// print and exit with. Every script finds a fleet repo in fleet/, and a command
// `world` that brings simulated machines to a situation and writes it down as
// --have reads it.
func TestNodes(t *testing.T) {
	repo := material(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/nodes",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("USER", "ada")
			env.Setenv("SUDO_USER", "")
			for path, body := range repo {
				if err := lay(filepath.Join(env.WorkDir, "fleet", path), body); err != nil {
					return err
				}
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "id"), sshKey(t), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"world":  world_,
			"exits":  exits,
			"git":    git_,
			"commit": commit,
		},
	})
}

func lay(path, body string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(body), 0o644)
}

// git_ runs git in a folder: git FOLDER ARGUMENT…
func git_(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("git", append([]string{"-C", args[0]}, args[1:]...)...))
}

// commit commits all of a folder: commit FOLDER SUBJECT
func commit(ts *testscript.TestScript, _ bool, args []string) {
	git_(ts, false, []string{args[0], "add", "--all"})
	git_(ts, false, []string{args[0], "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", args[1]})
}

// exits says which code a command ends with: exits CODE COMMAND…
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		var ended interface{ ExitCode() int }
		if !asExit(err, &ended) {
			ts.Fatalf("%v", err)
		}
		code = ended.ExitCode()
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s\n%s%s", code, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

func asExit(err error, to *interface{ ExitCode() int }) bool {
	x, ok := err.(interface{ ExitCode() int })
	*to = x
	return ok
}

// world_ is `world bare|born FILE [ACT NODE]…`: machines as they come, or a
// cluster that was born and converged on old/, or fleet/ where there is no
// old/; then what happens to single nodes; then the look at them for fleet/.
func world_(ts *testscript.TestScript, _ bool, args []string) {
	now := prod(ts, "fleet")
	want := now
	if _, err := os.Stat(ts.MkAbs("old")); err == nil {
		want = prod(ts, "old")
	}
	w := sim.NewWorld(1)
	for _, n := range want.Nodes {
		w.AddNode(n.Name, n.Address)
	}
	w.Use(want)
	if args[0] == "born" {
		bear(ts, w, want)
	}
	for i := 2; i+1 < len(args); i += 2 {
		happen(ts, w, want, args[i], w.Node(args[i+1]))
	}
	memory, _, err := w.Ports().Store.Load(context.Background(), want.Name)
	ts.Check(err)
	have := haveFile{Now: w.Time, Memory: map[string]diff.Memory{want.Name: memory}, Nodes: map[string][]actual.Node{}}
	for _, t := range diff.Targets(now, memory) {
		have.Nodes[want.Name] = append(have.Nodes[want.Name], w.Look(context.Background(), t))
		have.Nodes[want.Name][len(have.Nodes[want.Name])-1].Name = t.Node
	}
	text, err := json.MarshalIndent(have, "", " ")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o644))
}

func prod(ts *testscript.TestScript, dir string) desired.Cluster {
	fleet := desired.Load(os.DirFS(ts.MkAbs(dir)), loadOptions())
	c, ok := fleet.Cluster("prod")
	if !ok {
		ts.Fatalf("%s/ has no whole cluster prod: %v", dir, fleet.Errors())
	}
	return c
}

// bear brings a cluster from bare machines to where it is in sync.
func bear(ts failer, w *sim.World, want desired.Cluster) {
	ctx, spec := context.Background(), specOf(want)
	change := func(how func(*diff.Memory)) {
		if err := w.Change(ctx, want.Name, func(m diff.Memory) diff.Memory { how(&m); return m }); err != nil {
			ts.Fatalf("change the memory: %v", err)
		}
	}
	change(func(m *diff.Memory) {
		m.Leaves = append(m.Leaves, diff.Leave{Kind: diff.LeaveInit, By: "ada", At: w.Time})
	})
	loop.Converge(ctx, w.Ports(), spec, nil)
	change(func(m *diff.Memory) { m.Birth.Phase = diff.BirthConfirmed })
	if last := loop.Converge(ctx, w.Ports(), spec, nil); last.Err != nil || !last.Plan.Empty() {
		ts.Fatalf("the cluster is not in sync: %v %+v", last.Err, last.Plan)
	}
}

// failer is what a test and a script have in common.
type failer interface {
	Fatalf(format string, args ...any)
}

// specOf is a cluster with its contents as they lie in the repo: the simulated
// machines do not look into keys.
func specOf(c desired.Cluster) loop.Spec {
	return loop.Spec{Cluster: c, Commit: "9f2c1e7", Contents: func(_ context.Context, digest string) (io.ReadCloser, error) {
		body, ok := c.Content(digest)
		if !ok {
			return nil, fmt.Errorf("no content %s", digest)
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}}
}

// happen is what comes over one machine.
func happen(ts *testscript.TestScript, w *sim.World, want desired.Cluster, act string, n *sim.Node) {
	switch act {
	case "seal":
		n.Vault.Seal()
	case "reboot":
		n.Reboot(want, w.Time)
	case "gone":
		n.Down = true
	case "edit":
		f := n.Files["/etc/vault.d/tls/ca.crt"]
		f.Body, f.Mtime = []byte("edited by hand"), w.Time
		n.Files["/etc/vault.d/tls/ca.crt"] = f
	case "louder":
		f := n.Files["/etc/vault.d/vault.hcl"]
		f.Body, f.Mtime = bytes.Replace(f.Body, []byte(`"info"`), []byte(`"debug"`), 1), w.Time
		n.Files["/etc/vault.d/vault.hcl"] = f
	case "close":
		f := n.Files["/etc/vault.d/tls/ca.crt"]
		f.Mode = "0600"
		n.Files["/etc/vault.d/tls/ca.crt"] = f
	default:
		ts.Fatalf("nothing is known to happen as %q", act)
	}
}

// material is a fleet repo of one cluster, with certificates that are good for
// it.
func material(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{
		"fleet.yaml":                 "format: 1\nfleet: acme\nreleases: {source: file:///srv/releases}\n",
		"vault.lock":                 lock("1.21.0", "1.21.1"),
		"clusters/prod/cluster.yaml": clusterFile,
	}
	// The same bytes at each run: plans show the first digits of digests.
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(10 * 365 * 24 * time.Hour)}
	sign := func(leaf *x509.Certificate) string {
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, private.Public(), private)
		check(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	files["clusters/prod/tls/ca.crt"] = sign(ca)
	for i := 1; i <= 3; i++ {
		name := fmt.Sprint("eu-", i)
		files["clusters/prod/tls/"+name+".crt"] = sign(&x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(10 * 365 * 24 * time.Hour), IPAddresses: []net.IP{net.IPv4(10, 1, 0, byte(10+i))}})
		files["clusters/prod/tls/"+name+".key.age"] = encrypted(t, "the key of "+name)
	}
	return files
}

// sshKey is the reconciler's own identity towards nodes.
func sshKey(t testing.TB) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), "")
	check(t, err)
	return pem.EncodeToMemory(block)
}

func lock(versions ...string) string {
	text := "format: 1\nvault:\n"
	for _, v := range versions {
		// As the simulated machines see the bytes of a version.
		text += fmt.Sprintf("  %s:\n    linux_amd64: {archive: \"sha256:%x\", binary: \"sha256:%x\"}\n", v, sha256.Sum256([]byte("zip "+v)), sha256.Sum256([]byte("vault "+v)))
	}
	return text
}

func encrypted(t testing.TB, text string) string {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	check(t, err)
	return encryptedTo(t, identity.Recipient(), text)
}

func encryptedTo(t testing.TB, recipient age.Recipient, text string) string {
	t.Helper()
	var out bytes.Buffer
	outer := armor.NewWriter(&out)
	inner, err := age.Encrypt(outer, recipient)
	check(t, err)
	_, err = io.WriteString(inner, text)
	check(t, err)
	check(t, inner.Close())
	check(t, outer.Close())
	return out.String()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const clusterFile = `cluster: prod
mode: enforce
labels: {region: eu}
vault: {version: 1.21.0}
ca: tls/ca.crt
storage: {raft: {path: /opt/vault/data}}
listener:
  - tcp: {address: "0.0.0.0:8200", tls_cert_file: /etc/vault.d/tls/vault.crt, tls_key_file: /etc/vault.d/tls/vault.key}
seal: shamir
keys: {secret_shares: 5, secret_threshold: 3, held_by: reconciler}
config:
  disable_mlock: true
  log_level: info
  ui: true
  telemetry: {prometheus_retention_time: 24h, disable_hostname: true}
files:
  - {path: /etc/vault.d/tls/vault.crt, source: "tls/{node}.crt", group: vault, mode: "0644", on_change: reload}
  - {path: /etc/vault.d/tls/vault.key, source: "age:tls/{node}.key.age", group: vault, mode: "0640", on_change: reload}
  - {path: /etc/vault.d/tls/ca.crt, source: tls/ca.crt}
audit:
  - {path: file, type: file, options: {file_path: /var/log/vault/audit.log}}
  - {path: syslog, type: syslog}
nodes:
  - {name: eu-1, address: 10.1.0.11, zone: a}
  - {name: eu-2, address: 10.1.0.12, zone: b}
  - {name: eu-3, address: 10.1.0.13, zone: c}
`
