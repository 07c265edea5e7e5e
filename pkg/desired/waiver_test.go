package desired_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// waiving is an edit that adds an item to ignore.
func waiving(item string) edit {
	return edit{spec, "ui: true", "ui: true\nignore:\n  - " + item}
}

func TestARuleIsWaivedUntilTheEndOfItsLastDay(t *testing.T) {
	broken := breaches()["one-zone"]
	for _, c := range []struct {
		name string
		now  time.Time
		want bool // the rule speaks
	}{
		{"the last hour", time.Date(2027, 1, 1, 23, 0, 0, 0, time.UTC), false},
		{"the day after", time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC), true},
		{"nobody asks", time.Time{}, false},
	} {
		fleet := desired.Load(edited(t, append([]edit{waiving("{rule: one-zone, reason: r, owner: o, until: 2027-01-01}")}, broken...)), desired.Options{Now: c.now})
		spoke := false
		for _, p := range fleet.Problems {
			spoke = spoke || p.Rule == "one-zone"
		}
		if spoke != c.want {
			t.Errorf("%s: the rule speaks: %v", c.name, spoke)
		}
	}
}

func TestWhatNoCommitMayLiftIsNotWaived(t *testing.T) {
	for item, want := range map[string]string{
		"{rule: environment, reason: r, owner: o, until: 2027-01-01}":               "cannot be waived",
		"{rule: preflight, reason: r, owner: o, until: 2027-01-01}":                 "cannot be waived",
		"{rule: one-zone, nodes: [eu-1], reason: r, owner: o, until: 2027-01-01}":   "for the whole cluster",
		"{rule: one-zome, reason: r, owner: o, until: 2027-01-01}":                  "no rule `one-zome`",
		"{path: /etc/x, rule: one-zone, reason: r, owner: o, until: 2027-01-01}":    "of one rule or of one path",
		"{path: /etc/vault.d/vault.hcl, reason: r, owner: o, until: the-day-after}": "until",
	} {
		fleet := desired.Load(edited(t, []edit{waiving(item)}), desired.Options{})
		var told []string
		for _, p := range fleet.Errors() {
			told = append(told, p.Error())
		}
		if all := strings.Join(told, "\n"); !strings.Contains(all, want) {
			t.Errorf("%s: %q does not say %q", item, all, want)
		}
	}
}

func TestADriftIsWaivedOnItsNodes(t *testing.T) {
	fleet := desired.Load(edited(t, []edit{waiving(`{path: /etc/vault.d/vault.hcl, nodes: ["eu-[12]"], reason: load test, owner: mara, until: 2027-01-01}`)}), desired.Options{})
	c, _ := fleet.Cluster("prod-eu")
	noon := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	if w, ok := c.Waived("/etc/vault.d/vault.hcl", "eu-1", noon); !ok || w.Owner != "mara" || w.Reason != "load test" {
		t.Error(w, ok, fleet.Problems)
	}
	for name, asked := range map[string]struct {
		file, node string
		at         time.Time
	}{
		"another node": {"/etc/vault.d/vault.hcl", "eu-3", noon},
		"another file": {"/etc/vault.d/vault.env", "eu-1", noon},
		"expired":      {"/etc/vault.d/vault.hcl", "eu-1", noon.AddDate(0, 0, 1)},
	} {
		if _, ok := c.Waived(asked.file, asked.node, asked.at); ok {
			t.Error("waived: " + name)
		}
	}
}

func TestEachWantHasItsPlace(t *testing.T) {
	repo := edited(t, []edit{{spec, "zone: eu-west-1c", "zone: eu-west-1c, config: {log_level: debug}"}})
	fleet := desired.Load(repo, desired.Options{})
	c, ok := fleet.Cluster("prod-eu")
	if !ok {
		t.Fatal(fleet.Problems)
	}
	lines := strings.Split(string(repo[spec].Data), "\n")
	for path, want := range map[string]string{
		"config.log_level":                       "log_level: info",
		"vault.version":                          "version: ",
		"files[/etc/vault.d/tls/vault.key].mode": "vault.key",
		"audit[file].type":                       "path: file",
		"storage.raft.path":                      "storage:",
		"config.never_written":                   "ui: true", // where the map begins
	} {
		place := c.PlaceOf("eu-1", path)
		if place.Line == 0 {
			t.Errorf("%s stands nowhere", path)
			continue
		}
		if line := strings.Split(string(repo[place.File].Data), "\n")[place.Line-1]; !strings.Contains(line, want) {
			t.Errorf("%s is said to stand in %q", path, line)
		}
	}
	if a, b := c.PlaceOf("eu-1", "config.log_level"), c.PlaceOf("eu-3", "config.log_level"); a == b || b.Line == 0 {
		t.Errorf("a node's own value stands in the line of the node: %v, %v", a, b)
	}
	if place := c.PlaceOf("eu-2", "address"); !strings.Contains(lines[place.Line-1], "eu-2") {
		t.Error(place)
	}
}
