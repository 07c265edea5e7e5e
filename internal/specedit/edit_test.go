package specedit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vaultfleet/reconciler/internal/specedit"
)

// TestEdits plays the tables of testdata: a file, what is done to it, and the file
// after it, or why it is refused. UPDATE=1 writes what comes out.
func TestEdits(t *testing.T) {
	tables, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(tables) == 0 {
		t.Fatalf("%v %v", tables, err)
	}
	for _, table := range tables {
		archive, err := txtar.ParseFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+2 < len(archive.Files); i += 3 {
			before, what, after := archive.Files[i], archive.Files[i+1], &archive.Files[i+2]
			t.Run(before.Name, func(t *testing.T) {
				if what.Name != "what" || after.Name != "after" && after.Name != "refused" {
					t.Fatalf("%s %s follow", what.Name, after.Name)
				}
				text, err := do(t, before.Data, string(what.Data))
				got, name := string(text), "after"
				if err != nil {
					got, name = err.Error()+"\n", "refused"
				}
				if os.Getenv("UPDATE") != "" {
					after.Name, after.Data = name, []byte(got)
					return
				}
				if name != after.Name || got != string(after.Data) {
					t.Errorf("%s:\n%s\nwant %s:\n%s", name, got, after.Name, after.Data)
				}
			})
		}
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(table, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// do does the lines of what: set PATH JSON, remove PATH.
func do(t testing.TB, text []byte, what string) ([]byte, error) {
	for line := range strings.Lines(what) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, value, _ := strings.Cut(rest, " ")
		var err error
		if verb == "remove" {
			text, err = specedit.Remove(text, pathOf(at))
		} else {
			var v specedit.Value
			if v, err = specedit.OfJSON(value); err == nil {
				text, err = specedit.Set(text, pathOf(at), v)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return text, nil
}

// pathOf reads "nodes[name=eu-1].config.log_level".
func pathOf(text string) (p specedit.Path) {
	for text != "" {
		if rest, isItem := strings.CutPrefix(text, "["); isItem {
			id, after, _ := strings.Cut(rest, "]")
			field, is, _ := strings.Cut(id, "=")
			p, text = p.Item(is, strings.Split(field, "/")...), strings.TrimPrefix(after, ".")
			continue
		}
		end := strings.IndexAny(text, ".[")
		if end < 0 {
			return p.Key(text)
		}
		p, text = p.Key(text[:end]), strings.TrimPrefix(text[end:], ".")
	}
	return p
}
