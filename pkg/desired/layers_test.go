package desired_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// lab is a cluster without production rules, to which layers are added.
const lab = `cluster: c
environment: e
rules: learning
vault: {version: 1.21.0}
storage: {raft: {path: /opt/vault/data}}
listener: [{tcp: {address: "0.0.0.0:8200", tls_disable: true}}]
config: {disable_mlock: true}
`

const labNodes = `nodes:
  - {name: n1, address: 10.0.0.1}
  - {name: n2, address: 10.0.0.2}
`

// layered is a repo of one cluster in the shape of lab.
func layered(defaults, environment, cluster, nodes string) fstest.MapFS {
	if nodes == "" {
		nodes = labNodes
	}
	repo := fstest.MapFS{
		"fleet.yaml":               {Data: []byte("format: 1\nfleet: f\n" + defaults)},
		"clusters/c/cluster.yaml":  {Data: []byte(lab + cluster + nodes)},
		"clusters/c/tls/a.crt":     {Data: []byte("a")},
		"clusters/c/tls/b.crt":     {Data: []byte("b")},
		"clusters/c/10.0.0.2.conf": {Data: []byte("2")},
		"clusters/c/10.0.0.1.conf": {Data: []byte("1")},
	}
	if environment != "" {
		repo["environments/e.yaml"] = &fstest.MapFile{Data: []byte(environment)}
	}
	return repo
}

// only loads a repo of one cluster that must be good.
func only(t *testing.T, repo fstest.MapFS) desired.Cluster {
	t.Helper()
	fleet := desired.Load(repo, desired.Options{})
	for _, p := range fleet.Errors() {
		t.Errorf("unexpected: %v", p)
	}
	if len(fleet.Clusters) != 1 {
		t.FailNow()
	}
	return fleet.Clusters[0]
}

// files are a node's items of files: as "path=digest-or-mode".
func files(n desired.Node, show func(desired.Put) string) string {
	var shown []string
	for _, p := range n.Puts {
		if p.Role == desired.RoleFile {
			shown = append(shown, p.Path+"="+show(p))
		}
	}
	return strings.Join(shown, " ")
}

func mode(p desired.Put) string   { return p.Mode }
func source(p desired.Put) string { return p.Source }

func TestLayers(t *testing.T) {
	n1 := func(c desired.Cluster) desired.Node { return c.Nodes[0] }
	n2 := func(c desired.Cluster) desired.Node { return c.Nodes[1] }
	audits := func(c desired.Cluster) string {
		var shown []string
		for _, a := range c.Audit {
			shown = append(shown, a.Path+":"+a.Type+":"+a.Options["file_path"])
		}
		return strings.Join(shown, " ")
	}
	for _, row := range []struct {
		name                                   string
		defaults, environment, cluster, nodes_ string
		got                                    func(desired.Cluster) string
		want                                   string
	}{
		{name: "nothing written takes the defaults of the documentation",
			got: func(c desired.Cluster) string {
				return strings.Join([]string{string(c.Mode), string(c.Rules), c.Vault.Path, c.Service.Name, c.Service.User, c.Service.ConfigPath, c.Service.EnvironmentPath, c.Service.UnitPath, n1(c).SSH.User, string(n1(c).SSH.API), c.Rollout.Approval}, " ")
			},
			want: "observe learning /usr/local/bin/vault vault vault /etc/vault.d/vault.hcl /etc/vault.d/vault.env /etc/systemd/system/vault.service reconciler tunnel none"},
		{name: "a layer above wins key by key",
			defaults: "defaults: {ssh: {user: a, port: 1}}\n", environment: "ssh: {port: 2}\n", cluster: "ssh: {api: direct}\n",
			got: func(c desired.Cluster) string {
				return n1(c).SSH.User + string(n1(c).SSH.API) + string(rune('0'+n1(c).SSH.Port))
			},
			want: "adirect2"},
		{name: "a node wins over all",
			defaults: "defaults: {ssh: {user: a}}\n", nodes_: "nodes: [{name: n1, address: 10.0.0.1, ssh: {user: b}}, {name: n2, address: 10.0.0.2}]\n",
			got:  func(c desired.Cluster) string { return n1(c).SSH.User + n2(c).SSH.User },
			want: "ba"},
		{name: "maps merge",
			defaults: "defaults: {labels: {x: d, y: d}}\n", environment: "labels: {y: e, z: e}\n", cluster: "labels: {z: c}\n",
			got:  func(c desired.Cluster) string { return c.Labels["x"] + c.Labels["y"] + c.Labels["z"] },
			want: "dec"},
		{name: "a written null takes an inherited key away",
			defaults: "defaults: {labels: {x: d, y: d}}\n", cluster: "labels: {y: null}\n",
			got:  func(c desired.Cluster) string { return strings.Join(slices.Sorted(keysOf(c.Labels)), "") },
			want: "x"},
		{name: "null takes a whole map away, and the default holds again",
			environment: "ssh: {user: e, port: 9}\n", cluster: "ssh: null\n",
			got:  func(c desired.Cluster) string { return n1(c).SSH.User },
			want: "reconciler"},
		{name: "config merges down to the node, as deep as it goes",
			environment: "config: {telemetry: {a: 1, b: 1}}\n", nodes_: "nodes: [{name: n1, address: 10.0.0.1, config: {telemetry: {b: 2}}}, {name: n2, address: 10.0.0.2}]\n",
			got: func(c desired.Cluster) string {
				return n1(c).Config["telemetry.a"] + n1(c).Config["telemetry.b"] + n2(c).Config["telemetry.b"]
			},
			want: "121"},
		{name: "files merge by path",
			environment: "files: [{path: /srv/x/a, source: tls/a.crt, mode: \"0600\"}, {path: /srv/x/b, source: tls/b.crt}]\n",
			cluster:     "files: [{path: /srv/x/a, mode: \"0640\"}]\n",
			got:         func(c desired.Cluster) string { return files(n1(c), mode) },
			want:        "/srv/x/a=0640 /srv/x/b=0644"},
		{name: "remove takes an inherited item away, on one node",
			cluster: "files: [{path: /srv/x/a, source: tls/a.crt}]\n",
			nodes_:  "nodes: [{name: n1, address: 10.0.0.1, files: [{path: /srv/x/a, remove: true}]}, {name: n2, address: 10.0.0.2}]\n",
			got:     func(c desired.Cluster) string { return files(n1(c), mode) + "|" + files(n2(c), mode) },
			want:    "|/srv/x/a=0644"},
		{name: "sources of a layer are relative to the cluster's folder",
			defaults: "defaults: {files: [{path: /srv/x/a, source: tls/a.crt}]}\n",
			got:      func(c desired.Cluster) string { return files(n1(c), source) },
			want:     "/srv/x/a=clusters/c/tls/a.crt"},
		{name: "audit devices merge by path",
			environment: "audit: [{path: a, type: file, options: {file_path: /var/log/vault/a}}, {path: b, type: syslog}]\n",
			cluster:     "audit: [{path: a, options: {file_path: /var/log/vault/b}}, {path: b, remove: true}]\n",
			got:         audits,
			want:        "a:file:/var/log/vault/b"},
		{name: "listeners merge by type and address",
			nodes_: "nodes: [{name: n1, address: 10.0.0.1, listener: [{tcp: {address: \"0.0.0.0:8200\", max_request_size: 7}}, {tcp: {address: \"127.0.0.1:8300\", tls_disable: true}}]}, {name: n2, address: 10.0.0.2}]\n",
			got: func(c desired.Cluster) string {
				return strings.Join(n1(c).Listen, " ") + " " + n1(c).Config["listener.tcp[0].max_request_size"] + n1(c).Config["listener.tcp[0].tls_disable"] + "|" + strings.Join(n2(c).Listen, " ")
			},
			want: "0.0.0.0:8200 127.0.0.1:8300 7true|0.0.0.0:8200"},
		{name: "a listener is removed beside its kind",
			nodes_: "nodes: [{name: n1, address: 10.0.0.1, listener: [{tcp: {address: \"0.0.0.0:8200\"}, remove: true}, {tcp: {address: \"0.0.0.0:8300\", tls_disable: true}}]}, {name: n2, address: 10.0.0.2}]\n",
			got:    func(c desired.Cluster) string { return n1(c).APIAddr + " " + n1(c).ClusterAddr + " " + n2(c).APIAddr },
			want:   "http://10.0.0.1:8300 https://10.0.0.1:8301 http://10.0.0.2:8200"},
		{name: "another kind of storage replaces whole",
			defaults: "defaults: {storage: {consul: {address: \"127.0.0.1:8500\"}}}\n",
			got:      func(c desired.Cluster) string { return c.Storage.Kind + n1(c).Config["storage.raft.address"] },
			want:     "raft"},
		{name: "the same kind of storage merges",
			defaults: "defaults: {storage: {raft: {path: /srv/old, performance_multiplier: 3}}}\n",
			got: func(c desired.Cluster) string {
				return c.Storage.Path + n1(c).Config["storage.raft.performance_multiplier"]
			},
			want: "/opt/vault/data3"},
		{name: "other lists replace whole",
			defaults: "defaults: {manage: [binary, config]}\n", cluster: "manage: [seal, audit]\n",
			got: func(c desired.Cluster) string {
				var s []string
				for _, m := range c.Manage {
					s = append(s, string(m))
				}
				return strings.Join(s, " ")
			},
			want: "audit seal"},
		{name: "placeholders are expanded after the merge",
			environment: "files: [{path: \"/srv/{label.dir}/x\", source: \"{address}.conf\"}]\nlabels: {dir: one}\n",
			nodes_:      "nodes: [{name: n1, address: 10.0.0.1, labels: {dir: two}}, {name: n2, address: 10.0.0.2}]\n",
			got:         func(c desired.Cluster) string { return files(n1(c), source) + "|" + files(n2(c), source) },
			want:        "/srv/two/x=clusters/c/10.0.0.1.conf|/srv/one/x=clusters/c/10.0.0.2.conf"},
		{name: "placeholders of every kind, and a literal",
			cluster: "config: {cluster_name: \"{fleet}-{environment}-{cluster}-{node}-{zone}-{{ GetPrivateIP }}-{ }\"}\n",
			nodes_:  "nodes: [{name: n1, address: 10.0.0.1, zone: z}, {name: n2, address: 10.0.0.2, zone: z}]\n",
			got:     func(c desired.Cluster) string { return n1(c).Config["cluster_name"] },
			want:    `"f-e-c-n1-z-{{ GetPrivateIP }}-{ }"`},
		{name: "the environment comes from the defaults",
			defaults: "defaults: {environment: e}\n", environment: "labels: {x: e}\n",
			got:  func(c desired.Cluster) string { return c.Environment + c.Labels["x"] },
			want: "ee"},
		{name: "derived addresses are overridden for all nodes at once",
			cluster: "api_addr: \"http://{node}.vault.internal:443\"\nnode_id: \"{cluster}-{node}\"\n",
			got:     func(c desired.Cluster) string { return n1(c).APIAddr + " " + n1(c).ID + " " + n1(c).TLSServerName },
			want:    "http://n1.vault.internal:443 c-n1 10.0.0.1"},
		{name: "an IPv6 address stands in brackets",
			nodes_: "nodes: [{name: n1, address: \"2001:db8::1\"}, {name: n2, address: \"2001:db8::2\"}]\n",
			got:    func(c desired.Cluster) string { return n1(c).APIAddr + " " + n1(c).ClusterAddr },
			want:   "http://[2001:db8::1]:8200 https://[2001:db8::1]:8201"},
		{name: "retry_join is derived for the other nodes",
			got: func(c desired.Cluster) string {
				return n1(c).Config["storage.raft.retry_join[0].leader_api_addr"] + n1(c).Config["storage.raft.retry_join[1].leader_api_addr"]
			},
			want: `"http://10.0.0.2:8200"`},
		{name: "a retry_join of one's own replaces the derived one",
			defaults: "defaults: {storage: {raft: {retry_join: [{leader_api_addr: \"https://seed.internal:8200\"}]}}}\n",
			got:      func(c desired.Cluster) string { return n1(c).Config["storage.raft.retry_join[0].leader_api_addr"] },
			want:     `"https://seed.internal:8200"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			repo := layered(row.defaults, row.environment, row.cluster, row.nodes_)
			body := string(repo["clusters/c/cluster.yaml"].Data)
			for _, line := range strings.SplitAfter(lab, "\n") { // a key that the row writes itself
				key, _, _ := strings.Cut(line, ":")
				if key != "" && strings.Count("\n"+body, "\n"+key+":") > 1 {
					body = strings.Replace(body, line, "", 1)
				}
			}
			if strings.Contains(row.cluster, "cluster_name") {
				body = strings.Replace(body, "cluster_name", "disable_mlock: true, cluster_name", 1)
			}
			if strings.HasPrefix(row.defaults, "defaults: {environment") {
				body = strings.Replace(body, "environment: e\n", "", 1)
			}
			repo["clusters/c/cluster.yaml"].Data = []byte(body)
			if diff := cmp.Diff(row.want, row.got(only(t, repo))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func keysOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestLayerErrors pins what may not stand in a layer, and what a merge refuses.
func TestLayerErrors(t *testing.T) {
	for _, row := range []struct{ name, defaults, environment, cluster, want string }{
		{"null with nothing inherited", "", "", "ca: null\n",
			"clusters/c/cluster.yaml:8:5: `ca` is null, and there is nothing inherited that it could take away; write a value, or remove the key"},
		{"null of a built-in default", "", "", "ssh: {port: null}\n",
			"clusters/c/cluster.yaml:8:13: `ssh.port` is null, and there is nothing inherited that it could take away; write a value, or remove the key"},
		{"null in the first layer", "defaults: {ssh: {port: null}}\n", "", "",
			"fleet.yaml:3:24: `ssh.port` is null, and there is nothing inherited that it could take away; write a value, or remove the key"},
		{"remove with nothing inherited", "", "", "files: [{path: /srv/x, remove: true}]\n",
			"clusters/c/cluster.yaml:8:9: `remove: true` for files item /srv/x, which no layer below has; remove the item here as well"},
		{"null item", "", "", "files: [~]\n",
			"clusters/c/cluster.yaml:8:9: an item of a list is empty; write the item, or remove its dash or comma"},
		{"nodes in defaults", "defaults: {nodes: []}\n", "", "",
			"fleet.yaml:3:12: `nodes` may not stand in defaults or an environment; it belongs in clusters/NAME/cluster.yaml"},
		{"keys in an environment", "", "keys: {secret_shares: 1}\n", "",
			"environments/e.yaml:1:1: `keys` may not stand in defaults or an environment; it belongs in clusters/NAME/cluster.yaml"},
		{"rings in a cluster", "", "", "rollout: {rings: []}\n",
			"clusters/c/cluster.yaml:8:11: `rollout.rings` may not stand in a cluster; it belongs at the top of fleet.yaml"},
		{"address for all nodes", "", "", "address: 10.0.0.1\n",
			"clusters/c/cluster.yaml:8:1: `address` may not stand in a cluster; it belongs in a node"},
		{"another environment's name", "", "environment: x\n", "",
			"environments/e.yaml:1:14: the file of environment e says environment: x; remove the key: the file's name says it"},
		{"two kinds of storage", "", "storage: {raft: {path: /srv/x}, file: {path: /srv/x}}\n", "",
			"environments/e.yaml:1:10: `storage` names 2 kinds where exactly one belongs; choose one of raft, consul, file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			fleet := desired.Load(layered(row.defaults, row.environment, row.cluster, ""), desired.Options{})
			var told []string
			for _, p := range fleet.Errors() {
				told = append(told, p.Error())
			}
			if diff := cmp.Diff([]string{row.want}, told); diff != "" {
				t.Error(diff)
			}
			if len(fleet.Clusters) != 0 || len(fleet.Broken) != 1 {
				t.Errorf("%d clusters and %d broken, want the cluster broken", len(fleet.Clusters), len(fleet.Broken))
			}
		})
	}
}
