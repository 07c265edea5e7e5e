//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git/gittest"
	"github.com/vaultfleet/reconciler/internal/settings"
)

// reviewForge is a Gitea as far as it is asked who reviewed what.
type reviewForge struct {
	mu      sync.Mutex
	down    bool
	pulls   map[int]map[string]any
	reviews map[int][]any
	of      map[string]int // commit → the pull request that it is said to be of
}

func (f *reviewForge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		if v == nil {
			w.WriteHeader(http.StatusNotFound)
			v = map[string]any{"message": "not found"}
		}
		_ = json.NewEncoder(w).Encode(v)
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/repos/acme/fleet")
	parts := strings.Split(path, "/")
	number := func(at int) (n int) { n, _ = strconv.Atoi(parts[at]); return n }
	switch path := strings.ToLower(path); {
	case f.down:
		w.WriteHeader(http.StatusBadGateway)
	case path == "":
		answer(map[string]any{"id": 1})
	case strings.HasPrefix(path, "/commits/"):
		if p, ok := f.pulls[f.of[parts[2]]]; ok {
			answer(p)
			return
		}
		answer(nil)
	case strings.HasPrefix(path, "/pulls/") && strings.HasSuffix(path, "/reviews"):
		answer(append([]any{}, f.reviews[number(2)]...))
	case strings.HasPrefix(path, "/pulls/"):
		answer(f.pulls[number(2)])
	case path == "/api/v1/orgs/acme/teams/search":
		answer(map[string]any{"ok": true, "data": []any{map[string]any{"id": 21, "name": "vault-ops"}}})
	case path == "/api/v1/teams/21/members/mara", path == "/api/v1/teams/21/members/kim":
		answer(map[string]any{"id": 4, "login": parts[len(parts)-1]})
	default:
		answer(nil)
	}
}

// merging is a repo whose branch a forge merges into, and the forge.
type merging struct {
	*reviewForge
	t          *testing.T
	dir, repo  string
	forge, eve string // key files
	first      string // the commit that every story goes on from
}

func newMerging(t *testing.T) *merging {
	m := &merging{t: t, dir: t.TempDir(), reviewForge: &reviewForge{pulls: map[int]map[string]any{}, reviews: map[int][]any{}, of: map[string]int{}}}
	m.repo, m.forge, m.eve = filepath.Join(m.dir, "fleet"), filepath.Join(m.dir, "forge"), filepath.Join(m.dir, "eve")
	for _, key := range []string{m.forge, m.eve} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	check(t, os.Mkdir(m.repo, 0o755))
	m.git("init", "-q", "-b", "main")
	m.git("config", "gpg.format", "ssh")
	m.write("fleet.yaml", "format: 1\nfleet: acme\n")
	m.git("add", "-A")
	m.git("commit", "-q", "-m", "the root")
	m.first = m.merge(1, m.propose(1, "first"), m.forge)
	m.approve(1, "mara", "APPROVED")
	return m
}

func (m *merging) git(args ...string) string {
	m.t.Helper()
	return strings.TrimSpace(gittest.Run(m.t, m.repo, "", args...))
}

func (m *merging) write(name, text string) {
	m.t.Helper()
	check(m.t, os.WriteFile(filepath.Join(m.repo, name), []byte(text), 0o644))
}

// propose opens a pull request of one commit more, by ada.
func (m *merging) propose(number int, name string) (head string) {
	m.t.Helper()
	m.git("checkout", "-q", "-B", fmt.Sprint("side", number))
	m.write(name, name+"\n")
	m.git("add", "-A")
	m.git("commit", "-q", "-m", name)
	head = m.git("rev-parse", "HEAD")
	m.git("update-ref", fmt.Sprintf("refs/pull/%d/head", number), head)
	m.git("checkout", "-q", "main")
	repo := map[string]any{"id": 1, "full_name": "acme/fleet"}
	m.pulls[number] = map[string]any{"id": number, "number": number, "state": "open", "title": name, "user": map[string]any{"login": "ada"}, "merged": false,
		"head": map[string]any{"sha": head, "ref": "side", "repo_id": 1, "repo": repo}, "base": map[string]any{"ref": "main", "sha": head, "repo_id": 1, "repo": repo}}
	return head
}

// merged lets the forge say that a commit is the merge of a pull request.
func (m *merging) merged(number int, commit string) string {
	p := m.pulls[number]
	p["state"], p["merged"], p["merge_commit_sha"] = "closed", true, commit
	m.of[commit] = number
	return commit
}

func (m *merging) merge(number int, head, key string) string {
	m.t.Helper()
	m.git(append(m.as(key), "merge", "-q", "--no-ff", "-m", "Merge", head)...)
	return m.merged(number, m.git("rev-parse", "HEAD"))
}

// as are the arguments that let git sign with a key, or with none.
func (m *merging) as(key string) []string {
	if key == "" {
		return []string{"-c", "commit.gpgsign=false"}
	}
	return []string{"-c", "commit.gpgsign=true", "-c", "user.signingkey=" + key}
}

// squash puts what a pull request comes to into one commit.
func (m *merging) squash(number int, head string) string {
	m.t.Helper()
	m.git("merge", "-q", "--squash", head)
	return m.merged(number, m.commit())
}

// commit is one that the forge makes of what lies there.
func (m *merging) commit() string {
	m.t.Helper()
	m.git("add", "-A")
	m.git(append(m.as(m.forge), "commit", "-q", "--allow-empty", "-m", "squashed")...)
	return m.git("rev-parse", "HEAD")
}

// rewrite makes the forge sign a commit of a tree and parents of one's choice.
func (m *merging) rewrite(tree string, parents ...string) string {
	m.t.Helper()
	args := append(m.as(m.forge), "commit-tree", "-S", "-m", "made")
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	id := m.git(append(args, tree)...)
	m.git("reset", "-q", "--hard", id)
	return id
}

// approve notes a review of the head as it is.
func (m *merging) approve(number int, who, state string) map[string]any {
	at := m.pulls[number]["head"].(map[string]any)["sha"]
	r := map[string]any{"id": len(m.reviews[number]) + 1, "user": map[string]any{"login": who}, "state": state, "commit_id": at, "dismissed": false}
	m.reviews[number] = append(m.reviews[number], r)
	return r
}

// open is the branch as reconciler follows it.
func (m *merging) open(url, state, more string) branch {
	m.t.Helper()
	for name, text := range map[string]string{"token": "of-the-bot\n", "known_hosts": "", "reconciler.yaml": fmt.Sprintf(`fleets:
  - repo: %s
    forge: {kind: gitea, url: %q, project: acme/fleet, token_file: token}
    signatures: {policy: forge, forge_keys: [forge.pub], reviewers: [acme/vault-ops, Lee]%s}
trust: {known_hosts: known_hosts}
state: %s
`, m.repo, url, more, state)} {
		check(m.t, os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600))
	}
	s, problems := settings.Load(filepath.Join(m.dir, "reconciler.yaml"))
	for _, p := range problems {
		m.t.Fatal(p)
	}
	b, err := (&app{}).openBranch(m.t.Context(), host{settings: s}, s.Fleets[0])
	check(m.t, err)
	return b
}

// TestOnlyReviewedMergesOfTheForgeAreFollowed: each story goes on from a commit that is in
// force, and says why the newest is not, or nothing.
func TestOnlyReviewedMergesOfTheForgeAreFollowed(t *testing.T) {
	t.Parallel()
	m := newMerging(t)
	web := httptest.NewServer(m)
	t.Cleanup(web.Close)
	reviewed := func(m *merging) string { // a pull request that mara approved
		head := m.propose(7, "seven")
		m.approve(7, "mara", "APPROVED")
		return head
	}
	for name, story := range map[string]struct {
		do   func(m *merging)
		want string
		more string
	}{
		"a merge that a team approved": {func(m *merging) { m.merge(7, reviewed(m), m.forge) }, "", ""},
		"a squash":                     {func(m *merging) { m.squash(7, reviewed(m)) }, "", ""},
		"a squash while the branch goes on": {func(m *merging) {
			head := reviewed(m)
			m.merge(8, m.propose(8, "eight"), m.forge)
			m.approve(8, "kim", "APPROVED")
			m.squash(7, head)
		}, "", ""},
		"approved by a user who is named": {func(m *merging) {
			head := m.propose(7, "seven")
			m.approve(7, "lee", "APPROVED")
			m.merge(7, head, m.forge)
		}, "", ""},
		"from a fork": {func(m *merging) {
			head := reviewed(m)
			m.pulls[7]["head"].(map[string]any)["repo_id"] = 2
			m.merge(7, head, m.forge)
		}, "", ""},
		"two approvals of two":         {func(m *merging) { head := reviewed(m); m.approve(7, "lee", "APPROVED"); m.merge(7, head, m.forge) }, "", ", reviews: 2"},
		"a comment behind an approval": {func(m *merging) { head := reviewed(m); m.approve(7, "mara", "COMMENT"); m.merge(7, head, m.forge) }, "", ""},
		"rebased, of one commit": {func(m *merging) {
			m.git(append(m.as(m.forge), "cherry-pick", reviewed(m))...)
			m.merged(7, m.git("rev-parse", "HEAD"))
		}, "", ""},
		"rebased, of several": {func(m *merging) {
			reviewed(m)
			m.git("checkout", "-q", "side7")
			m.propose(7, "more")
			m.approve(7, "mara", "APPROVED")
			m.git(append(m.as(m.forge), "cherry-pick", "side7~1", "side7")...)
			m.merged(7, m.git("rev-parse", "HEAD"))
		}, "no pull request is known whose merge it is", ""},
		"not signed":                 {func(m *merging) { m.merge(7, reviewed(m), "") }, "the forge did not make it: it is not signed", ""},
		"signed by somebody else":    {func(m *merging) { m.merge(7, reviewed(m), m.eve) }, "the forge did not make it: it is signed by the SSH key", ""},
		"fast-forwarded":             {func(m *merging) { head := reviewed(m); m.git("merge", "-q", "--ff-only", head); m.merged(7, head) }, "the forge did not make it", ""},
		"merged by an administrator": {func(m *merging) { m.merge(7, m.propose(7, "seven"), m.forge) }, "by 0 of those who may, and 1 have to", ""},
		"one approval of two":        {func(m *merging) { m.merge(7, reviewed(m), m.forge) }, "by 1 of those who may, and 2 have to", ", reviews: 2"},
		"one approval twice":         {func(m *merging) { head := reviewed(m); m.approve(7, "Mara", "APPROVED"); m.merge(7, head, m.forge) }, "by 1 of those who may, and 2 have to", ", reviews: 2"},
		"approved before another push": {func(m *merging) {
			reviewed(m)
			m.git("checkout", "-q", "side7")
			m.merge(7, m.propose(7, "more"), m.forge)
		}, "by 0 of those who may", ""},
		"approved by its author": {func(m *merging) {
			head := reviewed(m)
			m.pulls[7]["user"] = map[string]any{"login": "Mara"}
			m.merge(7, head, m.forge)
		}, "by 0 of those who may", ""},
		"an approval that was dismissed": {func(m *merging) {
			head := m.propose(7, "seven")
			m.approve(7, "mara", "APPROVED")["dismissed"] = true
			m.merge(7, head, m.forge)
		}, "by 0 of those who may", ""},
		"an approval that was taken back": {func(m *merging) {
			head := reviewed(m)
			m.approve(7, "mara", "REQUEST_CHANGES")
			m.merge(7, head, m.forge)
		}, "by 0 of those who may", ""},
		"approved by who is in no team": {func(m *merging) {
			head := m.propose(7, "seven")
			m.approve(7, "sam", "APPROVED")
			m.merge(7, head, m.forge)
		}, "by 0 of those who may, and 1 have to; 1 others approved it", ""},
		"made in the forge's editor":       {func(m *merging) { m.write("edited", "x\n"); m.commit() }, "no pull request is known whose merge it is: it was pushed", ""},
		"a merge that the forge knows not": {func(m *merging) { commit := m.merge(7, reviewed(m), m.forge); delete(m.of, commit) }, "no pull request is known", ""},
		"said to be another's":             {func(m *merging) { m.of[m.merge(7, m.propose(7, "seven"), m.forge)] = 1 }, "it is not the commit that pull request 1 was merged as", ""},
		"said to be the merge of another":  {func(m *merging) { reviewed(m); m.merged(7, m.merge(8, m.propose(8, "eight"), m.forge)) }, "and the head of pull request 7 is", ""},
		"a squash of another head":         {func(m *merging) { reviewed(m); m.merged(7, m.squash(8, m.propose(8, "eight"))) }, "differs from the merge in eight, seven", ""},
		"a head that only the forge names": {func(m *merging) {
			head := reviewed(m)
			m.git("update-ref", "refs/pull/7/head", m.first)
			m.squash(7, head)
		}, "to the forge, and refs/pull/7/head stands at", ""},
		"a merge with something besides": {func(m *merging) {
			head := reviewed(m)
			m.git("merge", "-q", "--no-ff", head)
			m.write("besides", "x\n")
			m.git("add", "-A")
			m.merged(7, m.rewrite(m.git("write-tree"), m.first, head))
		}, "differs from the merge in besides", ""},
		"a squash with something besides": {func(m *merging) {
			head := reviewed(m)
			m.git("merge", "-q", "--squash", head)
			m.write("besides", "x\n")
			m.merged(7, m.commit())
		}, "differs from the merge in besides", ""},
		"a merge of which a part was left": {func(m *merging) { head := reviewed(m); m.merged(7, m.rewrite(m.first+"^{tree}", m.first, head)) }, "differs from the merge in seven", ""},
		"merged into another branch": {func(m *merging) {
			m.merge(7, reviewed(m), m.forge)
			m.pulls[7]["base"].(map[string]any)["ref"] = "next"
		}, "which was not to go into main", ""},
		"not merged, as the forge says": {func(m *merging) {
			commit := m.merge(7, reviewed(m), m.forge)
			m.pulls[7]["merged"] = false
			m.of[commit] = 7
		}, "no pull request is known", ""},
		"three parents": {func(m *merging) {
			head := reviewed(m)
			m.merged(7, m.rewrite(head+"^{tree}", m.first, head, m.first+"~1"))
		}, "it has 3 parents", ""},
		"something that was not, on the way": {func(m *merging) { m.write("edited", "x\n"); m.commit(); m.merge(7, reviewed(m), m.forge) }, "on the way to it: no pull request is known", ""},
		"the other side of a merge": {func(m *merging) {
			reviewed(m)
			other := m.git("commit-tree", "-p", m.first+"~1", "-m", "other", m.first+"^{tree}")
			m.merged(7, m.rewrite(m.first+"^{tree}", other, m.first))
		}, "is not among its first parents", ""},
		"a forge that is down": {func(m *merging) { m.merge(7, reviewed(m), m.forge); m.down = true }, "whether it was reviewed is not known", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m.t, m.down = t, false
			m.git("checkout", "-q", "-f", "main")
			m.git("reset", "-q", "--hard", m.first)
			maps.DeleteFunc(m.of, func(_ string, number int) bool { return number > 1 })
			maps.DeleteFunc(m.pulls, func(number int, _ map[string]any) bool { return number > 1 })
			maps.DeleteFunc(m.reviews, func(number int, _ []any) bool { return number > 1 })
			state := filepath.Join(t.TempDir(), "state")
			one := m.open(web.URL, state, "")
			if got, held, err := one.poll(t.Context()); got != m.first || held != nil || err != nil {
				t.Fatalf("the first one: %s %v %v", got, held, err)
			}
			story.do(m)
			newest := m.git("rev-parse", "main")
			for range 2 { // and no other answer the second time
				b := m.open(web.URL, state, story.more)
				got, held, err := b.poll(t.Context())
				switch {
				case err != nil:
					t.Fatal(err)
				case story.want == "" && (held != nil || got != newest):
					t.Fatalf("%s is in force: %v", got, held)
				case story.want != "" && (got != m.first || held == nil || !strings.Contains(held.Error(), story.want)):
					t.Fatalf("%s is in force: %v, want %q", got, held, story.want)
				}
				m.down = m.down || story.want == "" // what was accepted is so without a forge
			}
			if m.down && story.want != "" {
				m.down = false
				if got, held, err := one.poll(t.Context()); got != newest || held != nil || err != nil {
					t.Errorf("when it answers again: %s %v %v", got, held, err)
				}
			}
		})
	}
}

// TestTheKeyOfAForgeIsReadAtTheStart, and not at the first commit.
func TestTheKeyOfAForgeIsReadAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"token": "of-the-bot\n", "known_hosts": "", "web-flow.gpg": "<html>Not found</html>\n", "reconciler.yaml": `fleets:
  - repo: /srv/fleet.git
    forge: {kind: gitea, url: "https://git.internal", project: acme/fleet, token_file: token}
    signatures: {policy: forge, forge_keys: [web-flow.gpg], reviewers: [ada]}
trust: {known_hosts: known_hosts}
state: state
`} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	s, problems := settings.Load(filepath.Join(dir, "reconciler.yaml"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	_, err := (&app{}).openBranch(t.Context(), host{settings: s}, s.Fleets[0])
	if err == nil || !strings.Contains(err.Error(), "web-flow.gpg: line 1: it is neither armored") {
		t.Errorf("%v", err)
	}
}
