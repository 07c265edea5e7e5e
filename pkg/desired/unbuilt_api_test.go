package desired

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestAnAPIByTheScriptIsNotBuilt keeps `ssh: {api: script}` a Block, at the
// cluster and at a node, until somebody builds it.
func TestAnAPIByTheScriptIsNotBuilt(t *testing.T) {
	source, err := os.ReadFile("../../examples/fleet-repo/clusters/lab/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{
		"cluster": "ssh: {api: script}\n" + string(source),
		"node":    strings.Replace(string(source), "{name: lab-1,", "{name: lab-1, ssh: {api: script},", 1),
		"neither": string(source),
	} {
		repo := fstest.MapFS{
			"fleet.yaml":                {Data: []byte("format: 1\nfleet: acme\nreleases: {source: file:///srv/releases}\n")},
			"clusters/lab/cluster.yaml": {Data: []byte(text)},
		}
		fleet := Load(repo, Options{})
		c, ok := fleet.Cluster("lab")
		if !ok {
			t.Fatalf("%s: %v", where, fleet.Errors())
		}
		found := false
		for _, u := range c.Unbuilt {
			found = found || strings.HasSuffix(u.Key, "ssh.api")
		}
		if found != (where != "neither") {
			t.Errorf("%s: unbuilt %v", where, c.Unbuilt)
		}
	}
}
