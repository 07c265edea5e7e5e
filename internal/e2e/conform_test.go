//go:build linux

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/conform"
	"github.com/vaultfleet/reconciler/internal/host"
)

// TestVaultAnswersAsTheSimulatorIsHeldTo holds Vault itself, a service of real
// hosts, to the suites that the simulator passes in go test: what they name is what
// Vault does.
func TestVaultAnswersAsTheSimulatorIsHeldTo(t *testing.T) {
	for _, version := range []string{"1.19.0", "1.21.0"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel() // it waits for leaders more than it works
			rig := NewRig(t, 3)
			binary := rig.Vault(version)
			for _, suite := range []struct {
				about string
				look  func(context.Context, conform.Machines, conform.Options) []string
			}{
				{"tool", conform.Tool},
				{"process", conform.Process},
				{"api", func(ctx context.Context, m conform.Machines, o conform.Options) []string {
					return conform.API(ctx, m, o)
				}},
			} {
				t.Run(suite.about, func(t *testing.T) {
					servers, err := rig.Servers(binary)
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range suite.look(t.Context(), servers, conform.Options{Version: version, Patience: time.Minute}) {
						t.Error(f)
					}
					if t.Failed() {
						t.Logf("a said\n%s\nb said\n%s", servers.Said("a"), servers.Said("b"))
					}
				})
			}
		})
	}
}

// TestTheNodeScriptOnARealMachine holds a real host to the table that embedded
// machines are held to in go test.
func TestTheNodeScriptOnARealMachine(t *testing.T) {
	rig := NewRig(t, 1)
	rig.Nodes[0].Must("if id vault >/dev/null 2>&1; then userdel vault; fi")
	client, err := rig.Nodes[0].SSH()
	rig.must(err)
	defer client.Close()
	script, _ := host.Script()
	for _, f := range conform.Script(t.Context(), client, script) {
		t.Error(f)
	}
}
