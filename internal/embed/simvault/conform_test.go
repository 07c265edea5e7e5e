package simvault

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/conform"
)

// alone are two servers in this process: the machine of internal/sim behind the
// API, without a network, a certificate or a process.
type alone struct {
	t       *testing.T
	dir     string
	servers map[string]*process // those that run
	asked   map[place]bool
	lie     lie
}

// lie changes an answer. None is the truth.
type lie func(method, path, token string, a *conform.Answer)

func newAlone(t *testing.T, l lie) *alone {
	t.Helper()
	s := &alone{t: t, dir: t.TempDir(), servers: map[string]*process{}, asked: map[place]bool{}, lie: l}
	if err := (shared{s.dir}).hasten(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
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
	for _, p := range s.servers {
		if err := p.takePart(); err != nil {
			return conform.Answer{}, err
		}
	}
	p := s.servers[name]
	if p == nil {
		return conform.Answer{}, errors.New("connection refused")
	}
	sent, _ := body.(object) // nil is none
	var a conform.Answer
	a.Code, a.Body = p.ask(s.t, token, method, path, sent)
	s.note(method, path, token)
	if s.lie != nil {
		s.lie(method, path, token, &a)
	}
	return a, nil
}

// note notes the place that was asked.
func (s *alone) note(method, path, _ string) {
	path, list, _ := strings.Cut(path, "?")
	q := request{method: method, at: path}
	switch {
	case list == "list=true":
		q.method = "LIST"
	case method == http.MethodPost:
		q.method = http.MethodPut
	}
	for _, p := range places() {
		if p.fits(q) {
			s.asked[p] = true
		}
	}
}

// places are all that the simulator answers at.
func places() []place {
	all := []place{loginPlace}
	for _, r := range local() {
		all = append(all, r.place)
	}
	for _, r := range leading() {
		all = append(all, r.place)
	}
	return all
}

func judge(t *testing.T, s conform.Servers, patience time.Duration) []string {
	t.Helper()
	return conform.API(t.Context(), s, conform.Options{Version: "1.21.0", Exact: true, Patience: patience})
}

// TestTheSimulatorAnswersAsVaultAndNothingElse holds it to the suite that Vault is
// held to on real machines. What it answers at, the suite asks.
func TestTheSimulatorAnswersAsVaultAndNothingElse(t *testing.T) {
	s := newAlone(t, nil)
	for _, f := range judge(t, s, 10*time.Second) {
		t.Error(f)
	}
	for _, p := range places() {
		if !s.asked[p] {
			t.Errorf("the suite never asks %s: nobody knows whether Vault answers so", p)
		}
	}
}

// TestTheSuiteCatchesLies puts lies into the simulator's mouth.
func TestTheSuiteCatchesLies(t *testing.T) {
	at := func(method, path string, change func(a *conform.Answer)) lie {
		return func(m, p, _ string, a *conform.Answer) {
			if m == method && p == path {
				change(a)
			}
		}
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
	const patience = 300 * time.Millisecond
	if found := judge(t, newAlone(t, nil), patience); len(found) > 0 {
		t.Fatalf("the truth is caught: %q", found)
	}
	for name, l := range map[string]lie{
		"a sealed server is healthy":          at("GET", "sys/health", code(503, 200)),
		"a standby leads":                     at("GET", "sys/health", code(429, 200)),
		"a server that is not initialised is": at("GET", "sys/health", code(501, 503)),
		"it is never sealed":                  at("GET", "sys/seal-status", set("sealed", false)),
		"one share opens":                     at("GET", "sys/seal-status", set("t", 1)),
		"a wrong share is right":              at("PUT", "sys/unseal", code(400, 200)),
		"no share counts":                     at("PUT", "sys/unseal", set("progress", 0)),
		"init may be asked for twice":         at("PUT", "sys/init", code(400, 200)),
		"the root token is short":             at("PUT", "sys/init", set("root_token", "hvs.short")),
		"who follows leads":                   at("GET", "sys/leader", set("is_self", true)),
		"nobody leads":                        at("GET", "sys/leader", set("leader_address", "")),
		"a field that Vault does not have":    at("GET", "sys/leader", func(a *conform.Answer) { a.Body["term"] = 1 }),
		"a stranger may look":                 at("GET", "sys/audit", code(403, 200)),
		"a device may be enabled twice":       at("PUT", "sys/audit/file", code(400, 204)),
		"any secret logs in":                  at("PUT", "auth/approle/login", code(400, 200)),
		"a path that is not there is":         at("GET", "sys/no/such/path", code(404, 200)),
		"a nonce does not matter":             at("PUT", "sys/generate-root/update", code(400, 200)),
		"autopilot finds everybody ill":       at("GET", "sys/storage/raft/autopilot/state", inData("healthy", false)),
		"nobody is a member":                  at("GET", "sys/storage/raft/configuration", inData("config", map[string]any{"index": 0, "servers": []any{}})),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if found := judge(t, newAlone(t, l), patience); len(found) == 0 {
				t.Error("nobody noticed")
			}
		})
	}
}

func inData(field string, v any) func(a *conform.Answer) {
	return func(a *conform.Answer) {
		if d, ok := a.Body["data"].(map[string]any); ok {
			d[field] = v
		}
	}
}
