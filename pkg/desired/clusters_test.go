package desired_test

import (
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// TestAFleetWithoutAClusterIsAnError: the wrong folder must not look like a
// fleet in which all is well.
func TestAFleetWithoutAClusterIsAnError(t *testing.T) {
	repo := exampleFS(t)
	for at := range repo {
		if strings.HasPrefix(at, "clusters/") {
			delete(repo, at)
		}
	}
	const hint = "; write clusters/NAME/cluster.yaml, or name the folder that holds the fleet\nbroken: \n"
	if told, want := words(desired.Load(repo, desired.Options{})), "error: fleet.yaml: the fleet has no folder clusters/, and so no cluster"+hint; told != want {
		t.Errorf("no folder: got %q, want %q", told, want)
	}
	edit{file: "clusters/.gitkeep", new: "\n"}.apply(t, repo)
	if told, want := words(desired.Load(repo, desired.Options{})), "error: clusters: the fleet has no cluster: no folder lies in clusters/"+hint; told != want {
		t.Errorf("an empty folder: got %q, want %q", told, want)
	}
}
