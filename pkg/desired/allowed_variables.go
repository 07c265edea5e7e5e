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

// startsPrograms says that a variable of an allowed prefix names a program, or
// a file that may name one: Vault's command line runs the token helper of its
// own configuration, and its ssh.
func startsPrograms(name string) bool {
	return slices.Contains([]string{"VAULT_CONFIG_PATH", "VAULT_SSH_EXECUTABLE", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"}, name)
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
	ofVault := name
	if rest, openBao := strings.CutPrefix(name, "BAO_"); openBao {
		ofVault = "VAULT_" + rest // OpenBao's name for the same
	}
	if key := specVariables()[ofVault]; key != "" {
		return text + ", which would win over the spec's own `" + key + "`", "write `" + key + "`"
	}
	if startsPrograms(ofVault) {
		return text + ", which can start a program on the node", "remove it: a Vault server does not need it"
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
