//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A forgeLab is a lab whose fleet repo is on a real Gitea.
type forgeLab struct {
	*lab
	*Gitea
	ada, bot, mallory Login
	project           string
	news              *receivers
}

func newForgeLab(t *testing.T) *forgeLab {
	t.Helper()
	f := &forgeLab{lab: newLab(t, 3), project: "acme/fleet"}
	f.Gitea = f.Rig.Gitea()
	f.ada, f.bot, f.mallory = f.Account("ada"), f.Account("reconciler-bot"), f.Account("mallory")
	f.Do(f.ada, "POST", "/orgs", map[string]any{"username": "acme", "visibility": "public"}, nil)
	f.Do(f.ada, "POST", "/orgs/acme/repos", map[string]any{"name": "fleet", "default_branch": "main"}, nil)
	f.Do(f.ada, "PUT", "/repos/acme/fleet/collaborators/reconciler-bot", map[string]any{"permission": "admin"}, nil)
	var team struct{ ID int }
	f.Do(f.ada, "POST", "/orgs/acme/teams", map[string]any{"name": "vault-ops", "permission": "read", "units": []string{"repo.code"}}, &team)
	for _, member := range []Login{f.ada, f.bot} { // only its members see who is in a team
		f.Do(f.ada, "PUT", fmt.Sprintf("/teams/%d/members/%s", team.ID, member.Name), nil, nil)
	}
	f.Push(f.ada, f.repo, f.project, "main")

	secret, token := filepath.Join(f.Rig.Dir, "hook.secret"), filepath.Join(f.Rig.Dir, "forge.token")
	f.must(os.WriteFile(secret, []byte("a secret of the forge and the reconciler\n"), 0o600))
	f.must(os.WriteFile(token, []byte(f.bot.Token+"\n"), 0o600))
	text, err := os.ReadFile(f.config)
	f.must(err)
	local := fmt.Sprintf("  - {repo: %q, branch: main, path: ., interval: 1s}\n", f.repo)
	served := fmt.Sprintf(`  - repo: %s/%s.git
    interval: 5s
    token_file: %s
    ca: %s
    forge: {kind: gitea, token_file: %s, operators: {"*": [acme/vault-ops]}}
`, f.URL, f.project, token, f.Gitea.CA, token)
	if !strings.Contains(string(text), local) {
		t.Fatalf("reconciler.yaml has no %q", local)
	}
	got, told := f.Rig.receivers()
	f.news = got
	f.must(os.WriteFile(f.config, []byte(strings.Replace(string(text), local, served, 1)+told+"webhook: {listen: \"127.0.0.1:9181\", secret_file: "+secret+"}\n"), 0o600))
	f.Do(f.ada, "POST", "/repos/acme/fleet/hooks", map[string]any{"type": "gitea", "active": true,
		"events": []string{"push", "pull_request", "pull_request_sync", "issue_comment", "pull_request_comment"},
		"config": map[string]any{"url": "http://127.0.0.1:9181/hook", "content_type": "json", "secret": "a secret of the forge and the reconciler"}}, nil)
	return f
}

// ours are the comments of the reconciler.
func (f *forgeLab) ours(number int) (all []string) {
	f.lab.t.Helper()
	for _, c := range f.Comments(f.project, number) {
		if c.User.Login == f.bot.Name {
			all = append(all, c.Body)
		}
	}
	return all
}

// answered waits until the one comment of the reconciler holds these words, and
// returns it.
func (f *forgeLab) answered(number int, words ...string) string {
	f.lab.t.Helper()
	var ours []string
	err := Until(fmt.Sprintf("a comment on pull request %d that says %q", number, words), 5*time.Minute, func() bool {
		if ours = f.ours(number); len(ours) == 0 {
			return false
		}
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(ours[0], w) })
	})
	if err != nil {
		f.lab.t.Fatalf("%v\n%s", err, strings.Join(ours, "\n----\n"))
	}
	if len(ours) != 1 {
		f.lab.t.Errorf("%d comments:\n%s", len(ours), strings.Join(ours, "\n----\n"))
	}
	return ours[0]
}

// status waits until a commit has a status that begins so.
func (f *forgeLab) status(d *daemon, commit, context, begin string) {
	f.lab.t.Helper()
	d.until(fmt.Sprintf("%s of %.12s to be %q", context, commit, begin), func() bool {
		return strings.HasPrefix(f.Statuses(f.project, commit)[context], begin)
	})
}

const clusterFile = "clusters/prod/cluster.yaml"

// proposes opens a pull request that makes the cluster's file another one.
func (f *forgeLab) proposes(branch, text, title string) PullRequest {
	f.lab.t.Helper()
	f.Edit(f.ada, f.project, "main", branch, clusterFile, text, title)
	return f.Gitea.Open(f.ada, f.project, branch, title)
}

// TestPullRequestsAreAnsweredOnARealForge follows a fleet on Gitea: a push is heard
// by its webhook, pull requests are answered in place, and what was merged is told
// until it is applied.
func TestPullRequestsAreAnsweredOnARealForge(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newForgeLab(t)
	l := f.lab
	l.run(0, "approve", "--init", "prod", "--reason", "a new cluster")
	d := l.daemon("-v")
	d.says("reason=confirm-keys")
	l.run(0, "keys", "confirm", "prod", "--identity", l.alice.File)
	d.says(`msg="in sync"`)

	t.Run("a push is heard by its webhook", func(t *testing.T) {
		began := time.Now()
		f.Edit(f.ada, f.project, "main", "main", clusterFile, l.spec("  log_level: debug\n  ui: true"), "log more")
		d.says("dialect=gitea", "event=push", "outcome=hint")
		d.says("action=reload")
		t.Logf("from the push to the first step: %v", time.Since(began).Round(10*time.Millisecond))
		d.says(`msg="in sync"`, "commit="+f.tip())
	})

	t.Run("a change of log_level is answered, and followed until it is applied", func(t *testing.T) {
		p := f.proposes("level", l.spec("  log_level: warn\n  ui: true"), "log less")
		text := f.answered(p.Number, "log_level", `"debug" → "warn"`, "3 of 3 nodes to change; 0 restart, 3 reload only")
		f.status(d, p.Head.Sha, "reconciler/plan", "success 3 of 3 nodes to change")
		// a new push, in place
		f.Edit(f.ada, f.project, "level", "level", clusterFile, l.spec("  log_level: error\n  ui: true"), "log even less")
		f.answered(p.Number, `"debug" → "error"`, "Earlier plans (1)")
		// the base moves
		f.Edit(f.ada, f.project, "main", "main", "README.md", "# a fleet\n", "say what it is")
		base := f.tip()
		f.answered(p.Number, "merged into "+base[:12])
		if same := f.ours(p.Number)[0]; same == text {
			t.Error("the comment is the first one still")
		}
		f.Gitea.Merge(f.ada, f.project, p.Number, "merge")
		f.answered(p.Number, "✅", "applied in 1 of 1 cluster", "The plan as it was merged")
		f.status(d, f.tip(), "reconciler/rollout", "success applied")
		editors := regexp.MustCompile(`(?s)<div id="[a-z]+-\d+-raw" class="raw-content[^>]*>.*?</div>`)
		shown := editors.ReplaceAllString(f.Page(f.project, p.Number), "") // what nobody sees until it is edited
		if !strings.Contains(shown, "applied in 1 of 1 cluster") || strings.Contains(shown, "reconciler:data") {
			t.Errorf("the page does not show the comment as it should:\n%s", shown)
		}
	})

	t.Run("an upgrade says what it costs, and is rolled out", func(t *testing.T) {
		l.version = "1.21.1"
		releases := l.Rig.Releases("1.21.0", "1.21.1")
		f.Edit(f.ada, f.project, "main", "upgrade", "vault.lock", releases.Lock, "lock 1.21.1")
		f.Edit(f.ada, f.project, "upgrade", "upgrade", clusterFile, l.spec("  log_level: error\n  ui: true"), "Vault 1.21.1")
		p := f.Gitea.Open(f.ada, f.project, "upgrade", "Vault 1.21.1")
		f.answered(p.Number, "3 restart", "1.21.0 → 1.21.1", "(leader, last)", "Reverting does not undo this")
		f.keep(t, "upgrade.html", p.Number)
		f.Gitea.Merge(f.ada, f.project, p.Number, "squash")
		f.answered(p.Number, "✅", "applied in 1 of 1 cluster")
		f.status(d, f.tip(), "reconciler/rollout", "success applied")
		l.serves()
	})

	t.Run("where a node is reached is nobody's word", func(t *testing.T) {
		listener, err := l.Rig.Listen("10.77.0.1:2222")
		l.must(err)
		t.Cleanup(func() { listener.Close() })
		asked := make(chan string, 1)
		go func() {
			if conn, err := listener.Accept(); err == nil {
				asked <- conn.RemoteAddr().String()
			}
		}()
		spec := strings.Replace(l.spec("  log_level: error\n  ui: true"), "{name: node-2, address: 10.77.0.12,", "{name: node-2, address: 10.77.0.12, ssh: {address: 10.77.0.1, port: 2222},", 1)
		p := f.proposes("elsewhere", spec, "node-2 moves")
		f.answered(p.Number, "Not looked at: node-2", "nothing connects there before the merge")
		turns := d.turns()
		d.until("more turns", func() bool { return d.turns() > turns+3 })
		select {
		case from := <-asked:
			t.Errorf("a connection came from %s", from)
		default:
		}
	})

	t.Run("hostile texts and secrets", func(t *testing.T) {
		const secret = "hvs.CAESIJ6rcanaryCanaryCanary0123456789canary"
		p := f.proposes("hostile", l.spec("  log_level: error\n  ui: true\n  cluster_name: \"```</details>@ada <img src=x onerror=alert(1)> <!-- reconciler:end -->\""), "hostile")
		f.answered(p.Number, "cluster_name")
		if page := f.Page(f.project, p.Number); strings.Contains(page, "<img src=x") {
			t.Error("the page holds an element that a pull request brought")
		}
		p = f.proposes("secret", l.spec("  log_level: error\n  ui: true\nenvironment_file: {VAULT_TOKEN: "+secret+"}"), "a secret")
		text := f.answered(p.Number, "🔴")
		f.status(d, p.Head.Sha, "reconciler/plan", "failure")
		if strings.Contains(text, secret[:20]) || strings.Contains(d.Stderr(), secret[:20]) {
			t.Error("the secret is repeated")
		}
		p = f.proposes("mistake", l.spec("  log_level: error\n  ui: true\nlisten: 8200"), "a mistake")
		f.answered(p.Number, "clusters/prod/cluster.yaml:", "unknown key")
		f.status(d, p.Head.Sha, "reconciler/plan", "failure 1 error")
	})

	t.Run("what touches nothing, and what comes from a fork", func(t *testing.T) {
		f.Edit(f.ada, f.project, "main", "docs", "README.md", "# a fleet of Vault\n", "more words")
		docs := f.Gitea.Open(f.ada, f.project, "docs", "docs")
		f.status(d, docs.Head.Sha, "reconciler/plan", "success no cluster is touched")
		f.Do(f.mallory, "POST", "/repos/acme/fleet/forks", map[string]any{}, nil)
		l.must(Until("the fork to be there", time.Minute, func() bool {
			status, _ := f.try(f.mallory, "GET", "/repos/mallory/fleet/contents/"+clusterFile, nil)
			return status == http.StatusOK
		}))
		f.Edit(f.mallory, "mallory/fleet", "main", "evil", clusterFile, l.spec("  log_level: trace\n  ui: true"), "trust me")
		fork := f.Gitea.Open(f.mallory, f.project, "mallory:evil", "trust me")
		f.status(d, fork.Head.Sha, "reconciler/plan", "success not planned: it comes from a fork")
		if n := len(f.ours(docs.Number)) + len(f.ours(fork.Number)); n != 0 {
			t.Errorf("%d comments where none belongs", n)
		}

		f.Say(f.mallory, f.project, docs.Number, "/reconciler hold prod because I can")
		f.answered(docs.Number, "only who may write to the repo is heard")
		f.Say(f.ada, f.project, docs.Number, "/reconciler hold prod the network is worked on")
		f.answered(docs.Number, "held, until /reconciler resume prod")
		l.want(l.run(5, "plan").Stdout, "held by ada on pull request", "the network is worked on")
		f.Say(f.ada, f.project, docs.Number, "/reconciler resume prod it is over")
		f.answered(docs.Number, "resumed")
		l.inSync()
	})

	t.Run("drift is told in an issue, by mail and by a webhook", func(t *testing.T) { f.toldOfDrift(t, d, f.news) })
	t.Run("a plan is approved where it is read", func(t *testing.T) { f.approvedWhereRead(t, d) })
	d.ends(0)
}

// tip is what the branch stands at on the forge.
func (f *forgeLab) tip() string {
	f.lab.t.Helper()
	var branch struct{ Commit struct{ ID string } }
	f.Do(f.ada, "GET", "/repos/"+f.project+"/branches/main", nil, &branch)
	return branch.Commit.ID
}

// keep writes the page of a pull request where RECONCILER_PAGES says.
func (f *forgeLab) keep(t *testing.T, name string, number int) {
	t.Helper()
	if dir := os.Getenv("RECONCILER_PAGES"); dir != "" {
		f.lab.must(os.WriteFile(filepath.Join(dir, name), []byte(f.Page(f.project, number)), 0o644))
	}
}
