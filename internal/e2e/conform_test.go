//go:build linux

package e2e

import (
	"os"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/conform"
	"github.com/vaultfleet/reconciler/internal/embed"
)

// TestVaultAnswersAsTheSimulatorIsHeldTo holds Vault itself to the suite that the
// simulator passes in go test: what the suite names is what Vault does.
func TestVaultAnswersAsTheSimulatorIsHeldTo(t *testing.T) {
	for _, version := range []string{"1.19.0", "1.21.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel() // it waits for leaders more than it works
			rig := NewRig(t, 0)
			binary := rig.Vault(version)
			dir, err := os.MkdirTemp("/var/tmp", "conform") // the names of sockets must be short
			rig.must(err)
			t.Cleanup(func() { rig.must(os.RemoveAll(dir)) })
			private, err := os.ReadFile(rig.Key)
			rig.must(err)
			key, err := ssh.ParsePrivateKey(private)
			rig.must(err)
			fleet, err := embed.New(embed.Options{Dir: dir, Nodes: []string{"a", "b"}, Key: key.PublicKey(), Confined: true})
			rig.must(err)
			t.Cleanup(func() { rig.must(fleet.Close()) })
			servers, err := conform.NewFleet(fleet, binary)
			rig.must(err)
			for _, f := range conform.API(t.Context(), servers, conform.Options{Version: version, Patience: time.Minute}) {
				t.Error(f)
			}
			if t.Failed() {
				for _, n := range fleet.Nodes {
					t.Logf("%s said\n%s", n.Name, n.Journal("vault"))
				}
			}
		})
	}
}
