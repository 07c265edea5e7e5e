//go:build linux

package conform_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	var machines []conform.Machine
	for _, n := range f.Nodes {
		machines = append(machines, conform.Machine{Host: n, Name: n.Name, Address: n.Address})
	}
	s, err := conform.NewFleet(binary, new(net.Dialer).DialContext, machines...)
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

func TestTheSimulatorsCommandIsAsVaults(t *testing.T) {
	t.Parallel()
	s := servers(t, simulator(t, "1.21.0"))
	for _, f := range conform.Tool(t.Context(), s, conform.Options{Version: "1.21.0", Exact: true, Patience: 15 * time.Second}) {
		t.Error(f)
	}
}

// liar are machines that do another thing than what they are asked for.
type liar struct {
	*conform.Fleet
	reload func(s *conform.Fleet, server string) error
	write  func(s *conform.Fleet, server, path, text string) error
	serial func(s *conform.Fleet, server string, port int) (string, error)
	shell  func(script string) string // which is run instead
}

func (l liar) Reload(server string) error {
	if l.reload != nil {
		return l.reload(l.Fleet, server)
	}
	return l.Fleet.Reload(server)
}

func (l liar) Write(server, path, text string) error {
	if l.write != nil {
		return l.write(l.Fleet, server, path, text)
	}
	return l.Fleet.Write(server, path, text)
}

func (l liar) Serial(ctx context.Context, server string, port int) (string, error) {
	if l.serial != nil {
		return l.serial(l.Fleet, server, port)
	}
	return l.Fleet.Serial(ctx, server, port)
}

func (l liar) Shell(server, script, stdin string) (string, int, error) {
	if l.shell != nil {
		script = l.shell(script)
	}
	return l.Fleet.Shell(server, script, stdin)
}

func TestTheSuitesAboutMachinesCatchLies(t *testing.T) {
	t.Parallel()
	without := func(words string) func(string) string {
		return func(script string) string { return strings.ReplaceAll(script, words, "") }
	}
	not := func(call string) func(string) string {
		return func(script string) string {
			if strings.Contains(script, call) {
				return "true"
			}
			return script
		}
	}
	binary := simulator(t, "1.21.0")
	type suite func(ctx context.Context, m conform.Machines, o conform.Options) []string
	for name, l := range map[string]struct {
		suite suite
		lie   liar
	}{
		"a reload does nothing": {conform.Process, liar{reload: func(*conform.Fleet, string) error { return nil }}},
		"a reload is a restart": {conform.Process, liar{reload: func(s *conform.Fleet, server string) error {
			return errors.Join(s.Stop(server), s.Start(server))
		}}},
		"any configuration will do": {conform.Process, liar{write: func(s *conform.Fleet, server, path, text string) error {
			if config, _, _ := s.Paths(); path == config {
				text = s.Config(server)
			}
			return s.Write(server, path, text)
		}}},
		"it listens at any port": {conform.Process, liar{serial: func(s *conform.Fleet, server string, _ int) (string, error) {
			return s.Serial(t.Context(), server, 8200)
		}}},
		"shares are not encrypted":       {conform.Tool, liar{shell: without("-pgp-keys=$R/tmp/holder.pub,$R/tmp/holder.pub,$R/tmp/holder.pub")}},
		"the root token is not":          {conform.Tool, liar{shell: without("-root-token-pgp-key=$R/tmp/holder.pub")}},
		"a reset forgets nothing":        {conform.Tool, liar{shell: not("unseal -reset")}},
		"a device is not enabled":        {conform.Tool, liar{shell: not("write sys/audit/tool")}},
		"a token does not revoke itself": {conform.Tool, liar{shell: not("token revoke")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l.lie.Fleet = servers(t, binary)
			if found := l.suite(t.Context(), l.lie, conform.Options{Version: "1.21.0", Exact: true, Brief: true, Patience: 2 * time.Second}); len(found) == 0 {
				t.Error("nobody noticed")
			}
		})
	}
}
