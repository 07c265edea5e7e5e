//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestNotify runs the stories of `reconciler notify`. What is posted to $SERVER is in
// the file that `posted` writes; below /forge there is a Gitea with the repo acme/fleet.
func TestNotify(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/notify",
		RequireExplicitExec: true,
		UpdateScripts:       *updateScripts,
		Setup: func(env *testscript.Env) error {
			s := &receiving{}
			server := httptest.NewServer(s)
			env.Defer(server.Close)
			env.Setenv("SERVER", strings.TrimPrefix(server.URL, "http://"))
			env.Values[receivingKey{}] = s
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fill":   fill,
			"posted": posted,
		},
	})
}

type receivingKey struct{}

// receiving notes what is posted, and keeps issues as Gitea does.
type receiving struct {
	mu     sync.Mutex
	posted strings.Builder
	issues []map[string]any
}

func (s *receiving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodGet {
		fmt.Fprintf(&s.posted, "%s %s %s\n%s\n", r.Method, r.URL.Path, r.Header.Get("Webhook-Signature"), body)
	}
	path, forge := strings.CutPrefix(r.URL.Path, "/forge/api/v1")
	if !forge {
		if strings.HasPrefix(r.URL.Path, "/broken") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "{}") // as ntfy does
		return
	}
	var sent map[string]any
	_ = json.Unmarshal(body, &sent)
	var answer any
	switch {
	case path == "/user":
		answer = map[string]any{"id": 3, "login": "reconciler"}
	case r.Method == http.MethodGet:
		list := []map[string]any{}
		for _, i := range s.issues {
			if i["state"] == r.URL.Query().Get("state") {
				list = append(list, i)
			}
		}
		answer = list
	case strings.HasSuffix(path, "/comments"):
		answer = map[string]any{"id": 1, "body": "x"}
	case r.Method == http.MethodPost:
		i := map[string]any{"number": len(s.issues) + 1, "title": sent["title"], "body": sent["body"], "state": "open", "user": map[string]any{"login": "reconciler"}}
		s.issues, answer = append(s.issues, i), i
	default:
		i := s.issues[0]
		i["body"] = sent["body"]
		if state, ok := sent["state"].(string); ok {
			i["state"] = state
		}
		answer = i
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// posted writes what was posted so far into a file.
func posted(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(receivingKey{}).(*receiving)
	s.mu.Lock()
	defer s.mu.Unlock()
	ts.Check(lay(ts.MkAbs(args[0]), s.posted.String()))
}
