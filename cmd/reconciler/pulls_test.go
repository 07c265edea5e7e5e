//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/examples"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// smallForge is a Gitea of one repo and one pull request, as far as the daemon asks.
type smallForge struct {
	backend http.Handler
	head    string

	mu       sync.Mutex
	comments []map[string]any
	statuses map[string]string // "COMMIT CONTEXT" → "STATE WORDS"
}

func (f *smallForge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, api := strings.CutPrefix(r.URL.Path, "/api/v1")
	if !api {
		f.backend.ServeHTTP(w, r)
		return
	}
	if r.Header.Get("Authorization") != "token of-the-bot-4711" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	bot := map[string]any{"id": 1, "login": "bot"}
	at := time.Now().UTC().Format(time.RFC3339)
	repo := map[string]any{"id": 1, "full_name": "acme/fleet"}
	pull := map[string]any{"id": 1, "number": 7, "state": "open", "title": "t", "user": map[string]any{"login": "ada"}, "updated_at": at, "html_url": "https://git/acme/fleet/pulls/7",
		"head": map[string]any{"sha": f.head, "ref": "side", "repo_id": 1, "repo": repo}, "base": map[string]any{"ref": "main", "sha": f.head, "repo_id": 1, "repo": repo}}
	var body map[string]any
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	switch what := r.Method + " " + strings.TrimPrefix(path, "/repos/acme/fleet"); {
	case what == "GET /version":
		answer(200, map[string]any{"version": "1.26.0"})
	case what == "GET /user":
		answer(200, bot)
	case what == "GET /pulls":
		answer(200, []any{pull})
	case what == "GET /pulls/7":
		answer(200, pull)
	case what == "GET /issues/7/comments":
		answer(200, f.comments)
	case what == "POST /issues/7/comments":
		c := map[string]any{"id": len(f.comments) + 1, "body": body["body"], "user": bot, "created_at": at, "updated_at": at}
		f.comments = append(f.comments, c)
		answer(201, c)
	case strings.HasPrefix(what, "POST /statuses/"):
		f.statuses[path[strings.LastIndex(path, "/")+1:]+" "+body["context"].(string)] = body["state"].(string) + " " + body["description"].(string)
		answer(201, map[string]any{"id": 1})
	default:
		answer(404, map[string]any{"message": "not found"})
	}
}

// told is the first comment and a status, once both are there.
func (f *smallForge) told(status string) (comment, words string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.comments) > 0 {
		comment = f.comments[0]["body"].(string)
	}
	return comment, f.statuses[status]
}

// TestTheDaemonAnswersPullRequests: a proposal is fetched, merged and planned beside
// the turns, and said to a forge.
func TestTheDaemonAnswersPullRequests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	repo := filepath.Join(dir, "fleet")
	check(t, os.CopyFS(repo, examples.FleetRepo()))
	rings, err := os.ReadFile(filepath.Join(repo, "fleet.yaml"))
	check(t, err)
	rest, _, _ := bytes.Cut(rings, []byte("rollout:"))
	check(t, os.WriteFile(filepath.Join(repo, "fleet.yaml"), rest, 0o644))
	git := func(args ...string) string { return strings.TrimSpace(gittest.Run(t, repo, "", args...)) }
	file := filepath.Join(repo, "clusters/prod-eu/cluster.yaml")
	text, err := os.ReadFile(file)
	check(t, err)
	text = bytes.Replace(text, []byte("mode: observe"), []byte("mode: enforce"), 1)
	check(t, os.WriteFile(file, text, 0o644))
	git("init", "-q", "-b", "main")
	git("config", "uploadpack.allowAnySHA1InWant", "true")
	git("add", "-A")
	git("commit", "-q", "-m", "the branch")
	git("checkout", "-q", "-b", "side")
	check(t, os.WriteFile(file, bytes.Replace(text, []byte("  ui: true"), []byte("  ui: true\n  log_level: debug"), 1), 0o644))
	git("commit", "-qam", "log more")
	forge := &smallForge{backend: gittest.Backend(t, repo), head: git("rev-parse", "side"), comments: []map[string]any{}, statuses: map[string]string{}}
	git("checkout", "-q", "main")
	web := httptest.NewUnstartedServer(forge)
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	for name, text := range map[string]string{"token": "of-the-bot-4711\n", "known_hosts": "", "ca.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})),
		"reconciler.yaml": fmt.Sprintf(`fleets:
  - repo: %s/.git
    interval: 1s
    ca: ca.pem
    forge: {kind: gitea, project: acme/fleet, token_file: token}
trust: {known_hosts: known_hosts, modes: {"*": enforce}, networks: [127.0.0.0/8], roots: [/opt/vault, /etc/vault.d, /var/log/vault, /usr/local/bin, /etc/systemd/system], services: [vault], users: [vault, root]}
state: state
`, web.URL)} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	var said bytes.Buffer
	begin := func() (end func()) {
		daemon := exec.CommandContext(t.Context(), "reconciler", "--config", filepath.Join(dir, "reconciler.yaml"), "run")
		daemon.Stderr = &said
		check(t, daemon.Start())
		return func() {
			check(t, daemon.Process.Signal(syscall.SIGTERM))
			if err := daemon.Wait(); err != nil {
				t.Errorf("the daemon ends: %v", err)
			}
		}
	}
	await := func(status, begins string) (comment, words string) {
		for deadline := time.Now().Add(time.Minute); !strings.HasPrefix(words, begins) && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			comment, words = forge.told(status)
		}
		return comment, words
	}
	end := begin()
	comment, words := await(forge.head+" reconciler/plan", "success")
	// It is merged, and while it is stopped the daemon becomes another one.
	git("merge", "-q", "--no-ff", "--no-edit", "side")
	merged := git("rev-parse", "main")
	if _, words := await(merged+" reconciler/rollout", "failure"); words != "failure stopped in 1 of 1 cluster" {
		t.Errorf("after the merge: %q", words)
	}
	end()
	end = begin()
	check(t, os.WriteFile(file, bytes.Replace(text, []byte("  ui: true"), []byte("  ui: true\n  log_level: trace"), 1), 0o644))
	git("commit", "-qam", "log all")
	if _, words := await(merged+" reconciler/rollout", "success"); words != "success overtaken by "+git("rev-parse", "--short=12", "main") {
		t.Errorf("after the next commit: %q", words)
	}
	end()
	for _, want := range []string{"**prod-eu** | 3 | log\\_level |", `+ eu-1 eu-2 eu-3   log_level   "info" → "debug"   reload`, "1 other cluster not touched", "3 of 3 nodes not fully seen"} {
		if !strings.Contains(comment, want) {
			t.Errorf("no %q in\n%s\n%s", want, comment, &said)
		}
	}
	if !strings.HasPrefix(words, "success ") || strings.Contains(said.String()+comment, "of-the-bot-4711") {
		t.Errorf("status %q\n%s", words, &said)
	}
}
