package simvault

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// newProcess is a server that does not listen, of a fleet in dir.
func newProcess(t *testing.T, dir, id string, joins ...string) *process {
	t.Helper()
	return &process{version: "1.21.0", root: dir, shared: shared{dir}, log: &logger{out: io.Discard},
		config: configuration{data: filepath.Join(dir, id), nodeID: id, api: "https://" + id + ":8200", cluster: "https://" + id + ":8201", joins: joins}}
}

// ask is one request, and its answer.
func (p *process) ask(t *testing.T, token, method, path string, body object) (int, object) {
	t.Helper()
	var sent io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	r := httptest.NewRequest(method, "/v1/"+path, sent)
	r.Header.Set("X-Vault-Token", token)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	out := object{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
	return w.Code, out
}

// begun is an initialised server with the shares of its key and its root token.
func begun(t *testing.T, p *process) (shares []string, root string) {
	t.Helper()
	code, out := p.ask(t, "", "PUT", "sys/init", object{"secret_shares": 5, "secret_threshold": 3})
	if code != 200 {
		t.Fatalf("init: %d %v", code, out)
	}
	return words(out["keys_base64"]), out["root_token"].(string)
}

func open(t *testing.T, p *process, shares []string) {
	t.Helper()
	for _, s := range shares {
		if code, out := p.ask(t, "", "PUT", "sys/unseal", object{"key": s}); code != 200 {
			t.Fatalf("unseal: %d %v", code, out)
		}
	}
	if err := p.takePart(); err != nil {
		t.Fatal(err)
	}
}

func TestTheLifeOfAServerAsItsAPITellsIt(t *testing.T) {
	p := newProcess(t, t.TempDir(), "a")
	expect := func(what string, health int, initialized, sealed bool, progress float64) {
		t.Helper()
		code, _ := p.ask(t, "", "GET", "sys/health", nil)
		_, seal := p.ask(t, "", "GET", "sys/seal-status", nil)
		if code != health || seal["initialized"] != initialized || seal["sealed"] != sealed || seal["progress"] != progress {
			t.Errorf("%s: health %d, %v", what, code, seal)
		}
	}
	expect("new", 501, false, true, 0)
	if code, _ := p.ask(t, "", "PUT", "sys/unseal", object{"key": strings.Repeat("00", 33)}); code != 400 {
		t.Errorf("unseal before init: %d", code)
	}
	shares, root := begun(t, p)
	expect("initialised", 503, true, true, 0)
	if code, out := p.ask(t, "", "PUT", "sys/init", object{"secret_shares": 5, "secret_threshold": 3}); code != 400 || words(out["errors"])[0] != "Vault is already initialized" {
		t.Errorf("a second init: %d %v", code, out)
	}
	p.ask(t, "", "PUT", "sys/unseal", object{"key": shares[0]})
	p.ask(t, "", "PUT", "sys/unseal", object{"key": shares[0]})
	expect("one share, twice", 503, true, true, 1)
	p.ask(t, "", "PUT", "sys/unseal", object{"reset": true})
	expect("reset", 503, true, true, 0)
	wrong := "AAAA" + shares[2][4:]
	for i, key := range []string{shares[0], shares[1], wrong} {
		if code, _ := p.ask(t, "", "PUT", "sys/unseal", object{"key": key}); (code == 400) != (i == 2) {
			t.Errorf("share %d of which one is wrong: %d", i, code)
		}
	}
	expect("a wrong share", 503, true, true, 0)
	open(t, p, shares[2:])
	expect("open", 200, true, false, 0)
	if code, out := p.ask(t, "", "GET", "sys/leader", nil); code != 200 || out["is_self"] != true || out["leader_address"] != "https://a:8200" {
		t.Errorf("leader: %d %v", code, out)
	}
	if code, _ := p.ask(t, root, "PUT", "sys/seal", nil); code != 204 {
		t.Errorf("seal: %d", code)
	}
	expect("sealed", 503, true, true, 0)
	if code, out := p.ask(t, root, "GET", "sys/audit", nil); code != 503 || words(out["errors"])[0] != "Vault is sealed" {
		t.Errorf("of a sealed one: %d %v", code, out)
	}
}

func TestAnotherServerJoins(t *testing.T) {
	dir := t.TempDir()
	a, b := newProcess(t, dir, "a"), newProcess(t, dir, "b", "https://a:8200")
	if err := b.takePart(); err != nil {
		t.Fatal(err)
	}
	if code, _ := b.ask(t, "", "GET", "sys/health", nil); code != 501 {
		t.Errorf("before there is a leader: %d", code)
	}
	shares, root := begun(t, a)
	open(t, a, shares[:3])
	if err := b.takePart(); err != nil {
		t.Fatal(err)
	}
	if code, _ := b.ask(t, "", "GET", "sys/health", nil); code != 503 {
		t.Errorf("with the challenge fetched: %d", code)
	}
	open(t, b, shares[1:4])
	if code, _ := b.ask(t, "", "GET", "sys/health", nil); code != 429 {
		t.Errorf("joined: %d", code)
	}
	_, out := b.ask(t, root, "GET", "sys/storage/raft/configuration", nil)
	servers := asObject(asObject(out["data"])["config"])["servers"].([]any)
	if len(servers) != 2 || asObject(servers[0])["leader"] != true || asObject(servers[1])["voter"] != false || asObject(servers[1])["address"] != "b:8201" {
		t.Errorf("the members are %v", servers)
	}
	if code, out := b.ask(t, root, "PUT", "sys/seal", nil); code != 400 {
		t.Errorf("a standby is sealed by its API: %d %v", code, out)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	p := newProcess(t, t.TempDir(), "a")
	shares, root := begun(t, p)
	open(t, p, shares[:3])
	do := func(token, method, path string, body object, want int) object {
		t.Helper()
		code, out := p.ask(t, token, method, path, body)
		if code != want {
			t.Errorf("%s %s: %d %v, want %d", method, path, code, out, want)
		}
		return asObject(out["data"])
	}
	do("", "GET", "sys/audit", nil, 403)
	do("hvs.unknown", "GET", "sys/audit", nil, 403)
	do(root, "PUT", "sys/policies/acl/watcher", object{"policy": `path "sys/storage/*" { capabilities = ["read"] } path "sys/storage/raft/autopilot/*" { capabilities = [] }`}, 204)
	do(root, "PUT", "sys/policies/acl/broken", object{"policy": `path "`}, 400)
	do(root, "POST", "sys/auth/approle", object{"type": "approle"}, 204)
	do(root, "POST", "sys/auth/approle", object{"type": "approle"}, 400)
	do(root, "PUT", "auth/approle/role/r", object{"token_policies": "watcher", "token_ttl": "20m"}, 204)
	id := do(root, "GET", "auth/approle/role/r/role-id", nil, 200)["role_id"]
	secret := do(root, "PUT", "auth/approle/role/r/secret-id", nil, 200)["secret_id"]
	do("", "PUT", "auth/approle/login", object{"role_id": id, "secret_id": "no"}, 400)
	_, out := p.ask(t, "", "PUT", "auth/approle/login", object{"role_id": id, "secret_id": secret})
	mine := asObject(out["auth"])["client_token"].(string)
	if asObject(out["auth"])["lease_duration"] != (20 * time.Minute).Seconds() {
		t.Errorf("the session is %v", out)
	}
	do(mine, "GET", "sys/storage/raft/configuration", nil, 200)
	do(mine, "GET", "sys/storage/raft/autopilot/state", nil, 403)
	do(mine, "GET", "sys/audit", nil, 403)
	do(root, "DELETE", "auth/approle/role/r", nil, 204)
	do("", "PUT", "auth/approle/login", object{"role_id": id, "secret_id": secret}, 400)
	do(root, "PUT", "sys/audit/file", object{"type": "file", "options": object{"file_path": "/no/such/folder/audit.log"}}, 400)
	do(root, "PUT", "sys/audit/file", object{"type": "file", "options": object{"file_path": "/audit.log"}}, 204)
	do(root, "PUT", "auth/token/revoke-self", nil, 204)
	do(root, "GET", "auth/token/lookup-self", nil, 403)
	do(mine, "GET", "sys/no/such/path", nil, 403)
}

func TestAConfigurationIsReadAsVaultReadsIt(t *testing.T) {
	const whole = `disable_mlock = true
log_level = "debug"
api_addr = "https://a:8200"
listener "tcp" {
  address = "0.0.0.0:8200"
  tls_cert_file = "/c"
  tls_key_file = "/k"
}
storage "raft" {
  path = "/opt/data"
  node_id = "a"
  retry_join { leader_api_addr = "https://b:8200" }
  retry_join { leader_api_addr = "https://c:8200" }
}
`
	file := filepath.Join(t.TempDir(), "vault.hcl")
	read := func(text, version string) (configuration, error) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return readConfiguration(file, "/root", version)
	}
	c, err := read(whole, "1.21.0")
	if err != nil || c.data != "/root/opt/data" || c.nodeID != "a" || c.listen != "0.0.0.0:8200" || c.certFile != "/c" || c.level != "debug" || !slices.Equal(c.joins, []string{"https://b:8200", "https://c:8200"}) {
		t.Errorf("%+v %v", c, err)
	}
	for name, bad := range map[string]struct{ text, version, says string }{
		"half of it":    {whole[:len(whole)-3], "1.21.0", "error loading configuration"},
		"no storage":    {whole[:strings.Index(whole, "storage")], "1.21.0", "A storage backend must be specified"},
		"no mlock":      {whole[strings.Index(whole, "\n"):], "1.21.0", "disable_mlock must be configured"},
		"no such level": {strings.Replace(whole, "debug", "loud", 1), "1.21.0", "unknown log level: loud"},
	} {
		if _, err := read(bad.text, bad.version); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := read(whole[strings.Index(whole, "\n"):], "1.19.0"); err != nil {
		t.Errorf("before 1.20 nobody had to say disable_mlock: %v", err)
	}
}
