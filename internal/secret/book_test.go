package secret_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/secret"
)

func book(t testing.TB, definitions map[string]secret.Definition, k *secret.Keys) *secret.Book {
	t.Helper()
	b, err := secret.New(definitions, k)
	must(t, err)
	return b
}

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestSecretsComeFromFileEnvironmentProgramAndAge(t *testing.T) {
	path, us := key(t)
	text, err := secret.Encrypt([]string{us}, secret.Of([]byte(canary+"\n")))
	must(t, err)
	t.Setenv("SECRET_TEST_TOKEN", canary)
	link := filepath.Join(t.TempDir(), "link") // as Kubernetes mounts them
	must(t, os.Symlink(file(t, canary+"\n"), link))
	b := book(t, map[string]secret.Definition{
		"file": {Clusters: "*", File: file(t, canary+"\n")},
		"link": {Clusters: "*", File: link},
		"crlf": {Clusters: "*", File: file(t, canary+"\r\n")},
		"bare": {Clusters: "*", File: file(t, canary)},
		"env":  {Clusters: "*", Env: "SECRET_TEST_TOKEN"},
		"exec": {Clusters: "*", Exec: []string{"/bin/echo", canary}},
		"age":  {Clusters: "*", Age: file(t, string(text))},
	}, keys(t, path))
	for _, name := range []string{"file", "link", "crlf", "bare", "env", "exec", "age"} {
		got, err := b.Reveal(t.Context(), "prod-eu", name)
		if err != nil || string(got.Reveal()) != canary {
			t.Errorf("%s: %d bytes, %v", name, got.Len(), err)
		}
	}
	two := book(t, map[string]secret.Definition{"n": {Clusters: "*", File: file(t, "a\n\n")}}, nil)
	if got, err := two.Reveal(t.Context(), "a", "n"); err != nil || string(got.Reveal()) != "a\n" {
		t.Errorf("two newlines: %q, %v", got.Reveal(), err)
	}
}

func TestASecretIsOnlyForItsClusters(t *testing.T) {
	b := book(t, map[string]secret.Definition{
		"one":  {Clusters: "prod-eu", File: file(t, canary)},
		"prod": {Clusters: "prod-*", File: file(t, canary)},
	}, nil)
	for _, c := range []struct {
		cluster, name string
		want          string // part of the error; empty: revealed
	}{
		{"prod-eu", "one", ""},
		{"prod-us", "prod", ""},
		{"prod-us", "one", `secrets.one`},
		{"lab", "prod", `secrets.prod`},
		{"prod", "prod", `secrets.prod`},
		{"prod-eu", "other", "define `secrets.other` in reconciler.yaml"},
		{"prod-eu/../lab", "one", "no such secret"},
		{"", "prod", "no such secret"},
	} {
		got, err := b.Reveal(t.Context(), c.cluster, c.name)
		if c.want == "" && err != nil || c.want != "" && (err == nil || got.Len() != 0 || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s for %s: %d bytes, %v", c.name, c.cluster, got.Len(), err)
		}
	}
}

func TestASecretThatCannotBeHadIsAnErrorAndNeverEmpty(t *testing.T) {
	path, us := key(t)
	_, stranger := key(t)
	foreign, err := secret.Encrypt([]string{stranger}, secret.Of([]byte(canary)))
	must(t, err)
	empty, err := secret.Encrypt([]string{us}, secret.Of([]byte("\n")))
	must(t, err)
	pipe := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	t.Setenv("SECRET_TEST_EMPTY", "")
	for name, d := range map[string]secret.Definition{
		"missing file":     {File: filepath.Join(t.TempDir(), "none")},
		"empty file":       {File: file(t, "")},
		"newline":          {File: file(t, "\n")},
		"folder":           {File: t.TempDir()},
		"pipe":             {File: pipe},
		"huge file":        {File: file(t, strings.Repeat(canary, 100_000))},
		"unset variable":   {Env: "SECRET_TEST_UNSET"},
		"empty variable":   {Env: "SECRET_TEST_EMPTY"},
		"silent program":   {Exec: []string{"/bin/true"}},
		"failing program":  {Exec: []string{"/bin/sh", "-c", "echo " + canary + "; echo " + canary + " >&2; exit 3"}},
		"missing program":  {Exec: []string{"/none/such"}},
		"endless program":  {Exec: []string{"/bin/sh", "-c", "while :; do echo " + canary + canary + canary + "; done"}},
		"killed program":   {Exec: []string{"/bin/sh", "-c", "kill -9 $$"}},
		"somebody's age":   {Age: file(t, string(foreign))},
		"empty age":        {Age: file(t, string(empty))},
		"no age":           {Age: file(t, canary)},
		"missing age file": {Age: filepath.Join(t.TempDir(), "none")},
	} {
		d.Clusters = "*"
		got, err := book(t, map[string]secret.Definition{"n": d}, keys(t, path)).Reveal(t.Context(), "prod-eu", "n")
		if err == nil || got.Len() != 0 || shown(err.Error()) || !strings.Contains(err.Error(), "secret:n for prod-eu") {
			t.Errorf("%s: %d bytes, %v", name, got.Len(), err)
		}
	}
}

func TestAProgramThatHangsIsKilledWithItsChildren(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	b := book(t, map[string]secret.Definition{
		"n": {Clusters: "*", Timeout: 200 * time.Millisecond, Exec: []string{"/bin/sh", "-c", "sleep 600 & echo $! > " + pid + "; wait"}},
	}, nil)
	began := time.Now()
	if _, err := b.Reveal(t.Context(), "a", "n"); err == nil || !strings.Contains(err.Error(), "did not end within 200ms") {
		t.Fatalf("%v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("took %s", took)
	}
	data, err := os.ReadFile(pid)
	must(t, err)
	child := strings.TrimSpace(string(data))
	for deadline := time.Now().Add(10 * time.Second); running(child); {
		if time.Now().After(deadline) {
			t.Fatalf("child %s goes on", child)
		}
		time.Sleep(time.Millisecond)
	}
}

// running says that a process exists and is no zombie (proc_pid_stat(5)).
func running(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestAProgramEndsWithTheCaller(t *testing.T) {
	b := book(t, map[string]secret.Definition{"n": {Clusters: "*", Exec: []string{"/bin/sleep", "600"}}}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := b.Reveal(ctx, "a", "n"); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want canceled", err)
	}
}

func TestArgumentsAreNotReadByAShell(t *testing.T) {
	b := book(t, map[string]secret.Definition{"n": {Clusters: "*", Exec: []string{"/bin/echo", "$(id)", ";", "`id`", "a b"}}}, nil)
	got, err := b.Reveal(t.Context(), "a", "n")
	if err != nil || string(got.Reveal()) != "$(id) ; `id` a b" {
		t.Fatalf("%q, %v", got.Reveal(), err)
	}
}

func TestDefinitionsAreCheckedAllAtOnce(t *testing.T) {
	_, err := secret.New(map[string]secret.Definition{
		"none":     {Clusters: "*"},
		"two":      {Clusters: "*", File: "/a", Env: "B"},
		"nobody":   {File: "/a"},
		"glob":     {Clusters: "[", File: "/a"},
		"relative": {Clusters: "*", Exec: []string{"vault", "token"}},
		"late":     {Clusters: "*", File: "/a", Timeout: -1},
		"good":     {Clusters: "*", File: "/a"},
	}, nil)
	if err == nil {
		t.Fatal("accepted")
	}
	var names []string
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "secrets.glob secrets.late secrets.nobody secrets.none secrets.relative secrets.two" {
		t.Fatalf("%s\n%v", got, err)
	}
}
