package desired_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// FuzzSpec feeds one cluster's file to the loader. Whatever the bytes are, the
// loader ends, the cluster is good or broken and never absent, an error has a
// place in the repo, and the same bytes give the same words.
func FuzzSpec(f *testing.F) {
	example, err := os.ReadFile(exampleRepo + "/clusters/prod-eu/cluster.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	for _, seed := range []string{
		"", "a: {b: [c, {d: e}]}", "a: *b", "a: &a [*a]", "<<: {a: b}", "? [a]\n: b", "%YAML 1.1\n---\na: b", "!!map {a: b}",
		"source: {node}.crt", "a: |\n  b\n  c", "a: 'b\n", "\ta: b", "- a\nb: c", "cluster: prod-eu\nnodes: [{name: a, address: b}, ~]",
		"cluster: prod-eu\nstorage: {raft: null}\nlistener: [{tcp: null}, {}]\nnodes: [{name: n, address: 10.0.0.1, files: [{path: /a/b}]}]\nvault: {version: 1.21.0}\nrules: learning",
		"cluster: prod-eu\nconfig: {a: {}, b: [], c: [[]], d: [{}]}\nlabels: {a: {b: c}}", "a: 0x1F\nb: 1_000\nc: 08\nd: +1\ne: 1.5e3\nf: 2001-01-01",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		load := func() desired.Fleet {
			repo := exampleFS(t)
			repo[spec] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
			return desired.Load(repo, desired.Options{})
		}
		fleet := load()
		if len(fleet.Clusters)+len(fleet.Broken) != 2 {
			t.Fatalf("%d clusters and %d broken ones of 2", len(fleet.Clusters), len(fleet.Broken))
		}
		for _, p := range fleet.Problems {
			if p.Place.File == "" || p.Text == "" || strings.ContainsAny(p.Text+p.Hint, "\x1b\u202e\u200b") {
				t.Errorf("%+v", p)
			}
		}
		if words(fleet) != words(load()) {
			t.Error("the same bytes give other words")
		}
	})
}

// FuzzRepo feeds a whole repo, one file after the other in a text with the
// marks of txtar.
func FuzzRepo(f *testing.F) {
	f.Add("-- fleet.yaml --\nformat: 1\nfleet: f\n-- clusters/a/cluster.yaml --\ncluster: a\n")
	f.Add("-- fleet.yaml --\nformat: 1\nfleet: f\ndefaults: {environment: e}\n-- environments/e.yaml --\nlabels: {a: null}\n-- clusters/a/cluster.yaml --\nlabels: {a: b}\n")
	f.Add("-- vault.lock --\nformat: 1\nvault: {1.21.0: {linux_amd64: {}}}\n-- clusters/a --\n-- clusters/b/c/d --\nx\n-- environments/e.yaml --\n[]\n")
	f.Add("-- fleet.yaml --\nformat: 1\nfleet: f\nrollout: {rings: [{cluster: \"[\"}, {at_once: 0}]}\ndefaults: {storage: {raft: {path: /a/b}}, listener: [{tcp: {address: \":8200\"}}], files: [{path: \"/x/{node}\", source: \"age:x\"}]}\n-- clusters/a/cluster.yaml --\ncluster: a\nvault: {version: 1.21.0}\nnodes: [{name: n, address: h}]\nrules: learning\n")
	f.Fuzz(func(t *testing.T, text string) {
		repo := fstest.MapFS{}
		for _, part := range strings.Split("\n"+text, "\n-- ")[1:] {
			name, body, _ := strings.Cut(part, " --\n")
			if name == "." || strings.HasPrefix(name, "/") || strings.Contains(name, "//") || strings.Contains(name, "..") || strings.HasSuffix(name, "/") || name == "" || strings.Contains(name, "./") || strings.Contains(name, "/.") {
				continue
			}
			repo[name] = &fstest.MapFile{Data: []byte(body), Mode: 0o644}
		}
		fleet := desired.Load(repo, desired.Options{})
		if len(fleet.Broken) > 0 && len(fleet.Errors()) == 0 {
			t.Error("clusters are broken without an error")
		}
		for _, c := range fleet.Clusters {
			if c.Digest == "" || len(c.Nodes) == 0 {
				t.Errorf("cluster %s is good without digest or nodes", c.Name)
			}
		}
	})
}
