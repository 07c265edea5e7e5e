package accept_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/vaultfleet/reconciler/internal/accept"
	"github.com/vaultfleet/reconciler/pkg/desired"
	drift "github.com/vaultfleet/reconciler/pkg/diff"
)

// TestOnlyWhatDriftedIsChanged accepts drift of any kind on the example fleet, whose
// lines all have a comment, one after the other: what is accepted is wanted then, of
// these nodes alone, everything else as before, and no comment is lost.
func TestOnlyWhatDriftedIsChanged(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		tree := commented(t)
		for range rapid.IntRange(1, 2).Draw(t, "drifts") {
			before := load(tree)
			c := rapid.SampledFrom(before.Clusters).Draw(t, "cluster")
			row := anyDrift(t, c)
			e, err := accept.Drift(tree, load, c.Name, row)
			if err != nil {
				if _, ok := err.(*accept.RefusedError); !ok {
					t.Fatal(err)
				}
				continue
			}
			accepted++
			tree[e.File] = &fstest.MapFile{Data: e.After}
			changed(t, before, load(tree), c.Name, row)
			if was, is := comments(e.Before), comments(e.After); !slices.Equal(was, is) {
				t.Fatalf("comments %q became %q in\n%s", was, is, e.After)
			}
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}

// commented is the example fleet with a comment behind every line.
func commented(t *rapid.T) fstest.MapFS {
	tree := fstest.MapFS{}
	maps.Copy(tree, exampleFleet(&testing.T{}))
	for name, f := range tree {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		var text strings.Builder
		n := 0
		for line := range strings.Lines(string(f.Data)) {
			n++
			fmt.Fprintf(&text, "%s # %d of %s\n", strings.TrimSuffix(line, "\n"), n, name)
		}
		tree[name] = &fstest.MapFile{Data: []byte(text.String())}
	}
	return tree
}

// anyDrift is a drift of some nodes of a cluster.
func anyDrift(t *rapid.T, c desired.Cluster) drift.Drift {
	row := drift.Drift{Kind: drift.DriftChanged}
	for _, n := range c.Nodes {
		if rapid.Bool().Draw(t, n.Name) {
			row.Nodes = append(row.Nodes, n.Name)
		}
	}
	if len(row.Nodes) == 0 {
		row.Nodes = []string{c.Nodes[0].Name}
	}
	row.Path = rapid.SampledFrom([]string{
		"config.log_level", "config.ui", "config.cluster_name", "config.disable_mlock", "config.default_lease_ttl", "config.telemetry.prometheus_retention_time",
		"config.telemetry.statsd_address", "config.cache_size", "storage.raft.performance_multiplier", "storage.raft.path", "listener.tcp[0].tls_min_version",
		"listener.tcp[0].max_request_size", "listener.tcp[0].address", "api_addr", "files[/etc/vault.d/tls/ca.crt].mode", "files[/etc/vault.d/tls/ca.crt].owner",
	}).Draw(t, "path")
	switch {
	case strings.HasSuffix(row.Path, "].mode"):
		row.Have = rapid.SampledFrom([]string{"0600", "0640", "0777", "rw"}).Draw(t, "mode")
	case strings.HasSuffix(row.Path, "].owner"):
		row.Have = rapid.SampledFrom([]string{"root:vault", "vault:root", "vault:vault", "a b:c"}).Draw(t, "owner")
	default:
		row.Have = rapid.OneOf(
			rapid.SampledFrom([]string{"absent", "true", "false", "1", "0", "4096", "0.5", `"debug"`, `"24h"`, `"tls13"`, `"off"`, `"0"`, `""`, `"https://x:8200"`, `["a","b"]`, "null"}),
			rapid.Map(rapid.String(), canonical),
		).Draw(t, "have")
	}
	return row
}

// canonical is a text as the flattened configuration has it.
func canonical(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// changed fails where anything but the value that drifted is another.
func changed(t *rapid.T, before, after desired.Fleet, cluster string, row drift.Drift) {
	if len(after.Errors()) > 0 || len(after.Clusters) != len(before.Clusters) {
		t.Fatalf("%v", after.Errors())
	}
	for _, was := range before.Clusters {
		is, _ := after.Cluster(was.Name)
		if was.Name != cluster {
			if is.Digest != was.Digest {
				t.Fatalf("%s is another", was.Name)
			}
			continue
		}
		for i, n := range was.Nodes {
			want := values(n)
			if slices.Contains(row.Nodes, n.Name) {
				if key, have, ok := row.ConfigKey(); ok {
					if want["config "+key] = have; have == "" {
						delete(want, "config "+key)
					}
				} else if file, owner, _ := row.FileRight(); owner {
					want["owner "+file] = row.Have
				} else {
					want["mode "+file] = row.Have
				}
			}
			if got := values(is.Nodes[i]); !maps.Equal(want, got) {
				t.Fatalf("%s: %v, want %v", n.Name, got, want)
			}
		}
	}
}

// values are all that is wanted of a node's files.
func values(n desired.Node) map[string]string {
	all := map[string]string{}
	for key, value := range n.Config {
		all["config "+key] = value
	}
	for _, p := range n.Puts {
		all["owner "+p.Path], all["mode "+p.Path] = p.Owner+":"+p.Group, p.Mode
		if p.Role != desired.RoleConfig {
			all["content "+p.Path] = p.Digest
		}
	}
	return all
}
