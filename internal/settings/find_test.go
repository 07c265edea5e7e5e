package settings

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestFindPrefersWhatWasNamed(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	here, flag, env := filepath.Join(folder, "reconciler.yaml"), filepath.Join(folder, "flag.yaml"), filepath.Join(folder, "env.yaml")
	for _, path := range []string{here, flag, env} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ flag, env, want string }{
		{"", "", here}, {"", env, env}, {flag, env, flag}, {"flag.yaml", "", flag},
	} {
		got, err := Find(c.flag, lookup(map[string]string{Variable: c.env}))
		if err != nil || got != c.want {
			t.Errorf("flag %q, environment %q: %q, %v; want %q", c.flag, c.env, got, err, c.want)
		}
	}
}

func TestFindTriesNothingElseWhenTheNamedFileIsMissing(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	if err := os.WriteFile("reconciler.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var missing *NotFoundError
	if got, err := Find("gone.yaml", lookup(nil)); !errors.As(err, &missing) {
		t.Errorf("found %q, %v", got, err)
	}
	if got, err := Find("", lookup(map[string]string{Variable: "gone.yaml"})); !errors.As(err, &missing) {
		t.Errorf("found %q, %v", got, err)
	}
}

func TestEnvironmentOverridesTheStateFolder(t *testing.T) {
	s := Settings{State: "/a"}
	if got, err := s.Environment(lookup(nil)); err != nil || got.State != "/a" {
		t.Errorf("unset: %q, %v", got.State, err)
	}
	if got, err := s.Environment(lookup(map[string]string{StateVariable: "/b/"})); err != nil || got.State != "/b" {
		t.Errorf("set: %q, %v", got.State, err)
	}
	if _, err := s.Environment(lookup(map[string]string{StateVariable: "b"})); err == nil {
		t.Error("a relative folder was taken")
	}
}
