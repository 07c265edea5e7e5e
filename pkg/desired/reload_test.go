package desired

import (
	"slices"
	"strings"
	"testing"
)

func TestReloads(t *testing.T) {
	tests := []struct {
		key, version string
		want         bool
	}{
		{"log_level", "1.21.0", true},
		{"log_level", "0.11.0", false},
		{"log_level", "", false},
		{"log_level", "latest", false},
		{"log_level", "1.21.0+ent.hsm", true},
		{"log_requests_level", "1.21.4", true},
		{"introspection_endpoint", "1.13.0", true},
		{"introspection_endpoint", "1.12.9", false},
		{"user_lockout.all.lockout_threshold", "1.21.0", true},
		{"listener.tcp[0].custom_response_headers.default.X-Frame", "1.21.0", true},
		{`listener.tcp[1].custom_response_headers."2xx"."X.Y"`, "1.21.0", true},
		{"listener.unix[0].custom_response_headers", "1.21.0", true},
		{"listener.tcp[0].address", "1.21.0", false},
		{"listener.tcp[0].tls_cert_file", "1.21.0", false},
		{"listener.tcp[0].telemetry.unauthenticated_metrics_access", "1.21.0", false},
		{"listener.custom_response_headers", "1.21.0", false},
		{"storage.raft.trailing_logs", "1.19.0", true},
		{"storage.raft.trailing_logs", "1.18.9", false},
		{"storage.raft.trailing_logs", "1.19.0-rc1", false},
		{"storage.raft.snapshot_interval", "1.21.0", true},
		{"storage.raft.snapshot_threshold", "1.21.0", true},
		{"storage.raft.performance_multiplier", "1.21.0", false},
		{"storage.raft.path", "1.21.0", false},
		{"service_registration.consul.address", "1.17.0", true},
		{"service_registration.consul.address", "1.16.9", false},
		{"service_registration.kubernetes.namespace", "1.21.0", false},
		{"enable_post_unseal_trace", "1.21.0", true},
		{"post_unseal_trace_directory", "1.21.0", true},
		{"enable_unauthenticated_access", "1.21.9", false},
		{"enable_unauthenticated_access", "2.0.0", true},
		{"telemetry.disable_hostname", "1.21.0", false},
		{"api_addr", "1.21.0", false},
		{"ui", "1.21.0", false},
		{"log_levels", "1.21.0", false},
		{`"log_level"`, "1.21.0", false},
		{"", "1.21.0", false},
		{"something_new", "1.21.0", false},
	}
	for _, test := range tests {
		if got := Reloads(test.key, test.version); got != test.want {
			t.Errorf("Reloads(%s, %q) is %v, want %v", test.key, test.version, got, test.want)
		}
	}
}

func TestDeferredIsRetryJoinOfRaftOnly(t *testing.T) {
	for key, want := range map[string]bool{
		"storage.raft.retry_join[0].leader_api_addr": true,
		"storage.raft.retry_join":                    true,
		"storage.raft.retry_join_as_non_voter":       false,
		"storage.raft.path":                          false,
		"retry_join[0].leader_api_addr":              false,
	} {
		if got := Deferred(key); got != want {
			t.Errorf("Deferred(%s) is %v, want %v", key, got, want)
		}
	}
}

func TestChangeOf(t *testing.T) {
	const base = `
		log_level = "info"
		log_requests_level = "debug"
		api_addr = "https://a:8200"
		listener "tcp" { address = "a:8200" custom_response_headers { default = { A = ["b"] } } }
		storage "raft" { path = "/d" trailing_logs = 1 retry_join { leader_api_addr = "https://b:8200" } }
		service_registration "consul" { address = "c:8500" }
	`
	edit := func(pairs ...string) string {
		return replaceAll(t, base, pairs...)
	}
	tests := map[string]struct {
		to, version string
		kind        OnChangeClass
		keys        []string
	}{
		"a comment":                    {base + "# note", "1.21.0", ChangeNone, nil},
		"another spelling":             {edit(`storage "raft" {`, `"storage" "raft" {`), "1.21.0", ChangeNone, nil},
		"a peer":                       {edit("https://b:8200", "https://z:8200"), "1.21.0", ChangeDeferred, []string{"storage.raft.retry_join[0].leader_api_addr"}},
		"a peer more":                  {edit("retry_join {", `retry_join { leader_api_addr = "x" } retry_join {`), "1.21.0", ChangeDeferred, []string{"storage.raft.retry_join[0].leader_api_addr", "storage.raft.retry_join[1].leader_api_addr"}},
		"the log level":                {edit(`"info"`, `"debug"`), "1.21.0", ChangeReload, []string{"log_level"}},
		"the log level, and a peer":    {edit(`"info"`, `"debug"`, "https://b:8200", "https://z:8200"), "1.21.0", ChangeReload, []string{"log_level", "storage.raft.retry_join[0].leader_api_addr"}},
		"the log level taken away":     {edit(`log_level = "info"`, ""), "1.21.0", ChangeRestart, []string{"log_level"}},
		"the log level emptied":        {edit(`"info"`, `""`), "1.21.0", ChangeRestart, []string{"log_level"}},
		"request logging taken away":   {edit(`log_requests_level = "debug"`, ""), "1.21.0", ChangeReload, []string{"log_requests_level"}},
		"headers taken away":           {edit("custom_response_headers { default = { A = [\"b\"] } }", ""), "1.21.0", ChangeReload, []string{"listener.tcp[0].custom_response_headers.default.A"}},
		"trailing logs":                {edit("trailing_logs = 1", "trailing_logs = 2"), "1.21.0", ChangeReload, []string{"storage.raft.trailing_logs"}},
		"trailing logs on an old one":  {edit("trailing_logs = 1", "trailing_logs = 2"), "1.18.0", ChangeRestart, []string{"storage.raft.trailing_logs"}},
		"trailing logs taken away":     {edit("trailing_logs = 1", ""), "1.21.0", ChangeRestart, []string{"storage.raft.trailing_logs"}},
		"service registration":         {edit("c:8500", "d:8500"), "1.21.0", ChangeReload, []string{"service_registration.consul.address"}},
		"service registration removed": {edit(`service_registration "consul" { address = "c:8500" }`, ""), "1.21.0", ChangeRestart, []string{"service_registration.consul.address"}},
		"an address":                   {edit("https://a:8200", "https://y:8200", `"info"`, `"warn"`), "1.21.0", ChangeRestart, []string{"api_addr", "log_level"}},
		"an unknown key":               {base + "novelty = 1", "1.21.0", ChangeRestart, []string{"novelty"}},
		"an unknown version":           {edit(`"info"`, `"debug"`), "", ChangeRestart, []string{"log_level"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			from, to := mustFlatten(t, base), mustFlatten(t, test.to)
			kind, keys := ChangeOf(from, to, test.version)
			if kind != test.kind || !slices.Equal(keys, test.keys) {
				t.Errorf("got %s %q, want %s %q", kind, keys, test.kind, test.keys)
			}
		})
	}
}

// A value of raft's that Vault refuses is a warning, so where warnings are not
// logged its reload cannot be seen.
func TestWhatIsReportedAsAWarningRestartsWhereWarningsAreNotLogged(t *testing.T) {
	for level, want := range map[string]OnChangeClass{"info": ChangeReload, "warn": ChangeReload, "error": ChangeRestart, "ERR": ChangeRestart} {
		from := mustFlatten(t, `log_level = "`+level+`" storage "raft" { path = "/d" trailing_logs = 1 }`)
		to := mustFlatten(t, `log_level = "info" storage "raft" { path = "/d" trailing_logs = 2 }`)
		if kind, _ := ChangeOf(from, to, "1.21.0"); kind != want {
			t.Errorf("at log_level %s it is %s, want %s", level, kind, want)
		}
	}
}

// replaceAll replaces each old by the new that follows it; an old that is not
// there is a mistake of the test.
func replaceAll(t *testing.T, s string, pairs ...string) string {
	t.Helper()
	for pair := range slices.Chunk(pairs, 2) {
		if !strings.Contains(s, pair[0]) {
			t.Fatalf("%q is not in the text", pair[0])
		}
		s = strings.ReplaceAll(s, pair[0], pair[1])
	}
	return s
}
