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
