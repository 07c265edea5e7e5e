package desired

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustFlatten(t testing.TB, config string) map[string]string {
	t.Helper()
	flat, err := Flatten([]byte(config))
	if err != nil {
		t.Fatalf("flatten: %v\n%s", err, config)
	}
	return flat
}

// TestWhatVaultReadsAlikeFlattensAlike: the columns of a row are one
// configuration in several spellings.
func TestWhatVaultReadsAlikeFlattensAlike(t *testing.T) {
	tests := map[string]struct {
		spellings []string
		want      map[string]string
	}{
		"labels, quoted keys, nested blocks and attributes": {
			[]string{
				`storage "raft" { path = "/d" node_id = "a" }`,
				`"storage" "raft" { "path" = "/d", "node_id" = "a" }`,
				`storage { raft { path = "/d" node_id = "a" } }`,
				`storage = { raft = { path = "/d" node_id = "a" } }`,
				"# a comment\nstorage \"raft\" {\n  node_id = \"a\" // here\n  path = \"/d\"\n}\n",
				"storage \"raft\" {\r\n  path = \"/d\"\r\n  node_id = \"a\"\r\n}\r\n",
				`{"storage": {"raft": {"path": "/d", "node_id": "a"}}}`,
				`{"storage": [{"raft": [{"path": "/d", "node_id": "a"}]}]}`,
			},
			map[string]string{"storage.raft.path": `"/d"`, "storage.raft.node_id": `"a"`},
		},
		"repeated blocks and lists": {
			[]string{
				`storage "raft" { retry_join { leader_api_addr = "a" } retry_join { leader_api_addr = "b" } }`,
				`storage "raft" { retry_join = [{ leader_api_addr = "a" }, { leader_api_addr = "b" }] }`,
				`{"storage": {"raft": {"retry_join": [{"leader_api_addr": "a"}, {"leader_api_addr": "b"}]}}}`,
			},
			map[string]string{"storage.raft.retry_join[0].leader_api_addr": `"a"`, "storage.raft.retry_join[1].leader_api_addr": `"b"`},
		},
		"listeners by label and by type": {
			[]string{
				`listener "tcp" { address = "a" } listener "tcp" { address = "b" } listener "unix" {}`,
				`listener "unix" {} listener "tcp" { address = "a" } listener "tcp" { address = "b" }`,
				`listener { type = "tcp" address = "a" } listener { type = "tcp" address = "b" } listener { type = "unix" }`,
				`listener = [{ tcp = { address = "a" } }, { tcp = { address = "b" } }, { unix = {} }]`,
				`{"listener": [{"tcp": {"address": "a"}}, {"tcp": {"address": "b"}}, {"unix": {}}]}`,
			},
			map[string]string{"listener.tcp[0].address": `"a"`, "listener.tcp[1].address": `"b"`, "listener.unix[0]": "{}"},
		},
		"one block has no index, retry_join and listeners do": {
			[]string{`telemetry { a = 1 } listener "tcp" { telemetry { b = true } } storage "raft" { retry_join { auto_join_port = 1 } }`},
			map[string]string{"telemetry.a": "1", "listener.tcp[0].telemetry.b": "true", "storage.raft.retry_join[0].auto_join_port": "1"},
		},
		"numbers": {
			[]string{`a = 384 b = 1.5`, `a = 0600 b = 1.50`, `a = 0x180 b = 15e-1`},
			map[string]string{"a": "384", "b": "1.5"},
		},
		"strings and heredocs": {
			[]string{`a = "x\ny\n"`, "a = <<EOT\nx\ny\nEOT\n", `a = "\x78\u000ay\n"`},
			map[string]string{"a": `"x\ny\n"`},
		},
		"interpolation is not read": {
			[]string{`a = "${file("x")}" b = "<&>"`},
			map[string]string{"a": `"${file(\"x\")}"`, "b": `"<&>"`},
		},
		"lists of lists and mixed lists are one value": {
			[]string{`a = [1, "b", [true, { "c" = 2 }]]`, `"a" = [ 1 , "b" , [ true , { c = 2 }, ], ]`},
			map[string]string{"a": `[1,"b",[true,{"c":2}]]`},
		},
		"keys that are no names keep apart": {
			[]string{`x { "a.b" = 1 a { b = 2 } "2xx" { c = 3 } }`},
			map[string]string{`x."a.b"`: "1", "x.a.b": "2", `x."2xx".c`: "3"},
		},
		"nothing": {[]string{"", "# only a comment\n", "{}"}, map[string]string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, spelling := range test.spellings {
				if diff := cmp.Diff(test.want, mustFlatten(t, spelling)); diff != "" {
					t.Errorf("%s\n(-want +got):\n%s", spelling, diff)
				}
			}
		})
	}
}

func TestDifferentConfigurationsFlattenDifferently(t *testing.T) {
	pairs := [][2]string{
		{`a = "1"`, `a = 1`},
		{`a = "true"`, `a = true`},
		{`telemetry {}`, ``},
		{`x {} x {}`, `x {}`},
		{`listener "tcp" { address = "a" } listener "tcp" { address = "b" }`, `listener "tcp" { address = "b" } listener "tcp" { address = "a" }`},
		{`seal "transit" { token = "a" }`, `seal "transit" { token = "b" }`},
	}
	for _, p := range pairs {
		if maps.Equal(mustFlatten(t, p[0]), mustFlatten(t, p[1])) {
			t.Errorf("%s and %s flatten the same", p[0], p[1])
		}
	}
}

func TestDuplicatesAreErrorsWithTheirPlace(t *testing.T) {
	tests := map[string]string{
		"the same name":            "a = 1\na = 2",
		"the same value":           "a = 1\na = 1",
		"quoted and not":           "a = 1\n\"a\" = 2",
		"in a block":               "storage \"raft\" { path = \"a\"\npath = \"b\" }",
		"an object assigned twice": "telemetry = { a = 1 }\ntelemetry = { b = 1 }",
		"a value and a block":      "a = 1\na { b = 2 }",
		"a block and a value":      "a { b = 2 }\na = 1",
		"in a mixed list":          "a = [1, { b = 1\nb = 2 }]",
	}
	for name, config := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Flatten([]byte(config))
			var at *ConfigError
			if !errors.As(err, &at) || !at.Duplicate || at.Line != 2 || at.Column < 1 {
				t.Errorf("got %#v, want a duplicate on line 2", err)
			}
		})
	}
	for name, config := range map[string]string{"JSON": `{"a": 1, "a": 2}`, "two spellings": `storage { raft = 1 x = 2 } storage "raft" {}`} {
		_, err := Flatten([]byte(config))
		var at *ConfigError
		if !errors.As(err, &at) || !at.Duplicate {
			t.Errorf("%s: got %v, want a duplicate", name, err)
		}
	}
}

// TestErrorsDoNotQuoteTheFile: what cannot be parsed may be a credential.
func TestErrorsDoNotQuoteTheFile(t *testing.T) {
	const canary = "hvs.CANARY"
	for _, config := range []string{
		`token hvs.CANARY`, `token = hvs.CANARY`, `token = "hvs.CANARY`, `token = "hvs.CANARY\q"`, `"hvs.CANARY`,
		`seal "transit" { token "hvs.CANARY" }`, `{"token": "hvs.CANARY}`, `{"token": hvs.CANARY}`, `a = "${hvs.CANARY"`,
		"a = <<hvs.CANARY", `[hvs.CANARY]`, `a = 99999999999999999999999`, `hvs.CANARY`,
	} {
		_, err := Flatten([]byte(config))
		if err == nil {
			t.Errorf("%s: no error", config)
			continue
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error quotes it: %v", config, err)
		}
	}
}

func TestHugeAndDeepFilesAreErrors(t *testing.T) {
	for name, config := range map[string]string{
		"big":         "a = \"" + strings.Repeat("x", maxConfigBytes) + "\"",
		"deep lists":  "a = " + strings.Repeat("[", 500_000),
		"deep blocks": strings.Repeat("a {", 300_000),
		"deep JSON":   strings.Repeat(`{"a":`, 200_000),
		"many labels": strings.Repeat("a ", 300_000) + "{}",
		"33 blocks":   strings.Repeat("a {\n", 33) + strings.Repeat("}\n", 33),
		"33 labels":   strings.Repeat("a ", 33) + "{}",
		"33 in JSON":  strings.Repeat(`{"a":`, 33) + "{}" + strings.Repeat("}", 33),
	} {
		if _, err := Flatten([]byte(config)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSensitiveValuesAreDigests(t *testing.T) {
	const canary = "CANARY"
	secrets := []string{
		`seal "transit" { token = "CANARY" }`,
		`seal "transit" { something_new = "CANARY" }`,
		`seal "pkcs11" { pin = "CANARY" }`,
		`seal "awskms" { secret_key = "CANARY" access_key = "CANARY" session_token = "CANARY" }`,
		`seal "azurekeyvault" { client_secret = "CANARY" }`,
		`seal = "CANARY"`,
		`Seal "transit" { token = "CANARY" }`,
		`seal "a" { nested { address = "https://x" deeper { token = "CANARY" } } }`,
		`storage "consul" { token = "CANARY" }`,
		`storage "mysql" { username = "CANARY" password = "CANARY" }`,
		`storage "postgresql" { connection_url = "CANARY" }`,
		`ha_storage "consul" { token = "CANARY" }`,
		`backend "consul" { token = "CANARY" }`,
		`storage "raft" { retry_join { auto_join = "provider=aws secret_access_key=CANARY" } }`,
		`storage "raft" { retry_join { leader_client_key = "CANARY" } }`,
		`service_registration "consul" { token = "CANARY" }`,
		`telemetry { circonus_api_token = "CANARY" }`,
		`my_password { a { b = "CANARY" } }`,
		`license = "CANARY"`,
		`entirely_harmless = "hvs.CANARY"`,
		`proxy = "http://user:CANARY@proxy.internal:3128"`,
		`proxy = ["http://a.internal/", "https://CANARY@proxy.internal/x"]`,
		`blob = "-----BEGIN RSA PRIVATE KEY-----\nCANARY"`,
		`mixed = [1, { token = "hvs.CANARY" }]`,
	}
	for _, config := range secrets {
		for key, value := range mustFlatten(t, config) {
			if strings.Contains(value, canary) {
				t.Errorf("%s: %s shows %s", config, key, value)
			}
		}
	}
}

func TestHarmlessValuesStayReadable(t *testing.T) {
	flat := mustFlatten(t, `
		seal "transit" { address = "https://kms:8200" key_name = "unseal" mount_path = "transit/" tls_client_key = "/k" token = "x" }
		storage "raft" { path = "/d" node_id = "n" performance_multiplier = 1 retry_join { leader_api_addr = "https://a:8200" leader_client_key_file = "/k" } }
		listener "tcp" { address = "[::1]:8200" tls_key_file = "/etc/k" tls_cert_file = "/etc/c" telemetry { unauthenticated_metrics_access = true } }
		api_addr = "https://{{ GetPrivateIP }}:8200"
		max_lease_ttl = "768h" disable_mlock = true license_path = "/etc/vault.hclic" log_level = "info"
		see = "https://example.com/a@b"`)
	for _, key := range slices.Sorted(maps.Keys(flat)) {
		hidden := strings.HasPrefix(flat[key], `"sha256:`)
		if want := key == "seal.transit.token"; hidden != want {
			t.Errorf("%s is %s; hidden should be %v", key, flat[key], want)
		}
	}
	if len(flat) != 20 {
		t.Errorf("got %d keys, want 20: %v", len(flat), flat)
	}
}

// FuzzFlatten: no input panics, and what one input gives it gives again.
func FuzzFlatten(f *testing.F) {
	for _, fixture := range fixtures() {
		c, n, in := fixture()
		f.Add(mustRender(f, c, n, in)[RoleConfig].Body)
	}
	for _, seed := range []string{
		`a = "\x"`, `a = "${"`, "a = <<-E\n x\n E\n", "a = <<\n", `{"a": null}`, `{"a": [{}, 1]}`, `{"a": 1e999}`, "a = 1e", "a = 0x", "a = 09",
		`= 1`, `{`, `}`, `[`, `a b c = 1`, `"" = 1`, `a = [{}, {}]`, `listener { type = 1 }`, "\xff", "a = \"\\u00\"", `{"":{"":{}}}`, `{"a": "\ud800"}`,
		`listener "tcp" { type = "unix" }`, "a=<<E\nE", `{"a":-}`, `a = -`, `a = 1.`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		one, err := Flatten(config)
		two, again := Flatten(config)
		if (err == nil) != (again == nil) || !maps.Equal(one, two) {
			t.Fatalf("two readings differ: %v %v, %v %v", one, err, two, again)
		}
		var at *ConfigError
		if err != nil && !errors.As(err, &at) {
			t.Fatalf("error of type %T", err)
		}
		if kind, keys := ChangeOf(one, two, "1.21.0"); kind != ChangeNone || len(keys) > 0 {
			t.Fatalf("a change against itself: %s %v", kind, keys)
		}
	})
}
