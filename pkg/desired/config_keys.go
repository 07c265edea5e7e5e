package desired

import (
	"fmt"
	"slices"
	"strings"
)

// Vault starts with a key in vault.hcl that it does not know, warns, and goes
// on without what was meant: `log_levle: debug` changes nothing, and
// `disable_clusterin: true` leaves a port open. So a key that is near one of
// Vault's is an error. One that is far from all only warns: the list is of
// Vault 1.21 and of what is documented of Enterprise, and a later version may
// know more.

// vaultConfigKeys are the keys at the top of vault.hcl, without those that have
// a key of the spec (command/server/config.go and internalshared/configutil of
// 1.21.0; docs/configuration for Enterprise).
func vaultConfigKeys() []string {
	return []string{
		"administrative_namespace_path", "allow_audit_log_prefixing", "cache_size", "cloud", "cluster_cipher_suites", "cluster_name",
		"default_lease_ttl", "default_max_request_duration", "detect_deadlocks", "disable_cache", "disable_clustering",
		"disable_indexing", "disable_mlock", "disable_performance_standby", "disable_printable_check", "disable_sealwrap",
		"disable_sentinel_trace", "enable_post_unseal_trace", "enable_response_header_hostname",
		"enable_response_header_raft_node_id", "experiments", "ha_backend", "ha_storage", "imprecise_lease_role_tracking",
		"introspection_endpoint", "log_file", "log_format", "log_level", "log_requests_level", "log_rotate_bytes",
		"log_rotate_duration", "log_rotate_max_files", "max_lease_ttl", "observations", "pid_file", "plugin_directory",
		"plugin_file_permissions", "plugin_file_uid", "plugin_tmpdir", "post_unseal_trace_directory", "raw_storage_endpoint",
		"remove_irrevocable_lease_after", "service_registration", "telemetry", "ui", "user_lockout",
		"adaptive_overload_protection", "enable_multiseal", "enable_unauthenticated_access", "entropy", "kms_library",
		"license_path", "replication", "reporting", "request_limiter", "sentinel", "unsafe_allow_api_audit_creation",
	}
}

// otherSpellings are names that Vault takes for a key besides its documented
// one. Under them the rules of this package would not see it.
func otherSpellings() map[string]string {
	return map[string]string{
		"MaxLeaseTTL": "max_lease_ttl", "DefaultLeaseTTL": "default_lease_ttl", "RemoveIrrevocableLeaseAfter": "remove_irrevocable_lease_after",
		"PluginFilePermissions": "plugin_file_permissions", "EnableIntrospectionEndpoint": "introspection_endpoint",
		"EnableRawEndpoint": "raw_storage_endpoint", "DisableClustering": "disable_clustering", "AllowAuditLogPrefixing": "allow_audit_log_prefixing",
		"DisablePerformanceStandby": "disable_performance_standby", "DisableSealWrap": "disable_sealwrap",
		"DisableIndexing": "disable_indexing", "DisableSentinelTrace": "disable_sentinel_trace",
	}
}

// checkConfigKey holds a key of `config` to the list; false: it is refused.
func (c *checker) checkConfigKey(f field) bool {
	known := vaultConfigKeys()
	if slices.Contains(known, f.name) {
		return c.checkLogging(f)
	}
	if i := slices.IndexFunc(known, func(key string) bool { return strings.EqualFold(key, f.name) }); i >= 0 {
		c.fail(f.place, "`"+f.name+"` in `config` is another spelling of Vault's `"+known[i]+"`", "write `"+known[i]+"`")
		return false
	}
	for other, key := range otherSpellings() {
		if strings.EqualFold(f.name, other) {
			c.fail(f.place, "`"+f.name+"` in `config` is another spelling of Vault's `"+key+"`", "write `"+key+"`")
			return false
		}
	}
	text := "Vault does not know `" + printable(f.name) + "` in `config`, and ignores it"
	if near := nearest(f.name, known); near != "" {
		c.fail(f.place, text, "did you mean `"+near+"`?")
		return false
	}
	c.problems = append(c.problems, Problem{Place: f.place, Severity: SeverityWarning,
		Text: "Vault 1.21 does not know `" + printable(f.name) + "` in `config`, and ignores it",
		Hint: "remove it, unless the wanted version is a later one that knows it"})
	return true
}

// checkLogging looks at the three keys whose text is one of a few. What stands
// behind a placeholder is left to Preflight.
func (c *checker) checkLogging(f field) bool {
	var choices []string
	const refused = ", with which Vault does not start"
	then := refused
	switch f.name {
	case "log_level":
		choices = logLevels()
	case "log_format":
		choices = logFormats()
	case "log_requests_level":
		choices, then = requestsLevels(), ", which Vault ignores"
	default:
		return true
	}
	if f.value.kind == kindNull || strings.Contains(f.value.text, "{") || f.value.kind == kindText && oneOf(f.value.text, choices) {
		return true
	}
	rule := ""
	if then == refused {
		rule = "preflight"
	}
	c.problems = append(c.problems, Problem{Place: f.value.place, Severity: SeverityError, Rule: rule,
		Text: fmt.Sprintf("`%s` is %q%s", f.name, printable(f.value.text), then), Hint: "write one of " + strings.Join(choices, ", ")})
	return false
}

// requestsLevels are what Vault takes for log_requests_level; of another it
// warns, and logs no requests (vault/core.go, configureLogRequestsLevel).
func requestsLevels() []string {
	return []string{"trace", "debug", "info", "warn", "error", "off"}
}

// logLevels are what Vault takes for log_level (helper/logging/logger.go).
func logLevels() []string {
	return []string{"trace", "debug", "info", "notice", "warn", "warning", "error", "err"}
}

// logFormats are what Vault takes for log_format.
func logFormats() []string { return []string{"standard", "json"} }
