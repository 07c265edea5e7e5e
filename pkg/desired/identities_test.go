package desired_test

import (
	"testing"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// TestIdentitiesOfTheirOwn: what tells the nodes apart stays accepted.
func TestIdentitiesOfTheirOwn(t *testing.T) {
	for name, edits := range map[string][]edit{
		"node_id by placeholder":        inSpec("mode: observe", "mode: observe\nnode_id: \"{cluster}-{node}\""),
		"another port, the same name":   {{spec, "zone: eu-west-1a", "zone: eu-west-1a, api_addr: \"https://vault.internal:8200\""}, {spec, "zone: eu-west-1b", "zone: eu-west-1b, api_addr: \"https://vault.internal:8202\""}},
		"a template for all nodes":      inSpec("mode: observe", "mode: observe\napi_addr: \"https://{{ GetPrivateIP }}:8200\""),
		"node_ids that change places":   {{spec, "zone: eu-west-1a", "zone: eu-west-1a, node_id: eu-2"}, {spec, "zone: eu-west-1b", "zone: eu-west-1b, node_id: eu-1"}},
		"its own derived node_id":       inSpec("zone: eu-west-1a", "zone: eu-west-1a, node_id: eu-1"),
		"a name per node for the peers": inSpec("mode: observe", "mode: observe\ncluster_addr: \"https://{node}.internal:8201\""),
	} {
		fleet := desired.Load(edited(t, edits), desired.Options{})
		if _, good := fleet.Cluster("prod-eu"); !good {
			t.Errorf("%s is refused: %v", name, fleet.Errors())
		}
	}
}
