package simvault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/vaultfleet/reconciler/internal/embed"
)

// Main is what this program does where it is a release of the simulator, whatever
// its name. It returns where it is none.
func Main() {
	version, err := releaseOf("/proc/self/exe")
	if err != nil {
		return
	}
	syscall.Exit(run(version, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) // os.Exit rests a second where the race detector is built in
}

// run is one call of vault.
func run(version string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := command{version: version, in: stdin, out: stdout, flags: map[string]string{}}
	for _, a := range args {
		if name, value, ok := strings.Cut(strings.TrimPrefix(a, "-"), "="); strings.HasPrefix(a, "-") && a != "-" {
			c.flags[name] = map[bool]string{true: value, false: "true"}[ok]
		} else {
			c.words = append(c.words, a)
		}
	}
	name, err := c.name()
	if err == nil {
		err = c.do(name)
	}
	var code exit
	switch {
	case errors.As(err, &code):
		return int(code)
	case err != nil:
		fmt.Fprintln(stderr, err)
		return map[bool]int{true: 1, false: 2}[len(c.words) > 0 && c.words[0] == "server"]
	}
	return 0
}

// exit is an exit code that needs no words.
type exit int

func (e exit) Error() string { return fmt.Sprint("exit code ", int(e)) }

// command is a call of the command line.
type command struct {
	version string
	words   []string
	flags   map[string]string
	in      io.Reader
	out     io.Writer
}

// call is how a command may be called.
type call struct {
	words     int      // after its name
	must, may []string // flags
	more      bool     // words may follow
}

func calls() map[string]call {
	return map[string]call{
		"version":         {},
		"server":          {must: []string{"config"}},
		"status":          {must: []string{"format"}},
		"operator init":   {must: []string{"format", "key-shares", "key-threshold"}, may: []string{"pgp-keys", "root-token-pgp-key"}},
		"operator unseal": {must: []string{"reset"}},
		"auth list":       {must: []string{"format"}},
		"auth enable":     {words: 1},
		"policy write":    {words: 2},
		"token revoke":    {must: []string{"self"}},
		"token lookup":    {},
		"read":            {words: 1, must: []string{"field"}},
		"delete":          {words: 1},
		"write":           {words: 1, may: []string{"format", "field", "f"}, more: true},
	}
}

// name is the command that is called, if it is called as the simulator knows it.
func (c command) name() (string, error) {
	unknown := fmt.Errorf("the simulator does not know vault %q", c.words)
	if len(c.words) == 0 {
		return "", unknown
	}
	own := 1
	known, there := calls()[c.words[0]]
	if !there && len(c.words) > 1 {
		own = 2
		known, there = calls()[c.words[0]+" "+c.words[1]]
	}
	name, after := strings.Join(c.words[:own], " "), len(c.words)-own
	if !there || after < known.words || after > known.words && !known.more {
		return "", unknown
	}
	for _, flag := range slices.Sorted(maps.Keys(c.flags)) {
		only := map[string]string{"format": "json", "reset": "true", "self": "true", "f": "true"}[flag]
		if !slices.Contains(slices.Concat(known.must, known.may), flag) || only != "" && c.flags[flag] != only {
			return "", fmt.Errorf("the simulator does not know vault %s with -%s=%s", name, flag, c.flags[flag])
		}
	}
	for _, flag := range known.must {
		if c.flags[flag] == "" {
			return "", fmt.Errorf("the simulator does not know vault %s without -%s", name, flag)
		}
	}
	return name, nil
}

func (c command) do(name string) error {
	switch name {
	case "version":
		fmt.Fprintf(c.out, "Vault v%s (simulator, not Vault)\n", c.version)
		return nil
	case "server":
		return serve(c.flags["config"], c.version, c.out)
	case "status":
		return c.status()
	case "operator init":
		return c.init()
	case "operator unseal":
		return c.send(http.MethodPut, "sys/unseal", object{"reset": true})
	case "auth list":
		return c.send(http.MethodGet, "sys/auth", nil)
	case "auth enable":
		return c.send(http.MethodPost, "sys/auth/"+c.words[2], object{"type": c.words[2]})
	case "policy write":
		text, err := io.ReadAll(c.in)
		if err != nil {
			return err
		}
		return c.send(http.MethodPut, "sys/policies/acl/"+c.words[2], object{"policy": string(text)})
	case "token revoke":
		return c.send(http.MethodPut, "auth/token/revoke-self", nil)
	case "token lookup":
		return c.send(http.MethodGet, "auth/token/lookup-self", nil)
	case "read":
		var no refusal
		err := c.send(http.MethodGet, c.words[1], nil)
		if errors.As(err, &no) && no.code == http.StatusNotFound {
			return fmt.Errorf("No value found at %s", c.words[1]) //lint:ignore ST1005 Vault's own words
		}
		return err
	case "delete":
		return c.send(http.MethodDelete, c.words[1], nil)
	}
	body, err := c.body(c.words[2:])
	if err != nil {
		fmt.Fprintln(c.out, "Failed to parse K=V data:", err)
		return exit(1)
	}
	return c.send(http.MethodPut, c.words[1], body)
}

// body reads KEY=VALUE words. Standard input is an object for the word "-", and
// the value itself for KEY=-.
func (c command) body(pairs []string) (object, error) {
	body := object{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if pair == "-" || value == "-" {
			text, err := io.ReadAll(c.in)
			if err != nil {
				return nil, err
			}
			if pair == "-" {
				if err := json.Unmarshal(text, &body); err != nil {
					return nil, err
				}
				continue
			}
			value = string(text)
		} else if !ok {
			return nil, fmt.Errorf("failed to parse K=V data: %q", pair)
		}
		body[key] = value
	}
	return body, nil
}

// status is `vault status`: 0 open, 1 no answer, 2 sealed.
func (c command) status() error {
	out, err := c.ask(http.MethodGet, "sys/seal-status", nil)
	if err != nil {
		fmt.Fprintln(c.out, err)
		return exit(1)
	}
	out["ha_enabled"] = true
	if out["sealed"] != true {
		leader, err := c.ask(http.MethodGet, "sys/leader", nil)
		if err != nil {
			return err
		}
		for _, name := range []string{"leader_address", "leader_cluster_address", "raft_committed_index", "raft_applied_index", "active_time"} {
			out[name] = leader[name]
		}
	}
	if err := c.show(out); err != nil {
		return err
	}
	if out["sealed"] == true {
		return exit(2)
	}
	return nil
}

// init is `vault operator init`.
func (c command) init() error {
	body := object{"secret_shares": number(c.flags["key-shares"]), "secret_threshold": number(c.flags["key-threshold"])}
	var keys []string
	for _, file := range words(c.flags["pgp-keys"]) {
		key, err := publicKey(file)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	if len(keys) > 0 {
		body["pgp_keys"] = keys
	}
	if file := c.flags["root-token-pgp-key"]; file != "" {
		key, err := publicKey(file)
		if err != nil {
			return err
		}
		body["root_token_pgp_key"] = key
	}
	out, err := c.ask(http.MethodPut, "sys/init", body)
	if err != nil {
		return err
	}
	return c.show(object{"unseal_keys_b64": out["keys_base64"], "unseal_keys_hex": out["keys"], "unseal_shares": body["secret_shares"],
		"unseal_threshold": body["secret_threshold"], "root_token": out["root_token"], "recovery_keys_b64": []string{}, "recovery_keys_hex": []string{},
		"recovery_keys_shares": 0, "recovery_keys_threshold": 0})
}

// publicKey is a key file, armored or not, as sys/init takes it.
func publicKey(file string) (string, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if text := strings.TrimSpace(string(body)); strings.HasPrefix(text, "-----BEGIN PGP") {
		keys, err := openpgp.ReadArmoredKeyRing(strings.NewReader(text))
		if err != nil || len(keys) != 1 {
			return "", fmt.Errorf("%s: not one key: %w", file, err)
		}
		var raw bytes.Buffer
		if err := keys[0].Serialize(&raw); err != nil {
			return "", err
		}
		body = raw.Bytes()
	} else if _, err := base64.StdEncoding.DecodeString(text); err == nil {
		return text, nil
	}
	return base64.StdEncoding.EncodeToString(body), nil
}

// send asks and shows the answer.
func (c command) send(method, path string, body object) error {
	out, err := c.ask(method, path, body)
	if err != nil {
		return err
	}
	return c.show(out)
}

// show prints an answer: one field of it, or all.
func (c command) show(out object) error {
	if data, ok := out["data"].(object); ok {
		if c.flags["field"] != "" {
			_, err := fmt.Fprint(c.out, data[c.flags["field"]])
			return err
		}
		if len(c.words) > 0 && c.words[0] != "write" && c.words[0] != "read" {
			out = data
		}
	}
	if len(out) == 0 {
		return nil
	}
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// ask is one request to VAULT_ADDR.
func (c command) ask(method, path string, body object) (object, error) {
	to, err := url.Parse(os.Getenv("VAULT_ADDR"))
	if err != nil {
		return nil, err
	}
	to.Path = "/v1/" + path
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, to.String(), sent)
	if err != nil {
		return nil, err
	}
	if token := os.Getenv("VAULT_TOKEN"); token != "" {
		r.Header.Set("X-Vault-Token", token)
	}
	roots := x509.NewCertPool()
	if file := os.Getenv("VAULT_CACERT"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		roots.AppendCertsFromPEM(pem)
	}
	p := process{address: os.Getenv(embed.AddressVariable)}
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: os.Getenv("VAULT_TLS_SERVER_NAME")},
		DialContext:     (&dialer{p.here}).dial,
	}}
	got, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	var out object
	if err := json.NewDecoder(io.LimitReader(got.Body, 1<<20)).Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if got.StatusCode >= 400 {
		lines := fmt.Sprintf("Error making API request.\n\nURL: %s %s\nCode: %d. Errors:\n", method, to, got.StatusCode)
		for _, e := range words(out["errors"]) {
			lines += "\n* " + e
		}
		return nil, refusal{got.StatusCode, lines}
	}
	return out, nil
}

// dialer dials where an address leads on this node.
type dialer struct{ here func(string) string }

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var n net.Dialer
	return n.DialContext(ctx, network, d.here(address))
}
