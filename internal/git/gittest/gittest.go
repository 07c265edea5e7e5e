// Package gittest is the git program for tests: the other side of what we do with
// repositories, and the judge of it.
package gittest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// Commit is one to be made by [Import].
type Commit struct {
	Parents []int // where they are in the list
	Files   map[string]string
	Modes   map[string]string // of files that are not 100644
	Time    int64             // when it was made, in seconds since 1970
}

// Import makes many commits by one process, each of them another one even where they
// hold the same, and returns what they are called. The branch main is the last.
func Import(t testing.TB, dir string, commits []Commit) []string {
	t.Helper()
	var stream bytes.Buffer
	for i, c := range commits {
		fmt.Fprintf(&stream, "reset refs/heads/main\n\ncommit refs/heads/main\nmark :%d\ncommitter Bob <bob@example.com> %d +0000\n", i+1, c.Time)
		data(&stream, fmt.Sprint(i))
		for n, p := range c.Parents {
			fmt.Fprintf(&stream, "%s :%d\n", map[bool]string{true: "from", false: "merge"}[n == 0], p+1)
		}
		stream.WriteString("deleteall\n")
		for _, name := range slices.Sorted(maps.Keys(c.Files)) {
			fmt.Fprintf(&stream, "M %s inline %s\n", cmp.Or(c.Modes[name], "100644"), name)
			data(&stream, c.Files[name])
		}
	}
	marks := filepath.Join(t.TempDir(), "marks")
	Run(t, dir, stream.String(), "fast-import", "--quiet", "--force", "--export-marks="+marks)
	made, err := os.ReadFile(marks)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(commits))
	for line := range strings.Lines(string(made)) {
		var mark int
		var id string
		if _, err := fmt.Sscanf(line, ":%d %s\n", &mark, &id); err != nil {
			t.Fatalf("git fast-import: %q: %v", line, err)
		}
		ids[mark-1] = id
	}
	return ids
}

func data(stream *bytes.Buffer, text string) { fmt.Fprintf(stream, "data %d\n%s\n", len(text), text) }

// Merges is what git makes of merges, each of two commits: the tree, or "" for a
// conflict. Renames are not to be looked for; git 2.39 does all the same.
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
