package settings

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// write puts a reconciler.yaml into a folder of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reconciler.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// said are the problems without the folder of the test.
func said(path string, problems []desired.Problem) []string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, strings.ReplaceAll(p.Error(), filepath.Dir(path)+"/", ""))
	}
	return lines
}

const whole = `fleets:
  - {repo: "file:///srv/git/fleet.git", branch: release/prod, path: fleets/acme, interval: 30s, signatures: {policy: none}}
  - {repo: ../lab}
trust:
  known_hosts: known_hosts
  networks: [10.1.0.0/16, 192.0.2.7, "2001:db8::/32"]
  vault_ca: [/etc/reconciler/vault-ca.crt]
  roots: [/opt/vault, /etc/vault.d/, /usr/local/bin]
  services: [vault]
  users: [vault, root]
  releases: [/srv/releases]
  modes: {"prod-*": enforce, "*": observe}
  folders: true
ssh: {key: id_ed25519}
identities: [age.key]
holders: {alice: age1x7asfze066j9m794fl64pvuqg2akrlk25vk9v6j2waf4vtzrtczql2ujcs}
secrets:
  transit: {clusters: prod-eu, file: transit.token}
  pin: {clusters: "prod-*", env: HSM_PIN}
  token: {clusters: "*", exec: [/usr/bin/pass, show, vault/token]}
  key: {clusters: lab, age: lab.age}
state: state
key_stores: [keys, /mnt/escrow/keys]
releases: {keys: [hashicorp.asc]}
webhook: {listen: "127.0.0.1:9181", secret_file: hook.secret}
history: {keep: 90d}
`

func TestLoadReadsEveryKey(t *testing.T) {
	path := write(t, whole)
	in := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	want := Settings{
		File: path,
		Fleets: []Fleet{
			{Repo: "file:///srv/git/fleet.git", Branch: "release/prod", Path: "fleets/acme", Interval: 30 * time.Second, Signatures: Signatures{Policy: "none"}},
			{Repo: filepath.Join(filepath.Dir(filepath.Dir(path)), "lab"), Branch: "main", Path: ".", Interval: time.Minute, Signatures: Signatures{Policy: "none"}},
		},
		Trust: Trust{
			KnownHosts: in("known_hosts"),
			Networks:   []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32")},
			VaultCA:    []string{"/etc/reconciler/vault-ca.crt"},
			Roots:      []string{"/opt/vault", "/etc/vault.d", "/usr/local/bin"},
			Services:   []string{"vault"},
			Users:      []string{"vault", "root"},
			Releases:   []string{"/srv/releases"},
			Modes:      []Mode{{"prod-*", desired.ModeEnforce}, {"*", desired.ModeObserve}},
			Folders:    true,
		},
		SSH:        SSH{Key: in("id_ed25519")},
		Identities: []string{in("age.key")},
		Holders:    map[string]string{"alice": "age1x7asfze066j9m794fl64pvuqg2akrlk25vk9v6j2waf4vtzrtczql2ujcs"},
		Secrets: map[string]Secret{
			"transit": {Clusters: "prod-eu", File: in("transit.token")},
			"pin":     {Clusters: "prod-*", Env: "HSM_PIN"},
			"token":   {Clusters: "*", Exec: []string{"/usr/bin/pass", "show", "vault/token"}},
			"key":     {Clusters: "lab", Age: in("lab.age")},
		},
		State:     in("state"),
		KeyStores: []string{in("keys"), "/mnt/escrow/keys"},
		Releases:  Releases{Keys: []string{in("hashicorp.asc")}},
		Webhook:   Webhook{Listen: "127.0.0.1:9181", SecretFile: in("hook.secret")},
		History:   History{Keep: 90 * 24 * time.Hour},
	}
	got, problems := Load(path)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", said(path, problems))
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestLoadGrantsNothingByDefault(t *testing.T) {
	path := write(t, "ssh: {key: id}\n")
	s, problems := Load(path)
	if len(problems) > 0 {
		t.Fatal(said(path, problems))
	}
	if len(s.Trust.Networks)+len(s.Trust.Modes)+len(s.Trust.Roots)+len(s.Trust.Users) > 0 || s.Trust.Folders {
		t.Errorf("trust that nobody gave: %+v", s.Trust)
	}
	if s.History.Keep != 400*24*time.Hour {
		t.Errorf("history.keep = %v", s.History.Keep)
	}
	if s.State != "/var/lib/reconciler" {
		t.Errorf("state = %q", s.State)
	}
}

// The sample of the documentation names keys that are not built: each says so,
// and nothing else is wrong with it.
func TestLoadSaysWhichKeysAreNotBuilt(t *testing.T) {
	path := write(t, `fleets:
  - {repo: "ssh://git@git.internal/acme/fleet.git", branch: main, path: ., interval: 60s, ssh_key: /etc/reconciler/deploy_key, known_hosts: /etc/reconciler/git_known_hosts, signatures: {policy: every-commit, allowed_signers: /etc/reconciler/allowed_signers}}
trust:
  known_hosts: /etc/reconciler/known_hosts
  networks: [10.1.0.0/16]
  host_ca: /etc/reconciler/host_ca.pub
ssh: {key: /etc/reconciler/id_ed25519, bastions: [{networks: [10.2.0.0/16], address: bastion.internal}]}
secrets: {prod-eu-transit: {clusters: prod-eu, file: /etc/reconciler/transit.token}}
releases: {keys: [/etc/reconciler/hashicorp.asc]}
http: {listen: "127.0.0.1:9180"}
forge: {kind: gitea}
webhook: {listen: ":9000", secret_file: /etc/reconciler/hook.secret}
notify: {ops: {mail: {server: "smtp.internal:587", from: reconciler@example.com, to: [ops@example.com]}}}
`)
	_, problems := Load(path)
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Place.Line, p.Place.Column, p.Text))
		if p.Hint == "" {
			t.Errorf("no hint: %s", p.Text)
		}
	}
	want := []string{
		`6:3 trust.host_ca is not built in this release`,
		`7:40 ssh.bastions is not built in this release`,
		`11:8 a forge is of a fleet`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestLoadSaysEverythingAtOnceWithItsPlace(t *testing.T) {
	path := write(t, `trust:
  known_host: known_hosts
  networks: [10.1.0.7/16, banana]
  folders: "yes"
trust: {}
identites: [age.key]
state:
`)
	_, problems := Load(path)
	want := []string{
		`reconciler.yaml:2:3: unknown key "known_host" in trust; did you mean known_hosts?`,
		`reconciler.yaml:3:14: trust.networks: "10.1.0.7/16" has bits beyond its mask; write 10.1.0.0/16, or 10.1.0.7 for the one host`,
		`reconciler.yaml:3:27: trust.networks: "banana" is not a network; write it as 10.1.0.0/16`,
		`reconciler.yaml:4:12: trust.folders must be true or false, not a string; write true or false`,
		`reconciler.yaml:5:1: key "trust" is already given on line 1; delete one of them`,
		`reconciler.yaml:6:1: unknown key "identites" in reconciler.yaml; did you mean identities?`,
		`reconciler.yaml:7:7: state is empty; delete the key or give it a value`,
	}
	if diff := cmp.Diff(want, said(path, problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	deep := "trust: " + strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for name, c := range map[string]struct{ text, want string }{
		"an empty file":              {"", "the file says nothing"},
		"only comments":              {"# nothing\n", "the file says nothing"},
		"null":                       {"null\n", "reconciler.yaml must be a map, not nothing"},
		"a list":                     {"- a\n", "reconciler.yaml must be a map, not a list"},
		"a scalar":                   {"hello\n", "reconciler.yaml must be a map, not a string"},
		"a second document":          {"state: a\n---\nstate: b\n", "second document"},
		"an anchor":                  {"state: &a x\n", "anchor &a is not allowed"},
		"an alias":                   {"state: &a x\nkey_stores: [*a]\n", "anchor &a"},
		"a self-referential anchor":  {"trust: &a [*a]\n", "anchor &a"},
		"a merge key":                {"trust: {<<: {folders: true}}\n", "a merge key is not allowed as a key"},
		"a custom tag":               {"state: !!python/object x\n", "tag !!python/object is not allowed"},
		"a binary":                   {"state: !!binary aGk=\n", "tag !!binary is not allowed"},
		"a null item":                {"key_stores: [~]\n", "an item of key_stores is empty"},
		"depth":                      {deep, "nested more than 64 deep"},
		"greater depth":              {"trust: " + strings.Repeat("[", 100_000), "not YAML"},
		"a huge file":                {"# " + strings.Repeat("x", 2<<20), "at most 1048576 are read"},
		"a NUL":                      {"state: a\x00b\n", "invisible character U+0000"},
		"invalid UTF-8":              {"state: \xff\n", "not valid UTF-8"},
		"a byte order mark":          {"\ufeffstate: a\n", "invisible character U+FEFF"},
		"an override of direction":   {"state: a\u202eb\n", "invisible character U+202E"},
		"a zero-width joiner":        {"state: a\u200db\n", "invisible character U+200D"},
		"a homoglyph":                {"trust: {f\u043elders: true}\n", "unknown key"},
		"tabs":                       {"trust:\n\tfolders: true\n", "not YAML: found character that cannot start any token"},
		"a brace unquoted":           {"key_stores: {a, {b}\n", "quote strings"},
		"a number as a string":       {"state: 12\n", "state must be a string, not a number"},
		"a home folder":              {"state: ~/x\n", "~ and $VARIABLES are not expanded"},
		"a variable":                 {"state: $HOME/x\n", "~ and $VARIABLES are not expanded"},
		"no repo":                    {"fleets: [{branch: main}]\n", "a fleet has no repo"},
		"two equal fleets":           {"fleets: [{repo: a}, {repo: a, interval: 2s}]\n", "already listed"},
		"ssh without a key":          {"fleets: [{repo: \"git@host:fleet.git\", known_hosts: k}]\n", "has no ssh_key"},
		"ssh without known_hosts":    {"fleets: [{repo: \"ssh://git@host/fleet.git\", ssh_key: k}]\n", "has no known_hosts"},
		"ssh as nobody":              {"fleets: [{repo: \"ssh://host/fleet.git\", ssh_key: k, known_hosts: k}]\n", "names no user"},
		"scp as nobody":              {"fleets: [{repo: \"host:fleet.git\"}]\n", "is not USER@HOST:PATH"},
		"scp of an option":           {"fleets: [{repo: \"git@host:--x\", ssh_key: k, known_hosts: k}]\n", "is not USER@HOST:PATH"},
		"a password of ssh":          {"fleets: [{repo: \"ssh://git:canary@host/fleet.git\"}]\n", "holds a password"},
		"a token in a URL":           {"fleets: [{repo: \"https://canary@host/fleet.git\"}]\n", "name it as token_file"},
		"a token over ssh":           {"fleets: [{repo: \"ssh://git@host/fleet.git\", ssh_key: k, known_hosts: k, token_file: t}]\n", "for a repo that is reached by https"},
		"a key over https":           {"fleets: [{repo: \"https://host/fleet.git\", ssh_key: k}]\n", "for a repo that is reached by ssh"},
		"a token for a folder":       {"fleets: [{repo: a, token_file: t}]\n", "for a repo that is reached by https"},
		"a name without a token":     {"fleets: [{repo: \"https://host/fleet.git\", username: u}]\n", "comes with no token_file"},
		"an open way":                {"fleets: [{repo: \"http://canary@host/fleet.git\"}]\n", "whoever is on the way"},
		"git's own way":              {"fleets: [{repo: \"git://host/fleet.git\"}]\n", "whoever is on the way"},
		"a helper of git":            {"fleets: [{repo: \"ext::sh -c id\"}]\n", "is not USER@HOST:PATH"},
		"another way":                {"fleets: [{repo: \"s3://bucket/fleet\"}]\n", "s3 is not known as a way"},
		"a URL of no repo":           {"fleets: [{repo: \"https://host/\"}]\n", "not the URL of a repo"},
		"a URL with a query":         {"fleets: [{repo: \"https://host/x?token=canary\"}]\n", "not the URL of a repo"},
		"a password with a slash":    {"fleets: [{repo: \"https://user:can/canary@host/x.git\"}]\n", "fleets[].repo"},
		"a password with a mark":     {"fleets: [{repo: \"https://user:can?canary@host/x.git\"}]\n", "fleets[].repo"},
		"a password of another way":  {"fleets: [{repo: \"ftp://user:canary/x@host/x.git\"}]\n", "fleets[].repo"},
		"a password without slashes": {"fleets: [{repo: \"https:user:canary@host/x.git\"}]\n", "fleets[].repo"},
		"an empty query":             {"fleets: [{repo: \"https://host/x.git?\"}]\n", "not the URL of a repo"},
		"a NUL in a path":            {"fleets: [{repo: \"ssh://git@host/x%00y\", ssh_key: k, known_hosts: k}]\n", "not the URL of a repo"},
		"a host that is an option":   {"fleets: [{repo: \"ssh://git@-oProxyCommand/x\", ssh_key: k, known_hosts: k}]\n", "not the URL of a repo"},
		"an IPv6 address":            {"fleets: [{repo: \"git@[2001:db8::1]:x\"}]\n", "write ssh://git@HOST/PATH"},
		"a port that is none":        {"fleets: [{repo: \"ssh://git@host:0/x\", ssh_key: k, known_hosts: k}]\n", "is not a port"},
		"a repo that is an option":   {"fleets: [{repo: --upload-pack=x}]\n", "must not begin with a dash"},
		"a relative URL":             {"fleets: [{repo: \"file://host/x\"}]\n", "not the URL of an absolute path"},
		"a policy that is none":      {"fleets: [{repo: a, signatures: {policy: all}}]\n", "choose one of none, head, every-commit, forge"},
		"signed by nobody":           {"fleets: [{repo: a, signatures: {policy: head}}]\n", "does not say who may sign"},
		"signers and no policy":      {"fleets: [{repo: a, signatures: {allowed_signers: f}}]\n", "no commit has to be signed"},
		"a ref as a branch":          {"fleets: [{repo: a, branch: refs/heads/main}]\n", "not the name of a branch"},
		"a branch that climbs":       {"fleets: [{repo: a, branch: ../../x}]\n", "not the name of a branch"},
		"a path out of the repo":     {"fleets: [{repo: a, path: ../b}]\n", "leads out of the repo"},
		"an interval of no unit":     {"fleets: [{repo: a, interval: 10}]\n", "must be a duration"},
		"an interval of no time":     {"fleets: [{repo: a, interval: 0s}]\n", "must be a duration"},
		"a negative interval":        {"fleets: [{repo: a, interval: -5m}]\n", "must be a duration"},
		"a year":                     {"fleets: [{repo: a, interval: 9999h}]\n", "must be a duration"},
		"a zone in a network":        {"trust: {networks: [\"fe80::1%eth0\"]}\n", "is not a network"},
		"a decimal address":          {"trust: {networks: [\"2130706433\"]}\n", "is not a network"},
		"the whole system":           {"trust: {roots: [/etc]}\n", "would let a commit replace the system"},
		"a root that climbs":         {"trust: {roots: [/opt/../etc/x]}\n", "not a clean absolute path"},
		"a relative root":            {"trust: {roots: [opt]}\n", "not a clean absolute path"},
		"a user that is an option":   {"trust: {users: [-l]}\n", "is not a name"},
		"a service of the shell":     {"trust: {services: [\"vault;reboot\"]}\n", "is not a name"},
		"an unknown mode":            {"trust: {modes: {\"*\": destroy}}\n", "is not a mode"},
		"a mode never reached":       {"trust: {modes: {\"*\": observe, \"prod-*\": enforce}}\n", "is never reached"},
		"a broken glob":              {"trust: {modes: {\"prod-[\": observe}}\n", "is not a glob"},
		"a plugin recipient":         {"holders: {eve: age1evil1qqqq}\n", "is not an age recipient"},
		"a private key of a holder":  {"holders: {eve: AGE-SECRET-KEY-1QQQ}\n", "is a private key"},
		"a secret for nobody":        {"secrets: {a: {file: x}}\n", "does not say for which clusters"},
		"a secret of no source":      {"secrets: {a: {clusters: x}}\n", "has 0 sources"},
		"a secret of two sources":    {"secrets: {a: {clusters: x, file: f, env: E}}\n", "has 2 sources"},
		"a shell line":               {"secrets: {a: {clusters: x, exec: \"cat /x\"}}\n", "must be a list"},
		"a program from the path":    {"secrets: {a: {clusters: x, exec: [cat, /x]}}\n", "begins with an absolute path"},
		"a variable with a dollar":   {"secrets: {a: {clusters: x, env: $E}}\n", "not the name of an environment variable"},
		"a secret's value":           {"secrets: {a: {clusters: x, value: s3cret}}\n", "unknown key \"value\""},
		"hooks of anybody":           {"webhook: {listen: \":9181\"}\n", "webhook has no secret_file"},
		"hooks from nowhere":         {"webhook: {secret_file: f}\n", "does not say where to listen"},
		"hooks at a name":            {"webhook: {secret_file: f, listen: \"localhost:9181\"}\n", "is not an address with a port"},
		"hooks at no port":           {"webhook: {secret_file: f, listen: 127.0.0.1}\n", "is not an address with a port"},
		"hooks at any port":          {"webhook: {secret_file: f, listen: \"127.0.0.1:0\"}\n", "is not an address with a port"},
		"a glob that is none":        {"fleets: [{repo: /r, clusters: \"prod-[\"}]\n", "is not a glob"},
		"globs of nothing":           {"fleets: [{repo: /r, clusters: []}]\n", "no cluster would be kept"},
		"health for everybody":       {"http: {listen: \":9180\"}\n", "is not a loopback address"},
		"health at an address":       {"http: {listen: \"10.1.0.1:9180\"}\n", "is not a loopback address"},
		"a short memory":             {"history: {keep: 30m}\n", "history.keep must be a duration from 1d to 3660d"},
		"a long memory":              {"history: {keep: 99999d}\n", "history.keep must be a duration"},
		"a memory without a unit":    {"history: {keep: 400}\n", "write it with its unit, as 400d"},
		"a memory of lists":          {"history: {keep: [1d]}\n", "history.keep must be a duration"},
		"another key of history":     {"history: {keeps: 400d}\n", "did you mean keep?"},
		"a page below a path":        {"http: {listen: \"127.0.0.1:9180\", url: \"https://host/vaults\"}\n", "http.url is not the address of a site"},
		"a page without a scheme":    {"http: {listen: \"127.0.0.1:9180\", url: host}\n", "write it as https://reconciler.example.com"},
		"a page with a login":        {"http: {listen: \"127.0.0.1:9180\", url: \"https://u:canary@host\"}\n", "http.url is not the address of a site"},
		"a page that is a script":    {"http: {listen: \"127.0.0.1:9180\", url: \"javascript://host\"}\n", "http.url is not the address of a site"},
		"a page of nobody":           {"http: {listen: \"127.0.0.1:9180\", url: \"https://:8443\"}\n", "http.url is not the address of a site"},
		"a page of a zone":           {"http: {listen: \"127.0.0.1:9180\", url: \"https://[fe80::1%25eth0]:9180\"}\n", "http.url is not the address of a site"},
		"a page of a strange name":   {"http: {listen: \"127.0.0.1:9180\", url: \"https://ho\u00a0st\"}\n", "http.url is not the address of a site"},
		"a page of an odd port":      {"http: {listen: \"127.0.0.1:9180\", url: \"https://host:99999\"}\n", "http.url is not the address of a site"},
		"a page with a query":        {"http: {listen: \"127.0.0.1:9180\", url: \"https://host?\"}\n", "http.url is not the address of a site"},
		"health nowhere":             {"http: {}\n", "http does not say where to listen"},
		"a token in the clear":       {"http: {listen: \":9180\", token_file: t}\n", "the token would go there in the clear"},
		"TLS for everybody":          {"http: {listen: \":9180\", tls: {cert: c, key: k}}\n", "is not asked who he is"},
		"half of TLS":                {"http: {listen: \"127.0.0.1:9180\", tls: {cert: c}}\n", "http.tls needs both"},
		"nothing of TLS":             {"http: {listen: \"127.0.0.1:9180\", tls: {}}\n", "http.tls needs both"},
		"two who ask":                {"http: {listen: \"127.0.0.1:9180\", token_file: t, trusted_proxy: {networks: [10.1.0.5]}}\n", "it is one of them that says who asks"},
		"a proxy anywhere":           {"http: {listen: \":9180\", trusted_proxy: {header: X-User}}\n", "http.trusted_proxy has no networks"},
		"a proxy everywhere":         {"http: {listen: \":9180\", trusted_proxy: {networks: [10.1.0.5, \"::/0\"]}}\n", "::/0 is everybody"},
		"a proxy of a name":          {"http: {listen: \":9180\", trusted_proxy: {networks: [proxy.internal]}}\n", "http.trusted_proxy.networks: \"proxy.internal\" is not a network"},
		"a header that is none":      {"http: {listen: \":9180\", trusted_proxy: {networks: [10.1.0.5], header: \"X User\"}}\n", "is not the name of a header"},
		"a token's value":            {"http: {listen: \"127.0.0.1:9180\", token: canary}\n", "unknown key \"token\" in http"},
		"hooks at a URL":             {"webhook: {secret_file: f, listen: \"http://127.0.0.1:9181/hook\"}\n", "is not an address with a port"},
		"a secret of hooks":          {"webhook: {listen: \":9181\", secret: canary}\n", "unknown key \"secret\""},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, c.text)
			_, problems := Load(path)
			all := strings.Join(said(path, problems), "\n")
			if !strings.Contains(all, c.want) {
				t.Errorf("said %q, want %q in it", all, c.want)
			}
			if strings.Contains(all, "canary") {
				t.Errorf("a secret is told: %q", all)
			}
			if !strings.HasPrefix(all, "reconciler.yaml") {
				t.Errorf("no place: %q", all)
			}
		})
	}
}

func TestLoadAcceptsWindowsLineEndings(t *testing.T) {
	path := write(t, strings.ReplaceAll(whole, "\n", "\r\n"))
	if _, problems := Load(path); len(problems) > 0 {
		t.Error(said(path, problems))
	}
}

func TestLoadRefusesFilesThatOthersMayUse(t *testing.T) {
	path := write(t, `trust: {known_hosts: known_hosts, vault_ca: [ca.crt]}
ssh: {key: id}
identities: [age.key]
secrets: {a: {clusters: x, file: token}}
releases: {keys: [hashicorp.asc]}
webhook: {listen: ":9181", secret_file: hook.secret}
http: {listen: ":9180", token_file: page.token, tls: {cert: page.crt, key: page.key}}
`)
	for name, mode := range map[string]os.FileMode{
		"reconciler.yaml": 0o664, "known_hosts": 0o646, "ca.crt": 0o646, "hashicorp.asc": 0o646, "id": 0o604, "age.key": 0o644, "token": 0o601, "hook.secret": 0o644, "page.token": 0o644, "page.crt": 0o644, "page.key": 0o604,
	} {
		file := filepath.Join(filepath.Dir(path), name)
		if name != "reconciler.yaml" {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	_, problems := Load(path)
	want := []string{
		"reconciler.yaml: mode 0664 lets others than its owner change these settings; chmod go-w reconciler.yaml",
		"reconciler.yaml:1:22: known_hosts has mode 0646: everybody on this host may change it; chmod o-w known_hosts",
		"reconciler.yaml:1:46: ca.crt has mode 0646: everybody on this host may change it; chmod o-w ca.crt",
		"reconciler.yaml:2:12: id has mode 0604: everybody on this host may use it; chmod 600 id",
		"reconciler.yaml:3:14: age.key has mode 0644: everybody on this host may use it; chmod 600 age.key",
		"reconciler.yaml:4:34: token has mode 0601: everybody on this host may use it; chmod 600 token",
		"reconciler.yaml:5:19: hashicorp.asc has mode 0646: everybody on this host may change it; chmod o-w hashicorp.asc",
		"reconciler.yaml:6:41: hook.secret has mode 0644: everybody on this host may use it; chmod 600 hook.secret",
		"reconciler.yaml:7:37: page.token has mode 0644: everybody on this host may use it; chmod 600 page.token",
		"reconciler.yaml:7:76: page.key has mode 0604: everybody on this host may use it; chmod 600 page.key",
	}
	if diff := cmp.Diff(want, said(path, problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestLoadSaysWhenThereIsNothingToRead(t *testing.T) {
	for name, path := range map[string]string{"a folder": t.TempDir(), "nothing": filepath.Join(t.TempDir(), "x")} {
		if _, problems := Load(path); len(problems) != 1 {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestSecretIsForItsClustersAlone(t *testing.T) {
	s := Settings{Secrets: map[string]Secret{"pin": {Clusters: "prod-*", Env: "PIN"}}}
	if _, ok := s.Secret("prod-eu", "pin"); !ok {
		t.Error("prod-eu may not use pin")
	}
	for _, c := range []struct{ cluster, name string }{{"lab", "pin"}, {"prod-eu", "pim"}, {"", "pin"}} {
		if got, ok := s.Secret(c.cluster, c.name); ok || got.Env != "" {
			t.Errorf("%s got %s", c.cluster, c.name)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add("trust: {networks: [::/0]}\n---\n")
	f.Add("a: &b [*b]")
	f.Fuzz(func(t *testing.T, text string) {
		r := &reader{file: "/x/reconciler.yaml"}
		var s Settings
		if root := r.parse([]byte(text)); root != nil {
			r.settings(root, &s)
		}
		for _, p := range r.sorted() {
			if p.Text == "" || p.Place.File == "" {
				t.Errorf("a problem that says nothing: %+v", p)
			}
		}
	})
}

func TestLoadReadsWhereTheForgeIs(t *testing.T) {
	for name, c := range map[string]struct {
		repo, forge string
		want        Forge
	}{
		"what follows from the repo": {"https://git.internal:3000/acme/fleet.git", "kind: gitea, token_file: t",
			Forge{Kind: "gitea", URL: "https://git.internal:3000", Project: "acme/fleet", TokenFile: "t", CA: "c"}},
		"GitHub": {"https://github.com/acme/fleet", "app: {id: 1, installation: 2, key_file: k}",
			Forge{Kind: "github", URL: "https://api.github.com", Project: "acme/fleet", App: App{1, 2, "k"}, CA: "c"}},
		"GitLab, and all of it": {"https://git.internal/infra/vault/fleet.git", `kind: gitlab, url: "https://gitlab.internal/", project: infra/vault/fleet, token_file: t, ca: d, forks: true, operators: {"prod-*": [acme/ops], "*": [acme/dev, acme/ops]}`,
			Forge{Kind: "gitlab", URL: "https://gitlab.internal", Project: "infra/vault/fleet", TokenFile: "t", CA: "d", Forks: true,
				Operators: []Operators{{"prod-*", []string{"acme/ops"}}, {"*", []string{"acme/dev", "acme/ops"}}}}},
		"on this host": {"https://git.internal/acme/fleet", `kind: forgejo, url: "http://127.0.0.1:3000", token_file: t`,
			Forge{Kind: "forgejo", URL: "http://127.0.0.1:3000", Project: "acme/fleet", TokenFile: "t", CA: "c"}},
	} {
		s, problems := Load(write(t, fmt.Sprintf("fleets: [{repo: %q, ca: c, forge: {%s}}]\n", c.repo, c.forge)))
		if len(problems) > 0 || len(s.Fleets) != 1 {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		got := s.Fleets[0].Forge
		for _, p := range []*string{&got.TokenFile, &got.CA, &got.App.KeyFile} {
			if *p != "" {
				*p = filepath.Base(*p)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheFirstGlobSaysWhoOperates(t *testing.T) {
	f := Forge{Operators: []Operators{{"prod-*", []string{"acme/ops"}}, {"*", []string{"acme/dev"}}}}
	for cluster, want := range map[string]string{"prod-eu": "acme/ops", "lab": "acme/dev"} {
		if got := f.OperatorsOf(cluster); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q", cluster, got)
		}
	}
	if got := (Forge{}).OperatorsOf("lab"); got != nil {
		t.Errorf("nobody was named, and %q may", got)
	}
}

func TestLoadRefusesAForge(t *testing.T) {
	for forge, want := range map[string]string{
		"{token_file: t}":                                              "does not say which forge it is",
		"{kind: gitea}":                                                "has no token_file",
		"{kind: gogs, token_file: t}":                                  "cannot be \"gogs\"",
		"{kind: gitea, token_file: t, project: x}":                     "is not a project",
		"{kind: gitea, token_file: t, project: ../x}":                  "is not a project",
		"{kind: gitea, token_file: t, url: \"http://git.internal\"}":   "could read the token",
		"{kind: gitea, token_file: t, url: \"http://localhost:3000\"}": "could read the token",
		"{kind: gitea, token_file: t, url: \"https://a:b@c\"}":         "is not the URL of a forge",
		"{kind: gitea, app: {id: 1, key_file: k}}":                     "app is of GitHub",
		"{kind: github, app: {id: 1, key_file: k}, token_file: t}":     "a token_file and an app",
		"{kind: github, app: {id: 0, key_file: k}}":                    "must be a positive number",
		"{kind: github, app: {key_file: k}}":                           "needs an id and a key_file",
		"{kind: gitea, token_file: t, operators: {\"*\": []}}":         "nobody is named",
		"{kind: gitea, token_file: t, operators: {\"*\": [ops]}}":      "is not a team",
		"{kind: gitea, token_file: t, operators: {\"[\": [a/b]}}":      "is not a glob",
		"{kind: gitea, token_file: t, plan: true}":                     "unknown key",
	} {
		_, problems := Load(write(t, fmt.Sprintf("fleets: [{repo: \"https://git.internal/acme/fleet\", forge: %s}]\n", forge)))
		text := ""
		for _, p := range problems {
			if text += p.Text + "\n"; p.Place.Line != 1 {
				t.Errorf("%s: no place: %v", forge, p)
			}
		}
		if !strings.Contains(text, want) {
			t.Errorf("%s: %q", forge, text)
		}
	}
}

func TestLoadReadsWhoReviews(t *testing.T) {
	path := write(t, `fleets: [{repo: "https://git.internal/acme/fleet", forge: {kind: gitea, token_file: t}, signatures: {policy: forge, forge_keys: [forge.asc], reviews: 2, reviewers: [acme/vault-ops, ada, "renovate[bot]"]}}]
`)
	s, problems := Load(path)
	if len(problems) > 0 {
		t.Fatal(said(path, problems))
	}
	want := Signatures{Policy: "forge", ForgeKeys: []string{filepath.Join(filepath.Dir(path), "forge.asc")}, Reviews: 2, Reviewers: []string{"acme/vault-ops", "ada", "renovate[bot]"}}
	if diff := cmp.Diff(want, s.Fleets[0].Signatures); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s, _ = Load(write(t, `fleets: [{repo: "https://git.internal/acme/fleet", forge: {kind: gitea, token_file: t}, signatures: {policy: forge, forge_keys: [k], reviewers: [ada]}}]`))
	if len(s.Fleets) != 1 || s.Fleets[0].Signatures.Reviews != 1 {
		t.Errorf("%+v", s.Fleets)
	}
}

// TestLoadRefusesReviewsThatCouldNotBe, all that is wrong at once and with its place.
func TestLoadRefusesReviewsThatCouldNotBe(t *testing.T) {
	for signatures, want := range map[string][]string{
		"{policy: forge}": {"does not say how the forge signs", "does not say whose approval counts"},
		"{policy: forge, forge_keys: [k], reviewers: [a/b, A/B]}":                   {"already listed"},
		"{policy: forge, forge_keys: [k], reviewers: [\"a b\", /x, 7], reviews: 0}": {"neither a user nor a team", "neither a user nor a team", "must be a string", "must be a positive number"},
		"{policy: forge, forge_keys: [k], reviewers: [a/b], reviews: 11}":           {"at most 10 approvals"},
		"{policy: forge, forge_keys: [k], reviewers: [a/b], reviews: two}":          {"must be a positive number"},
		"{policy: forge, forge_keys: [k], reviewers: [a/b], allowed_signers: f}":    {"allowed_signers and keys are not of the policy forge"},
		"{policy: head, allowed_signers: f, reviewers: [a/b]}":                      {"are of the policy forge, and it is head"},
		"{reviews: 1}": {"are of the policy forge, and it is none"},
		"{policy: forge, forge_keys: k, reviewers: a}": {"forge_keys must be a list", "reviewers must be a list"},
	} {
		_, problems := Load(write(t, fmt.Sprintf("fleets: [{repo: \"https://git.internal/acme/fleet\", forge: {kind: gitea, token_file: t}, signatures: %s}]\n", signatures)))
		var texts []string
		for _, p := range problems {
			if texts = append(texts, p.Text); p.Place.Line != 1 || p.Place.Column == 0 || p.Hint == "" {
				t.Errorf("%s: no place or no way out: %+v", signatures, p)
			}
		}
		if len(texts) != len(want) {
			t.Errorf("%s: %q", signatures, texts)
			continue
		}
		for i, w := range want {
			if !strings.Contains(texts[i], w) {
				t.Errorf("%s: %q, want %q", signatures, texts[i], w)
			}
		}
	}
	_, problems := Load(write(t, "fleets: [{repo: \"https://git.internal/acme/fleet\", branch: \"\", signatures: {policy: forge, forge_keys: [k], reviewers: [ada]}}]\n"))
	if len(problems) != 2 || !strings.Contains(problems[1].Text, "asks a forge, and the fleet has none") {
		t.Errorf("%v", problems)
	}
}

func TestLoadReadsWhereARepoIsServed(t *testing.T) {
	for repo, want := range map[string]Host{
		"ssh://git@git.internal/acme/fleet.git":       {"ssh", "git", "git.internal", 0, "/acme/fleet.git"},
		"ssh://git@git.internal:2222/acme/fleet.git":  {"ssh", "git", "git.internal", 2222, "/acme/fleet.git"},
		"ssh://git@[2001:db8::1]:22/~alice/fleet.git": {"ssh", "git", "2001:db8::1", 22, "~alice/fleet.git"},
		"git@git.internal:acme/fleet.git":             {"ssh", "git", "git.internal", 0, "acme/fleet.git"},
		"https://git.internal:8443/acme/fleet.git":    {"https", "", "git.internal", 8443, "/acme/fleet.git"},
		"/srv/git/fleet.git":                          {},
	} {
		with := map[string]string{"ssh": ", ssh_key: k, known_hosts: k", "https": ", token_file: t, username: u, ca: c"}[want.Scheme]
		s, problems := Load(write(t, fmt.Sprintf("fleets: [{repo: %q%s}]\n", repo, with)))
		if len(problems) > 0 || len(s.Fleets) != 1 || s.Fleets[0].Host != want || s.Fleets[0].Repo != repo {
			t.Errorf("%s: %+v %v", repo, s.Fleets, problems)
		}
	}
}

// TestAFleetSaysWhichOfItsClustersAreKeptHere: another process may keep the others.
func TestAFleetSaysWhichOfItsClustersAreKeptHere(t *testing.T) {
	for clusters, want := range map[string]string{"": "prod-eu prod-us test", `clusters: "prod-*"`: "prod-eu prod-us", `clusters: [test, "*-us"]`: "prod-us test"} {
		s, problems := Load(write(t, "fleets: [{repo: /r, "+clusters+"}]\nhttp: {listen: \"[::1]:9180\"}\n"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		var kept []string
		for _, name := range []string{"prod-eu", "prod-us", "test"} {
			if s.Fleets[0].Keeps(name) {
				kept = append(kept, name)
			}
		}
		if got := strings.Join(kept, " "); got != want {
			t.Errorf("%q keeps %q", clusters, got)
		}
	}
}

// TestWhoMayAskOverHTTP is every way in that may be, and all that is wrong with one that
// may not.
func TestWhoMayAskOverHTTP(t *testing.T) {
	some := []netip.Prefix{netip.MustParsePrefix("10.1.0.5/32"), netip.MustParsePrefix("fd00::/8")}
	for text, want := range map[string]HTTP{
		`{listen: "127.0.0.1:9180"}`:                                                           {Listen: "127.0.0.1:9180"},
		`{listen: "[::1]:9180", tls: {cert: c, key: k}}`:                                       {Listen: "[::1]:9180", TLS: TLS{"c", "k"}},
		`{listen: "127.0.0.1:9180", url: "https://vaults.example.com:8443/"}`:                  {Listen: "127.0.0.1:9180", URL: "https://vaults.example.com:8443"},
		`{listen: "127.0.0.1:9180", url: "http://[fd00::1]:9180"}`:                             {Listen: "127.0.0.1:9180", URL: "http://[fd00::1]:9180"},
		`{listen: "127.0.0.1:9180", token_file: t}`:                                            {Listen: "127.0.0.1:9180", TokenFile: "t"},
		`{listen: ":9180", token_file: t, tls: {cert: c, key: k}}`:                             {Listen: ":9180", TokenFile: "t", TLS: TLS{"c", "k"}},
		`{listen: "10.1.0.9:9180", trusted_proxy: {networks: [10.1.0.5, "fd00::/8"]}}`:         {Listen: "10.1.0.9:9180", Proxy: TrustedProxy{some, "X-Forwarded-User"}},
		`{listen: ":9180", trusted_proxy: {networks: [10.1.0.5, "fd00::/8"], header: x-user}}`: {Listen: ":9180", Proxy: TrustedProxy{some, "X-User"}},
	} {
		file := write(t, "http: "+text+"\n")
		s, problems := Load(file)
		if len(problems) > 0 {
			t.Errorf("%s: %v", text, said(file, problems))
			continue
		}
		for _, path := range []*string{&want.TokenFile, &want.TLS.Cert, &want.TLS.Key} {
			if *path != "" {
				*path = filepath.Join(filepath.Dir(file), *path)
			}
		}
		if diff := cmp.Diff(want, s.HTTP, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	file := write(t, `http:
  listen: ":9180"
  token_file: t
  trusted_proxy: {networks: [10.1.0.5/8, "0.0.0.0/0"], header: "a b"}
  tls: {cert: c}
  user: ada
`)
	s, problems := Load(file)
	want := []string{
		`reconciler.yaml:4:18: http has a token_file and a trusted_proxy: it is one of them that says who asks; delete one of them`,
		`reconciler.yaml:4:29: http.trusted_proxy.networks: 0.0.0.0/0 is everybody; write the addresses that the proxy asks from, as [10.1.0.5]`,
		`reconciler.yaml:4:30: http.trusted_proxy.networks: "10.1.0.5/8" has bits beyond its mask; write 10.0.0.0/8, or 10.1.0.5 for the one host`,
		`reconciler.yaml:4:64: http.trusted_proxy.header "a b" is not the name of a header; write it as X-Forwarded-User`,
		`reconciler.yaml:5:8: http.tls needs both a cert and a key; write it as tls: {cert: FILE, key: FILE}`,
		`reconciler.yaml:6:3: unknown key "user" in http; known are: listen, url, token_file, trusted_proxy, tls`,
	}
	if diff := cmp.Diff(want, said(file, problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if s.HTTP.Listen != "" {
		t.Error("it would listen all the same")
	}
}
