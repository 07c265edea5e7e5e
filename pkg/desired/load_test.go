package desired_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

func TestExampleValidates(t *testing.T) {
	fleet := desired.Load(os.DirFS(exampleRepo), desired.Options{})
	for _, p := range fleet.Problems {
		t.Errorf("%s: %v", p.Severity, p)
	}
	if len(fleet.Clusters) != 2 || len(fleet.Broken) != 0 {
		t.Fatalf("%d clusters and %d broken ones, want 2 and 0", len(fleet.Clusters), len(fleet.Broken))
	}
}

// designSample is the sample of the design with the files that it names.
func designSample(t *testing.T) fstest.MapFS {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/design-sample.txtar")
	if err != nil {
		t.Fatal(err)
	}
	repo := exampleFS(t)
	delete(repo, "clusters/lab/cluster.yaml")
	delete(repo, "environments/production.yaml")
	for _, f := range archive.Files {
		repo[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	return repo
}

// TestDesignSample holds the contract: the sample validates as it stands, and
// says what it says.
func TestDesignSample(t *testing.T) {
	fleet := desired.Load(designSample(t), desired.Options{Zone: time.LoadLocation})
	for _, p := range fleet.Problems {
		t.Errorf("%s: %v", p.Severity, p)
	}
	c, ok := fleet.Cluster("prod-eu")
	if !ok {
		t.Fatal("cluster prod-eu is missing")
	}
	var got strings.Builder
	fmt.Fprintln(&got, c.Fleet, c.Environment, c.Labels, c.Mode, c.Manage, c.Rules, c.Vault, c.CASource, c.CAPath, c.Storage, c.Seal, c.Keys, c.Rollout)
	fmt.Fprintln(&got, c.Service)
	fmt.Fprintln(&got, c.Audit)
	for _, u := range c.Unbuilt {
		fmt.Fprintln(&got, "unbuilt", u.Key, u.Place)
	}
	for _, n := range c.Nodes {
		fmt.Fprintln(&got, "node", n.Name, n.Address, n.Zone, n.ID, n.APIAddr, n.ClusterAddr, n.TLSServerName, n.Listen, n.SSH)
		for _, p := range n.Puts {
			kind, _, _ := strings.Cut(p.Digest, ":")
			fmt.Fprintln(&got, " put", p.Path, p.Owner, p.Group, p.Mode, kind, p.Role, p.OnChange, p.Source, p.TLS, p.Pair)
		}
	}
	for _, f := range c.Nodes[0].Folders {
		if f.Path == desired.VersionsFolder || f.Path == desired.GenerationsFolder {
			continue // the node script sees to these as well
		}
		fmt.Fprintln(&got, "folder", f.Path, f.Owner, f.Group, f.Mode)
	}
	golden(t, "testdata/design-sample.golden", got.String())
}

// TestContents holds that every digest of a Put is that of bytes which the
// cluster has, a named secret apart.
func TestContents(t *testing.T) {
	repo := exampleFS(t)
	edit{spec, "source: tls/ca.crt}\n", "source: tls/ca.crt}\n  - {path: /etc/vault.d/token, source: \"secret:transit\", mode: \"0600\"}\n"}.apply(t, repo)
	fleet := desired.Load(repo, desired.Options{})
	c, ok := fleet.Cluster("prod-eu")
	if !ok {
		t.Fatal(fleet.Problems)
	}
	for _, put := range c.Nodes[0].Puts {
		body, known := c.Content(put.Digest)
		if put.Digest == "secret:transit" {
			if known || put.Source != "secret:transit" {
				t.Errorf("%+v: a secret's bytes are not the repo's", put)
			}
			continue
		}
		sum := sha256.Sum256(body)
		if hash := hex.EncodeToString(sum[:]); !known || strings.TrimPrefix(put.Digest, "age:") != "sha256:"+hash {
			t.Errorf("%s: digest %s of bytes with sha256 %s", put.Path, put.Digest, hash)
		}
		if strings.HasSuffix(put.Path, ".key") != strings.HasPrefix(put.Digest, "age:sha256:") {
			t.Errorf("%s has digest %s", put.Path, put.Digest)
		}
	}
	if _, known := c.Content("sha256:" + strings.Repeat("0", 64)); known {
		t.Error("the content of an unknown digest is known")
	}
}

func TestAccepted(t *testing.T) {
	crlf := exampleFS(t)
	for name, file := range crlf {
		if strings.HasSuffix(name, ".yaml") {
			file.Data = []byte(strings.ReplaceAll(string(file.Data), "\n", "\r\n"))
		}
	}
	for _, row := range []struct {
		name string
		repo fstest.MapFS
	}{
		{"CRLF line ends", crlf},
		{"version without quotes", edited(t, version("1.20.3"))},
		{"version of an edition", edited(t, append(version("1.21.0+ent.hsm"), edit{spec, "ui: true", "ui: true\n  license_path: /etc/vault.d/license.hclic"}))},
		{"YAML of other names, hidden and backup files beside the specs", edited(t, []edit{
			{file: "clusters/prod-eu/cluster.yml", new: ":"}, {file: "clusters/prod-eu/cluster.yaml~", new: ":"}, {file: "clusters/prod-eu/.cluster.yaml.swp", new: ":"},
			{file: "clusters/.old/cluster.yaml", new: ":"}, {file: "clusters/old~/cluster.yaml", new: ":"}, {file: "environments/.lab.yaml", new: ":"}, {file: "environments/README.md", new: ":"},
		})},
		{"digests and certificates that look like secrets", edited(t, []edit{
			{file: "docs/sums.txt", new: strings.Repeat("0123456789abcdef", 4) + "  vault.zip\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nhvs.short\nusr/local/lib/Python3/dist/packages/vault/Ab\n"},
		})},
		{"a lock", edited(t, []edit{{file: "vault.lock", new: "format: 1\nvault:\n  1.21.0:\n    linux_amd64: {archive: \"sha256:" + strings.Repeat("a", 64) + "\", binary: \"sha256:" + strings.Repeat("b", 64) + "\"}\n"}})},
	} {
		t.Run(row.name, func(t *testing.T) {
			fleet := desired.Load(row.repo, desired.Options{})
			for _, p := range fleet.Problems {
				t.Errorf("%s: %v", p.Severity, p)
			}
			if len(fleet.Clusters) != 2 {
				t.Errorf("%d clusters, want 2", len(fleet.Clusters))
			}
		})
	}
}

func edited(t *testing.T, edits []edit) fstest.MapFS {
	t.Helper()
	repo := exampleFS(t)
	for _, e := range edits {
		e.apply(t, repo)
	}
	return repo
}

func TestLock(t *testing.T) {
	archive, binary := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	fleet := desired.Load(edited(t, []edit{{file: "vault.lock", new: "format: 1\nvault:\n  1.21.0:\n    linux_amd64: {archive: \"" + archive + "\", binary: \"" + binary + "\"}\n"}}), desired.Options{})
	c, _ := fleet.Cluster("prod-eu")
	want := map[string]desired.Artefact{"linux_amd64": {Archive: archive, Binary: binary}}
	if diff := cmp.Diff(want, c.Artefacts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(desired.Lock{"1.21.0": want}, fleet.Lock); diff != "" {
		t.Error(diff)
	}
}

// TestBroken holds that what is wrong takes out what depends on it, and
// nothing else, and that a broken cluster is not an absent one.
func TestBroken(t *testing.T) {
	third := edit{file: "clusters/third/cluster.yaml", new: "cluster: third\nrules: learning\nvault: {version: 1.21.0}\nstorage: {raft: {path: /opt/vault/data}}\nlistener: [{tcp: {address: \"0.0.0.0:8200\", tls_disable: true}}]\nconfig: {disable_mlock: true}\nnodes: [{name: t-1, address: 10.8.0.1}]\n"}
	for _, row := range []struct {
		name         string
		edits        []edit
		good, broken string
	}{
		{"nothing is wrong", nil, "lab prod-eu third", ""},
		{"a cluster", inSpec("mode: observe", "mode: obey"), "lab third", "prod-eu"},
		{"a cluster that cannot be parsed", []edit{{file: spec, new: "{"}}, "lab third", "prod-eu"},
		{"a folder without a spec", []edit{{file: "clusters/empty/README.md", new: "x"}}, "lab prod-eu third", "empty"},
		{"an environment", []edit{{file: "environments/production.yaml", new: "moed: x"}}, "lab third", "prod-eu"},
		{"an environment that is empty", []edit{{file: "environments/production.yaml", new: ""}}, "lab third", "prod-eu"},
		{"an environment without clusters", []edit{{file: "environments/staging.yaml", new: "moed: x"}}, "lab prod-eu third", ""},
		{"fleet.yaml", []edit{{"fleet.yaml", "fleet: acme", "flet: acme"}}, "", "lab prod-eu third"},
		{"no fleet.yaml", []edit{{file: "fleet.yaml", new: ""}}, "", "lab prod-eu third"},
		{"the defaults", []edit{{"fleet.yaml", "port: 22", "port: many"}}, "", "lab prod-eu third"},
		{"vault.lock", []edit{{file: "vault.lock", new: "format: 2"}}, "", "lab prod-eu third"},
	} {
		t.Run(row.name, func(t *testing.T) {
			fleet := desired.Load(edited(t, append([]edit{third}, row.edits...)), desired.Options{})
			var good, broken []string
			for _, c := range fleet.Clusters {
				good = append(good, c.Name)
			}
			for _, b := range fleet.Broken {
				broken = append(broken, b.Name)
				if !slices.ContainsFunc(b.Problems, func(p desired.Problem) bool { return p.Severity == desired.SeverityError }) {
					t.Errorf("%s is broken without an error", b.Name)
				}
			}
			if diff := cmp.Diff([]string{row.good, row.broken}, []string{strings.Join(good, " "), strings.Join(broken, " ")}); diff != "" {
				t.Errorf("%s\n%v", diff, fleet.Problems)
			}
			if row.name != "nothing is wrong" && len(fleet.Errors()) == 0 {
				t.Error("no error was told")
			}
		})
	}
}

// TestAllErrorsAtOnce holds that one mistake does not hide another in another
// file.
func TestAllErrorsAtOnce(t *testing.T) {
	fleet := desired.Load(edited(t, []edit{
		{"fleet.yaml", "fleet: acme", "flet: acme"},
		{file: "environments/production.yaml", new: "moed: observe"},
		{spec, "seal: shamir", "seel: shamir"},
		{file: "clusters/lab/cluster.yaml", new: "cluster: [lab"},
		{file: "vault.lock", new: "x: 1"},
	}), desired.Options{})
	var files []string
	for _, p := range fleet.Errors() {
		if !slices.Contains(files, p.Place.File) {
			files = append(files, p.Place.File)
		}
	}
	want := []string{"clusters/lab/cluster.yaml", spec, "environments/production.yaml", "fleet.yaml", "vault.lock"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Error(diff)
	}
}

func TestUnbuilt(t *testing.T) {
	fleet := desired.Load(edited(t, []edit{
		{spec, "rollout: {approval: none, pause: 30s}", "rollout: {approval: two, window: {cron: \"0 22 * * TUE\", duration: 2h, timezone: Europe/Berlin}}"},
		{spec, "zone: eu-west-1c}", "zone: eu-west-1c, state: absent}"},
		{spec, "held_by: reconciler}", "held_by: people, holders: [a, b, c, d, e]}"},
		{spec, "NO_PROXY:", "VAULT_HSM_PIN: \"secret:pin\", NO_PROXY:"},
	}), desired.Options{})
	c, ok := fleet.Cluster("prod-eu")
	if !ok {
		t.Fatal(fleet.Problems)
	}
	var got []string
	for _, u := range c.Unbuilt {
		got = append(got, u.Key+" "+u.Place.String())
	}
	want := []string{
		"keys.held_by clusters/prod-eu/cluster.yaml:13:56",
		"keys.holders clusters/prod-eu/cluster.yaml:13:73",
		"nodes[].state clusters/prod-eu/cluster.yaml:24:63",
		"environment_file.VAULT_HSM_PIN clusters/prod-eu/cluster.yaml:16:78",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestDigest holds what a cluster's digest covers: what is wanted, every byte
// of it, and nothing of how it is written down.
func TestDigest(t *testing.T) {
	digest := func(edits ...edit) string {
		fleet := desired.Load(edited(t, edits), desired.Options{})
		c, ok := fleet.Cluster("prod-eu")
		if !ok {
			t.Fatal(fleet.Problems)
		}
		return c.Digest
	}
	base := digest()
	if base == "" || base != digest() {
		t.Fatalf("the digest is %q and then another", base)
	}
	for name, same := range map[string]edit{
		"a comment":               {spec, "mode: observe", "# why\nmode: observe # so"},
		"a value in another file": {"fleet.yaml", "ssh: {user: reconciler, port: 22}", "ssh: {user: reconciler}"},
		"another cluster":         {"clusters/lab/cluster.yaml", "10.9.0.11", "10.9.0.12"},
	} {
		if digest(same) != base {
			t.Errorf("%s changes the digest", name)
		}
	}
	for name, other := range map[string]edit{
		"a label":          {spec, "region: eu", "region: us"},
		"a window":         {spec, "pause: 30s", "window: {cron: \"0 22 * * TUE\", duration: 2h, timezone: UTC}, pause: 30s"},
		"a byte of a file": {"clusters/prod-eu/tls/eu-1.key.age", "age-encryption.org/v1\n", "age-encryption.org/v1\n\n"},
		"a default":        {"fleet.yaml", "user: vault,", "user: hashicorp,"},
		"the lock":         {file: "vault.lock", new: "format: 1\nvault:\n  1.21.0:\n    linux_amd64: {archive: \"sha256:" + strings.Repeat("a", 64) + "\", binary: \"sha256:" + strings.Repeat("b", 64) + "\"}\n"},
	} {
		if digest(other) == base {
			t.Errorf("%s does not change the digest", name)
		}
	}
}

// TestLinks holds that symbolic links are never followed, wherever they stand.
func TestLinks(t *testing.T) {
	for _, row := range []struct{ link, to, want string }{
		{"clusters/evil", "/etc", "clusters/evil/cluster.yaml: clusters/evil is a symbolic link, and links are not followed; put the folder itself into the repo"},
		{"clusters/evil/cluster.yaml", "/etc/shadow", "clusters/evil/cluster.yaml: clusters/evil/cluster.yaml is a symbolic link, and links are not followed; put the file itself into the repo"},
		{"clusters/prod-eu/tls/ca.crt", "/etc/shadow", "clusters/prod-eu/cluster.yaml:8:5: clusters/prod-eu/tls/ca.crt is a symbolic link, and links are not followed; put the file itself into the repo"},
		{"environments", "/etc", "environments: environments is no folder, and links are not followed; put the folder itself into the repo"},
		{"fleet.yaml", "/etc/shadow", "fleet.yaml: fleet.yaml is a symbolic link, and links are not followed; put the file itself into the repo"},
	} {
		t.Run(row.link, func(t *testing.T) {
			dir := t.TempDir()
			for name, file := range exampleFS(t) {
				if name != row.link && !strings.HasPrefix(name, row.link+"/") {
					at := filepath.Join(dir, filepath.FromSlash(name))
					if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
						t.Fatal(err)
					}
					write(t, at, file.Data)
				}
			}
			at := filepath.Join(dir, filepath.FromSlash(row.link))
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(row.to, at); err != nil {
				t.Fatal(err)
			}
			fleet := desired.Load(os.DirFS(dir), desired.Options{})
			told := words(fleet)
			if !strings.Contains(told, "error: "+row.want+"\n") {
				t.Errorf("want %q of:\n%s", row.want, told)
			}
		})
	}
}

// TestOrder holds that the order in which folders are listed changes nothing.
func TestOrder(t *testing.T) {
	repo := exampleFS(t)
	for i := range 20 {
		edit{file: fmt.Sprintf("clusters/c%d/cluster.yaml", i), new: fmt.Sprintf("cluster: c%d\n", i)}.apply(t, repo)
	}
	want := words(desired.Load(repo, desired.Options{}))
	if got := words(desired.Load(backwards{repo}, desired.Options{})); got != want {
		t.Errorf("another order gives other words:\n%s", cmp.Diff(want, got))
	}
}

// backwards lists every folder from its end.
type backwards struct{ fstest.MapFS }

func (b backwards) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := b.MapFS.ReadDir(name)
	slices.Reverse(entries)
	return entries, err
}

// BenchmarkLoad reads a repo of 1,000 clusters with three nodes each.
func BenchmarkLoad(b *testing.B) {
	repo := thousandClusters(b)
	b.ReportAllocs()
	for b.Loop() {
		fleet := desired.Load(repo, desired.Options{})
		if len(fleet.Clusters) != 1000 {
			b.Fatal(len(fleet.Clusters), fleet.Problems[:1])
		}
	}
}

func thousandClusters(t testing.TB) fstest.MapFS {
	example := exampleFS(t)
	repo := fstest.MapFS{"fleet.yaml": example["fleet.yaml"], "environments/production.yaml": example["environments/production.yaml"]}
	for i := range 1000 {
		name := fmt.Sprintf("c%04d", i)
		for file, body := range example {
			if rest, ok := strings.CutPrefix(file, "clusters/prod-eu/"); ok {
				repo["clusters/"+name+"/"+rest] = body
			}
		}
		text := strings.ReplaceAll(string(example[spec].Data), "prod-eu", name)
		text = strings.ReplaceAll(text, "10.1.0.", fmt.Sprintf("10.%d.%d.", 1+i/250, i%250))
		text = strings.ReplaceAll(text, "eu-2.mgmt", name+".mgmt")
		repo["clusters/"+name+"/cluster.yaml"] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return repo
}
