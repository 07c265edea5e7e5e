package vault

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

func TestStatusReadsWhatVaultSays(t *testing.T) {
	open := actual.Vault{
		Initialized: true, SealType: "shamir", Threshold: 3, Shares: 5, Version: "1.21.0", StorageType: "raft", ClusterID: "b0e3", Health: 200,
		Leader: true, LeaderAddress: "https://10.1.0.11:8200", Applied: 1199, Committed: 1200,
	}
	standby := open
	standby.Health, standby.Leader, standby.LeaderAddress, standby.Applied, standby.Committed = 429, false, "", 7, 7
	lost := open
	lost.Health, lost.Leader, lost.LeaderAddress, lost.Applied, lost.Committed = 429, false, "", 0, 0
	shut := actual.Vault{Initialized: true, Sealed: true, SealType: "shamir", Threshold: 3, Shares: 5, Progress: 1, Version: "1.21.0", StorageType: "raft", Health: 503}
	removed := shut
	removed.Health, removed.Removed = 530, true
	enterprise := open
	enterprise.Version, enterprise.Health = "1.20.3+ent", 473
	auto := open
	auto.SealType, auto.Threshold, auto.Shares = "awskms", 0, 0
	for name, c := range map[string]struct {
		seal    string
		code    int
		health  string
		leader  http.HandlerFunc // nil: must not be asked
		want    actual.Vault
		prepare func(*server)
	}{
		"active":                     {sealOpen, 200, healthOpen, says(200, leaderSelf), open, nil},
		"standby without a leader":   {sealOpen, 429, healthOpen, says(200, leaderNone), standby, nil},
		"standby that cannot say":    {sealOpen, 429, healthOpen, says(500, `{"errors":["no leader"]}`), lost, nil},
		"sealed between two answers": {sealOpen, 429, healthOpen, says(503, `{"errors":["Vault is sealed"]}`), lost, nil},
		"sealed":                     {sealShut, 503, healthShut, nil, shut, nil},
		"removed from its cluster":   {strings.Replace(sealShut, `"removed_from_cluster":false`, `"removed_from_cluster":true`, 1), 530, healthShut, nil, removed, nil},
		"not initialized":            {sealNew, 501, healthNew, nil, actual.Vault{Sealed: true, SealType: "shamir", Version: "1.21.0", StorageType: "raft", Health: 501}, nil},
		"enterprise":                 {strings.Replace(sealOpen, "1.21.0", "1.20.3+ent", 1), 473, healthOpen, says(200, leaderSelf), enterprise, nil},
		"auto-unsealed":              {strings.NewReplacer(`"shamir"`, `"awskms"`, `"t":3,"n":5`, `"t":0,"n":0`).Replace(sealOpen), 200, healthOpen, says(200, leaderSelf), auto, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.set("sys/seal-status", says(200, c.seal))
			s.set("sys/health", says(c.code, c.health))
			if c.leader != nil {
				s.set("sys/leader", c.leader)
			}
			got, certificate, err := s.client(t).Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if certificate == nil || certificate.Problem != "" || fmt.Sprint(certificate.Names) != "[vault.internal]" || !strings.HasPrefix(certificate.Digest, "sha256:") {
				t.Errorf("certificate %+v", certificate)
			}
			if want := 3; c.leader == nil && s.asked() != 2 || c.leader != nil && s.asked() != want {
				t.Errorf("%d requests", s.asked())
			}
			for _, r := range s.seen {
				if r.Method != "GET" || r.Header.Get("X-Vault-Request") != "true" || r.Header.Get("X-Vault-Token") != "" {
					t.Errorf("%s %s with %v", r.Method, r.URL, r.Header)
				}
			}
		})
	}
}

func TestStatusDoesNotBelieveNonsense(t *testing.T) {
	seal := func(old, new string) string { return strings.Replace(sealOpen, old, new, 1) }
	html := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>\x1b[31mBad Gateway</html>") }
	for name, c := range map[string]struct {
		path   string
		answer http.HandlerFunc
		want   string
	}{
		"HTML of a load balancer":         {"sys/seal-status", html, "no JSON object; is this Vault?"},
		"HTML with 502":                   {"sys/seal-status", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502); html(w, r) }, "answers 502"},
		"nothing":                         {"sys/seal-status", says(200, ""), "no JSON object"},
		"null":                            {"sys/seal-status", says(200, "null"), "no JSON object"},
		"a list":                          {"sys/seal-status", says(200, "[]"), "no JSON object"},
		"an empty object":                 {"sys/seal-status", says(200, "{}"), "does not say whether Vault is initialized"},
		"half of it":                      {"sys/seal-status", says(200, sealOpen[:80]), "unexpected EOF"},
		"two of it":                       {"sys/seal-status", says(200, sealOpen+sealOpen), "something follows"},
		"not initialized and not sealed":  {"sys/seal-status", says(200, seal(`"initialized":true`, `"initialized":false`)), "contradict each other"},
		"sealed as a word":                {"sys/seal-status", says(200, seal(`"sealed":false`, `"sealed":"no"`)), "cannot unmarshal"},
		"more needed than there are":      {"sys/seal-status", says(200, seal(`"t":3`, `"t":6`)), "make no sense"},
		"no shares of a Shamir seal":      {"sys/seal-status", says(200, seal(`"t":3,"n":5`, `"t":0,"n":0`)), "makes no sense"},
		"negative shares":                 {"sys/seal-status", says(200, seal(`"t":3`, `"t":-3`)), "make no sense"},
		"more shares than there can be":   {"sys/seal-status", says(200, seal(`"n":5`, `"n":256`)), "make no sense"},
		"more progress than needed":       {"sys/seal-status", says(200, seal(`"progress":0`, `"progress":4`)), "make no sense"},
		"a number that is none":           {"sys/seal-status", says(200, seal(`"t":3`, `"t":NaN`)), "invalid character"},
		"a number too large":              {"sys/seal-status", says(200, seal(`"t":3`, `"t":1e400`)), "cannot unmarshal"},
		"a depth of a million":            {"sys/seal-status", says(200, `{"x":`+strings.Repeat("[", 1_000_000)), "exceeded max depth"},
		"a hundred megabytes":             {"sys/seal-status", endless(100 << 20), "more than 1048576 bytes"},
		"a hundred megabytes, announced":  {"sys/seal-status", announced, "more than 1048576 bytes"},
		"a hundred megabytes of an error": {"sys/seal-status", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); endless(100<<20)(w, r) }, "more than 1048576 bytes"},
		"a bomb":                          {"sys/seal-status", bomb, "no JSON object"},
		"no permission":                   {"sys/seal-status", says(403, `{"errors":["\u001b[31mpermission denied"]}`), "answers 403: [31mpermission denied"},
		"a redirect": {"sys/seal-status", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}, "redirect, which is not followed"},
		"a redirect to plain HTTP": {"sys/seal-status", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example/", http.StatusTemporaryRedirect)
		}, "redirect, which is not followed"},
		"a teapot":                     {"sys/health", says(418, healthOpen), "answers 418"},
		"a rate limit":                 {"sys/health", says(429, `{"errors":["too many requests"]}`), "answers 429: too many requests"},
		"no health at all":             {"sys/health", says(404, `{"errors":[]}`), "answers 404"},
		"health in HTML":               {"sys/health", html, "no JSON object"},
		"health that says sealed":      {"sys/health", says(503, healthShut), "contradicts sys/seal-status"},
		"503 of an open Vault":         {"sys/health", says(503, healthOpen), "contradicts sys/seal-status"},
		"501 of an initialized Vault":  {"sys/health", says(501, healthOpen), "contradicts sys/seal-status"},
		"health of another cluster":    {"sys/health", says(200, strings.Replace(healthOpen, "b0e3", "ffff", 1)), "names another cluster"},
		"a leader that does not say":   {"sys/leader", says(200, `{"leader_address":"x"}`), "does not say whether this node leads"},
		"a leader in HTML":             {"sys/leader", html, "no JSON object"},
		"an error that is not Vault's": {"sys/leader", says(502, `{"message":"bad gateway"}`), "answers 502"},
		"an index beyond all":          {"sys/leader", says(200, strings.Replace(leaderSelf, "1200", "9223372036854775808", 1)), "make no sense"},
		"a negative index":             {"sys/leader", says(200, strings.Replace(leaderSelf, "1200", "-1", 1)), "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.serving()
			s.set(c.path, c.answer)
			got, certificate, err := s.client(t).Status(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if got != (actual.Vault{}) {
				t.Errorf("believed %+v", got)
			}
			if err != nil && (strings.Contains(err.Error(), "\x1b") || strings.Contains(err.Error(), "evil.example") || len(err.Error()) > 600) {
				t.Errorf("error holds what it must not: %q", err)
			}
			if certificate == nil && !strings.Contains(name, "megabytes") && !strings.Contains(name, "redirect") {
				t.Error("the certificate is lost")
			}
			if before := s.asked(); before > 3 {
				t.Errorf("asked %d times", before)
			}
		})
	}
}

func endless(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"x":"`)
		chunk := strings.Repeat("x", 64<<10)
		for range size / len(chunk) {
			if _, err := fmt.Fprint(w, chunk); err != nil {
				return
			}
		}
	}
}

func announced(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "104857600")
	endless(100<<20)(w, r)
}

// bomb is compressed, although nobody asked for that.
func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	fmt.Fprint(z, `{"x":"`, strings.Repeat("x", 10<<20))
	z.Close()
}

func TestStatusStripsStrings(t *testing.T) {
	s := newServer(t)
	s.serving()
	s.set("sys/seal-status", says(200, strings.Replace(sealOpen, "1.21.0", `1.21\u001b[31m\u202e`+strings.Repeat("0", 1000), 1)))
	s.set("sys/leader", says(200, strings.Replace(leaderSelf, "10.1.0.11", `10.1.0.11\u0000\n`, 1)))
	got, _, err := s.client(t).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Version) != 64 || !strings.HasPrefix(got.Version, "1.21[31m000") || got.LeaderAddress != "https://10.1.0.11:8200" {
		t.Errorf("version %q, leader %q", got.Version, got.LeaderAddress)
	}
}

func TestStatusEndsWithTheCallersContext(t *testing.T) {
	s := newServer(t)
	s.serving()
	release := make(chan struct{})
	s.set("sys/health", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "{")
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := s.client(t).Status(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestNothingIsTriedTwice(t *testing.T) {
	s := newServer(t)
	s.set("sys/seal-status", says(500, `{"errors":["boom"]}`))
	if _, _, err := s.client(t).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "answers 500: boom") {
		t.Error(err)
	}
	if s.asked() != 1 {
		t.Errorf("asked %d times", s.asked())
	}
}
