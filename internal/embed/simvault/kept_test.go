package simvault

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A server is killed at any byte of what it writes.
func TestWhatIsKeptIsWholeWhoeverDies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept")
	if _, err := kept(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("of nothing: %v", err)
	}
	files := func(text string) [][]byte { // copy and text, as they lie there
		t.Helper()
		if err := keep(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := kept(path); err != nil || string(got) != text {
			t.Fatalf("%q %v, want %q", got, err, text)
		}
		var out [][]byte
		for _, at := range []string{path + ".copy", path} {
			body, err := os.ReadFile(at)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, body)
		}
		return out
	}
	const older, newer = `{"index": 12345}`, `{"index": 6}`
	before := files(older)
	after := files(newer)
	for file, at := range []string{path + ".copy", path} {
		for n := range len(after[file]) + 1 {
			torn := append(bytes.Clone(after[file][:n]), before[file][n:]...)
			other := []string{path, path + ".copy"}[file]
			untouched := [][]byte{before[1], after[0]}[file]
			if err := errors.Join(os.WriteFile(at, torn, 0o600), os.WriteFile(other, untouched, 0o600)); err != nil {
				t.Fatal(err)
			}
			if got, err := kept(path); err != nil || string(got) != older && string(got) != newer {
				t.Fatalf("killed at byte %d of file %d: %q %v", n, file, got, err)
			}
		}
	}
}
