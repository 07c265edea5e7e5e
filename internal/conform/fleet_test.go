//go:build linux

package conform_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/conform"
	"github.com/vaultfleet/reconciler/internal/embed"
	"github.com/vaultfleet/reconciler/internal/embed/simvault"
	"github.com/vaultfleet/reconciler/internal/host"
)

func TestMain(m *testing.M) {
	simvault.Main()
	embed.Main()
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fleet is machines, and the key that logs in there.
func fleet(t *testing.T, nodes ...string) (*embed.Fleet, ssh.Signer) {
	t.Helper()
	dir, err := os.MkdirTemp("", "conform")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	must(t, err)
	f, err := embed.New(embed.Options{Dir: dir, Nodes: nodes, Key: signer.PublicKey()})
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	return f, signer
}

// servers are three simulators.
func servers(t *testing.T, binary string) *conform.Fleet {
	t.Helper()
	f, _ := fleet(t, "a", "b", "c")
	must(t, simvault.Hasten(f, 4*time.Second))
	s, err := conform.NewFleet(f, binary)
	must(t, err)
	return s
}

func simulator(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vault")
	f, err := os.Create(path)
	must(t, err)
	must(t, simvault.Release(f, version))
	must(t, f.Close())
	return path
}

func TestTheSimulatorAnswersAsVault(t *testing.T) {
	t.Parallel()
	s := servers(t, simulator(t, "1.21.0"))
	for _, f := range conform.API(t.Context(), s, conform.Options{Version: "1.21.0", Exact: true, Patience: 15 * time.Second}) {
		t.Error(f)
	}
}

func TestTheSimulatorsProcessIsAsVaults(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.19.0", "1.21.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := servers(t, simulator(t, version))
			for _, f := range conform.Process(t.Context(), s, conform.Options{Version: version, Exact: true, Patience: 15 * time.Second}) {
				t.Error(f)
			}
		})
	}
}

func TestTheNodeScriptOnAnEmbeddedMachine(t *testing.T) {
	t.Parallel()
	f, signer := fleet(t, "a")
	n := f.Nodes[0]
	_, _, key, _, _, err := ssh.ParseKnownHosts([]byte(n.HostKey))
	must(t, err)
	client, err := ssh.Dial("tcp", net.JoinHostPort(n.Address, strconv.Itoa(embed.Port)), &ssh.ClientConfig{User: embed.Account,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(key), Timeout: 10 * time.Second})
	must(t, err)
	defer client.Close()
	script, _ := host.Script()
	for _, f := range conform.Script(t.Context(), client, script) {
		t.Error(f)
	}
}
