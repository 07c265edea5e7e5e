package desired_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// breaches are one way to break each production rule.
func breaches() map[string][]edit {
	const listener = `tcp: {address: "0.0.0.0:8200", tls_cert_file: /etc/vault.d/tls/vault.crt, tls_key_file: /etc/vault.d/tls/vault.key}`
	oneNode := []edit{
		{spec, "  - {name: eu-2, address: 10.1.0.12, zone: eu-west-1b, ssh: {address: eu-2.mgmt.internal}}\n", ""},
		{spec, "  - {name: eu-3, address: 10.1.0.13, zone: eu-west-1c}\n", ""},
	}
	return map[string][]edit{
		"tls-required":      inSpec(listener, `tcp: {address: "0.0.0.0:8200", tls_disable: 1}`),
		"single-node":       oneNode,
		"even-voters":       inSpec("  - {name: eu-3, address: 10.1.0.13, zone: eu-west-1c}\n", ""),
		"file-storage":      append([]edit{{spec, "storage: {raft: {path: /opt/vault/data}}", "storage: {file: {path: /opt/vault/data}}"}}, oneNode...),
		"explicit-seal":     inSpec("seal: shamir\n", ""),
		"explicit-keys":     inSpec("keys: {secret_shares: 5, secret_threshold: 3, held_by: reconciler}\n", ""),
		"one-zone":          []edit{{spec, "zone: eu-west-1b", "zone: eu-west-1a"}},
		"two-audit-devices": []edit{{"environments/production.yaml", "  - {path: syslog, type: syslog}\n", ""}},
		"no-telemetry":      []edit{{"environments/production.yaml", "  telemetry: {prometheus_retention_time: 24h, disable_hostname: true}\n", ""}},
		"mount-declared": []edit{
			{"fleet.yaml", "service: {manager: systemd,", "service: {unit: vault.service, manager: systemd,"},
			{file: "clusters/prod-eu/vault.service", new: "[Service]\nExecStart=/usr/local/bin/vault\n"},
			{file: "clusters/lab/vault.service", new: "[Unit]\nRequiresMountsFor=/opt/vault/data\n"},
		},
		"proxy-bypass":       inSpec("10.0.0.0/8,127.0.0.1", "10.2.0.0/16,.internal"),
		"duplicate-address":  []edit{{spec, "10.1.0.12", "10.1.0.11"}},
		"duplicate-identity": inSpec("zone: eu-west-1b", "zone: eu-west-1b, node_id: eu-1"),
		"loopback":           inSpec("10.1.0.11", "127.0.0.1"),
		"not-root":           []edit{{"fleet.yaml", "user: vault", "user: root"}},
		"ssh-root":           []edit{{"fleet.yaml", "user: reconciler", "user: root"}},
		"raw-storage":        inSpec("ui: true", "raw_storage_endpoint: true"),
		"pre-release":        version("1.21.0-rc1"),
		"unreadable-tls":     inSpec("group: vault, mode: \"0640\"", "mode: \"0640\""),
		"unplaced-tls":       inSpec("tls_cert_file: /etc/vault.d/tls/vault.crt", "tls_cert_file: /etc/vault.d/tls/vualt.crt"),
		"foreign-address":    inSpec("zone: eu-west-1a", `zone: eu-west-1a, cluster_addr: "https://10.1.0.13:8201"`),
		"environment":        inSpec("NO_PROXY:", "LD_PRELOAD: /opt/vault/x.so, NO_PROXY:"),
		"plaintext-secret":   []edit{{file: "clusters/prod-eu/tls/key.pem", new: "-----BEGIN PRIVATE KEY-----\n"}},
		"preflight":          []edit{{"environments/production.yaml", "  disable_mlock: true\n", ""}},
	}
}

// TestRules breaks every production rule once: it must speak under its name
// with the severity of the documentation, and be silent where it is lifted.
func TestRules(t *testing.T) {
	var told strings.Builder
	documented := desired.RuleDocs()
	for _, rule := range documented {
		edits, ok := breaches()[rule.Name]
		if !ok {
			t.Errorf("rule %s has no test", rule.Name)
			continue
		}
		fleet := desired.Load(edited(t, edits), desired.Options{})
		i := slices.IndexFunc(fleet.Problems, func(p desired.Problem) bool { return p.Rule == rule.Name && p.Cluster == "prod-eu" })
		if i < 0 {
			t.Errorf("rule %s did not speak: %v", rule.Name, fleet.Problems)
			continue
		}
		p := fleet.Problems[i]
		if p.Severity != rule.Severity {
			t.Errorf("rule %s is a %s, documented as %s", rule.Name, p.Severity, rule.Severity)
		}
		_, good := fleet.Cluster("prod-eu")
		if good != (p.Severity == desired.SeverityWarning) {
			t.Errorf("rule %s, a %s, and the cluster is good: %v", rule.Name, p.Severity, good)
		}
		fmt.Fprintf(&told, "%s: %v\n", p.Severity, p)
		lifted := desired.Load(edited(t, append(edits, edit{spec, "rules: production", "rules: learning"})), desired.Options{})
		if speaks := slices.ContainsFunc(lifted.Problems, func(p desired.Problem) bool { return p.Rule == rule.Name && p.Cluster == "prod-eu" }); speaks == rule.Lifted {
			t.Errorf("with rules: learning, rule %s speaks: %v", rule.Name, speaks)
		}
	}
	golden(t, "testdata/rules.golden", told.String())
}

func TestProxyBypass(t *testing.T) {
	for _, row := range []struct {
		environment string
		address     string
		exempt      bool
	}{
		{`HTTPS_PROXY: "http://p", NO_PROXY: "10.1.0.11,10.1.0.12,10.1.0.13"`, "", true},
		{`HTTPS_PROXY: "http://p", NO_PROXY: "10.1.0.0/24"`, "", true},
		{`HTTPS_PROXY: "http://p", NO_PROXY: "10.1.0.0/28, 10.2.0.0/16"`, "", true},
		{`HTTPS_PROXY: "http://p", NO_PROXY: "10.1.0.0/31"`, "", false},
		{`HTTPS_PROXY: "http://p", NO_PROXY: "*"`, "", true},
		{`https_proxy: "http://p", no_proxy: "10.0.0.0/8"`, "", true},
		{`HTTP_PROXY: "http://p"`, "", false},
		{`TZ: UTC`, "", true},
		{`HTTPS_PROXY: "http://p", NO_PROXY: "10.0.0.0/8,.internal"`, "eu-1.internal", true},
		{`HTTPS_PROXY: "http://p", NO_PROXY: "10.0.0.0/8,internal"`, "eu-1.internal", true},
		{`HTTPS_PROXY: "http://p", NO_PROXY: "10.0.0.0/8,ternal"`, "eu-1.internal", false},
	} {
		edits := inSpec(`HTTPS_PROXY: "http://proxy.internal:3128", NO_PROXY: "10.0.0.0/8,127.0.0.1"`, row.environment)
		if row.address != "" {
			edits = append(edits, address(row.address)...)
		}
		_, good := desired.Load(edited(t, edits), desired.Options{}).Cluster("prod-eu")
		if good != row.exempt {
			t.Errorf("{%s} with %q: accepted %v, want %v", row.environment, row.address, good, row.exempt)
		}
	}
}

// TestLearningKeepsWhatCannotWork holds that no rule lifts the impossible.
func TestLearningKeepsWhatCannotWork(t *testing.T) {
	repo := layered("", "", "", "")
	repo["clusters/c/cluster.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(lab, "storage: {raft:", "storage: {file:", 1) + labNodes)}
	told := words(desired.Load(repo, desired.Options{}))
	if !strings.Contains(told, "file storage cannot be shared by 2 nodes") {
		t.Error(told)
	}
}
