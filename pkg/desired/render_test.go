package desired

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	hcl1 "github.com/hashicorp/hcl"
	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files, then read the diff")

// productionNode is the second node of three with everything that a spec can
// say about rendering.
func productionNode() (*Cluster, *Node, nodeInput) {
	node := func(i int) Node {
		return Node{
			Name: fmt.Sprintf("eu-%d", i), ID: fmt.Sprintf("eu-%d", i), Address: fmt.Sprintf("10.1.0.1%d", i),
			APIAddr:       fmt.Sprintf("https://10.1.0.1%d:8200", i),
			ClusterAddr:   fmt.Sprintf("https://10.1.0.1%d:8201", i),
			TLSServerName: fmt.Sprintf("eu-%d.vault.internal", i),
		}
	}
	c := &Cluster{
		Name: "prod-eu", Fleet: "acme", CAPath: "/etc/vault.d/tls/ca.crt",
		Vault:   Vault{Version: "1.21.0", Path: "/usr/local/bin/vault"},
		Storage: Storage{Kind: "raft", Path: "/opt/vault/data"}, Seal: Seal{Kind: "shamir"},
		Service: Service{
			Manager: "systemd", Name: "vault", User: "vault", Group: "vault",
			UnitPath: "/etc/systemd/system/vault.service", ConfigPath: "/etc/vault.d/vault.hcl", EnvironmentPath: "/etc/vault.d/vault.env",
		},
		// Out of order on purpose.
		Nodes: []Node{node(3), node(2), node(1)},
	}
	absent := node(4)
	absent.Absent = true
	in := nodeInput{
		Config: map[string]any{
			"disable_mlock": true, "log_level": "info", "ui": true, "cluster_name": "prod-eu",
			"max_lease_ttl": "768h", "raw_storage_endpoint": false, "log_rotate_max_files": int64(7),
			"telemetry":    map[string]any{"prometheus_retention_time": "24h", "disable_hostname": true, "prefix_filter": []any{"+vault.token", "-vault.expire"}},
			"user_lockout": map[string]any{"all": map[string]any{"lockout_threshold": int64(10)}, "userpass": map[string]any{"lockout_duration": "10m"}},
			"reporting":    map[string]any{"license": map[string]any{"enabled": false}},
		},
		Listeners: []Listener{
			{Type: "tcp", Options: map[string]any{
				"address": "0.0.0.0:8200", "tls_cert_file": "/etc/vault.d/tls/vault.crt", "tls_key_file": "/etc/vault.d/tls/vault.key",
				"telemetry":                 map[string]any{"unauthenticated_metrics_access": true},
				"x_forwarded_for_hop_skips": int64(1), "max_request_duration": "90s",
				"custom_response_headers": map[string]any{
					"default": map[string]any{"Strict-Transport-Security": []any{"max-age=31536000", "includeSubDomains"}},
					"2xx":     map[string]any{"X-Frame": []any{"deny"}},
				},
			}},
			{Type: "tcp", Options: map[string]any{"address": "127.0.0.1:8300", "tls_disable": true}},
			{Type: "unix", Options: map[string]any{"address": "/run/vault/vault.sock"}},
		},
		RetryJoin:      true,
		Environment:    map[string]string{"HTTPS_PROXY": "http://proxy.internal:3128", "NO_PROXY": "10.0.0.0/8,127.0.0.1"},
		StorageOptions: map[string]any{"performance_multiplier": int64(1), "trailing_logs": int64(10000)},
		Peers:          append(slices.Clone(c.Nodes), absent),
	}
	return c, &c.Nodes[1], in
}

func learningNode() (*Cluster, *Node, nodeInput) {
	c, n, _ := productionNode()
	c.Name, c.Rules, c.Storage, c.CAPath = "lab", RulesLearning, Storage{Kind: "file", Path: "/opt/vault/data"}, ""
	*n = Node{Name: "lab-1", APIAddr: "http://127.0.0.1:8200"}
	c.Nodes = []Node{*n}
	in := nodeInput{Listeners: []Listener{{Type: "tcp", Options: map[string]any{"address": "127.0.0.1:8200", "tls_disable": true}}}, Peers: c.Nodes, RetryJoin: true}
	return c, n, in
}

func awkwardNode() (*Cluster, *Node, nodeInput) {
	c, n, in := learningNode()
	n.APIAddr = "https://{{ GetPrivateIP }}:8200"
	in.Config = map[string]any{
		"cluster_name": "${not} %{a} $${template} 100% $5", "plugin_directory": `C:\vault\plugins`,
		"log_file": "says \"hello\"\tand\nmore", "default_max_request_duration": 1.0,
		"telemetry": map[string]any{"metrics_prefix": "Füße 火 \u200b🔥 \u0000 \ue123"},
	}
	in.Environment = map[string]string{"QUOTES": `a "b" 'c'`, "SIGNS": "$HOME `id` \\n %h #;", "SPACES": "  two\tand tab ", "EMPTY": "", "UNICODE": "Füße 火"}
	return c, n, in
}

func transitNode() (*Cluster, *Node, nodeInput) {
	c, n, in := productionNode()
	c.Seal = Seal{Kind: "transit"}
	in.Config["seal"] = map[string]any{"transit": map[string]any{"address": "https://kms.internal:8200", "key_name": "unseal", "mount_path": "transit/", "disable_renewal": false}}
	in.Config["disable_mlock"] = false
	return c, n, in
}

func consulNode() (*Cluster, *Node, nodeInput) {
	c, n, in := productionNode()
	c.Storage, in.StorageOptions = Storage{Kind: "consul"}, map[string]any{"address": "127.0.0.1:8500", "path": "vault/"}
	in.Config = map[string]any{"service_registration": map[string]any{"consul": map[string]any{"address": "127.0.0.1:8500"}}}
	return c, n, in
}

type fixture func() (*Cluster, *Node, nodeInput)

func fixtures() map[string]fixture {
	return map[string]fixture{
		"production": productionNode, "learning": learningNode, "awkward": awkwardNode, "transit": transitNode, "consul": consulNode,
	}
}

func mustRender(t testing.TB, c *Cluster, n *Node, in nodeInput) map[Role]rendered {
	t.Helper()
	puts, problems := renderNode(c, n, in)
	if len(problems) > 0 {
		t.Fatalf("render: %v", problems)
	}
	byRole := map[Role]rendered{}
	for _, p := range puts {
		byRole[p.Role] = p
	}
	return byRole
}

func TestRenderedFilesAreGolden(t *testing.T) {
	for name, fixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			files := mustRender3(t, fixture)
			for role, file := range map[Role]string{RoleConfig: "vault.hcl", RoleEnvironment: "vault.env", RoleUnit: "vault.service"} {
				golden(t, filepath.Join("testdata", "render", name, file), files[role].Body)
			}
		})
	}
}

func mustRender3(t *testing.T, f fixture) map[Role]rendered {
	t.Helper()
	c, n, in := f()
	files := mustRender(t, c, n, in)
	if len(files) != 3 {
		t.Fatalf("got %d files, want configuration, environment and unit", len(files))
	}
	return files
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestTheSameSpecRendersTheSameBytes(t *testing.T) {
	for name, fixture := range fixtures() {
		first := mustRender3(t, fixture)
		for range 20 {
			c, n, in := fixture()
			slices.Reverse(in.Peers)
			for role, again := range mustRender(t, c, n, in) {
				if !bytes.Equal(first[role].Body, again.Body) || first[role].Put != again.Put {
					t.Fatalf("%s: %s differs between two renderings", name, role)
				}
			}
		}
	}
}

func TestPutsBelongToRootAndVaultCannotWriteThem(t *testing.T) {
	c, n, in := productionNode()
	want := map[Role]Put{
		RoleConfig:      {Path: c.Service.ConfigPath, Owner: "root", Group: "vault", Mode: "0640"},
		RoleEnvironment: {Path: c.Service.EnvironmentPath, Owner: "root", Group: "vault", Mode: "0640"},
		RoleUnit:        {Path: c.Service.UnitPath, Owner: "root", Group: "root", Mode: "0644"},
	}
	for role, got := range mustRender(t, c, n, in) {
		w := want[role]
		w.Role, w.OnChange, w.Digest = role, OnChangeRestart, got.Digest
		if got.Put != w || !strings.HasPrefix(got.Digest, "sha256:") {
			t.Errorf("%s: got %+v, want %+v", role, got.Put, w)
		}
	}
}

func TestRenderingFillsTheFlattenedConfig(t *testing.T) {
	c, n, in := productionNode()
	mustRender(t, c, n, in)
	want := map[string]string{
		"api_addr":                `"https://10.1.0.12:8200"`,
		"cluster_name":            `"prod-eu"`,
		"listener.tcp[0].address": `"0.0.0.0:8200"`,
		"listener.tcp[0].telemetry.unauthenticated_metrics_access": `true`,
		"listener.tcp[1].tls_disable":                              `true`,
		"listener.unix[0].address":                                 `"/run/vault/vault.sock"`,
		"storage.raft.node_id":                                     `"eu-2"`,
		"storage.raft.performance_multiplier":                      `1`,
		"storage.raft.retry_join[0].leader_api_addr":               `"https://10.1.0.11:8200"`,
		"storage.raft.retry_join[0].leader_ca_cert_file":           `"/etc/vault.d/tls/ca.crt"`,
		"storage.raft.retry_join[1].leader_api_addr":               `"https://10.1.0.13:8200"`,
		"storage.raft.retry_join[1].leader_tls_servername":         `"eu-3.vault.internal"`,
		"user_lockout.all.lockout_threshold":                       `10`,
		"telemetry.prefix_filter":                                  `["+vault.token","-vault.expire"]`,
	}
	for key, value := range want {
		if n.Config[key] != value {
			t.Errorf("%s is %q, want %q", key, n.Config[key], value)
		}
	}
	if v, there := n.Config["storage.raft.retry_join[2].leader_api_addr"]; there {
		t.Errorf("retry_join names %s: itself or an absent node", v)
	}
}

func TestProblemsLeaveNoFiles(t *testing.T) {
	tests := map[string]struct {
		spoil func(*Cluster, *Node, *nodeInput)
		says  string
	}{
		"a key that the spec writes elsewhere": {func(_ *Cluster, _ *Node, in *nodeInput) { in.Config["api_addr"] = "x" }, "config.api_addr"},
		"a listener in config":                 {func(_ *Cluster, _ *Node, in *nodeInput) { in.Config["Listener"] = "x" }, "config.Listener"},
		"a seal beside shamir":                 {func(_ *Cluster, _ *Node, in *nodeInput) { in.Config["seal"] = map[string]any{} }, "config.seal"},
		"an auto-unseal without settings":      {func(c *Cluster, _ *Node, _ *nodeInput) { c.Seal.Kind = "awskms" }, "seal awskms"},
		"an auto-unseal with another's settings": {func(c *Cluster, _ *Node, in *nodeInput) {
			c.Seal.Kind, in.Config["seal"] = "awskms", map[string]any{"transit": map[string]any{}}
		}, "seal awskms"},
		"retry_join written and derived":  {func(_ *Cluster, _ *Node, in *nodeInput) { in.StorageOptions["retry_join"] = []any{} }, "retry_join"},
		"another raft path":               {func(_ *Cluster, _ *Node, in *nodeInput) { in.StorageOptions["path"] = "/srv" }, "storage.raft.path"},
		"another node id":                 {func(_ *Cluster, _ *Node, in *nodeInput) { in.StorageOptions["node_id"] = "x" }, "storage.raft.node_id"},
		"a name that HCL cannot have":     {func(_ *Cluster, _ *Node, in *nodeInput) { in.Config["a b"] = "x" }, `"a b"`},
		"a null":                          {func(_ *Cluster, _ *Node, in *nodeInput) { in.Config["a"] = nil }, "a: a value of type"},
		"not a number":                    {func(_ *Cluster, _ *Node, in *nodeInput) { in.Config["a"] = math.NaN() }, "NaN"},
		"not UTF-8":                       {func(_ *Cluster, _ *Node, in *nodeInput) { in.Config["a"] = []any{"\xff"} }, "a[0] is not valid UTF-8"},
		"a line break in the environment": {func(_ *Cluster, _ *Node, in *nodeInput) { in.Environment["A"] = "x\ny" }, "value of A"},
		"a NUL in the environment":        {func(_ *Cluster, _ *Node, in *nodeInput) { in.Environment["A"] = "x\x00" }, "value of A"},
		"no variable name":                {func(_ *Cluster, _ *Node, in *nodeInput) { in.Environment["A B"] = "x" }, `"A B"`},
		"another service manager":         {func(c *Cluster, _ *Node, _ *nodeInput) { c.Service.Manager = "launchd" }, "launchd"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, n, in := productionNode()
			test.spoil(c, n, &in)
			puts, problems := renderNode(c, n, in)
			if len(puts) > 0 || len(problems) != 1 {
				t.Fatalf("got %d files and problems %v, want one problem and no file", len(puts), problems)
			}
			p := problems[0]
			if !strings.Contains(p.Text, test.says) || p.Cluster != c.Name || p.Severity != SeverityError || p.Place.File != "clusters/prod-eu/cluster.yaml" {
				t.Errorf("got %+v, want an error of the cluster that names %q", p, test.says)
			}
		})
	}
}

// TestVaultReadsWhatWasMeant: whatever stands in config:, Vault's parser gives
// it back, strictly parsed, and HCL 2 (which other tools read the file with)
// accepts it too.
func TestVaultReadsWhatWasMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := genBlock(3).Draw(t, "config")
		text, err := encodeHCL(doc)
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if _, err := hcl1.ParseBytes(text); err != nil { // refuses duplicates
			t.Fatalf("HCL 1 does not parse it: %v\n%s", err, text)
		}
		var got map[string]any
		if err := hcl1.Unmarshal(text, &got); err != nil {
			t.Fatalf("HCL 1 does not decode it: %v\n%s", err, text)
		}
		if diff := cmp.Diff(labelledForm(doc), canonicalForm(got)); diff != "" {
			t.Fatalf("Vault reads something else (-meant +read):\n%s\n%s", diff, text)
		}
		if _, diags := hclsyntax.ParseConfig(text, "vault.hcl", hcl2.InitialPos); diags.HasErrors() {
			t.Fatalf("HCL 2 does not parse it: %v\n%s", diags, text)
		}
		if _, err := Flatten(text); err != nil {
			t.Fatalf("flatten: %v\n%s", err, text)
		}
	})
}

func genText() *rapid.Generator[string] {
	pieces := rapid.SampledFrom([]string{"${", "%{", "}", "$", "%", `"`, `\`, "\n", "\r\n", "\t", "\x00", "\ue123", "\ufeff", "{{ GetPrivateIP }}", "火", "🔥", "<<EOF", "#", "//", "'", "a"})
	return rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(pieces, 0, 8), func(p []string) string { return strings.Join(p, "") }))
}

func genName() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[a-z_][a-z0-9_-]{0,8}`).Filter(isIdentifier),
		rapid.SampledFrom([]string{"user_lockout", "service_registration", "listener", "storage", "telemetry", "retry_join"}),
	)
}

func genBlock(depth int) *rapid.Generator[map[string]any] {
	return rapid.MapOfN(genName(), genValue(depth), 0, 4)
}

func genValue(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		genText().AsAny(), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Int().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }).AsAny(),
	}
	if depth > 0 {
		kinds = append(kinds,
			genBlock(depth-1).AsAny(),
			rapid.MapOfN(genText(), genValue(depth-1), 0, 3).AsAny(), // keys that no block can have
			rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return genBlock(depth - 1).AsAny() }), 1, 3).AsAny(),
			rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[any] { return genValue(depth - 1) }), 0, 3).AsAny(),
		)
	}
	return rapid.OneOf(kinds...)
}

// canonicalForm brings a document into the shape that HCL 1 decodes to: a map
// is a list of one map, and numbers are int64 or float64.
func canonicalForm(m map[string]any) map[string]any {
	out := map[string]any{}
	for key, v := range m {
		out[key] = canonicalValue(v)
	}
	return out
}

func canonicalValue(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case map[string]any:
		return []any{canonicalForm(v)}
	case []map[string]any:
		list := []any{}
		for _, m := range v {
			list = append(list, canonicalForm(m))
		}
		return list
	case []any:
		list := []any{}
		for _, item := range v {
			if m, ok := item.(map[string]any); ok {
				list = append(list, canonicalForm(m))
				continue
			}
			list = append(list, canonicalValue(item))
		}
		return list
	}
	return v
}

// labelledForm is canonicalForm with the labelled blocks apart, one block for
// each label: that is how HCL 1 decodes them.
func labelledForm(doc map[string]any) map[string]any {
	out := canonicalForm(doc)
	for key, v := range out {
		list, ok := v.([]any)
		if !ok || !isLabelled(key) || asBlocks(doc[key]) == nil {
			continue
		}
		if slices.ContainsFunc(list, func(b any) bool { return !labels(b.(map[string]any)) }) {
			continue
		}
		apart := []any{}
		for _, block := range list {
			m := block.(map[string]any)
			for _, label := range slices.Sorted(maps.Keys(m)) {
				for _, inner := range m[label].([]any) {
					apart = append(apart, map[string]any{label: []any{inner}})
				}
			}
		}
		out[key] = apart
	}
	return out
}

// labels says that a block's keys all hold blocks.
func labels(m map[string]any) bool {
	for _, v := range m {
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return false
		}
		for _, item := range list {
			inner, ok := item.(map[string]any)
			if !ok {
				return false
			}
			for key := range inner {
				if !isIdentifier(key) {
					return false
				}
			}
		}
	}
	return len(m) > 0
}

func BenchmarkRenderNode(b *testing.B) {
	b.ReportAllocs()
	c, n, in := productionNode()
	for b.Loop() {
		if _, problems := renderNode(c, n, in); problems != nil {
			b.Fatal(problems)
		}
	}
}
