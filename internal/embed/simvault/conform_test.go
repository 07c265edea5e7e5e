package simvault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultfleet/reconciler/internal/conform"
)

// alone are three servers in this process: the machine of internal/sim behind the
// API, without a network, a certificate or a process. They live in a bubble of
// their own time, so that what comes by itself is waited for in none of ours.
type alone struct {
	t        *testing.T
	dir      string
	version  string
	servers  map[string]*process // those that run
	answered map[place]bool      // with what was asked for
	sent     map[string]bool     // place and name of what came with a request
	lie      lie
}

// lie is what is wrong about a simulator. Without anything it is the truth.
type lie struct {
	// says changes an answer.
	says func(method, path string, a *conform.Answer)
	// world changes what the servers share, before each request; server changes
	// what one of them keeps to itself.
	world  func(c *cluster)
	server func(p *process)
}

func newAlone(t *testing.T, version string, l lie) *alone {
	t.Helper()
	s := &alone{t: t, dir: t.TempDir(), version: version, servers: map[string]*process{}, answered: map[place]bool{}, sent: map[string]bool{}, lie: l}
	if err := os.Mkdir(filepath.Join(s.dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		if err := s.Start(name); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *alone) Start(name string) error {
	joins := []string{"https://a:8200"}
	if name == "a" {
		joins = nil
	}
	p := newProcess(s.t, s.dir, name, joins...)
	p.version = s.version
	var err error
	if p.id, err = belongs(p.config.data); err != nil {
		return err
	}
	s.servers[name] = p
	return p.stand(true)
}

func (s *alone) Stop(name string) error {
	p := s.servers[name]
	delete(s.servers, name)
	return p.stand(false)
}

func (s *alone) Ask(_ context.Context, name, method, path, token string, body any) (conform.Answer, error) {
	time.Sleep(time.Millisecond) // nothing takes no time
	for _, p := range s.servers {
		if err := p.takePart(); err != nil {
			return conform.Answer{}, err
		}
	}
	if err := s.deceive(); err != nil {
		return conform.Answer{}, err
	}
	p := s.servers[name]
	if p == nil {
		return conform.Answer{}, errors.New("connection refused")
	}
	sent, _ := body.(object) // nil is none
	var a conform.Answer
	a.Code, a.Body = p.ask(s.t, token, method, path, sent)
	s.note(method, path, sent, a.Code)
	if s.lie.says != nil {
		s.lie.says(method, path, &a)
	}
	return a, nil
}

// deceive makes the world of the servers, which they share, what the lie says.
func (s *alone) deceive() error {
	var one *process
	for _, p := range s.servers {
		if s.lie.server != nil {
			s.lie.server(p)
		}
		if p.id != "" {
			one = p
		}
	}
	if s.lie.world == nil || one == nil {
		return nil
	}
	return one.with(func(c *cluster) error {
		s.lie.world(c)
		return nil
	})
}

// note notes the place that answered, and what came with the request.
func (s *alone) note(requested, path string, body object, code int) {
	r := httptest.NewRequest(requested, "/v1/"+path, nil)
	q := request{method: method(r), at: strings.TrimPrefix(r.URL.Path, "/v1/")}
	for _, p := range places() {
		if p.fits(q) && code < 300 {
			s.answered[p.place] = true
		}
		if !p.fits(q) {
			continue
		}
		for name := range body {
			s.sent[string(p.place)+" "+name] = true
		}
		for name := range r.URL.Query() {
			s.sent[string(p.place)+" ?"+name] = true
		}
	}
}

func judge(t *testing.T, s *alone, brief bool) []string {
	t.Helper()
	return conform.API(t.Context(), s, conform.Options{Version: s.version, Exact: true, Brief: brief, Patience: 15 * time.Second})
}

// TestTheSimulatorAnswersAsVaultAndNothingElse holds it to the suite that Vault is
// held to on real machines. What it answers at, the suite asks.
func TestTheSimulatorAnswersAsVaultAndNothingElse(t *testing.T) {
	for _, version := range []string{"1.19.0", "1.21.0"} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newAlone(t, version, lie{})
				for _, f := range judge(t, s, false) {
					t.Error(f)
				}
				for _, p := range places() {
					if !s.answered[p.place] {
						t.Errorf("the suite never has %s answered: nobody knows whether Vault answers so", p.place)
					}
					for name := range p.takes {
						if sent := string(p.place) + " " + name; !s.sent[sent] && sent != "PUT sys/init root_token_pgp_key" { // which conform.Tool sends
							t.Errorf("the suite never sends %s: nobody knows what Vault says to it", sent)
						}
					}
				}
			})
		})
	}
}

// TestWhatTheSimulatorDoesNotKnowItSays: it makes up no answer.
func TestWhatTheSimulatorDoesNotKnowItSays(t *testing.T) {
	p := newProcess(t, t.TempDir(), "a")
	for _, q := range []struct {
		method, path string
		body         object
	}{
		{"GET", "sys/no/such/path", nil},
		{"PUT", "sys/health", nil},
		{"HEAD", "sys/health", nil},
		{"DELETE", "sys/storage/raft/configuration", nil},
		{"GET", "secret/x", nil},
		{"GET", "sys/health?sealedcode=200", nil},
		{"GET", "sys/health?standbyok=false", nil},
		{"GET", "sys/health?standbyok=true&standbyok=true", nil},
		{"GET", "sys/version-history?list=true&after=x", nil},
		{"GET", "sys/leader?x=1", nil},
		{"PUT", "sys/init", object{"secret_shares": 1, "secret_threshold": 1, "stored_shares": 1}},
		{"PUT", "sys/init", object{"secret_shares": "1", "secret_threshold": 1}},
		{"PUT", "sys/init", object{"secret_shares": 1, "secret_threshold": 1, "pgp_keys": "one"}},
		{"PUT", "sys/unseal", object{"key": "00", "migrate": true}},
		{"PUT", "sys/unseal", object{"reset": "true"}},
		{"PUT", "sys/generate-root/attempt", object{"pgp_key": "x"}},
		{"PUT", "sys/generate-root/attempt", object{"otp": "x"}},
		{"PUT", "sys/generate-root/update", object{"key": 1}},
		{"PUT", "sys/storage/raft/remove-peer", object{"server_id": "b", "dr_operation_token": "x"}},
		{"PUT", "sys/audit/x", object{"type": "syslog"}},
		{"PUT", "sys/audit/x", object{"type": "file", "options": object{"file_path": "stdout"}}},
		{"PUT", "sys/audit/x", object{"type": "file", "options": object{"file_path": "/x", "log_raw": "true"}}},
		{"PUT", "sys/audit/x", object{"type": "file", "options": object{"file_path": "/x"}, "local": true}},
		{"PUT", "sys/auth/approle", object{"type": "kubernetes"}},
		{"PUT", "sys/auth/kubernetes", object{"type": "kubernetes"}},
		{"PUT", "auth/approle/role/r", object{"token_policies": "one,two"}},
		{"PUT", "auth/approle/role/r", object{"secret_id_num_uses": "1"}},
		{"PUT", "auth/approle/role/r", object{"bind_secret_id": false}},
		{"PUT", "auth/approle/role/r/secret-id", object{"metadata": "{}"}},
		{"PUT", "sys/policies/acl/p", object{"policy": "", "ttl": "1h"}},
	} {
		code, out := p.ask(t, "", q.method, q.path, q.body)
		if said := fmt.Sprint(out["errors"]); code != http.StatusNotImplemented || !strings.Contains(said, "the simulator does not know") {
			t.Errorf("%v: %d %s", q, code, said)
		}
	}
	r := httptest.NewRequest("GET", "/v1/sys/seal-status", nil)
	r.Header.Set("X-Vault-Namespace", "team")
	w := httptest.NewRecorder()
	if p.ServeHTTP(w, r); w.Code != http.StatusNotImplemented {
		t.Errorf("a namespace: %d", w.Code)
	}
	for _, words := range []string{"", "kv get x", "operator", "operator step-down", "operator unseal", "status", "status -format=yaml", "status -format=json -detailed",
		"status -format=json x", "operator init -format=json -key-shares=1 -key-threshold=1 -recovery-shares=1", "token revoke x", "token lookup -accessor",
		"auth enable -path=x approle", "policy write x", "read x", "read -field=x -namespace=y x", "write -wrap-ttl=1m x", "version -x", "server -dev"} {
		var out, errs strings.Builder
		if code := run("1.21.0", strings.Fields(words), strings.NewReader(""), &out, &errs); code == 0 || !strings.Contains(errs.String(), "the simulator does not know vault") {
			t.Errorf("vault %s: %d %s%s", words, code, out.String(), errs.String())
		}
	}
	if err := Release(io.Discard, "1.18.0"); err == nil || !strings.Contains(err.Error(), "the simulator does not know Vault 1.18.0") {
		t.Errorf("a release that nobody looked at: %v", err)
	}
}

// TestNobodyKnowsWhatRootAloneWasSeenToDo: another token that may is not answered.
func TestNobodyKnowsWhatRootAloneWasSeenToDo(t *testing.T) {
	p := newProcess(t, t.TempDir(), "a")
	_, out := p.ask(t, "", "PUT", "sys/init", object{"secret_shares": 1, "secret_threshold": 1})
	root, _ := out["root_token"].(string)
	p.ask(t, "", "PUT", "sys/unseal", object{"key": out["keys"].([]any)[0]})
	p.ask(t, root, "PUT", "sys/policies/acl/all", object{"policy": `path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }`})
	p.ask(t, root, "PUT", "sys/auth/approle", object{"type": "approle"})
	p.ask(t, root, "PUT", "auth/approle/role/r", object{"token_policies": "all", "token_ttl": "1h"})
	_, id := p.ask(t, root, "GET", "auth/approle/role/r/role-id", nil)
	_, secret := p.ask(t, root, "PUT", "auth/approle/role/r/secret-id", nil)
	_, login := p.ask(t, "", "PUT", "auth/approle/login", object{"role_id": asObject(id["data"])["role_id"], "secret_id": asObject(secret["data"])["secret_id"]})
	other, _ := asObject(login["auth"])["client_token"].(string)
	if code, out := p.ask(t, other, "GET", "sys/audit", nil); code != http.StatusOK {
		t.Fatalf("it may look: %d %v", code, out)
	}
	for _, at := range []string{"PUT sys/seal", "PUT sys/step-down", "PUT sys/auth/approle", "PUT sys/policies/acl/p", "DELETE auth/approle/role/r", "GET auth/approle/role/r/role-id"} {
		method, path, _ := strings.Cut(at, " ")
		if code, out := p.ask(t, other, method, path, nil); code != http.StatusNotImplemented {
			t.Errorf("%s: %d %v", at, code, out)
		}
	}
	for at, body := range map[string]object{"sys/step-down": nil, "sys/storage/raft/remove-peer": {"server_id": "a"}} {
		if code, out := p.ask(t, root, "PUT", at, body); code != http.StatusNotImplemented {
			t.Errorf("%s of the only one: %d %v", at, code, out)
		}
	}
}

// TestTheSuiteCatchesLies makes the simulator lie, in what it says and in what it
// does. Each lie breaks a sentence of the suite, and none before it.
func TestTheSuiteCatchesLies(t *testing.T) {
	at := func(method, path string, change func(a *conform.Answer)) lie {
		return lie{says: func(m, p string, a *conform.Answer) {
			if m == method && p == path {
				change(a)
			}
		}}
	}
	set := func(field string, v any) func(a *conform.Answer) {
		return func(a *conform.Answer) {
			if _, there := a.Body[field]; there {
				a.Body[field] = v
			}
		}
	}
	code := func(from, to int) func(a *conform.Answer) {
		return func(a *conform.Answer) {
			if a.Code == from {
				a.Code = to
			}
		}
	}
	onError := func(word string, to int) func(a *conform.Answer) {
		return func(a *conform.Answer) {
			if strings.Contains(fmt.Sprint(a.Body["errors"]), word) {
				a.Code = to
			}
		}
	}
	onCode := func(code int, change func(a *conform.Answer)) func(a *conform.Answer) {
		return func(a *conform.Answer) {
			if a.Code == code {
				change(a)
			}
		}
	}
	members := func(change func(c *cluster, m *server)) lie {
		return lie{world: func(c *cluster) {
			for _, m := range c.Servers {
				change(c, m)
			}
		}}
	}
	for breaks, lies := range map[string]map[string]lie{
		"a server that nobody initialised says so": {
			"a server that nobody initialised is only sealed": at("GET", "sys/health", code(501, 503)),
			"it is never sealed":                              at("GET", "sys/seal-status", set("sealed", false)),
			"everybody was removed, by their status":          at("GET", "sys/seal-status", set("removed_from_cluster", true)),
			"everybody was removed, by their health":          at("GET", "sys/health", set("removed_from_cluster", true)),
			"it is another version":                           {server: func(p *process) { p.version = "1.20.0" }},
		},
		"init gives as many shares as it was asked for, and a root token, once": {
			"init may be asked for twice": at("PUT", "sys/init", onError("already initialized", 200)),
			"the root token is short":     at("PUT", "sys/init", set("root_token", "hvs.short")),
		},
		"an initialised server is sealed": {
			"a sealed server is healthy": at("GET", "sys/health", code(503, 200)),
			"the threshold is one": at("GET", "sys/seal-status", func(a *conform.Answer) {
				if a.Body["t"] == 3.0 {
					a.Body["t"] = 1
				}
			}),
			"nobody is ever sealed": members(func(c *cluster, m *server) { m.Open = m.Up && c.Raft.Members[m.ID] != nil }),
		},
		"a share of another length counts, and fits with none": {
			"no share counts":      at("PUT", "sys/unseal", set("progress", 0)),
			"shares are forgotten": {server: func(p *process) { p.shares = nil }},
		},
		"shares count once each, and a reset forgets them": {
			"each share has a nonce of its own": {server: func(p *process) {
				if p.nonce != "" {
					p.nonce = uuid()
				}
			}},
			"a nonce is forgotten": {server: func(p *process) { p.nonce = "" }},
		},
		"a wrong share is found at the threshold, and the progress is lost": {
			"a wrong share is right": at("PUT", "sys/unseal", onError("authentication failed", 200)),
		},
		"a threshold of shares opens the server, and it leads": {
			"the leader has no address":             at("GET", "sys/leader", set("leader_address", "")),
			"a field that Vault does not have":      at("GET", "sys/leader", onCode(200, func(a *conform.Answer) { a.Body["term"] = 1 })),
			"nobody is a member":                    at("GET", "sys/storage/raft/configuration", inData("config", map[string]any{"index": 0, "servers": []any{}})),
			"the leader is at another cluster port": at("GET", "sys/leader", set("leader_cluster_address", "https://a:8200")),
		},
		"who has no token, or a wrong one, sees nothing": {
			"a stranger may look": at("GET", "sys/audit", code(403, 200)),
		},
		"another server joins, opens and follows, and does not vote at once": {
			"a standby leads":                at("GET", "sys/health", code(429, 200)),
			"who follows says that it leads": at("GET", "sys/leader", set("is_self", true)),
			"a follower takes itself for the leader": at("GET", "sys/leader", func(a *conform.Answer) {
				if a.Body["is_self"] == false && a.Body["leader_address"] == "https://a:8200" {
					a.Body["leader_address"] = "https://b:8200"
				}
			}),
			"a cluster has two names": at("GET", "sys/health", set("cluster_name", "another")),
			"a new server votes at once": {world: func(c *cluster) {
				for _, m := range c.Raft.Members {
					m.Voter = true
				}
			}},
		},
		"the cluster counts its members, and lets the new one vote": {
			"autopilot finds everybody ill":        at("GET", "sys/storage/raft/autopilot/state", inData("healthy", false)),
			"autopilot names a voter that is none": at("GET", "sys/storage/raft/autopilot/state", inData("voters", []any{"a", "z"})),
			"the versions that led come with more": at("GET", "sys/version-history?list=true", inData("key_info", map[string]any{})),
			"a new server never votes": {world: func(c *cluster) {
				for _, m := range c.Raft.Members {
					m.Joined = time.Now()
				}
			}},
		},
		"with a third voter it can lose one": {
			"three may lose none":    at("GET", "sys/storage/raft/autopilot/state", inData("failure_tolerance", 0)),
			"autopilot loses nobody": members(func(_ *cluster, m *server) { m.Lost = time.Time{} }),
			"autopilot remembers whom it lost": members(func(c *cluster, m *server) {
				if peer := c.Raft.Members[m.ID]; peer != nil && m.ID == "c" && !m.Lost.IsZero() {
					peer.Joined = m.Lost
				}
			}),
		},
		"a server that is removed says so for good, and the others go on": {
			"who was removed is not": members(func(_ *cluster, m *server) { m.Removed = false }),
		},
		"audit devices are enabled, listed and refused": {
			"a device may be enabled twice": at("PUT", "sys/audit/file", code(400, 204)),
			"a refusal says more":           at("PUT", "sys/audit/file", onCode(400, func(a *conform.Answer) { a.Body["warnings"] = []any{} })),
			"a refusal has two errors":      at("PUT", "sys/audit/file", onCode(400, func(a *conform.Answer) { a.Body["errors"] = append(a.Body["errors"].([]any), "and more") })),
			"devices are forgotten":         {world: func(c *cluster) { clear(c.Raft.Devices) }},
		},
		"a policy lets in where it says, and nowhere else": {
			"any secret logs in": at("PUT", "auth/approle/login", code(400, 200)),
			"AppRole is not listed": at("GET", "sys/auth", func(a *conform.Answer) {
				if d, ok := a.Body["data"].(map[string]any); ok {
					delete(d, "approle/")
				}
			}),
			"a session never ends": {world: func(c *cluster) {
				for id, t := range c.Access.Tokens {
					t.Until = time.Time{}
					c.Access.Tokens[id] = t
				}
			}},
			"nobody needs sudo": {world: func(c *cluster) {
				c.Access.Policies["watcher"] = strings.ReplaceAll(c.Access.Policies["watcher"], `"sys/audit" { capabilities = ["read"]`, `"sys/audit" { capabilities = ["read", "sudo"]`)
			}},
			"who may create may update": {world: func(c *cluster) {
				c.Access.Policies["auditor"] = strings.ReplaceAll(c.Access.Policies["auditor"], `["create", "sudo"]`, `["update", "sudo"]`)
			}},
			"every policy lets in": {world: func(c *cluster) { c.Access.Policies["watcher"] = `path "*" { capabilities = ["read"] }` }},
		},
		"a root token is made with a threshold of shares": {
			"a nonce does not matter": at("PUT", "sys/generate-root/update", onError("incorrect nonce", 200)),
			"a root token is encoded in two ways": at("PUT", "sys/generate-root/update", onCode(200, func(a *conform.Answer) {
				if a.Body["complete"] == true {
					a.Body["encoded_root_token"] = "another"
				}
			})),
			"the making of a root token has two nonces": at("GET", "sys/generate-root/attempt", onCode(200, func(a *conform.Answer) {
				if a.Body["nonce"] != "" {
					a.Body["nonce"] = "another"
				}
			})),
			"a root token is never made": {world: func(c *cluster) { c.Making.Shares = c.Making.Shares[:min(1, len(c.Making.Shares))] }},
		},
		"a leader that is asked to step down lets another one lead": {
			"nobody but a leads": members(func(c *cluster, m *server) {
				if m.ID == "a" && m.Open {
					c.Raft.Leader = "a"
				}
			}),
			"a new leader remembers": members(func(_ *cluster, m *server) { m.Since = time.Time{} }),
		},
		"a server that is sealed says so, and its follower goes on to name it": {
			"the leader that was lost is forgotten": {server: func(p *process) { p.followed = "" }},
		},
		"a leader without quorum stops to lead": {
			"a leader goes on without the others": members(func(c *cluster, m *server) {
				if peer := c.Raft.Members[m.ID]; peer != nil && !m.Up && len(c.Raft.Members) == 2 {
					peer.Voter = false
				}
			}),
		},
	} {
		for name, l := range lies {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					found := judge(t, newAlone(t, "1.21.0", l), true)
					if len(found) == 0 {
						t.Error("nobody noticed")
					} else if !strings.HasPrefix(found[0], breaks+": ") {
						t.Errorf("it was to break %q, and this is what was found: %s", breaks, found[0])
					}
				})
			})
		}
	}
}

func inData(field string, v any) func(a *conform.Answer) {
	return func(a *conform.Answer) {
		if d, ok := a.Body["data"].(map[string]any); ok {
			d[field] = v
		}
	}
}
