//go:build linux

package e2e

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/ssh"
	"github.com/vaultfleet/reconciler/pkg/actual"
)

// kept is a connection in the words of internal/host.
type kept struct{ *ssh.Conn }

func (k kept) Run(ctx context.Context, command string, stdin io.Reader, limit int64) (host.Output, error) {
	out, err := k.Conn.Run(ctx, command, stdin, limit)
	return host.Output(out), err
}

// eyes are the product's eyes, over connections that stay open until the pool
// is closed.
func (r *Rig) eyes(api host.API) (*host.Host, *ssh.Pool) {
	pool := ssh.New(ssh.Settings{KnownHosts: r.KnownHosts, Key: r.Key,
		Allow: func(actual.Target, []netip.Addr) error { return nil },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return r.Dial(ctx, network, address)
		}})
	eyes := host.New(host.Settings{Now: time.Now, API: api, Enforced: func(actual.Target) bool { return true },
		Connect: func(ctx context.Context, target actual.Target) (host.Conn, error) {
			conn, err := pool.Connect(ctx, target)
			if err != nil {
				return nil, err
			}
			return kept{conn}, nil
		}})
	return eyes, pool
}

// TestALookIsTwoRoundTrips measures what a look costs on the wire: cold, from
// the first packet on, and warm, on a connection that is kept. Only integers are
// asserted; the rest is for the record.
func TestALookIsTwoRoundTrips(t *testing.T) {
	rig := NewRig(t, 1)
	n := rig.Nodes[0]
	proxy := n.Proxy("22", 0)
	eyes, pool := rig.eyes(nil)
	defer pool.Close()
	target := actual.Target{Cluster: "prod", Node: n.Name, Address: n.Via, Port: 22, User: Account, Service: "vault",
		BinaryPath: "/usr/local/bin/vault", Versions: []string{"1.21.0"}, ConfigPath: "/etc/vault.d/vault.hcl", DataPath: "/opt/vault/data",
		Users: []string{"vault"}, Groups: []string{"vault"}, AuditUser: "vault", AuditFiles: []string{"/var/log/vault/audit.log"},
		Files: map[string]string{"/etc/vault.d": "", "/etc/vault.d/vault.hcl": "sha256:0", "/etc/vault.d/tls/vault.crt": "sha256:0", "/etc/vault.d/tls/vault.key": "sha256:0", "/etc/systemd/system/vault.service": "sha256:0"}}
	if _, err := eyes.Node(target).Verb(t.Context(), host.Fence{Epoch: 1, Holder: "figures", Op: "op-1"}, "fence", nil, nil); err != nil {
		t.Fatal(err)
	}
	pool.Close()

	before := proxy.Traffic()
	look := func() {
		if seen := eyes.Look(t.Context(), target); seen.Machine == nil || !seen.Machine.Root {
			t.Fatalf("the look sees nothing: %v", seen.Unknown)
		}
	}
	look()
	cold := proxy.Traffic()
	t.Logf("cold look: %d round trips, %d bytes to the node, %d from it", cold.RoundTrips-before.RoundTrips, cold.ToNode-before.ToNode, cold.FromNode-before.FromNode)
	const looks = 20
	allocated := testing.AllocsPerRun(looks-1, look) // and one to warm up
	warm := proxy.Traffic()
	trips := warm.RoundTrips - cold.RoundTrips
	t.Logf("warm look: %.2f round trips, %d bytes to the node, %d from it, %.0f allocations", float64(trips)/looks,
		(warm.ToNode-cold.ToNode)/looks, (warm.FromNode-cold.FromNode)/looks, allocated)
	if warm.Connections != cold.Connections {
		t.Errorf("%d connections were made for warm looks", warm.Connections-cold.Connections)
	}
	// We speak four times, each time after the node did: open, exec, the end of the
	// input, close. Only the first two are waited for, and whether the last comes
	// before the node's own close or after it, and so counts, is up to the network.
	if trips > looks*4 {
		t.Errorf("%d warm looks took %d round trips", looks, trips)
	}
}
