package desired_test

import (
	"slices"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// TestAuditFilesOfTheirOwn: devices that write where nobody else does stay
// accepted, and count.
func TestAuditFilesOfTheirOwn(t *testing.T) {
	for _, second := range []string{
		"type: file, options: {file_path: /var/log/vault/second.log}", "type: file, options: {file_path: stdout}",
		"type: file, options: {file_path: /opt/vault/data2/audit.log}", "type: socket, options: {address: \"127.0.0.1:9090\"}", "type: syslog",
	} {
		fleet := desired.Load(edited(t, []edit{{"environments/production.yaml", "type: syslog", second}}), desired.Options{})
		if _, good := fleet.Cluster("prod-eu"); !good || slices.ContainsFunc(fleet.Problems, func(p desired.Problem) bool { return p.Cluster == "prod-eu" }) {
			t.Errorf("%s: %v", second, fleet.Problems)
		}
	}
}

// TestKeysNeedNotBeWritten: a seal that unseals by itself has recovery keys,
// which nothing here splits; and learning lifts the rule.
func TestKeysNeedNotBeWritten(t *testing.T) {
	const keys = "keys: {secret_shares: 5, secret_threshold: 3, held_by: reconciler}\n"
	for name, edits := range map[string][]edit{
		"a KMS":    {{spec, keys, ""}, {spec, "seal: shamir", "seal: {awskms: {region: eu-west-1, kms_key_id: x}}"}},
		"learning": {{spec, keys, ""}, {spec, "rules: production", "rules: learning"}},
	} {
		fleet := desired.Load(edited(t, edits), desired.Options{})
		if _, good := fleet.Cluster("prod-eu"); !good {
			t.Errorf("%s: %v", name, fleet.Errors())
		}
	}
}
