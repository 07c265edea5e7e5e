package rooms

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/vaultfleet/reconciler/"
	root   = "../.."
)

// mayImport is who may know whom: the table of docs/design.md, chapter 3. A
// room that is not in it does not belong there yet: decide first what it may
// know. The test files of a room may know more.
func mayImport() map[string][]string {
	return map[string][]string{
		"pkg/schedule": {},
		"pkg/desired":  {"pkg/schedule"},
		"pkg/actual":   {},
		"pkg/diff":     {"pkg/desired", "pkg/actual", "pkg/schedule"},
		"pkg/apply":    {"pkg/diff"},

		"internal/loop":   {"pkg/desired", "pkg/actual", "pkg/diff", "pkg/apply"},
		"internal/daemon": {"internal/loop", "pkg/apply", "pkg/diff"},
		"internal/host":   {"pkg/desired", "pkg/actual", "pkg/diff", "pkg/apply"},

		// These talk to the world and judge nothing; what they carry they name
		// in the words of pkg.
		"internal/ssh":      {"pkg/actual"},
		"internal/vault":    {"pkg/actual"},
		"internal/secret":   {},
		"internal/settings": {"pkg/desired", "pkg/schedule"},
		"internal/trust":    {"internal/settings", "pkg/desired", "pkg/actual"}, // holds specs and addresses against the settings

		"internal/git":         {"pkg/desired", "internal/lease/flock", "internal/store/durable"},
		"internal/git/wire":    {"internal/outbound"},
		"internal/git/gittest": {}, // for tests alone
		"internal/admission":   {"internal/store/durable"},
		"internal/hook":        {"internal/inbound", "internal/secret"},
		"internal/health":      {},
		"internal/sdnotify":    {},
		"internal/release":     {"pkg/desired", "internal/lease/flock", "internal/store/durable", "internal/keyfile", "internal/outbound"},
		"internal/keyfile":     {},
		"internal/outbound":    {},
		"internal/inbound":     {},
		"internal/signature":   {"internal/keyfile"}, // of a commit's bytes, wherever they come from

		"internal/store":         {"pkg/diff", "internal/lease/flock", "internal/store/durable"},
		"internal/lease":         {"pkg/diff", "internal/lease/flock", "internal/store/durable"},
		"internal/lease/flock":   {},
		"internal/store/durable": {},

		// Birth is acts with their own journal: it stands beside apply, and
		// cannot reach a node but through the ports it is given.
		"internal/ceremony": {"pkg/desired", "pkg/actual", "pkg/diff", "pkg/apply", "internal/secret", "internal/store/durable"},

		"internal/specedit": {}, // texts alone: what a key means is not its to know
		"internal/accept":   {"pkg/desired", "pkg/diff", "internal/specedit"},

		"internal/report":   {"pkg/desired", "pkg/actual", "pkg/diff", "pkg/apply"},
		"internal/history":  {"internal/report", "internal/loop", "pkg/actual", "pkg/apply", "pkg/diff"}, // is told of turns
		"internal/forge":    {"internal/outbound", "internal/secret"},
		"internal/review":   {"internal/forge", "internal/report", "internal/store/durable", "pkg/desired", "pkg/actual", "pkg/diff"}, // connects to nothing: what it knows it is told
		"internal/reviewed": {"internal/forge", "internal/signature"},
		"internal/news":     {"internal/report", "pkg/diff"},
		"internal/notify":   {"internal/forge", "internal/outbound", "internal/secret", "internal/lease/flock", "internal/store/durable"}, // its texts come finished
		"internal/web":      {"internal/inbound", "internal/report", "internal/secret", "pkg/desired", "pkg/diff", "pkg/apply"},           // in whose words it is told of problems, plans and steps
		"internal/metrics":  {"internal/loop", "pkg/actual", "pkg/diff", "pkg/apply"},

		"internal/web/webtest": {"internal/web", "internal/report", "pkg/desired", "pkg/actual", "pkg/diff", "pkg/apply"}, // for tests alone

		"internal/sim":   {"internal/loop", "pkg/desired", "pkg/actual", "pkg/diff", "pkg/apply"},
		"internal/embed": {},

		"internal/embed/simvault": {"internal/embed", "internal/sim", "internal/lease/flock"},

		"internal/conform": {"internal/throwaway"},

		// A person at a fleet that was made to be shown or tested. The product
		// comes to demo as a function: what it did is looked up past it.
		"internal/person":    {},
		"internal/throwaway": {},
		"internal/demo":      {"internal/embed", "internal/embed/simvault", "internal/person", "internal/throwaway", "examples"},

		"internal/rooms": {},
	}
}

// isFree are the places that wire or test the rooms and may know all of them.
func isFree(room string) bool {
	return room == "." || room == "cmd" || strings.HasPrefix(room, "cmd/") || strings.HasPrefix(room, "internal/e2e") || strings.HasPrefix(room, "examples")
}

func TestRoomsKnowOnlyWhomTheyMay(t *testing.T) {
	table := mayImport()
	for room, files := range sources(t) {
		if isFree(room) {
			continue
		}
		allowed, known := table[room]
		if !known {
			t.Errorf("%s is in no table: decide what it may import, and write it into this test and into docs/design.md", room)
			continue
		}
		for name, file := range files {
			for _, wrong := range foreign(room, allowed, file) {
				t.Errorf("%s imports %s: a room that knows more than it must cannot be read, tested or replaced alone", name, wrong)
			}
		}
	}
}

// foreign are the rooms that a file imports and may not.
func foreign(room string, allowed []string, file *ast.File) []string {
	var wrong []string
	for _, imported := range imports(file) {
		other, ours := strings.CutPrefix(imported, module)
		if ours && other != room && !slices.Contains(allowed, other) {
			wrong = append(wrong, other)
		}
	}
	return wrong
}

// TestJudgingIsPure holds the rooms that a plan comes from, the one that says who
// signed, and those that change a spec, to values: time comes in as one, and nothing is looked up,
// waited for or done at once.
func TestJudgingIsPure(t *testing.T) {
	all := sources(t)
	for _, room := range []string{"pkg/schedule", "pkg/desired", "pkg/diff", "internal/signature", "internal/specedit", "internal/accept"} {
		if len(all[room]) == 0 {
			t.Fatalf("no files in %s", room)
		}
		for name, file := range all[room] {
			for _, what := range impurities(file) {
				t.Errorf("%s: %s", name, what)
			}
		}
	}
}

// impurities are what a file of a pure room may not name, each with the
// reason.
func impurities(file *ast.File) []string {
	var found []string
	for _, imported := range imports(file) {
		if isWorldly(imported) {
			found = append(found, "imports "+imported+": what it tells differs from machine to machine")
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "starts a goroutine: the order of results would be the scheduler's")
		case *ast.SelectStmt:
			found = append(found, "selects: the choice would be the scheduler's")
		case *ast.ChanType:
			found = append(found, "names a channel: the order of results would be the scheduler's")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && isClock(n.Sel.Name) {
				found = append(found, "names time."+n.Sel.Name+": time comes in as a value")
			}
		}
		return true
	})
	return append(found, hiddenState(file)...)
}

// isWorldly says whether a package looks at, or acts on, what is outside.
// Addresses as values are not.
func isWorldly(imported string) bool {
	top, _, _ := strings.Cut(imported, "/")
	switch {
	case imported == "net/netip", imported == "net/url":
		return false
	case slices.Contains([]string{"net", "os", "log", "syscall", "runtime", "plugin", "sync", "context"}, top):
		return true
	}
	return slices.Contains([]string{"math/rand", "math/rand/v2", "crypto/rand", "io/ioutil", "path/filepath", "flag", "unsafe", "time/tzdata", "database/sql", "embed"}, imported)
}

func isClock(name string) bool {
	return slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Timer", "Ticker", "LoadLocation", "Local"}, name)
}

// hiddenState are package variables other than errors, and init functions.
func hiddenState(file *ast.File) []string {
	var found []string
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name == "init" {
				found = append(found, "has an init function: what runs before main cannot be passed anything")
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok || d.Tok != token.VAR {
					continue
				}
				for _, name := range v.Names {
					if name.Name != "_" && !strings.HasPrefix(strings.ToLower(name.Name), "err") {
						found = append(found, "has the package variable "+name.Name+": only errors and constants may stand there")
					}
				}
			}
		}
	}
	return found
}

// TestNoFileIsForOneSystem keeps the operating system of a node data: the go
// command would leave such a file out of the build on every other system.
func TestNoFileIsForOneSystem(t *testing.T) {
	for _, files := range sources(t) {
		for name := range files {
			if system := systemOf(name); system != "" {
				t.Errorf("%s is built only on %s: which system a node runs is data", name, system)
			}
		}
	}
}

// systemOf is the system or machine that the go command builds a file for
// alone, by its name; empty: for all.
func systemOf(name string) string {
	base := strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".go"), "_test")
	_, last, ok := cutLast(base, "_")
	if ok && slices.Contains([]string{"linux", "windows", "darwin", "freebsd", "openbsd", "netbsd", "solaris", "plan9", "js", "unix", "amd64", "arm64", "arm", "386", "wasm"}, last) && last != "unix" {
		return last
	}
	return ""
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// TestTheTestsSee holds that each of the checks above finds what it is for.
func TestTheTestsSee(t *testing.T) {
	for _, row := range []struct{ source, want string }{
		{`import "os"`, "imports os"},
		{`import "net/http"`, "imports net/http"},
		{`import "net"`, "imports net"},
		{`import "net/netip"`, ""},
		{`import "net/url"`, ""},
		{`import "time"; func f() time.Duration { return time.Second }`, ""},
		{`import "time"; func f() { _ = time.Now() }`, "names time.Now"},
		{`import "time"; func f() { g(time.After) }`, "names time.After"},
		{`func f() { go g() }`, "starts a goroutine"},
		{`func f() { select {} }`, "selects"},
		{`func f(c chan int) {}`, "names a channel"},
		{`var cache = map[string]int{}`, "has the package variable cache"},
		{`import "errors"; var ErrGone = errors.New("gone")`, ""},
		{`const x = 1`, ""},
		{`func init() {}`, "has an init function"},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x; "+row.source, 0)
		if err != nil {
			t.Fatal(err)
		}
		found := strings.Join(impurities(file), "; ")
		if row.want == "" && found != "" || !strings.Contains(found, row.want) {
			t.Errorf("%s: found %q, want %q", row.source, found, row.want)
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x; import ("`+module+`pkg/diff"; "`+module+`pkg/desired"; "fmt")`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := foreign("pkg/apply", []string{"pkg/diff"}, file); fmt.Sprint(got) != "[pkg/desired]" {
		t.Errorf("foreign: %v", got)
	}
	for name, want := range map[string]string{"a/node_linux.go": "linux", "a/node_windows_test.go": "windows", "a/node.go": "", "a/linux.go": "", "a/x_amd64.go": "amd64"} {
		if got := systemOf(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// sources are the Go files of each room that are no tests, by room and path.
func sources(t *testing.T) map[string]map[string]*ast.File {
	t.Helper()
	found := map[string]map[string]*ast.File{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if at != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "vendor") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		file, err := parser.ParseFile(fset, at, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		room := path.Dir(rel)
		if found[room] == nil {
			found[room] = map[string]*ast.File{}
		}
		found[room][rel] = file
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func imports(file *ast.File) []string {
	var paths []string
	for _, spec := range file.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, imported)
		}
	}
	return paths
}
