package desired_test

import (
	"os"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

func TestExampleValidates(t *testing.T) {
	fleet := desired.Load(os.DirFS(exampleRepo), desired.Options{})
	for _, p := range fleet.Problems {
		t.Errorf("%s: %v", p.Severity, p)
	}
	if len(fleet.Clusters) != 2 || len(fleet.Broken) != 0 {
		t.Fatalf("%d clusters and %d broken ones, want 2 and 0", len(fleet.Clusters), len(fleet.Broken))
	}
}
