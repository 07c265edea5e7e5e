package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

func TestWhySaysWhenAClusterWasLastInSync(t *testing.T) {
	for want, good := range map[string]diff.Standing{
		"it was never seen in sync":                                     {},
		"it was in sync with commit 9f2c1e7aa01b, and is not any more":  {Digest: "now", Commit: told.Commit},
		"in sync with this very spec first at 2026-11-23T12:00:00Z":     {Digest: "now", Commit: told.Commit, Since: noon},
		"last in sync with commit 9f2c1e7aa01b at 2026-11-23T12:00:00Z": {Digest: "before", Commit: told.Commit, Since: noon},
	} {
		var got bytes.Buffer
		if err := Why(&got, Options{}, Cluster{Name: "prod", Plan: diff.Plan{Cluster: "prod", Digest: "now"}, Memory: diff.Memory{Good: good}}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(got.String(), "\n  "+want+"\n") {
			t.Errorf("%+v:\n%s\nwant %q", good, got.String(), want)
		}
	}
}
