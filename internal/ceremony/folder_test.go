package ceremony

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func newFolder(t *testing.T) (Store, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stores, err := Folders([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	return stores[0], dir
}

func TestAFolderKeepsWhatItIsGiven(t *testing.T) {
	s, dir := newFolder(t)
	ctx := t.Context()
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if names, err := s.List(ctx, "prod-eu"); err != nil || len(names) != 0 {
		t.Fatalf("%q, %v", names, err)
	}
	if _, err := s.Get(ctx, "prod-eu/init.age"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := s.Put(ctx, "prod-eu/holders/alice.age", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if back, err := s.Get(ctx, "prod-eu/holders/alice.age"); err != nil || string(back) != text {
			t.Fatalf("%q, %v", back, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "prod-eu", ".init.age.1.tmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := s.List(ctx, "prod-eu"); err != nil || !slices.Equal(names, []string{"prod-eu/.init.age.1.tmp", "prod-eu/holders/alice.age"}) {
		t.Fatalf("%q, %v", names, err)
	}
	for path, mode := range map[string]fs.FileMode{"prod-eu": 0o700, "prod-eu/holders": 0o700, "prod-eu/holders/alice.age": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// A store that is away does not say that it holds nothing.
func TestAFolderThatIsAwayIsAnErrorAndNotEmpty(t *testing.T) {
	s, dir := newFolder(t)
	for name, spoil := range map[string]func() error{
		"gone":                func() error { return os.Remove(dir) },
		"a file in its place": func() error { return os.WriteFile(dir, nil, 0o600) },
		"open to others":      func() error { return errors.Join(os.Remove(dir), os.Mkdir(dir, 0o700), os.Chmod(dir, 0o722)) },
	} {
		_ = os.Remove(dir)
		_ = os.Mkdir(dir, 0o700)
		if name != "open to others" {
			_ = os.Remove(dir)
		}
		if err := spoil(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		_, get := s.Get(t.Context(), "prod-eu/init.age")
		_, list := s.List(t.Context(), "")
		_, some := s.List(t.Context(), "prod-eu")
		for what, err := range map[string]error{"check": s.Check(t.Context()), "put": s.Put(t.Context(), "a/b", nil), "get": get, "list": list, "list of a cluster": some} {
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestAFolderIsNotLeft(t *testing.T) {
	s, dir := newFolder(t)
	for _, name := range []string{"", ".", "..", "../x", "/x", "a/../../x", "a//b", "a/", `a\b`, "a\x00b"} {
		if err := s.Put(t.Context(), name, []byte("x")); err == nil {
			t.Errorf("%q was written", name)
		}
		if _, err := s.Get(t.Context(), name); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q was read: %v", name, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestAnObjectThatIsTooLargeIsAnError(t *testing.T) {
	s, dir := newFolder(t)
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, maxObject+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "big"); err == nil {
		t.Error("it was read")
	}
}

func TestTwoStoresAreTwoFolders(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, paths := range [][]string{{dir, dir}, {dir, dir + "/"}, {dir, link}, {"/nonexistent/a", "/nonexistent/./a"}} {
		if _, err := Folders(paths); err == nil || !strings.Contains(err.Error(), "same folder") {
			t.Errorf("%q: %v", paths, err)
		}
	}
	if stores, err := Folders([]string{dir, "/nonexistent/a", "/nonexistent/b"}); err != nil || len(stores) != 3 {
		t.Error(err)
	}
}
