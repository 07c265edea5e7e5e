package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/examples"
	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// proposals is a Gitea of one repo, as far as drift accept asks.
type proposals struct {
	pulls    []any
	branches []string
	body     map[string]string // of what was sent last, by what it was sent to
	refuse   string            // "POST /pulls": with 409
}

func (p *proposals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	what := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v1/repos/acme/fleet")
	var sent map[string]any
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		_ = json.NewDecoder(r.Body).Decode(&sent)
	}
	if what == p.refuse {
		answer(http.StatusConflict, map[string]any{"message": "it already exists"})
		return
	}
	switch what {
	case "GET /pulls":
		answer(200, append([]any{}, p.pulls...))
	case "POST /branches":
		p.branches = append(p.branches, sent["new_branch_name"].(string)+" at "+sent["old_ref_name"].(string))
		answer(201, map[string]any{"name": sent["new_branch_name"], "commit": map[string]any{"id": sent["old_ref_name"]}})
	case "PUT /contents/fleets/one/clusters/prod-eu/cluster.yaml":
		text, _ := base64.StdEncoding.DecodeString(sent["content"].(string))
		p.body["file"] = string(text)
		answer(200, map[string]any{"content": map[string]any{"sha": "x"}})
	case "POST /pulls":
		p.body["title"], p.body["pull"] = sent["title"].(string), sent["body"].(string)
		at := strings.Repeat("9", 40)
		pull := map[string]any{"number": 35, "title": sent["title"], "state": "open", "html_url": "https://git.example.com/acme/fleet/\x1b[2J\u202epulls/35",
			"head": map[string]any{"sha": at, "ref": sent["head"], "repo_id": 1}, "base": map[string]any{"sha": at, "ref": sent["base"], "repo_id": 1}}
		p.pulls = append(p.pulls, pull)
		answer(201, pull)
	default:
		answer(404, map[string]any{"message": "not found"})
	}
}

// anAcceptance is a drift on the example fleet, which lies in a folder of a repository,
// and a forge for it.
func anAcceptance(t *testing.T) (f foundDrift, p *proposals, commit string) {
	t.Helper()
	dir := t.TempDir()
	repo := filepath.Join(dir, "repo")
	check(t, os.CopyFS(filepath.Join(repo, "fleets/one"), examples.FleetRepo()))
	gittest.Run(t, repo, "", "init", "-q", "-b", "main")
	gittest.Run(t, repo, "", "add", "-A")
	gittest.Run(t, repo, "", "commit", "-q", "-m", "the fleet")
	clone, err := git.Open(t.Context(), filepath.Join(dir, "clone"), git.Remote{URL: repo, Branch: "main", Path: "fleets/one"})
	check(t, err)
	commit, err = clone.Fetch(t.Context())
	check(t, err)
	p = &proposals{body: map[string]string{}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	token := filepath.Join(dir, "token")
	check(t, os.WriteFile(token, []byte("of-the-bot"), 0o600))
	only := settings.Fleet{Repo: repo, Branch: "main", Path: "fleets/one", Forge: settings.Forge{Kind: "gitea", URL: server.URL, Project: "acme/fleet", TokenFile: token}}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f = foundDrift{looked: looked{now: now, from: opened{repo: clone, only: only}, source: report.Source{Branch: "main"}}}
	f.cluster = report.Cluster{Name: "prod-eu", Plan: diff.Plan{Commit: commit}}
	f.row = diff.Drift{ID: "D-1f0c22ab", Kind: diff.DriftChanged, Severity: diff.SeverityMedium, Path: "config.log_level", File: "/etc/vault.d/vault.hcl",
		Nodes: []string{"eu-1", "eu-2", "eu-3"}, Want: `"info"`, Have: `"debug"`, Place: "environments/production.yaml:4", Since: now.Add(-72 * time.Hour),
		Traces: []diff.Trace{{Node: "eu-1", Owner: "mara|@all", At: now.Add(-73 * time.Hour)}}}
	return f, p, commit
}

func TestADriftIsProposedOnceAtTheCommitThatIsInForce(t *testing.T) {
	f, p, commit := anAcceptance(t)
	var out bytes.Buffer
	r := &accepting{app: &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, output: "text"}, yes: true}
	edit, err := r.edit(f)
	check(t, err)
	check(t, r.propose(t.Context(), f, edit))
	if len(p.branches) != 1 || p.branches[0] != "reconciler/accept-D-1f0c22ab at "+commit {
		t.Errorf("branches %v", p.branches)
	}
	if !strings.Contains(p.body["file"], "config:\n  ui: true\n  log_level: debug\n") {
		t.Errorf("the file is\n%s", p.body["file"])
	}
	if p.body["title"] != "Accept drift D-1f0c22ab of prod-eu: config.log_level" {
		t.Error(p.body["title"])
	}
	for _, want := range []string{"`\"debug\"`", "`\"info\"`, by environments/production.yaml:4", "**prod-eu** eu-1 eu-2 eu-3", "2026-11-17T12:00:00Z, for 3 days",
		"is mara&#124;&#64;all's, written 2026-11-17T11:00:00Z", "on commit " + commit[:12], "clusters/prod-eu/cluster.yaml", "<!-- reconciler:accept D-1f0c22ab -->"} {
		if !strings.Contains(p.body["pull"], want) {
			t.Errorf("no %s in\n%s", want, p.body["pull"])
		}
	}
	if !strings.Contains(out.String(), "+  log_level: debug\n") || !strings.HasSuffix(out.String(), "Proposed: https://git.example.com/acme/fleet/[2Jpulls/35\n") {
		t.Errorf("it says\n%s", out.String())
	}
	out.Reset()
	check(t, r.propose(t.Context(), f, edit))
	if out.String() != "It is proposed already: https://git.example.com/acme/fleet/[2Jpulls/35\n" || len(p.branches) != 1 {
		t.Errorf("the second time it says\n%s", out.String())
	}
}

func TestNothingIsProposedWithoutAYes(t *testing.T) {
	f, p, _ := anAcceptance(t)
	var out bytes.Buffer
	r := &accepting{app: &app{stdin: strings.NewReader("yes\n"), stdout: &out, stderr: &out, output: "text"}}
	edit, err := r.edit(f)
	check(t, err)
	var wrong *exitError
	if err := r.propose(t.Context(), f, edit); !errors.As(err, &wrong) || wrong.code != exitUsage || len(p.branches) > 0 {
		t.Errorf("%v %v", err, p.branches)
	}
}

func TestWhatWasLeftOfAnEarlierProposalIsNamed(t *testing.T) {
	for refuse, hint := range map[string]string{"POST /branches": "delete the branch reconciler/accept-D-1f0c22ab", "POST /pulls": "the branch reconciler/accept-D-1f0c22ab is there"} {
		f, p, _ := anAcceptance(t)
		p.refuse = refuse
		var out bytes.Buffer
		r := &accepting{app: &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, output: "text"}, yes: true}
		edit, err := r.edit(f)
		check(t, err)
		var told *exitError
		if err := r.propose(t.Context(), f, edit); !errors.As(err, &told) || !strings.Contains(told.Hint(), hint) {
			t.Errorf("%s: %v", refuse, err)
		}
	}
}
