package desired

import (
	"strings"
	"testing"
)

func TestPreflight(t *testing.T) {
	without := func(key string) func(*Cluster, *nodeInput) {
		return func(_ *Cluster, in *nodeInput) { delete(in.Config, key) }
	}
	audit := func(option, value string, more ...func(*nodeInput)) func(*Cluster, *nodeInput) {
		return func(c *Cluster, in *nodeInput) {
			c.Audit = []Audit{{Path: "file", Type: "file", Options: map[string]string{"file_path": "/a", option: value}}}
			for _, change := range more {
				change(in)
			}
		}
	}
	environment := func(key, value string) func(*Cluster, *nodeInput) {
		return func(_ *Cluster, in *nodeInput) { delete(in.Config, "disable_mlock"); in.Environment[key] = value }
	}
	tests := map[string]struct {
		version string
		change  func(*Cluster, *nodeInput)
		says    string // empty: it starts
	}{
		"all is well":                             {"1.21.0", nil, ""},
		"raft without disable_mlock on 1.20":      {"1.20.0", without("disable_mlock"), "disable_mlock"},
		"raft without disable_mlock on 2.0":       {"2.0.0", without("disable_mlock"), "disable_mlock"},
		"raft without disable_mlock on 1.20-rc1":  {"1.20.0-rc1", without("disable_mlock"), "disable_mlock"},
		"raft without disable_mlock on 1.19":      {"1.19.9", without("disable_mlock"), ""},
		"raft with disable_mlock: false":          {"1.20.0", func(_ *Cluster, in *nodeInput) { in.Config["disable_mlock"] = false }, ""},
		"disable_mlock from the environment":      {"1.20.0", environment("VAULT_DISABLE_MLOCK", "true"), ""},
		"an empty variable sets nothing":          {"1.20.0", environment("VAULT_DISABLE_MLOCK", ""), "disable_mlock"},
		"an executable audit file":                {"1.20.1", audit("mode", "0755"), "executable"},
		"an executable audit file before 1.20.1":  {"1.20.0", audit("mode", "0755"), ""},
		"a plain audit file":                      {"1.20.1", audit("mode", "0600"), ""},
		"an audit prefix":                         {"1.20.1", audit("prefix", "x"), "prefix"},
		"an allowed audit prefix":                 {"1.20.1", audit("prefix", "x", func(in *nodeInput) { in.Config["allow_audit_log_prefixing"] = true }), ""},
		"an audit prefix allowed in words":        {"1.20.1", audit("prefix", "x", func(in *nodeInput) { in.Config["allow_audit_log_prefixing"] = "true" }), ""},
		"an Enterprise version without a licence": {"1.21.0+ent", nil, "licence"},
		"an Enterprise HSM version without one":   {"1.21.0+ent.hsm.fips1403", nil, "licence"},
		"a licence path":                          {"1.21.0+ent", func(_ *Cluster, in *nodeInput) { in.Config["license_path"] = "/l" }, ""},
		"a licence in the environment":            {"1.21.0+ent", func(_ *Cluster, in *nodeInput) { in.Environment["VAULT_LICENSE_PATH"] = "/l" }, ""},
		"service registration on consul": {"1.21.0", func(c *Cluster, in *nodeInput) {
			c.Storage, in.StorageOptions = Storage{Kind: "consul"}, map[string]any{"address": "a"}
			in.Config["service_registration"] = map[string]any{"consul": map[string]any{}}
		}, ""},
		"service registration on file": {"1.21.0", func(c *Cluster, in *nodeInput) {
			c.Storage, in.StorageOptions = Storage{Kind: "file", Path: "/opt/d"}, nil
			in.Config["service_registration"] = map[string]any{"consul": map[string]any{}}
		}, "service_registration"},
		"a log level that is none":     {"1.21.0", func(_ *Cluster, in *nodeInput) { in.Config["log_level"] = "loud" }, "log_level"},
		"a log level that is a number": {"1.21.0", func(_ *Cluster, in *nodeInput) { in.Config["log_level"] = 3 }, "log_level"},
		"a log level in the environment": {"1.21.0", func(_ *Cluster, in *nodeInput) {
			delete(in.Config, "log_level")
			in.Environment["VAULT_LOG_LEVEL"] = "loud"
		}, "log_level"},
		"the file's log level wins": {"1.21.0", func(_ *Cluster, in *nodeInput) {
			in.Config["log_level"] = "Warning"
			in.Environment["VAULT_LOG_LEVEL"] = "loud"
		}, ""},
		"a log level of syslog":         {"1.21.0", func(_ *Cluster, in *nodeInput) { in.Config["log_level"] = "notice" }, ""},
		"a log format that is none":     {"1.21.0", func(_ *Cluster, in *nodeInput) { in.Config["log_format"] = "xml" }, "log_format"},
		"a log format":                  {"1.21.0", func(_ *Cluster, in *nodeInput) { in.Config["log_format"] = "JSON" }, ""},
		"a version that cannot be read": {"latest", without("disable_mlock"), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, n, in := productionNode()
			c.Vault.Version = test.version
			if test.change != nil {
				test.change(c, &in)
			}
			c.contents = map[string][]byte{}
			for _, r := range mustRender(t, c, n, in) {
				n.Puts = append(n.Puts, r.Put)
				c.contents[r.Digest] = r.Body
			}
			problems := Preflight(*c, *n)
			if test.says == "" {
				if len(problems) > 0 {
					t.Fatalf("got %v, want none", problems)
				}
				return
			}
			if len(problems) != 1 {
				t.Fatalf("got %v, want one that says %q", problems, test.says)
			}
			p := problems[0]
			if !strings.Contains(p.Text, test.says) || !strings.Contains(p.Text, "node eu-2") || p.Hint == "" || p.Rule != "preflight" || p.Cluster != c.Name {
				t.Errorf("got %+v", p)
			}
		})
	}
}

// TestPreflightOfVerbatimConfigs: an operator's own file need not have one
// storage block.
func TestPreflightOfVerbatimConfigs(t *testing.T) {
	for config, starts := range map[string]bool{
		`ui = true`:                      false,
		`storage "file" { path = "/a" }`: true,
		`backend "file" { path = "/a" }`: true,
		`storage "file" {} storage "raft" {} disable_mlock = true`: false,
		`storage "file" {} backend "file" {}`:                      false,
		`storage "inmem" {} storage "inmem" {}`:                    false,
	} {
		c := Cluster{Name: "a", Vault: Vault{Version: "1.21.0"}}
		problems := Preflight(c, Node{Name: "n", Config: mustFlatten(t, config)})
		if (len(problems) == 0) != starts {
			t.Errorf("%s: got %v, want starts: %v", config, problems, starts)
		}
	}
	if problems := Preflight(Cluster{Vault: Vault{Version: "1.21.0"}}, Node{}); problems != nil {
		t.Errorf("a node without a configuration is judged: %v", problems)
	}
}
