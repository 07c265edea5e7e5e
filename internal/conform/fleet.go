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

	"github.com/vaultfleet/reconciler/internal/embed"
	"github.com/vaultfleet/reconciler/internal/throwaway"
)

// Fleet is three servers on embedded nodes, one a node: Vault or its simulator, as
// processes that systemd starts and that serve TLS.
type Fleet struct {
	fleet  *embed.Fleet
	ca     *throwaway.CA
	client *http.Client
}

const (
	configPath = "/etc/vault.d/vault.hcl"
	certPath   = "/etc/vault.d/tls.crt"
	keyPath    = "/etc/vault.d/tls.key"
	unit       = "vault"
)

const unitText = `[Service]
Type=notify
ExecStart=/usr/local/bin/vault server -config=` + configPath + `
ExecReload=/bin/kill --signal HUP $MAINPID
`

// NewFleet puts a binary on the three nodes of a fleet, "a", "b" and "c", and starts it.
func NewFleet(f *embed.Fleet, binary string) (*Fleet, error) {
	ca, err := throwaway.NewCA()
	if err != nil {
		return nil, err
	}
	s := &Fleet{fleet: f, ca: ca, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool}, DisableKeepAlives: true}}}
	for _, n := range f.Nodes {
		if err := s.place(n, binary); err != nil {
			return nil, fmt.Errorf("place %s on %s: %w", binary, n.Name, err)
		}
	}
	for _, n := range f.Nodes {
		if err := s.Start(n.Name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Fleet) place(n *embed.Node, binary string) error {
	f, err := os.Open(binary)
	if err != nil {
		return err
	}
	defer f.Close()
	text := &strings.Builder{}
	if _, err := io.Copy(text, f); err != nil {
		return err
	}
	if err := errors.Join(
		s.Write(n.Name, "/usr/local/bin/vault", text.String()),
		s.Write(n.Name, "/etc/systemd/system/vault.service", unitText),
		s.Write(n.Name, configPath, s.Config(n.Name)),
		s.Write(n.Name, "/etc/vault.d/ca.crt", string(s.ca.PEM)),
		s.Certify(n.Name),
	); err != nil {
		return err
	}
	_, err = n.Shell("cd $RECONCILER_NODE_ROOT && mkdir -p opt/vault/data tmp && chmod 755 usr/local/bin/vault && systemctl daemon-reload", "")
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

func (s *Fleet) node(server string) *embed.Node {
	for _, n := range s.fleet.Nodes {
		if n.Name == server {
			return n
		}
	}
	return nil
}

// Write writes a file on a server's machine.
func (s *Fleet) Write(server, path, text string) error {
	_, err := s.node(server).Shell(`p=$RECONCILER_NODE_ROOT`+path+`; mkdir -p "${p%/*}" && cat >"$p"`, text)
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
func (s *Fleet) Reload(server string) error {
	n := s.node(server)
	before := n.Reloads(unit)
	if said := n.Systemctl("reload", unit); said != "" {
		return errors.New(said)
	}
	for end := time.Now().Add(time.Minute); n.Reloads(unit) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s did not end its reload within a minute", server)
		}
	}
	return nil
}

// Serial is that of [Machines].
func (s *Fleet) Serial(ctx context.Context, server string, port int) (string, error) {
	d := tls.Dialer{Config: &tls.Config{RootCAs: s.ca.Pool}}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(s.node(server).Address, strconv.Itoa(port)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// Said is that of [Machines].
func (s *Fleet) Said(server string) string { return s.node(server).Journal(unit) }

// Process is that of [Machines].
func (s *Fleet) Process(server string) string {
	return s.node(server).Systemctl("show", unit, "-P", "MainPID")
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
	n := s.node(server)
	if said := n.Systemctl("start", unit); said != "" {
		return fmt.Errorf("%s: %s", said, n.Journal(unit))
	}
	return nil
}

// Stop is that of [Servers].
func (s *Fleet) Stop(server string) error {
	if said := s.node(server).Systemctl("stop", unit); said != "" {
		return errors.New(said)
	}
	return nil
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
