package desired_test

import (
	"slices"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// TestKeysThatVaultKnows: Vault's own keys and values stay accepted, without a
// word.
func TestKeysThatVaultKnows(t *testing.T) {
	for _, config := range []string{
		"log_format: json", "log_format: STANDARD", "log_requests_level: trace", "log_level: notice", "log_level: WARNING", "log_level: err",
		"log_file: /var/log/vault/vault.log", "log_rotate_bytes: 1000000", "cluster_name: prod", "cache_size: 131072",
		"max_lease_ttl: 768h", "plugin_directory: /opt/vault/plugins", "raw_storage_endpoint: false", "license_path: /etc/vault.d/x",
		"service_registration: {consul: {}}", "user_lockout: {all: {lockout_threshold: 5}}", "ha_storage: {raft: {path: /x}}",
		"detect_deadlocks: statelock", "enable_multiseal: true", "reporting: {license: {enabled: false}}", "experiments: []",
		"kms_library: {pkcs11: {name: x}}", "entropy: {seal: {mode: augmentation}}", "imprecise_lease_role_tracking: true",
	} {
		fleet := desired.Load(edited(t, inSpec("ui: true", config)), desired.Options{})
		if _, good := fleet.Cluster("prod-eu"); !good || slices.ContainsFunc(fleet.Problems, func(p desired.Problem) bool { return p.Cluster == "prod-eu" }) {
			t.Errorf("%s: %v", config, fleet.Problems)
		}
	}
}
