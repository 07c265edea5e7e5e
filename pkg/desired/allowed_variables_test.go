package desired_test

import (
	"testing"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// TestAllowedVariables: what Vault, its seals and Go's runtime are set with
// stays accepted.
func TestAllowedVariables(t *testing.T) {
	for _, variable := range []string{
		"http_proxy", "https_proxy", "HTTP_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ",
		"GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GOTRACEBACK",
		"VAULT_LOG_LEVEL", "VAULT_LICENSE_PATH", "VAULT_DISABLE_MLOCK", "BAO_LOG_LEVEL",
		"AWS_REGION", "GOOGLE_PROJECT", "AZURE_TENANT_ID", "ARM_CLIENT_ID", "OCI_REGION", "ALICLOUD_REGION",
		"PKCS11_PROXY_SOCKET", "SOFTHSM2_CONF", "ChrystokiConfigurationPath",
	} {
		edits := inSpec("NO_PROXY:", variable+": info, NO_PROXY:")
		fleet := desired.Load(edited(t, edits), desired.Options{})
		if _, good := fleet.Cluster("prod-eu"); !good {
			t.Errorf("%s is refused: %v", variable, fleet.Errors())
		}
	}
}
