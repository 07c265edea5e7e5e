package conform

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/throwaway"
)

// Machine is where a server runs, under systemd.
type Machine struct {
	Host
	Name    string // of the server
	Address string
}

// Host is what somebody can do who is root on a machine.
type Host interface {
	// Shell runs a script, and returns what it printed. In it $RECONCILER_NODE_ROOT
	// is the folder that is the machine's file system; empty is /. The error says
	// that the script failed, with what it printed.
	Shell(script, stdin string) (string, error)
	// Reload reloads a unit. It returns once the process said that it is done; the
	// error says that it never was.
	Reload(unit string) error
}

// Dial connects to an address of a machine.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Fleet is servers on machines, one a machine: Vault or its simulator, as processes
// that systemd starts and that serve TLS.
type Fleet struct {
	machines []Machine
	dial     Dial
	ca       *throwaway.CA
	client   *http.Client
}

const (
	configPath = "/etc/vault.d/vault.hcl"
	certPath   = "/etc/vault.d/tls.crt"
	keyPath    = "/etc/vault.d/tls.key"
	unit       = "vault"
)

// systemd lets nobody start a unit more than five times in ten seconds
// (systemd.unit(5)); the suite about processes does.
const unitText = `[Unit]
StartLimitIntervalSec=0

[Service]
Type=notify
User=vault
Group=vault
ExecStart=/usr/local/bin/vault server -config=` + configPath + `
ExecReload=/bin/kill --signal HUP $MAINPID
`

// NewFleet puts a binary on machines, "a", "b" and "c", and starts it there for the first
// time: what an earlier fleet left behind is gone.
func NewFleet(binary string, dial Dial, machines ...Machine) (*Fleet, error) {
	ca, err := throwaway.NewCA()
	if err != nil {
		return nil, err
	}
	body, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	s := &Fleet{machines: machines, dial: dial, ca: ca, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: ca.Pool}, DisableKeepAlives: true}}}
	for _, m := range machines {
		if err := s.place(m, string(body)); err != nil {
			return nil, fmt.Errorf("place %s on %s: %w", binary, m.Name, err)
		}
	}
	for _, m := range machines {
		if err := s.Start(m.Name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Fleet) place(m Machine, binary string) error {
	if _, err := m.Shell(`umask 022; cd "$RECONCILER_NODE_ROOT/"
systemctl stop `+unit+` # if it is there
rm -rf opt/vault/data && mkdir -p opt/vault/data tmp && chown vault:vault opt/vault/data`, ""); err != nil {
		return err
	}
	if err := errors.Join(
		s.Write(m.Name, "/usr/local/bin/vault", binary),
		s.Write(m.Name, "/etc/systemd/system/"+unit+".service", unitText),
		s.Write(m.Name, configPath, s.Config(m.Name)),
		s.Write(m.Name, "/etc/vault.d/ca.crt", string(s.ca.PEM)),
		s.Certify(m.Name),
	); err != nil {
		return err
	}
	_, err := m.Shell(`chmod 755 "$RECONCILER_NODE_ROOT/usr/local/bin/vault" && systemctl daemon-reload`, "")
	return err
}

// Config is the configuration of a server.
func (s *Fleet) Config(server string) string {
	address := s.node(server).Address
	join := ""
	if server != "a" {
		join = fmt.Sprintf("  retry_join {\n    leader_api_addr = \"https://%s:8200\"\n    leader_ca_cert_file = \"/etc/vault.d/ca.crt\"\n  }\n", s.node("a").Address)
	}
	return fmt.Sprintf(`disable_mlock = true
log_level = "info"
api_addr = "https://%[1]s:8200"
cluster_addr = "https://%[1]s:8201"
listener "tcp" {
  address = "%[1]s:8200"
  tls_cert_file = "%[2]s"
  tls_key_file = "%[3]s"
}
storage "raft" {
  path = "/opt/vault/data"
  node_id = "%[4]s"
%[5]s}
`, address, certPath, keyPath, server, join)
}

func (s *Fleet) node(server string) Machine {
	for _, m := range s.machines {
		if m.Name == server {
			return m
		}
	}
	return Machine{}
}

// Write writes a file on a server's machine.
func (s *Fleet) Write(server, path, text string) error {
	_, err := s.node(server).Shell(`umask 022; p=$RECONCILER_NODE_ROOT`+path+`; mkdir -p "${p%/*}" && cat >"$p"`, text)
	return err
}

// Certify gives a server another certificate and its key.
func (s *Fleet) Certify(server string) error {
	cert, key, err := s.ca.Issue(server, s.node(server).Address)
	if err != nil {
		return err
	}
	return errors.Join(s.Write(server, certPath, string(cert)), s.Write(server, keyPath, string(key)))
}

// Stray is that of [Machines].
func (s *Fleet) Stray(server, path string) error {
	_, key, err := s.ca.Issue("stray")
	if err != nil {
		return err
	}
	return s.Write(server, path, string(key))
}

// Reload is that of [Machines].
func (s *Fleet) Reload(server string) error { return s.node(server).Reload(unit) }

// Serial is that of [Machines].
func (s *Fleet) Serial(ctx context.Context, server string, port int) (string, error) {
	address := s.node(server).Address
	wire, err := s.dial(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return "", err
	}
	defer wire.Close()
	conn := tls.Client(wire, &tls.Config{RootCAs: s.ca.Pool, ServerName: address})
	if err := conn.HandshakeContext(ctx); err != nil {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// Said is that of [Machines]. What cannot be read is empty.
func (s *Fleet) Said(server string) string {
	// The journal is written a little later than things are said.
	out, _ := s.node(server).Shell("journalctl --sync; journalctl --quiet --no-pager -o cat _SYSTEMD_UNIT="+unit+".service", "")
	return out
}

// Process is that of [Machines].
func (s *Fleet) Process(server string) string {
	out, err := s.node(server).Shell("systemctl show "+unit+" -P MainPID", "")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out)
}

// Paths are those of [Machines].
func (*Fleet) Paths() (config, cert, key string) { return configPath, certPath, keyPath }

// Ask is that of [Servers].
func (s *Fleet) Ask(ctx context.Context, server, method, path, token string, body any) (Answer, error) {
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return Answer{}, err
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, "https://"+s.node(server).Address+":8200/v1/"+path, &sent)
	if err != nil {
		return Answer{}, err
	}
	if token != "" {
		q.Header.Set("X-Vault-Token", token)
	}
	got, err := s.client.Do(q)
	if err != nil {
		return Answer{}, err
	}
	defer got.Body.Close()
	a := Answer{Code: got.StatusCode, Body: map[string]any{}}
	if err := json.NewDecoder(got.Body).Decode(&a.Body); err != nil && !errors.Is(err, io.EOF) {
		return a, err
	}
	return a, nil
}

// Start is that of [Servers].
func (s *Fleet) Start(server string) error {
	if _, err := s.node(server).Shell("systemctl start "+unit, ""); err != nil {
		return fmt.Errorf("%w: %s", err, s.Said(server))
	}
	return nil
}

// Stop is that of [Servers].
func (s *Fleet) Stop(server string) error {
	_, err := s.node(server).Shell("systemctl stop "+unit, "")
	return err
}

// Shell is that of [Machines].
func (s *Fleet) Shell(server, script, stdin string) (string, int, error) {
	all, err := s.node(server).Shell("R=$RECONCILER_NODE_ROOT; { "+script+"; } 2>&1; echo exit $?", stdin)
	if err != nil {
		return all, 0, err
	}
	at := strings.LastIndex(all, "exit ")
	exit, err := strconv.Atoi(strings.TrimSpace(all[at+len("exit "):]))
	return all[:at], exit, err
}

// Command is that of [Machines].
func (s *Fleet) Command(server string) string {
	return "VAULT_ADDR=https://" + s.node(server).Address + ":8200 VAULT_CACERT=$R/etc/vault.d/ca.crt $R/usr/local/bin/vault"
}
