package forge_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/outbound"
	"github.com/vaultfleet/reconciler/internal/secret"
)

// What is particular to one forge.

func only(t *testing.T, kind forge.Kind) (dialect, *server, forge.Client) {
	for _, d := range dialects() {
		if d.kind == kind {
			s := serve(t, d)
			return d, s, s.open(t, d)
		}
	}
	t.Fatalf("no dialect %s", kind)
	panic("")
}

func TestGitHubAndGitLabAreAskedOnlyForWhatChanged(t *testing.T) {
	for _, kind := range []forge.Kind{forge.GitHub, forge.GitLab} {
		_, s, c := only(t, kind)
		first, err := c.Pulls(t.Context(), "main")
		must(t, err)
		s.set(unchanged)
		sent := s.bytes()
		second, err := c.Pulls(t.Context(), "main")
		must(t, err)
		same(t, first, second)
		if s.bytes() != sent {
			t.Errorf("%s: %d bytes for what is unchanged", kind, s.bytes()-sent)
		}
		second[0].Title = "of who asked"
		third, err := c.Pulls(t.Context(), "main")
		must(t, err)
		same(t, first, third)
	}
}

// unchanged says so to who shows the mark of what it was given.
func unchanged(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("If-None-Match") != "" {
		w.WriteHeader(http.StatusNotModified)
	}
}

func TestAPullRequestFromARepositoryThatIsGoneIsFromAFork(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		s.set(answering(200, jsonKind, `{"number":7,"iid":7,"state":"opened","sha":"`+head+`","source_project_id":null,"head":{"sha":"`+head+`","repo":null},"base":{"ref":"main"}}`))
		if p, err := c.Pull(t.Context(), 7); err != nil || !p.Fork {
			t.Errorf("%+v %v", p, err)
		}
	})
}

func TestA304ThatNobodyAskedForIsNoList(t *testing.T) {
	each(t, func(t *testing.T, _ dialect, s *server, c forge.Client) {
		s.set(answering(http.StatusNotModified, jsonKind, ""))
		if got, err := c.Pulls(t.Context(), "main"); err == nil {
			t.Errorf("%+v and no error", got)
		}
	})
}

func TestAnInvitationIsNoMembership(t *testing.T) {
	_, _, c := only(t, forge.GitHub)
	if in, err := c.InTeam(t.Context(), "kim", "acme/ops"); in || err != nil {
		t.Errorf("%v %v", in, err)
	}
}

func TestATeamThatIsNotThereIsAnError(t *testing.T) {
	for _, kind := range []forge.Kind{forge.GitHub, forge.GitLab} {
		_, _, c := only(t, kind)
		_, err := c.InTeam(t.Context(), "sam", "acme/gone")
		says(t, err, "ask whether sam is in team acme/gone")
		if !errors.Is(err, forge.ErrNotFound) {
			t.Errorf("%s: %v is not ErrNotFound", kind, err)
		}
	}
}

func TestWhoIsBlockedOrNoDeveloperMayNothingOnGitLab(t *testing.T) {
	_, _, c := only(t, forge.GitLab)
	if may, err := c.MayWrite(t.Context(), "lee"); may || err != nil {
		t.Errorf("blocked: %v %v", may, err)
	}
	if in, err := c.InTeam(t.Context(), "kim", "acme/ops"); in || err != nil {
		t.Errorf("a reporter: %v %v", in, err)
	}
}

func TestAStatusThatGitLabHasAlreadyIsSet(t *testing.T) {
	_, s, c := only(t, forge.GitLab)
	now := "pending"
	s.set(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			answering(400, jsonKind, `{"message":{"status":["Cannot transition status via :enqueue from :`+now+`"]}}`)(w, r)
		default:
			answering(200, jsonKind, `[{"id":1,"name":"reconciler/plan","status":"failed"},{"id":2,"name":"reconciler/plan","status":"`+now+`"},{"id":3,"name":"other","status":"success"}]`)(w, r)
		}
	})
	status := forge.Status{Context: "reconciler/plan", State: forge.Pending}
	must(t, c.SetStatus(t.Context(), head, status))
	now = "canceled"
	says(t, c.SetStatus(t.Context(), head, status), `set status "reconciler/plan" of `+head, "Cannot transition")
}

func TestAReactionThatGitLabHasAlreadyIsThere(t *testing.T) {
	_, s, c := only(t, forge.GitLab)
	s.set(answering(404, jsonKind, `{"message":"404 Award Emoji Name has already been taken Not Found"}`))
	must(t, c.React(t.Context(), 7, 71, forge.Down))
	if got := s.all()[0].body; !strings.Contains(got, "thumbsdown") {
		t.Errorf("sent %s", got)
	}
	s.set(answering(404, jsonKind, `{"message":"404 Not found"}`))
	if err := c.React(t.Context(), 7, 71, forge.Down); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestAnApprovalThatGitLabGivesNoTimeForIsOfNoKnownHead(t *testing.T) {
	_, s, c := only(t, forge.GitLab)
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/approvals") {
			answering(200, jsonKind, `{"approved_by":[null,{"user":null},{"user":{"username":"mara"}}]}`)(w, r)
		}
	})
	got, err := c.Reviews(t.Context(), 7)
	must(t, err)
	same(t, []forge.Review{{Author: "mara", Approved: true}}, got)
}

func TestANoteOnGitLabHasTheAddressOnItsPage(t *testing.T) {
	_, s, c := only(t, forge.GitLab)
	got, err := c.Comments(t.Context(), 7)
	must(t, err)
	if want := s.URL + "/acme/ops/fleet/-/merge_requests/7#note_71"; got[0].URL != want {
		t.Errorf("%s, want %s", got[0].URL, want)
	}
}

func TestAPageOfNotesByGitLabItselfDoesNotEndTheConversation(t *testing.T) {
	_, s, c := only(t, forge.GitLab)
	s.set(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") == "2" {
			answering(200, jsonKind, `[{"id":2,"body":"a person's"}]`)(w, r)
			return
		}
		answering(200, jsonKind, `[{"id":1,"body":"added 1 commit","system":true}]`, "X-Next-Page", "2")(w, r)
	})
	if got, err := c.Comments(t.Context(), 7); err != nil || len(got) != 1 || got[0].ID != 2 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAServerThatDoesNotPageIsReadWholeByItsTotal(t *testing.T) {
	for name, total := range map[string]string{"with a total": "250", "without": ""} {
		_, s, c := only(t, forge.Gitea)
		s.set(func(w http.ResponseWriter, r *http.Request) { // all at every page
			w.Header().Set("Content-Type", jsonKind)
			if total != "" {
				w.Header().Set("X-Total-Count", total)
			}
			var list []map[string]any
			for id := range 250 {
				list = append(list, map[string]any{"id": id + 1, "body": "x", "created_at": "2026-11-18T10:00:00Z", "updated_at": "2026-11-18T10:00:00Z"})
			}
			_ = json.NewEncoder(w).Encode(list)
		})
		if got, err := c.Comments(t.Context(), 7); err != nil || len(got) != 250 || len(s.all()) > 2 {
			t.Errorf("%s: %d comments by %d requests, %v", name, len(got), len(s.all()), err)
		}
	}
}

func TestRefsOfPullRequestsAreThoseThatGitFetches(t *testing.T) {
	for kind, want := range map[forge.Kind]string{
		forge.GitHub: "refs/pull/7/head", forge.Gitea: "refs/pull/7/head", forge.GitLab: "refs/merge-requests/7/head",
	} {
		if _, _, c := only(t, kind); c.PullRef(7) != want {
			t.Errorf("%s: %s", kind, c.PullRef(7))
		}
	}
}

func TestOptionsThatCannotBeMeantAreRefused(t *testing.T) {
	good := forge.Options{Kind: forge.Gitea, URL: "https://git.example.com", Repo: "acme/fleet", Token: token}
	with := func(change func(*forge.Options)) forge.Options {
		o := good
		change(&o)
		return o
	}
	if _, err := forge.New(good); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]forge.Options{
		"give one of https://":          with(func(o *forge.Options) { o.URL = "http://git.example.com" }),
		"the token in a file":           with(func(o *forge.Options) { o.URL = "https://me:" + canary + "@git.example.com" }),
		"URL is missing":                with(func(o *forge.Options) { o.URL = "" }),
		"URL is not one":                with(func(o *forge.Options) { o.URL = "git.example.com" }),
		`"fleet" is not owner/name`:     with(func(o *forge.Options) { o.Repo = "fleet" }),
		`"a/b/c" is not owner/name`:     with(func(o *forge.Options) { o.Repo = "a/b/c" }),
		`".." is no name`:               with(func(o *forge.Options) { o.Repo = "acme/.." }),
		`kind "svn" is not known`:       with(func(o *forge.Options) { o.Kind = "svn" }),
		"either a token or an app":      with(func(o *forge.Options) { o.Token = nil }),
		"an app is something of github": with(func(o *forge.Options) { o.Token, o.App = nil, &forge.App{} }),
		"needs its id and its private":  with(func(o *forge.Options) { o.Kind, o.Token, o.App = forge.GitHub, nil, &forge.App{ID: "1"} }),
	} {
		_, err := forge.New(o)
		says(t, err, want)
	}
}

// appServer is GitHub as an app meets it: it checks the app's own token, and gives
// tokens by number.
type appServer struct {
	key    *rsa.PrivateKey
	given  atomic.Int32
	expire time.Duration
}

func (a *appServer) answer(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		held := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch r.URL.Path {
		case "/api/v3/repos/acme/fleet/installation":
			a.check(t, held)
			answering(200, jsonKind, `{"id": 42}`)(w, r)
		case "/api/v3/app":
			a.check(t, held)
			answering(200, jsonKind, `{"id": 7, "slug": "fleet-reconciler"}`)(w, r)
		case "/api/v3/app/installations/42/access_tokens":
			a.check(t, held)
			answering(201, jsonKind, fmt.Sprintf(`{"token": "ghs_%d", "expires_at": "%s"}`, a.given.Add(1), time.Now().Add(a.expire).UTC().Format(time.RFC3339)))(w, r)
		default:
			if want := fmt.Sprintf("ghs_%d", a.given.Load()); held != want {
				t.Errorf("%s is asked with %s, want %s", r.URL.Path, held, want)
			}
		}
	}
}

// check is what GitHub demands of an app's own token.
func (a *appServer) check(t *testing.T, token string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Errorf("%q is no token of three parts", token)
		return
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	must(t, err)
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&a.key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	must(t, json.Unmarshal(text, &claims))
	if now := time.Now().Unix(); claims.Iss != "7" || claims.Iat > now-30 || claims.Exp > now+600 || claims.Exp < now+60 {
		t.Errorf("claims %+v", claims)
	}
}

func newApp(t *testing.T, expire time.Duration, pemOf func(*rsa.PrivateKey) []byte) (*appServer, *server, forge.Client) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	d, s, _ := only(t, forge.GitHub)
	a := &appServer{key: key, expire: expire}
	s.set(a.answer(t))
	c, err := forge.New(forge.Options{Kind: d.kind, URL: s.URL, Repo: d.repo, App: &forge.App{
		ID: "7", Key: func() (secret.Bytes, error) { return secret.Of(pemOf(key)), nil },
	}})
	must(t, err)
	return a, s, c
}

func pkcs1(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

func pkcs8(key *rsa.PrivateKey) []byte {
	der, _ := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestAnAppAsksWithATokenForThisRepositoryUntilItEnds(t *testing.T) {
	for name, form := range map[string]func(*rsa.PrivateKey) []byte{"pkcs1": pkcs1, "pkcs8": pkcs8} {
		a, s, c := newApp(t, time.Hour, form)
		for range 2 {
			_, err := c.Pulls(t.Context(), "main")
			must(t, err)
		}
		if me, err := c.Me(t.Context()); err != nil || me != "fleet-reconciler[bot]" {
			t.Errorf("%s: %s %v", name, me, err)
		}
		if n := a.given.Load(); n != 1 {
			t.Errorf("%s: %d tokens", name, n)
		}
		for _, asked := range s.all() {
			if strings.HasSuffix(asked.what, "/access_tokens") && !strings.Contains(asked.body, `"repositories":["fleet"]`) {
				t.Errorf("%s: a token for %s", name, asked.body)
			}
		}
	}
}

func TestATokenOfAnAppThatIsNearItsEndIsRenewed(t *testing.T) {
	a, _, c := newApp(t, 2*time.Minute, pkcs1)
	for range 2 {
		_, err := c.Pull(t.Context(), 7)
		must(t, err)
	}
	if n := a.given.Load(); n != 2 {
		t.Errorf("%d tokens", n)
	}
	_, _, c = newApp(t, -time.Minute, pkcs1)
	_, err := c.Pull(t.Context(), 7)
	says(t, err, "read pull request 7: get a token for the app 7", "is the clock of this machine right?")
}

func TestATokenOfAnAppThatWasTakenBackIsRenewedAtTheNextRequest(t *testing.T) {
	a, s, c := newApp(t, time.Hour, pkcs1)
	_, err := c.Pull(t.Context(), 7)
	must(t, err)
	usual := s.before()
	s.set(answering(401, jsonKind, `{"message":"Bad credentials"}`))
	if _, err := c.Pull(t.Context(), 7); !errors.Is(err, forge.ErrForbidden) {
		t.Errorf("%v", err)
	}
	s.set(usual)
	_, err = c.Pull(t.Context(), 7)
	must(t, err)
	if n := a.given.Load(); n != 2 {
		t.Errorf("%d tokens", n)
	}
}

func TestAnAppThatMayNotIsToldWhatItNeeds(t *testing.T) {
	_, s, c := newApp(t, time.Hour, pkcs1)
	s.set(answering(404, jsonKind, `{"message":"Not Found"}`))
	_, err := c.Pulls(t.Context(), "main")
	says(t, err, "list pull requests: get a token for the app 7")
	if !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if may, err := c.MayWrite(t.Context(), "mara"); may || err == nil {
		t.Errorf("an app that is not installed: %v %v", may, err)
	}
	for _, key := range []string{"", canary, "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"} {
		_, _, c := newApp(t, time.Hour, func(*rsa.PrivateKey) []byte { return []byte(key) })
		_, err := c.Pull(t.Context(), 7)
		says(t, err, "read the key of the app 7", "take the file that GitHub gave")
	}
}

func TestGitHubSaysWhichPermissionsWouldDo(t *testing.T) {
	_, s, c := only(t, forge.GitHub)
	s.set(answering(403, jsonKind, `{"message":"Resource not accessible by integration"}`, "X-Accepted-GitHub-Permissions", "statuses=write"))
	says(t, c.SetStatus(t.Context(), head, forge.Status{Context: "x", State: forge.Success}), "Commit statuses: write", "the forge says statuses=write")
}

// FuzzAnswers gives a forge's answers of any kind to what lists, reads and writes:
// there is an error, or what comes out keeps its promises.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`[{"number":7,"iid":7,"state":"open","sha":"` + head + `","head":{"sha":"` + head + `"}}]`, `[null]`, `null`, `{}`, `{"message":{"a":["b"]}}`, `[{"id":1,"body":"x"}]`, `[[]]`, `1,2`,
	} {
		f.Add(200, seed, "60")
		f.Add(422, seed, "Thu, 01 Jan 2026 00:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, status int, body, after string) {
		if status < 200 || status > 599 || strings.ContainsFunc(after, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Skip()
		}
		for _, d := range dialects() {
			c := canned(t, d, status, body, after)
			if list, err := c.Pulls(t.Context(), "main"); err == nil {
				for _, p := range list {
					if p.Number <= 0 || len(p.Head) < 40 || !p.Open {
						t.Errorf("%s: %+v", d.kind, p)
					}
				}
			}
			if _, err := c.Comments(t.Context(), 7); err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("%s: %q", d.kind, err)
			}
			_, _ = c.Reviews(t.Context(), 7)
			_, _ = c.Comment(t.Context(), 7, "x")
			if busy, ok := errors.AsType[*outbound.BusyError](c.SetStatus(t.Context(), head, forge.Status{Context: "x", State: forge.Error})); ok && (busy.After < 0 || busy.After > time.Hour) {
				t.Errorf("%s: after %v", d.kind, busy.After)
			}
			_, _ = c.InTeam(t.Context(), "mara", "acme/ops")
			_, _ = c.MayWrite(t.Context(), "mara")
		}
	})
}

// BenchmarkUnchangedPulls is what a poll costs while nothing happens.
func BenchmarkUnchangedPulls(b *testing.B) {
	for _, d := range dialects() {
		b.Run(string(d.kind), func(b *testing.B) {
			s := serve(b, d)
			c := s.open(b, d)
			_, err := c.Pulls(b.Context(), "main")
			must(b, err)
			if d.kind == forge.GitHub || d.kind == forge.GitLab {
				s.set(unchanged)
			}
			sent, asked := s.bytes(), len(s.all())
			b.ReportAllocs()
			for b.Loop() {
				_, err := c.Pulls(b.Context(), "main")
				must(b, err)
			}
			b.ReportMetric(float64(s.bytes()-sent)/float64(b.N), "body-bytes/op")
			b.ReportMetric(float64(len(s.all())-asked)/float64(b.N), "requests/op")
		})
	}
}
