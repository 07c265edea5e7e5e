package health_test

import (
	"net/http/httptest"
	"testing"

	"github.com/vaultfleet/reconciler/internal/health"
)

func TestEachQuestionHasItsAnswer(t *testing.T) {
	var late, waiting []string
	h := health.New(health.Ports{Late: func() []string { return late }, Waiting: func() []string { return waiting }})
	ask := func(method, path string, code int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != code || w.Body.String() != body {
			t.Errorf("%s %s is answered %d %q", method, path, w.Code, w.Body)
		}
	}
	ask("GET", "/healthz", 200, "ok\n")
	ask("GET", "/readyz", 200, "ok\n")
	waiting = []string{"/srv/b, branch main"}
	ask("GET", "/healthz", 200, "ok\n")
	ask("GET", "/readyz", 503, "has no commit in force: /srv/b, branch main\n")
	late, waiting = []string{"the turns of a", "the turns of b"}, nil
	ask("GET", "/healthz", 503, "does not go on: the turns of a\ndoes not go on: the turns of b\n")
	ask("GET", "/readyz", 200, "ok\n")

	ask("POST", "/healthz", 405, "")
	ask("GET", "/", 404, "")
	ask("GET", "/healthz/", 404, "")
	ask("GET", "/a/..%2fhealthz", 404, "")
}
