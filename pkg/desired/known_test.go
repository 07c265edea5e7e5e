package desired_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// identified is a repo that has an ID of what is below a path, as a commit has, and
// counts which files are read.
type identified struct {
	fstest.MapFS
	read map[string]int
}

func (f identified) Open(name string) (fs.File, error) {
	if file := f.MapFS[name]; file != nil {
		f.read[name]++
	}
	return f.MapFS.Open(name)
}

func (f identified) TreeID(name string) (string, error) {
	sum := sha256.New()
	found := false
	for _, path := range slices.Sorted(maps.Keys(f.MapFS)) {
		if path == name || strings.HasPrefix(path, name+"/") {
			found = true
			fmt.Fprintf(sum, "%s %x\n", path, sha256.Sum256(f.MapFS[path].Data))
		}
	}
	if !found {
		return "", fs.ErrNotExist
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

// change is one file of a repo with other content; "" takes it away.
func (f identified) change(file, old, new string) identified {
	next := identified{maps.Clone(f.MapFS), map[string]int{}}
	if old == "" {
		delete(next.MapFS, file)
		return next
	}
	next.MapFS[file] = &fstest.MapFile{Data: []byte(strings.Replace(string(f.MapFS[file].Data), old, new, 1)), Mode: 0o644}
	return next
}

// TestWhatIsKnownIsNotReadAgain, and what comes out is what a reading of everything
// comes to, after each of a row of commits.
func TestWhatIsKnownIsNotReadAgain(t *testing.T) {
	all := thousandClusters(t)
	small := fstest.MapFS{}
	for path, file := range all {
		if !strings.HasPrefix(path, "clusters/") || strings.HasPrefix(path, "clusters/c000") {
			small[path] = file
		}
	}
	const one, two = "clusters/c0001/cluster.yaml", "clusters/c0002/cluster.yaml"
	options := desired.Options{Known: desired.NewKnown()}
	repo := identified{small, map[string]int{}}
	read := func(what string, files identified, again ...string) identified {
		t.Helper()
		clear(files.read)
		got := desired.Load(files, options)
		var specs []string
		for path := range files.read {
			if strings.HasSuffix(path, "/cluster.yaml") {
				specs = append(specs, path)
			}
		}
		if slices.Sort(specs); !slices.Equal(specs, again) && again != nil {
			t.Errorf("%s: read were %v, want %v", what, specs, again)
		}
		if d := cmp.Diff(desired.Load(files.MapFS, desired.Options{}), got, cmp.Exporter(func(reflect.Type) bool { return true })); d != "" {
			t.Errorf("%s: otherwise than read anew (-anew +known):\n%s", what, d)
		}
		return files
	}
	none := []string{}
	repo = read("the first", repo)
	read("the same", repo, none...)
	if len(repo.read) > 3 {
		t.Errorf("of a commit that changes nothing %d files were read", len(repo.read))
	}
	repo = read("one cluster", repo.change(one, "ui: true", "ui: false"), one)
	repo = read("a broken cluster", repo.change(two, "vault:", "vualt:"), two)
	read("and the same", repo, none...)
	repo = read("mended", repo.change(two, "vualt:", "vault:"), two)
	repo = read("a machine of another cluster", repo.change(two, "10.1.2.11", "10.1.1.11"), two)
	repo = read("and its own again", repo.change(two, "10.1.1.11", "10.1.2.11"), two)
	repo = read("a secret among its files", identified{maps.Clone(repo.MapFS), map[string]int{}}.with("clusters/c0003/token", "hvs."+strings.Repeat("a", 90)), "clusters/c0003/cluster.yaml")
	read("and the same again", repo, none...)
	repo = read("a cluster is gone", repo.change(one, "", ""))
	repo = read("an environment", repo.change("environments/production.yaml", "log_level", "log_level"))
	repo = read("the fleet", repo.change("fleet.yaml", "fleet: acme", "fleet: other"))
	options.Known.Forget()
	if got := read("after what could not be read", repo); len(got.read) < 10 {
		t.Errorf("only %d files were read", len(got.read))
	}
	read("a broken fleet", repo.change("fleet.yaml", "format: 1", "format: 7"))
}

func (f identified) with(file, text string) identified {
	f.MapFS[file] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	return f
}

// BenchmarkLoadKnown is a commit that touches one of 1,000 clusters.
func BenchmarkLoadKnown(b *testing.B) {
	repo := identified{thousandClusters(b), map[string]int{}}
	ids := map[string]string{}
	files := counted{repo, ids}
	options := desired.Options{Known: desired.NewKnown()}
	desired.Load(files, options)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ids["clusters/c0500"] = fmt.Sprint("changed ", i)
		if fleet := desired.Load(files, options); len(fleet.Clusters) != 1000 {
			b.Fatal(len(fleet.Clusters))
		}
	}
}

// counted has IDs that cost nothing, as those of a commit.
type counted struct {
	identified
	ids map[string]string
}

func (c counted) TreeID(name string) (string, error) {
	if id := c.ids[name]; id != "" {
		return id, nil
	}
	return name, nil
}
