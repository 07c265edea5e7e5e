package git_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// state is a way that a fleet repo can be in. In each, what was fetched before can
// still be read.
type state struct {
	number int // in the catalogue of bad input
	words  string
	make   func(u upstream)  // of a repo whose main holds fleet()
	fetch  string            // in the error of a fetch, which changes nothing then
	read   string            // in the error of reading what was fetched
	files  map[string]string // that are read; nil: fleet()
}

// states are those of the catalogue that are of a repository on this machine, in its
// order; where the others are, gitStates says.
func states() []state {
	const gits, chars = `its name is not one of a file`, `its name has characters that names of files may not have`
	head := func(text string) func(upstream) { return func(u upstream) { u.file("HEAD", text) } }
	named := func(names ...string) func(upstream) {
		var items []item
		for _, name := range names {
			items = append(items, item{"100644", name, name})
		}
		return holds(items...)
	}
	packed := func(name string) func(upstream) {
		return func(u upstream) {
			u.file("packed-refs", strings.Repeat("a", 40)+" refs/heads/"+name+"\n"+u.main()+" refs/heads/zz\n")
		}
	}
	without := func(make func(upstream)) func(upstream) {
		return func(u upstream) {
			make(u)
			must(u.t, os.Remove(filepath.Join(u.dir, ".git/refs/heads/main")))
		}
	}
	return []state{
		{85, "a repo that became empty", without(func(upstream) {}), "has no branch main; it has none at all yet", "", nil},
		{86, "the branch is called otherwise", without(func(u upstream) { u.file("refs/heads/trunk", u.main()) }), "has no branch main; it has trunk", "", nil},
		{87, "HEAD is a commit", func(u upstream) { head(u.main())(u) }, "", "", nil},
		{87, "HEAD is a branch that is not born", head("ref: refs/heads/none\n"), "", "", nil},
		{87, "HEAD is nothing", head(""), "there is no git repository", "", nil}, // git says so too
		{91, "a file that says to have 5 GiB", func(u upstream) {
			huge := strings.Repeat("5", 40)
			u.loose(huge, fmt.Sprintf("blob %d\x00x", 5<<30))
			u.point(u.stamp(u.object("tree", entryOf("100644", "huge", huge))))
		}, "object " + strings.Repeat("5", 40) + " has 5120 MiB, more than 64", "", nil},
		{91, "a folder that says to have 5 GiB", func(u upstream) {
			huge := strings.Repeat("5", 40)
			u.loose(huge, fmt.Sprintf("tree %d\x00x", 5<<30))
			u.point(u.stamp(huge))
		}, "has 5120 MiB, more than 64", "", nil},
		{93, "a branch that climbs", packed("../../../escaped"), "", "", nil},
		{93, "a branch like an option", packed("--upload-pack=id"), "", "", nil},
		{93, "a branch with words that steer", without(packed("\x1b[31m\u202emain")), "it has [31mmain, zz", "", nil},
		{94, "a link to a file of the machine", holds(item{"120000", "a.yaml", "/etc/shadow"}), "", `"a.yaml": it is a symbolic link`, nil},
		{94, "links in a circle", holds(item{"120000", "a", "b"}, item{"120000", "b", "a"}), "", `"b": it is a symbolic link`, nil},
		{94, "a link to a folder", holds(item{"120000", "clusters", "/etc"}), "", `"clusters": it is a symbolic link`, nil},
		{95, "a submodule whose URL is an option", holds(item{"100644", ".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n"}, item{"160000", "x", ""}), "", `"x": it is a submodule`, nil},
		{96, "git's own folder", named(".git"), "", gits, nil},
		{96, "in capitals", named(".GIT"), "", gits, nil},
		{96, "by its short name", named("GIT~1"), "", gits, nil},
		{96, "with a character that HFS+ leaves out", named(".g\u200cit"), "", gits, nil},
		{96, "with a mark that HFS+ leaves out", named("\ufeff.git"), "", gits, nil},
		{96, "with what NTFS leaves out", named(".git . "), "", gits, nil},
		{96, "as a stream of NTFS", named(".git::$INDEX_ALLOCATION"), "", gits, nil},
		{96, "what only looks like it", named(".git-keep", ".gitignore", "git~2"), "", "", map[string]string{".git-keep": ".git-keep", ".gitignore": ".gitignore", "git~2": "git~2"}},
		{97, "a backslash", named(`..\..\a`), "", chars, nil},
		{97, "a drive, and a blank at the end", named("C:", "a "), "", "", map[string]string{"C:": "C:", "a ": "a "}}, // nothing is checked out
		{98, "names that differ in case", named("CLUSTER.yaml", "cluster.yaml"), "", "twice but for upper and lower case", nil},
		{99, "names that differ in how ü is put together", named("u\u0308", "\u00fc"), "", "", map[string]string{"u\u0308": "u\u0308", "\u00fc": "\u00fc"}}, // what means something is named in ASCII
		{100, "attributes that run programs and change contents",
			holds(item{"100644", ".gitattributes", "* filter=evil ident eol=crlf working-tree-encoding=UTF-16 export-subst\n"}, item{"100644", "a", "$Id$ $Format:%H$\n"}),
			"", "", map[string]string{".gitattributes": "* filter=evil ident eol=crlf working-tree-encoding=UTF-16 export-subst\n", "a": "$Id$ $Format:%H$\n"}},
		{101, "a name twice", named("a", "a"), "", `"a": its folder holds that name twice`, nil},
		{101, "a name twice, not one behind the other", named("a", "a.b", "a"), "", "not in git's order", nil},
		{101, "not in order", named("b", "a"), "", "not in git's order", nil},
		{102, "a second tree", func(u upstream) {
			one, two := u.put(item{"100644", "a", "1"}), u.put(item{"100644", "a", "2"})
			u.point(u.object("commit", "tree "+one+"\ntree "+two+"\nauthor A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nx\n"))
		}, "", "", map[string]string{"a": "1"}}, // as git reads it
		{107, "a second tree by way of the author's name", func(u upstream) {
			one, two := u.put(item{"100644", "a", "1"}), u.put(item{"100644", "a", "2"})
			u.point(u.object("commit", "tree "+one+"\nauthor A\ntree "+two+"\nparent "+u.main()+" <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nx\n"))
		}, "", "", map[string]string{"a": "1"}},
		{108, "a commit that another one is to stand for", func(u upstream) {
			evil := u.stamp(u.put(item{"100644", "a", "evil"}))
			u.point(u.stamp(u.put(item{"100644", "a", "good"})))
			u.file("refs/replace/"+u.main(), evil)
		}, "", "", map[string]string{"a": "good"}},
		{108, "parents that were grafted on", func(u upstream) {
			u.point(u.stamp(u.put(item{"100644", "a", "good"})))
			u.file("info/grafts", u.main()+" "+strings.Repeat("a", 40))
		}, "", "", map[string]string{"a": "good"}},
		{108, "objects that are borrowed from nowhere", func(u upstream) { u.file("objects/info/alternates", "/no/such/folder\n../../../../escaped\n") }, "", "", nil},
		{116, "a branch that is a tag of a tag", func(u upstream) {
			tag := func(kind, of string) string {
				return u.object("tag", "object "+of+"\ntype "+kind+"\ntag v1\ntagger A <a@example.com> 1 +0000\n\nx\n")
			}
			u.point(tag("tag", tag("commit", u.main())))
		}, "read commit ", "", nil},
	}
}

func TestTheVerdictInEachState(t *testing.T) {
	base := newUpstream(t)
	first := gittest.Import(t, base.dir, []gittest.Commit{{Files: fleet()}})[0]
	for _, s := range states() {
		t.Run(fmt.Sprintf("%d %s", s.number, s.words), func(t *testing.T) {
			t.Parallel()
			u := upstream{t, filepath.Join(t.TempDir(), "fleet")}
			must(t, os.CopyFS(u.dir, os.DirFS(base.dir)))
			r, dir := cloned(t, u)
			fetch(t, r)
			s.make(u)
			got, err := r.Fetch(t.Context())
			if !saysSo(err, s.fetch) {
				t.Errorf("fetch: %v; want %q", err, s.fetch)
			}
			if last, _, e := r.Last(); e != nil || err == nil && last != got || err != nil && last != first {
				t.Errorf("last is %s: %v", last, e)
			}
			expect(t, at(t, r, first), fleet())
			if left, _ := filepath.Glob(filepath.Join(dir, "..", "*")); len(left) != 1 {
				t.Errorf("outside of its folder there is %q", left)
			}
			if err != nil {
				return
			}
			tree, err := r.At(got)
			if !saysSo(err, s.read) {
				t.Fatalf("read: %v; want %q", err, s.read)
			}
			if err != nil {
				return
			}
			if s.files == nil {
				s.files = fleet()
			}
			expect(t, tree, s.files)
		})
	}
}

// saysSo says that an error is there where it is to be, is no damage, and may be shown.
func saysSo(err error, want string) bool {
	if err == nil || want == "" {
		return err == nil && want == ""
	}
	return strings.Contains(err.Error(), want) && !errors.Is(err, git.ErrDamaged) && !strings.ContainsAny(err.Error(), "\x1b\u202e")
}

// item is an entry of a tree.
type item struct{ mode, name, content string }

// holds has main stand at a commit of a tree, whose entries are in the order that is
// given.
func holds(items ...item) func(upstream) {
	return func(u upstream) { u.point(u.stamp(u.put(items...))) }
}

func (u upstream) put(items ...item) string {
	var tree string
	for _, i := range items {
		id := strings.Repeat("a", 40) // of a submodule
		if i.mode != "160000" {
			id = u.object("blob", i.content)
		}
		tree += entryOf(i.mode, i.name, id)
	}
	return u.object("tree", tree)
}

func entryOf(mode, name, id string) string {
	raw, err := hex.DecodeString(id)
	if err != nil {
		panic(err)
	}
	return mode + " " + name + "\x00" + string(raw)
}

// stamp is a commit of a tree.
func (u upstream) stamp(tree string) string {
	return u.object("commit", "tree "+tree+"\nauthor A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nx\n")
}

// object writes one as it is, without the git program and what that would not write.
func (u upstream) object(kind, body string) string {
	raw := fmt.Sprintf("%s %d\x00%s", kind, len(body), body)
	id := fmt.Sprintf("%x", sha1.Sum([]byte(raw)))
	u.loose(id, raw)
	return id
}

// loose writes what lies in the place of an object.
func (u upstream) loose(id, raw string) {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, err := z.Write([]byte(raw))
	must(u.t, errors.Join(err, z.Close()))
	u.file("objects/"+id[:2]+"/"+id[2:], b.String())
}

// point has main stand at an object.
func (u upstream) point(id string) { u.file("refs/heads/main", id+"\n") }

// main is what it stands at.
func (u upstream) main() string {
	id, err := os.ReadFile(filepath.Join(u.dir, ".git/refs/heads/main"))
	must(u.t, err)
	return strings.TrimSpace(string(id))
}

// file writes one of git's own.
func (u upstream) file(name, content string) {
	path := filepath.Join(u.dir, ".git", name)
	must(u.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(u.t, os.WriteFile(path, []byte(content), 0o644))
}
