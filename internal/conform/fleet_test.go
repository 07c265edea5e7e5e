//go:build linux

package conform_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/conform"
	"github.com/vaultfleet/reconciler/internal/embed"
	"github.com/vaultfleet/reconciler/internal/embed/simvault"
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

// servers are two simulators on embedded nodes, or two of a real Vault.
func servers(t *testing.T, binary string, real bool) *conform.Fleet {
	t.Helper()
	dir, err := os.MkdirTemp("", "conform")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	public, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	login, err := ssh.NewPublicKey(public)
	must(t, err)
	f, err := embed.New(embed.Options{Dir: dir, Nodes: []string{"a", "b"}, Key: login, Confined: real})
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	if !real {
		must(t, simvault.Hasten(f, time.Second))
	}
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
	s := servers(t, simulator(t, "1.21.0"), false)
	for _, f := range conform.API(t.Context(), s, conform.Options{Version: "1.21.0", Exact: true, Patience: 15 * time.Second}) {
		t.Error(f)
	}
}

func TestTheSimulatorsProcessIsAsVaults(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.19.0", "1.21.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := servers(t, simulator(t, version), false)
			for _, f := range conform.Process(t.Context(), s, conform.Options{Version: version, Exact: true, Patience: 15 * time.Second}) {
				t.Error(f)
			}
		})
	}
}
