// Package gittest is the git program for tests: the other side of what we do with
// repositories, and the judge of it.
package gittest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Run runs git in a folder, whatever this machine's settings of it are, and returns
// what it prints. Its commits are of one moment, by Alice and Bob.
func Run(t testing.TB, dir, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=alice@example.com", "GIT_AUTHOR_DATE=2026-11-23T12:00:00+01:00",
		"GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.com", "GIT_COMMITTER_DATE=2026-11-23T13:00:00+01:00")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// Backend serves the repositories of a folder as git's own http-backend does.
func Backend(t testing.TB, root string) http.Handler {
	t.Helper()
	return &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(Run(t, root, "", "--exec-path")), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent"},
		Stderr: io.Discard,
	}
}

// Merges is what git makes of merges, each of two commits: the tree, or "" for a
// conflict. Renames are not looked for.
func Merges(t testing.TB, dir string, pairs [][2]string) []string {
	t.Helper()
	var asked strings.Builder
	for _, p := range pairs {
		asked.WriteString(p[0] + " " + p[1] + "\n")
	}
	out := Run(t, dir, asked.String(), "-c", "merge.renames=false", "merge-tree", "--write-tree", "--stdin", "--no-messages")
	answers := strings.Split(strings.TrimSuffix(out, "\x00\x00"), "\x00\x00")
	if len(answers) != len(pairs) {
		t.Fatalf("git merge-tree: %d answers to %d merges", len(answers), len(pairs))
	}
	trees := make([]string, len(answers))
	for i, a := range answers {
		if tree, clean := strings.CutPrefix(a, "1\x00"); clean {
			trees[i] = tree
		}
	}
	return trees
}
