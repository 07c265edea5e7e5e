package desired_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// updating says whether -update was given; the flag is declared by the tests of
// the rendering.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

const (
	spec   = "clusters/prod-eu/cluster.yaml"
	second = "clusters/second/cluster.yaml"
)

// exampleFS is the example fleet in memory, to be changed.
func exampleFS(t testing.TB) fstest.MapFS {
	t.Helper()
	repo := fstest.MapFS{}
	disk := os.DirFS(exampleRepo)
	err := fs.WalkDir(disk, ".", func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(disk, at)
		repo[at] = &fstest.MapFile{Data: body, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// edit changes one file of the example: old becomes new; with no old the whole
// file is new.
type edit struct {
	file, old, new string
}

func (e edit) apply(t testing.TB, repo fstest.MapFS) {
	t.Helper()
	if e.old == "" {
		repo[e.file] = &fstest.MapFile{Data: []byte(e.new), Mode: 0o644}
		return
	}
	body := string(repo[e.file].Data)
	if !strings.Contains(body, e.old) {
		t.Fatalf("%s does not hold %q", e.file, e.old)
	}
	repo[e.file] = &fstest.MapFile{Data: []byte(strings.Replace(body, e.old, e.new, 1)), Mode: 0o644}
}

// inSpec is an edit of the production cluster.
func inSpec(from, to string) []edit { return []edit{{spec, from, to}} }

// version is an edit of its version, the shortest value to hide things in.
func version(to string) []edit { return inSpec("version: 1.21.0", "version: "+to) }

// name is an edit of its first node's name, address of its address.
func name(to string) []edit    { return inSpec("name: eu-1,", "name: "+to+",") }
func address(to string) []edit { return inSpec("address: 10.1.0.11", "address: "+to) }

// invalid is the catalogue: the number is that of the catalogue of bad inputs
// (docs/design.md, how it is proven), the name says the input.
func invalid() []struct {
	number int
	name   string
	edits  []edit
} {
	type row = struct {
		number int
		name   string
		edits  []edit
	}
	extra := func(text string) []edit { return inSpec("mode: observe", "mode: observe\n"+text) }
	return []row{
		{1, "empty file", []edit{{file: spec, new: ""}}},
		{2, "only comments", []edit{{file: spec, new: "# nothing\n# at all\n"}}},
		{3, "null", []edit{{file: spec, new: "null\n"}}},
		{4, "list at the top", []edit{{file: spec, new: "- cluster: prod-eu\n"}}},
		{5, "scalar at the top", []edit{{file: spec, new: "prod-eu\n"}}},
		{6, "two documents", inSpec("mode: observe", "mode: observe\n---\ncluster: prod-eu")},
		{7, "a cluster's name in two folders", []edit{{file: second, new: "cluster: prod-eu\nvault: {version: 1.21.0}\nnodes: []\n"}}},
		{8, "duplicate key", extra("mode: enforce")},
		{9, "unknown key", extra("moed: enforce")},
		{9, "unknown key that belongs elsewhere", extra("secret_shares: 3")},
		{9, "unknown key far from all", extra("frobnicate: 3")},
		{9, "unknown key in a map", inSpec("secret_threshold", "secret_treshold")},
		{10, "key in another case", inSpec("mode: observe", "Mode: observe")},
		{10, "key with a Cyrillic letter", inSpec("mode: observe", "mоde: observe")},
		{10, "name with a Cyrillic letter", name("еu-1")},
		{11, "billion laughs", extra("labels2: &a [x]\nlabels3: &b [*a,*a,*a,*a]\nlabels4: [*b,*b,*b,*b]")},
		{12, "alias", inSpec("labels: {region: eu}", "labels: {region: *eu}")},
		{13, "anchor that holds itself", inSpec("labels: {region: eu}", "labels: &a {region: *a}")},
		{14, "merge key", inSpec("labels: {region: eu}", "labels: {<<: {region: eu}}")},
		{15, "tag", version("!!python/object 1.21.0")},
		{16, "binary tag", version("!!binary MS4yMS4w")},
		{17, "nested 100,000 deep", inSpec("labels: {region: eu}", "labels: "+strings.Repeat("[", 100_000))},
		{17, "nested 40 deep", inSpec("labels: {region: eu}", "config2: "+strings.Repeat("[", 40)+strings.Repeat("]", 40))},
		{18, "file beyond the limit", inSpec("mode: observe", "mode: observe\n#"+strings.Repeat("x", 1<<20))},
		{20, "UTF-16", []edit{{file: spec, new: "\xff\xfec\x00l\x00"}}},
		{20, "byte order mark", inSpec("cluster: prod-eu", "\ufeffcluster: prod-eu")},
		{21, "invalid UTF-8", version("1.21.\xff")},
		{22, "NUL byte", version("1.21.0\x00")},
		{23, "escape sequence", name("\x1b[31meu-1")},
		{23, "escape sequence, escaped", name(`"\u001b[31meu-1"`)},
		{24, "right-to-left override", name("eu\u202e-1")},
		{24, "right-to-left override, escaped", address(`"eu\u202e-1"`)},
		{25, "zero-width joiner", name("eu\u200d-1")},
		{27, "tab for indentation", inSpec("  - tcp:", "\t- tcp:")},
		{28, "version that is a fraction", version("1.20")},
		{29, "version with an exponent", version("1.2e1")},
		{30, "latest", version("latest")},
		{31, "line break in the version", version(`"1.21.0\n"`)},
		{32, "shell in the version", version(`"1.21.0; rm -rf /"`)},
		{33, "path in the version", version(`"../../1.21.0"`)},
		{33, "version with a v", version("v1.21.0")},
		{37, "digest of 63 characters", []edit{{file: "vault.lock", new: "format: 1\nvault:\n  1.21.0:\n    linux_amd64: {archive: \"sha256:" + strings.Repeat("a", 63) + "\", binary: \"sha256:" + strings.Repeat("A", 64) + "\"}\n"}}},
		{37, "lock of another architecture's form", []edit{{file: "vault.lock", new: "format: 1\nvault:\n  1.21.0:\n    amd64: {}\n  latest: {}\n"}}},
		{38, "yes for true", inSpec("ui: true", "ui: yes")},
		{38, "no for Norway", inSpec("labels: {region: eu}", "labels: {country: no}")},
		{39, "octal mode", inSpec(`mode: "0644"`, "mode: 0644")},
		{39, "mode of three digits", inSpec(`mode: "0644"`, `mode: "644"`)},
		{39, "mode that lets everybody write", inSpec(`mode: "0644"`, `mode: "0666"`)},
		{40, "base 60", inSpec("labels: {region: eu}", "labels: {ratio: 1:20}")},
		{41, "infinity", inSpec("ui: true", "ui: .inf")},
		{41, "not a number", inSpec("ui: true", "ui: .nan")},
		{41, "number beyond all", inSpec("ui: true", "ui: 1e999")},
		{42, "number beyond 64 bits", inSpec("secret_shares: 5", "secret_shares: 99999999999999999999")},
		{42, "number below zero", inSpec("secret_shares: 5", "secret_shares: -5")},
		{42, "threshold above the shares", inSpec("secret_threshold: 3", "secret_threshold: 6")},
		{43, "duration without a unit", inSpec("pause: 30s", "pause: 30")},
		{43, "duration in years", inSpec("pause: 30s", "pause: 1y")},
		{43, "duration below zero", inSpec("pause: 30s", "pause: -5m")},
		{43, "duration of nothing", inSpec("pause: 30s", "pause: 0s")},
		{43, "duration beyond all", inSpec("pause: 30s", "pause: 9999999h")},
		{44, "at_once of nothing", []edit{{"fleet.yaml", "at_once: 2", "at_once: 0"}}},
		{44, "at_once in percent", []edit{{"fleet.yaml", "at_once: 2", `at_once: "100%"`}}},
		{45, "no nodes", []edit{{file: "clusters/lab/cluster.yaml", new: "cluster: lab\nrules: learning\nvault: {version: 1.21.0}\nstorage: {raft: {path: /opt/vault/data}}\nlistener: [{tcp: {address: \"0.0.0.0:8200\"}}]\nnodes: []\n"}}},
		{46, "one node", []edit{{spec, "  - {name: eu-2, address: 10.1.0.12, zone: eu-west-1b, ssh: {address: eu-2.mgmt.internal}}\n", ""}, {spec, "  - {name: eu-3, address: 10.1.0.13, zone: eu-west-1c}\n", ""}}},
		{47, "two voters", inSpec("  - {name: eu-3, address: 10.1.0.13, zone: eu-west-1c}\n", "")},
		{48, "duplicate node", inSpec("name: eu-2,", "name: eu-1,")},
		{49, "duplicate address", inSpec("address: 10.1.0.12", "address: 10.1.0.11")},
		{49, "node_id written twice", []edit{{spec, "zone: eu-west-1a", "zone: eu-west-1a, node_id: one"}, {spec, "zone: eu-west-1b", "zone: eu-west-1b, node_id: one"}}},
		{49, "node_id of another node, which derives its own", inSpec("zone: eu-west-1a", "zone: eu-west-1a, node_id: eu-3")},
		{49, "node_id for all nodes", inSpec("mode: observe", "mode: observe\nnode_id: one")},
		{49, "node_id for all nodes, with learning", []edit{{spec, "rules: production", "rules: learning"}, {spec, "mode: observe", "mode: observe\nnode_id: one"}}},
		{49, "cluster_addr for all nodes", inSpec("mode: observe", "mode: observe\ncluster_addr: \"https://vault.internal:8201\"")},
		{49, "api_addr for all nodes", inSpec("mode: observe", "mode: observe\napi_addr: \"https://vault.internal\"")},
		{49, "api_addr of two nodes in two spellings", []edit{{spec, "zone: eu-west-1a", "zone: eu-west-1a, api_addr: \"https://vault.internal:443\""}, {spec, "zone: eu-west-1b", "zone: eu-west-1b, api_addr: \"https://vault.internal/\""}}},
		{49, "cluster_addr of another node, with learning", []edit{{spec, "rules: production", "rules: learning"}, {spec, "zone: eu-west-1a", "zone: eu-west-1a, cluster_addr: \"https://10.1.0.13:8201\""}}},
		{50, "address of another cluster", []edit{{"clusters/lab/cluster.yaml", "10.9.0.11", "10.1.0.13"}}},
		{52, "loopback", address("127.0.0.1")},
		{52, "localhost", address("localhost")},
		{52, "unspecified address", address("0.0.0.0")},
		{52, "metadata address", address("169.254.169.254")},
		{52, "address with a zone", address(`"fe80::1%eth0"`)},
		{52, "address in brackets", address(`"[2001:db8::1]"`)},
		{52, "address as one number", address(`"2130706433"`)},
		{52, "hexadecimal address", address(`"0x7f.1"`)},
		{52, "IPv4 in IPv6", address(`"::ffff:10.1.0.11"`)},
		{60, "two audit devices that write one file", []edit{{"environments/production.yaml", "{path: syslog, type: syslog}", "{path: second, type: file, options: {file_path: /var/log/vault/audit.log}}"}}},
		{60, "audit file among the raft data", []edit{{"environments/production.yaml", "{path: syslog, type: syslog}", "{path: second, type: file, options: {file_path: /opt/vault/data/audit.log}}"}}},
		{60, "audit file in place of the raft data", []edit{{"environments/production.yaml", "{path: syslog, type: syslog}", "{path: second, type: file, options: {file_path: /opt/vault/data}}"}}},
		{60, "audit file in place of the config", []edit{{"environments/production.yaml", "{path: syslog, type: syslog}", "{path: second, type: file, options: {file_path: /etc/vault.d/vault.hcl}}"}}},
		{60, "audit file in place of a managed file", []edit{{"environments/production.yaml", "{path: syslog, type: syslog}", "{path: second, type: file, options: {file_path: /etc/vault.d/tls/ca.crt}}"}}},
		{60, "audit file among the versions", []edit{{"environments/production.yaml", "{path: syslog, type: syslog}", "{path: second, type: file, options: {file_path: /opt/vault/versions/audit.log}}"}}},
		{60, "audit device that discards", []edit{{"environments/production.yaml", "{path: syslog, type: syslog}", "{path: second, type: file, options: {file_path: discard}}"}}},
		{42, "no keys", inSpec("keys: {secret_shares: 5, secret_threshold: 3, held_by: reconciler}\n", "")},
		{54, "user in the address", address("root@10.1.0.11")},
		{54, "port in the address", address(`"10.1.0.11:22"`)},
		{54, "option for an address", address("-oProxyCommand=sh")},
		{54, "URL for an address", address(`"ssh://10.1.0.11"`)},
		{54, "path for an address", address("/run/vault.sock")},
		{55, "punycode", address("xn--vult-5qa.internal")},
		{56, "name that is a path", name("../eu-1")},
		{56, "name with a space", name("eu 1")},
		{56, "name with a command", name(`"$(id)"`)},
		{56, "name with a backtick", name("\"`id`\"")},
		{56, "name with a quote", name(`"eu'1"`)},
		{56, "name with a leading hyphen", name("-eu")},
		{56, "name of 300 characters", name(strings.Repeat("e", 300))},
		{56, "name in capitals", name("EU-1")},
		{57, "Windows device", name("con")},
		{57, "Windows device with an ending", name("nul.txt")},
		{57, "trailing dot", name("eu-1.")},
		{58, "ssh user that is an option", []edit{{"fleet.yaml", "user: reconciler", "user: -l"}}},
		{58, "ssh user with a space", []edit{{"fleet.yaml", "user: reconciler", `user: "a b"`}}},
		{58, "ssh as root", []edit{{"fleet.yaml", "user: reconciler", "user: root"}}},
		{59, "port 0", []edit{{"fleet.yaml", "port: 22", "port: 0"}}},
		{59, "port 65536", []edit{{"fleet.yaml", "port: 22", "port: 65536"}}},
		{59, "port 22abc", []edit{{"fleet.yaml", "port: 22", "port: 22abc"}}},
		{60, "system file as the config", extra("config_path: /etc/passwd")},
		{60, "home in a path", extra("config_path: ~/vault.hcl")},
		{60, "relative path", extra("config_path: vault.hcl")},
		{60, "path that climbs", extra("config_path: /opt/../etc/vault.d/vault.hcl")},
		{60, "file below the unit's folder", inSpec("path: /etc/vault.d/tls/ca.crt", "path: /etc/systemd/system/evil.service")},
		{60, "file in place of the config", inSpec("path: /etc/vault.d/tls/ca.crt", "path: /etc/vault.d/vault.hcl")},
		{60, "file below the binary's folder", inSpec("path: /etc/vault.d/tls/ca.crt", "path: /usr/local/bin/sudo")},
		{60, "file among the raft data", inSpec("path: /etc/vault.d/tls/ca.crt", "path: /opt/vault/data/raft/peers.json")},
		{61, "private key in the repo", []edit{{file: "clusters/prod-eu/tls/eu-1.key", new: "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n"}}},
		{62, "token in the spec", extra(`labels2: hvs.CAESIJxPUUPyMEzFGd2tSTQPo9jnvRkMH` + "vtVsG1PwQEJKlbG")},
		{62, "unseal share in the repo", []edit{{file: "clusters/prod-eu/notes.txt", new: "share 1: 6EpqCH2WJRUCPQ/jUcOWTXZk" + "Ccwjh2gAj9K2ouQ2zTzB\n"}}},
		{62, "token outside of all clusters", []edit{{file: "docs/howto.md", new: "vault login s.iyNUhq8Ov4hIAx6sn" + "w5mB2nL\n"}}},
		{62, "token of a seal", inSpec("seal: shamir", "seal: {transit: {address: \"https://vault.internal:8200\", token: abc, key_name: unseal, mount_path: transit}}")},
		{62, "PIN in the environment", inSpec("NO_PROXY:", "VAULT_HSM_PIN: x1234, NO_PROXY:")},
		{62, "variable that loads a library in the environment", inSpec("NO_PROXY:", "LD_PRELOAD: /opt/vault/x.so, NO_PROXY:")},
		{62, "variable of the dynamic linker in the environment", inSpec("NO_PROXY:", "LD_LIBRARY_PATH: /opt/vault, NO_PROXY:")},
		{62, "variable of the reconciler in the environment", inSpec("NO_PROXY:", "RECONCILER_EPOCH: \"9\", NO_PROXY:")},
		{62, "variable that chooses programs in the environment", inSpec("NO_PROXY:", "PATH: /opt/vault/bin, NO_PROXY:")},
		{62, "variable of a shell in the environment", inSpec("NO_PROXY:", "BASH_ENV: /opt/vault/x, NO_PROXY:")},
		{62, "variable of a shell, short in the environment", inSpec("NO_PROXY:", "ENV: /opt/vault/x, NO_PROXY:")},
		{62, "variable that splits words in the environment", inSpec("NO_PROXY:", "IFS: /, NO_PROXY:")},
		{62, "variable of the C library in the environment", inSpec("NO_PROXY:", "GCONV_PATH: /opt/vault, NO_PROXY:")},
		{62, "variable of the locale in the environment", inSpec("NO_PROXY:", "LOCPATH: /opt/vault, NO_PROXY:")},
		{62, "variable that weakens Go in the environment", inSpec("NO_PROXY:", "GODEBUG: tlsrsakex=1, NO_PROXY:")},
		{62, "variable that is misspelt in the environment", inSpec("NO_PROXY:", "HTTP_PROXI: \"http://p\", NO_PROXY:")},
		{62, "variable that is a prefix alone in the environment", inSpec("NO_PROXY:", "VAULT_: x, NO_PROXY:")},
		{62, "variable of a token helper in the environment", inSpec("NO_PROXY:", "VAULT_CONFIG_PATH: /opt/vault/x, NO_PROXY:")},
		{62, "variable that wins over api_addr on OpenBao in the environment", inSpec("NO_PROXY:", "BAO_API_ADDR: \"https://x\", NO_PROXY:")},
		{62, "variable that wins over node_id in the environment", inSpec("NO_PROXY:", "VAULT_RAFT_NODE_ID: one, NO_PROXY:")},
		{62, "password in a URL", inSpec("http://proxy.internal:3128", "http://u:p@proxy.internal:3128")},
		{62, "token of one node's config", inSpec("zone: eu-west-1a", "zone: eu-west-1a, config: {telemetry: {circonus_api_token: x}}")},
		{63, "source in another cluster's folder", inSpec("source: tls/ca.crt", "source: ../lab/cluster.yaml")},
		{63, "secret with a path", inSpec("source: tls/ca.crt", `source: "secret:../lab/token"`)},
		{64, "unknown kind of secret", inSpec("source: tls/ca.crt", `source: "vault:kv/tls"`)},
		{64, "age file that is none", inSpec("source: tls/ca.crt", `source: "age:tls/ca.crt"`)},
		{64, "secret that everybody can read", inSpec(`mode: "0640"`, `mode: "0644"`)},
		{69, "TLS disabled", inSpec("tls_cert_file: /etc/vault.d/tls/vault.crt,", "tls_disable: true, tls_cert_file: /etc/vault.d/tls/vault.crt,")},
		{69, "raw storage endpoint", inSpec("ui: true", "raw_storage_endpoint: true")},
		{69, "listener in config", inSpec("ui: true", "listener: {tcp: {}}")},
		{69, "log level that Vault does not know", inSpec("ui: true", "ui: true\n  log_level: loud")},
		{69, "log format that Vault does not know", inSpec("ui: true", "log_format: xml")},
		{69, "level of requests that Vault does not know", inSpec("ui: true", "log_requests_level: loud")},
		{69, "key that Vault does not know", inSpec("ui: true", "log_levle: debug")},
		{69, "key that Vault does not know, far from all", inSpec("ui: true", "frobnicate: debug")},
		{69, "key in another spelling of Vault's", inSpec("ui: true", "EnableRawEndpoint: true")},
		{69, "key in capitals", inSpec("ui: true", "RAW_STORAGE_ENDPOINT: true")},
		{69, "seal under another name", inSpec("ui: true", "hsm: {pkcs11: {}}")},
		{69, "storage under another name", inSpec("ui: true", "backend: {file: {}}")},
		{69, "certificate that nobody places", inSpec("tls_cert_file: /etc/vault.d/tls/vault.crt", "tls_cert_file: /etc/vault.d/tls/vualt.crt")},
		{70, "listener with half a bracket", inSpec("0.0.0.0:8200", "[::1:8200")},
		{70, "listener with the other half", inSpec("0.0.0.0:8200", "::1]:8200")},
		{70, "cluster_address with half a bracket", inSpec("tls_cert_file:", "cluster_address: \"[::1:8201\", tls_cert_file:")},
		{70, "no listener", []edit{{spec, "listener:\n  - tcp: {address: \"0.0.0.0:8200\", tls_cert_file: /etc/vault.d/tls/vault.crt, tls_key_file: /etc/vault.d/tls/vault.key}\n", ""}}},
		{60, "the root as raft's path", inSpec("path: /opt/vault/data", "path: /")},
		{70, "two listeners on one port", inSpec("seal: shamir", "  - tcp: {address: \"10.1.0.11:8200\", tls_cert_file: /etc/vault.d/tls/vault.crt, tls_key_file: /etc/vault.d/tls/vault.key}\nseal: shamir")},
		{70, "a listener twice", inSpec("seal: shamir", "  - tcp: {address: \"0.0.0.0:8200\"}\nseal: shamir")},
		{71, "api_addr of another node", inSpec("zone: eu-west-1a", `zone: eu-west-1a, api_addr: "https://10.1.0.12:8200"`)},
		{71, "api_addr with a user", inSpec("zone: eu-west-1a", `zone: eu-west-1a, api_addr: "https://x@10.1.0.11:8200"`)},
		{81, "variable of a shell", inSpec(`NO_PROXY: "10.0.0.0/8,127.0.0.1"`, `NO_PROXY: "${HOSTS}"`)},
		{81, "unknown placeholder", inSpec("tls/{node}.crt", "tls/{nod}.crt")},
		{81, "label that is not there", inSpec("tls/{node}.crt", "tls/{label.regoin}.crt")},
		{81, "node in a cluster's value", inSpec("ca: tls/ca.crt", `ca: "tls/{node}.crt"`)},
		{81, "placeholder without quotes", inSpec(`source: "tls/{node}.crt"`, `source: tls/{node}.crt`)},
		{81, "placeholder without quotes in block style", []edit{{file: second, new: "cluster: second\nca: {cluster}.crt\n"}}},
		{82, "absolute source", inSpec("source: tls/ca.crt", "source: /etc/shadow")},
		{82, "source with a glob", inSpec("source: tls/ca.crt", `source: "tls/*.crt"`)},
		{82, "source that is not there", inSpec("source: tls/ca.crt", "source: tls/ca.crtt")},
		{82, "source that is a folder", inSpec("source: tls/ca.crt", "source: tls")},
		{97, "cluster's folder that is a drive", []edit{{file: "clusters/C:/cluster.yaml", new: "cluster: c\n"}}},
		{97, "cluster's folder with a blank at its end", []edit{{file: "clusters/lab /cluster.yaml", new: "cluster: lab\n"}}},
		{98, "cluster's folder in capitals", []edit{{file: "clusters/LAB/cluster.yaml", new: "cluster: LAB\n"}}},
		{99, "cluster's folder with a composed letter", []edit{{file: "clusters/m\u00fcnchen/cluster.yaml", new: "cluster: m\u00fcnchen\n"}}},
		{99, "cluster's folder with the same letter in two", []edit{{file: "clusters/mu\u0308nchen/cluster.yaml", new: "cluster: mu\u0308nchen\n"}}},
		{99, "source with such a letter", inSpec("source: tls/ca.crt", "source: tls/c\u00e4.crt")},
	}
}

// TestInvalid pins what is said of every bad input: where it is, what is
// wrong, and what would be right.
func TestInvalid(t *testing.T) {
	var told strings.Builder
	for _, row := range invalid() {
		repo := exampleFS(t)
		for _, e := range row.edits {
			e.apply(t, repo)
		}
		fleet := desired.Load(repo, desired.Options{})
		if len(fleet.Problems) == 0 {
			t.Errorf("%d %s: accepted", row.number, row.name)
		}
		fmt.Fprintf(&told, "-- %d %s --\n%s", row.number, row.name, words(fleet))
	}
	golden(t, "testdata/invalid.txtar", told.String())
}

// words are a fleet's problems, and what they took out.
func words(fleet desired.Fleet) string {
	var b strings.Builder
	for _, p := range fleet.Problems {
		line := string(p.Severity) + ": " + p.Error()
		fmt.Fprintln(&b, strings.ReplaceAll(line, strings.Repeat("e", 60), "e…"))
	}
	var broken []string
	for _, c := range fleet.Broken {
		broken = append(broken, c.Name)
	}
	fmt.Fprintf(&b, "broken: %s\n", strings.Join(broken, " "))
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.FromSlash(file)
	if updating() {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), see with -update:\n%s", file, diff)
	}
}
