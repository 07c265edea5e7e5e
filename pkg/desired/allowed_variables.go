package desired

import (
	"slices"
	"strings"
)

// The environment file is read by systemd, and by root: a variable there can
// load a library (LD_PRELOAD, GCONV_PATH), choose another program (PATH), run a
// file at the start of a shell (BASH_ENV, ENV) or weaken Go's own TLS (GODEBUG).
// Which names can do so is known to nobody completely, so the list is of those
// that are let in: what Vault, its seals and Go's runtime are set with.

const environmentRule = "environment"

// allowedVariables are the names that may stand in environment_file.
func allowedVariables() []string {
	return []string{
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "TZ",
		"GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GOTRACEBACK",
		"SOFTHSM2_CONF", "ChrystokiConfigurationPath",
	}
}

// allowedPrefixes begin the names that Vault and the libraries of its seals are
// set with (docs/configuration/seal/*).
func allowedPrefixes() []string {
	return []string{"VAULT_", "BAO_", "AWS_", "GOOGLE_", "AZURE_", "ARM_", "OCI_", "ALICLOUD_", "PKCS11_"}
}

// specVariables are Vault's own variables that win over what vault.hcl says
// (command/server.go, physical/raft/raft.go): the same value for all nodes would
// make two nodes one. Each stands with the key of the spec that says it.
func specVariables() map[string]string {
	return map[string]string{
		"VAULT_RAFT_NODE_ID": "node_id", "VAULT_RAFT_PATH": "storage.raft.path",
		"VAULT_API_ADDR": "api_addr", "VAULT_REDIRECT_ADDR": "api_addr", "VAULT_ADVERTISE_ADDR": "api_addr",
		"VAULT_CLUSTER_ADDR": "cluster_addr", "VAULT_SEAL_TYPE": "seal",
	}
}

// checkEnvironment holds the names of environment_file to the list.
func (b *builder) checkEnvironment() {
	file := b.spec.child("environment_file")
	if file == nil {
		return
	}
	for _, f := range file.fields {
		if wrong, hint := mustVariable(f.name); wrong != "" {
			b.draft.add(Problem{Place: f.place, Severity: SeverityError, Rule: environmentRule, Text: wrong, Hint: hint})
		}
	}
}

func mustVariable(name string) (wrong, hint string) {
	text := "`environment_file` may not set " + printable(name)
	if key := specVariables()[name]; key != "" {
		return text + ", which would win over the spec's own `" + key + "`", "write `" + key + "`"
	}
	if name == "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES" {
		return text + ", which lets a file of credentials run programs", "use credentials that run none"
	}
	allowed := allowedVariables()
	if slices.Contains(allowed, name) {
		return "", ""
	}
	prefixes := allowedPrefixes()
	for i, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) && len(name) > len(prefix) {
			return "", ""
		}
		prefixes[i] = prefix + "*"
	}
	hint = "allowed are " + strings.Join(append(allowed, prefixes...), ", ")
	if near := nearest(name, allowed); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	return text + ", which may change how programs run on the node", hint
}
