//go:build linux

package main

import (
	"bytes"
	"crypto/ed25519"
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
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/demo"
	"github.com/vaultfleet/reconciler/internal/embed"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// webOf serves the repo of a stage by git's own http-backend to whoever has a
// token. It returns what a fleet of reconciler.yaml says of it.
func webOf(t *testing.T, s *demo.Stage, token string) (settings string) {
	t.Helper()
	backend := gittest.Backend(t, s.Repo)
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "git" || password != token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that were meant to fail
	web.StartTLS()
	t.Cleanup(web.Close)
	ca := filepath.Join(s.Dir, "web.pem")
	check(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o644))
	return fmt.Sprintf("{repo: %q, ca: %s, token_file: %s}", web.URL+"/.git", ca, filepath.Join(s.Dir, "token"))
}

// hostOf copies the repo of a stage to a machine where git is run over SSH.
func hostOf(t *testing.T, s *demo.Stage) (settings string, push func()) {
	t.Helper()
	n := s.Node("eu-1")
	push = func() {
		bundle, err := exec.Command("git", "-C", s.Repo, "bundle", "create", "-q", "-", "main").Output()
		check(t, err)
		_, err = n.Shell("cd $RECONCILER_NODE_ROOT/tmp && cat >bundle && { [ -e fleet.git ] || git init -q --bare -b main fleet.git; } && git -C fleet.git fetch -q --update-head-ok ../bundle +main:main", string(bundle))
		check(t, err)
	}
	push()
	return fmt.Sprintf("{repo: \"ssh://%s@%s:%d%s/tmp/fleet.git\", ssh_key: %s, known_hosts: %s}", embed.Account, n.Address, embed.Port, n.Root,
		filepath.Join(s.Dir, "ssh.key"), filepath.Join(s.Dir, "known_hosts")), push
}

// TestARepoIsFollowedWhereverItIsServed: the same commands over HTTPS and SSH,
// and what they say when the way there is closed.
func TestARepoIsFollowedWhereverItIsServed(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	s, err := demo.NewStage(demo.Options{Dir: dir})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	check(t, os.WriteFile(filepath.Join(dir, "token"), []byte("right\n"), 0o600))
	_, private, err := ed25519.GenerateKey(nil)
	check(t, err)
	other, err := ssh.MarshalPrivateKey(private, "")
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "other.key"), pem.EncodeToMemory(other), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "nobody"), nil, 0o600))
	check(t, s.Commit("the first one"))
	overSSH, push := hostOf(t, s)
	text, err := os.ReadFile(s.Config)
	check(t, err)
	_, rest, _ := strings.Cut(string(text), "\ntrust:")
	for way, c := range map[string]struct {
		settings string
		push     func()
	}{"https": {webOf(t, s, "right"), func() {}}, "ssh": {overSSH, push}} {
		file := filepath.Join(dir, way+".yaml")
		config := "fleets: [" + c.settings + "]\ntrust:" + strings.Replace(rest, "state: ", "state: "+dir+"/"+way+"-state # ", 1)
		check(t, os.WriteFile(file, []byte(config), 0o600))
		plan := func(file string) (int, string) {
			var out bytes.Buffer
			code := run([]string{"--config", file, "plan"}, strings.NewReader(""), &out, &out)
			return code, out.String()
		}
		for _, subject := range []string{"one", "two"} {
			check(t, os.WriteFile(filepath.Join(s.Repo, "README.md"), []byte(subject+way), 0o644))
			check(t, s.Commit(subject+" by "+way))
			c.push()
			head, err := exec.Command("git", "-C", s.Repo, "rev-parse", "--short=8", "main").Output()
			check(t, err)
			if code, out := plan(file); code != 5 || !strings.Contains(out, strings.TrimSpace(string(head))) || !strings.Contains(out, "no-lock-entry") {
				t.Errorf("%s: %d, and commit %s\n%s", way, code, head, out)
			}
		}
		for name, wrong := range map[string]struct{ old, new, want string }{
			"a token that is wrong":      {"token_file: " + dir + "/token", "token_file: " + dir + "/age.key", "must hold a token in one line"},
			"no token":                   {", token_file: " + dir + "/token", "", "give token_file"},
			"another CA":                 {"web.pem", "releases.asc", "holds no certificate"},
			"no CA":                      {"ca: " + dir + "/web.pem, ", "", "give the file of its CA"},
			"no such repo over https":    {"/.git", "/gone/.git", "there is no such repository"},
			"no such repo over ssh":      {"fleet.git", "gone.git", "does not appear to be a git repository"},
			"a host that is not known":   {"known_hosts: " + dir + "/known_hosts}]", "known_hosts: " + dir + "/nobody}]", "is not in " + dir + "/nobody"},
			"a key that opens nothing":   {"ssh_key: " + dir + "/ssh.key", "ssh_key: " + dir + "/other.key", "log in as"},
			"another user":               {embed.Account + "@", "nobody@", "log in as nobody"},
			"no such branch":             {"fleets: [{", "fleets: [{branch: trunk, ", "it has no branch trunk; it has \"main\""},
			"a folder that is not there": {"fleets: [{", "fleets: [{path: no/such, ", "it has no folder no"},
		} {
			if !strings.Contains(config, wrong.old) {
				continue // of the other way
			}
			other := filepath.Join(dir, "wrong.yaml")
			check(t, os.WriteFile(other, []byte(strings.Replace(strings.Replace(config, wrong.old, wrong.new, 1), "-state", "-wrong-"+strings.ReplaceAll(name, " ", "-"), 1)), 0o600))
			if code, out := plan(other); code != 1 || !strings.Contains(out, wrong.want) || strings.Contains(out, "right") {
				t.Errorf("%s, %s: %d\n%s", way, name, code, out)
			}
		}
	}
}

// TestABranchOnlyMovesForward: what was in force stays, until a person says that a
// rewind is meant.
func TestABranchOnlyMovesForward(t *testing.T) {
	t.Parallel()
	s, err := demo.NewStage(demo.Options{Dir: reachable(t)})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", s.Repo}, args...)...).CombinedOutput()
		check(t, err)
		return strings.TrimSpace(string(out))
	}
	call := func(code int, want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if got := run(append([]string{"--config", s.Config}, args...), strings.NewReader(""), &out, &out); got != code || !strings.Contains(out.String(), want) {
			t.Errorf("%q: %d, want %d and %q\n%s", args, got, code, want, out.String())
		}
	}
	check(t, s.Commit("one"))
	one := git("rev-parse", "main")
	call(5, one[:8], "plan")
	check(t, os.WriteFile(filepath.Join(s.Repo, "README.md"), []byte("two"), 0o644))
	check(t, s.Commit("two"))
	two := git("rev-parse", "main")
	call(5, two[:8], "plan")

	git("reset", "-q", "--hard", one)
	call(5, "commit "+one[:12]+" is held: "+two[:12]+", which was in force, is not among its ancestors", "plan")
	call(5, "reconciler approve-rewind "+one[:12], "status")
	call(64, "a rewind needs a reason", "approve-rewind", one[:12])
	call(64, "stands at "+one, "approve-rewind", two[:12], "--reason", "a test")
	call(64, "stands at "+one, "approve-rewind", one[:11], "--reason", "a test")
	call(0, "main may go back to "+one[:12], "approve-rewind", one[:12], "--reason", "a test")
	call(0, one[:12]+"  granted  approved: the branch may go back, by ", "history")
	call(5, one[:8], "plan")
	call(1, "nothing is to approve", "approve-rewind", one[:12], "--reason", "a test")
	check(t, os.Rename(s.Repo, s.Repo+".gone"))
	call(5, "going on with the commit that was fetched last", "plan")
}

// TestOnlySignedCommitsAreFollowed, where reconciler.yaml asks for it.
func TestOnlySignedCommitsAreFollowed(t *testing.T) {
	t.Parallel()
	s, err := demo.NewStage(demo.Options{Dir: reachable(t)})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	key, allowed := filepath.Join(s.Dir, "signer"), filepath.Join(s.Dir, "allowed_signers")
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f", key).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	check(t, err)
	check(t, os.WriteFile(allowed, []byte("ada@example.com "+string(public)), 0o644))
	text, err := os.ReadFile(s.Config)
	check(t, err)
	check(t, os.WriteFile(s.Config, []byte(strings.Replace(string(text), "interval: 2s", "interval: 2s, signatures: {policy: every-commit, allowed_signers: "+allowed+"}", 1)), 0o600))
	check(t, s.Commit("by nobody"))
	commit := func(name string, flags ...string) string {
		check(t, os.WriteFile(filepath.Join(s.Repo, "README.md"), []byte(name), 0o644))
		args := append([]string{"-C", s.Repo, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "gpg.format=ssh", "-c", "user.signingkey=" + key, "commit", "-q", "-a", "-m", name}, flags...)
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		id, err := exec.Command("git", "-C", s.Repo, "rev-parse", "main").Output()
		check(t, err)
		return strings.TrimSpace(string(id))
	}
	plan := func(code int, want ...string) {
		t.Helper()
		var out bytes.Buffer
		got := run([]string{"--config", s.Config, "plan"}, strings.NewReader(""), &out, &out)
		for _, w := range want {
			if got != code || !strings.Contains(out.String(), w) {
				t.Errorf("%d, want %d and %q\n%s", got, code, w, out.String())
			}
		}
	}
	plan(1, "is held: it is not signed", "no commit is in force")
	one := commit("one", "-S", "--amend", "--no-edit")
	plan(5, one[:8])
	two := commit("two")
	plan(5, one[:8], two[:12]+" is held: it is not signed", one[:12]+" stays in force")
	three := commit("three", "-S")
	plan(5, one[:8], three[:12]+" is held: commit "+two[:12]+", on the way to it: it is not signed")
	check(t, exec.Command("git", "-C", s.Repo, "reset", "-q", "--hard", one).Run())
	four := commit("four", "-S")
	plan(5, four[:8])
	check(t, os.WriteFile(allowed, []byte("# nobody\n"), 0o644))
	plan(1, "allowed_signers: it allows no signer")
	check(t, os.WriteFile(allowed, []byte("eve@example.com "+string(public)+"bob@example.com nonsense\n"), 0o644))
	plan(1, "allowed_signers: line 2")
}
