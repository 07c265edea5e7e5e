//go:build linux

package e2e

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/conform"
	"github.com/vaultfleet/reconciler/internal/embed"
	"github.com/vaultfleet/reconciler/internal/host"
)

// TestVaultAnswersAsTheSimulatorIsHeldTo holds Vault itself to the suite that the
// simulator passes in go test: what the suite names is what Vault does.
func TestVaultAnswersAsTheSimulatorIsHeldTo(t *testing.T) {
	for _, version := range []string{"1.19.0", "1.21.0"} {
		for name, suite := range map[string]func(context.Context, *conform.Fleet, conform.Options) []string{
			"api": func(ctx context.Context, s *conform.Fleet, o conform.Options) []string { return conform.API(ctx, s, o) },
			"process": func(ctx context.Context, s *conform.Fleet, o conform.Options) []string {
				return conform.Process(ctx, s, o)
			},
			"tool": func(ctx context.Context, s *conform.Fleet, o conform.Options) []string {
				return conform.Tool(ctx, s, o)
			},
		} {
			t.Run(version+" "+name, func(t *testing.T) {
				t.Parallel() // it waits for leaders more than it works
				servers := pair(t, version)
				for _, f := range suite(t.Context(), servers, conform.Options{Version: version, Patience: time.Minute}) {
					t.Error(f)
				}
				if t.Failed() {
					t.Logf("a said\n%s\nb said\n%s", servers.Said("a"), servers.Said("b"))
				}
			})
		}
	}
}

// pair are two servers of Vault, confined to the folders of embedded nodes: what
// Vault answers does not depend on the system round it.
func pair(t *testing.T, version string) *conform.Fleet {
	t.Helper()
	rig := NewRig(t, 0)
	binary := rig.Vault(version)
	dir, err := os.MkdirTemp("/var/tmp", "conform") // the names of sockets must be short
	rig.must(err)
	t.Cleanup(func() { rig.must(os.RemoveAll(dir)) })
	private, err := os.ReadFile(rig.Key)
	rig.must(err)
	key, err := ssh.ParsePrivateKey(private)
	rig.must(err)
	fleet, err := embed.New(embed.Options{Dir: dir, Nodes: []string{"a", "b", "c"}, Key: key.PublicKey(), Confined: true})
	rig.must(err)
	t.Cleanup(func() { rig.must(fleet.Close()) })
	var machines []conform.Machine
	for _, n := range fleet.Nodes {
		machines = append(machines, conform.Machine{Host: n, Name: n.Name, Address: n.Address})
	}
	servers, err := conform.NewFleet(binary, new(net.Dialer).DialContext, machines...)
	rig.must(err)
	return servers
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
