package forge_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/secret"
)

const canary = "canary-3f1c9d-token"

// dialect is a forge as the tests see it.
type dialect struct {
	kind      forge.Kind
	repo      string
	record    string // of its answers, in testdata
	comments  string // path of pull request 7's
	status    string // path of statuses of the head of 7
	issues    string // path
	signature func(http.Header) string
}

func dialects() []dialect {
	authorization := func(h http.Header) string { return h.Get("Authorization") }
	return []dialect{
		{forge.GitHub, "acme/fleet", "github", "/api/v3/repos/acme/fleet/issues/7/comments", "/api/v3/repos/acme/fleet/statuses/" + head, "/api/v3/repos/acme/fleet/issues", authorization},
		{forge.GitLab, "acme/ops/fleet", "gitlab", "/api/v4/projects/acme%2Fops%2Ffleet/merge_requests/7/notes", "/api/v4/projects/acme%2Fops%2Ffleet/statuses/" + head, "/api/v4/projects/acme%2Fops%2Ffleet/issues",
			func(h http.Header) string { return h.Get("Private-Token") }},
		{forge.Gitea, "acme/fleet", "gitea", "/api/v1/repos/acme/fleet/issues/7/comments", "/api/v1/repos/acme/fleet/statuses/" + head, "/api/v1/repos/acme/fleet/issues", authorization},
		{forge.Forgejo, "acme/fleet", "gitea", "/api/v1/repos/acme/fleet/issues/7/comments", "/api/v1/repos/acme/fleet/statuses/" + head, "/api/v1/repos/acme/fleet/issues", authorization},
	}
}

const (
	head   = "7777777777777777777777777777777777777777"
	merged = "5555555555555555555555555555555555555555"
	pushed = "6666666666666666666666666666666666666666" // past any pull request
)

// server answers with what was recorded, and notes what it is asked.
type server struct {
	*httptest.Server

	mu    sync.Mutex
	front http.HandlerFunc // before what was recorded: it may write an answer of its own
	asked []asked
	sent  int // bytes of its answers
}

type asked struct {
	what   string // "GET /path page=2"
	body   string
	query  string
	header http.Header
}

// serve gives a dialect's answers. A request that was not recorded fails the test.
func serve(t testing.TB, d dialect) *server {
	archive, err := txtar.ParseFile(filepath.Join("testdata", d.record+".txtar"))
	must(t, err)
	answers := map[string][]byte{}
	for _, f := range archive.Files {
		answers[f.Name] = f.Data
	}
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := s.note(r)
		counted := &counting{ResponseWriter: w, server: s}
		if front := s.before(); front != nil {
			if front(counted, r); counted.written {
				return
			}
		}
		answer, known := answers[what]
		if !known {
			t.Errorf("%s: nothing is recorded for %s", d.kind, what)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		play(counted, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// set has requests answered by front from now on, as far as it does.
func (s *server) set(front http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.front = front
}

func (s *server) before() http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.front
}

func (s *server) note(r *http.Request) string {
	what := r.Method + " " + r.URL.EscapedPath()
	if page := r.URL.Query().Get("page"); page != "" && page != "1" {
		what += " page=" + page
	}
	if state := r.URL.Query().Get("state"); strings.HasSuffix(r.URL.Path, "/issues") && state != "" {
		what += " state=" + state
	}
	if user := r.URL.Query().Get("username"); user != "" {
		what += " username=" + user
	}
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, asked{what, string(body), r.URL.RawQuery, r.Header.Clone()})
	return what
}

// all are the requests until now.
func (s *server) all() []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]asked(nil), s.asked...)
}

// bytes are those of all answers until now, without their headers.
func (s *server) bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// canned is a client of a server that gives one answer to everything.
func canned(t testing.TB, d dialect, status int, body, after string) forge.Client {
	s := &server{Server: httptest.NewServer(answering(status, jsonKind, body, "Retry-After", after))}
	t.Cleanup(s.Close)
	return s.open(t, d)
}

// counting counts what a server sends, and sees that something was.
type counting struct {
	http.ResponseWriter
	server  *server
	written bool
}

func (c *counting) WriteHeader(status int) {
	c.written = true
	c.ResponseWriter.WriteHeader(status)
}

func (c *counting) Write(p []byte) (int, error) {
	c.written = true
	c.server.mu.Lock()
	c.server.sent += len(p)
	c.server.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

// play writes a recorded answer: lines of header, where there are any, and JSON.
func play(w http.ResponseWriter, answer []byte) {
	status := http.StatusOK
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if answer[0] != '{' && answer[0] != '[' {
		lines, body, _ := bytes.Cut(answer, []byte("\n\n"))
		answer = body
		for line := range strings.Lines(string(lines)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if name == "Status" {
				status, _ = strconv.Atoi(value)
				continue
			}
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

// open is a client of a server.
func (s *server) open(t testing.TB, d dialect) forge.Client {
	c, err := forge.New(forge.Options{Kind: d.kind, URL: s.URL, Repo: d.repo, Token: token})
	must(t, err)
	return c
}

func token() (secret.Bytes, error) { return secret.Of([]byte(canary + "\n")), nil }

// each runs a test with every dialect and a server of its own.
func each(t *testing.T, test func(t *testing.T, d dialect, s *server, c forge.Client)) {
	for _, d := range dialects() {
		t.Run(string(d.kind), func(t *testing.T) {
			s := serve(t, d)
			test(t, d, s, s.open(t, d))
		})
	}
}

// answering is a front that gives one answer to everything.
func answering(status int, kind, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const jsonKind = "application/json"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// says fails where an error does not have these words, or has the token.
func says(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nwant it to say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("the token is in %v", err)
	}
}

func is[T error](t testing.TB, err error) T {
	t.Helper()
	e, ok := errors.AsType[T](err)
	if !ok {
		t.Fatalf("%v (%T) is no %T", err, err, e)
	}
	return e
}

// held is a token that changes.
func held(now *string) func() (secret.Bytes, error) {
	return func() (secret.Bytes, error) { return secret.Of([]byte(*now)), nil }
}
