package accept_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/vaultfleet/reconciler/examples"
	"github.com/vaultfleet/reconciler/internal/accept"
	"github.com/vaultfleet/reconciler/pkg/desired"
	drift "github.com/vaultfleet/reconciler/pkg/diff"
)

// exampleFleet is the example fleet, to be changed.
func exampleFleet(t testing.TB) fstest.MapFS {
	tree := fstest.MapFS{}
	must(t, fs.WalkDir(examples.FleetRepo(), ".", func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(examples.FleetRepo(), at)
		tree[at] = &fstest.MapFile{Data: body}
		return err
	}))
	return tree
}

func load(tree fs.FS) desired.Fleet {
	return desired.Load(tree, desired.Options{Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
}

// TestAcceptedDrift plays the situations of testdata on the example fleet: first files
// that stand in it instead, then the drift, as "CLUSTER NODE,NODE PATH HAVE", then the
// patch, or why it is refused and what a person does. UPDATE=1 writes what comes out.
func TestAcceptedDrift(t *testing.T) {
	situations, err := filepath.Glob("testdata/*.txtar")
	must(t, err)
	for _, name := range situations {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			must(t, err)
			tree := exampleFleet(t)
			var row drift.Drift
			var cluster string
			for i := range archive.Files {
				switch f := &archive.Files[i]; f.Name {
				case "drift":
					cluster, row = rowOf(string(f.Data))
				case "patch", "refused":
					got := outcome(t, tree, cluster, row)
					if os.Getenv("UPDATE") != "" {
						f.Data = []byte(got)
						if f.Name = "patch"; strings.Contains(got, "\ninstead: ") {
							f.Name = "refused"
						}
					} else if got != string(f.Data) {
						t.Errorf("%v: %s\nwant %s:\n%s", row, got, f.Name, f.Data)
					}
				default:
					tree[f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			if os.Getenv("UPDATE") != "" {
				must(t, os.WriteFile(name, txtar.Format(archive), 0o644))
			}
		})
	}
}

func rowOf(text string) (cluster string, row drift.Drift) {
	parts := strings.SplitN(strings.TrimSpace(text), " ", 4)
	row = drift.Drift{Kind: drift.DriftChanged, Nodes: strings.Split(parts[1], ","), Path: parts[2], Have: parts[3]}
	if row.Have == "absent" {
		row.Kind = drift.DriftMissing
	}
	return parts[0], row
}

func outcome(t testing.TB, tree fs.FS, cluster string, row drift.Drift) string {
	if len(load(tree).Errors()) > 0 {
		t.Fatalf("the fleet is broken before: %v", load(tree).Errors())
	}
	e, err := accept.Drift(tree, load, cluster, row)
	if err != nil {
		refused, ok := err.(*accept.RefusedError)
		if !ok {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s\ninstead: %s\n", refused.Why, refused.Instead)
	}
	out := string(diff.Diff("before", e.Before, "after", e.After))
	for _, w := range e.Warnings {
		out += "warning: " + w + "\n"
	}
	_, out, _ = strings.Cut(out, "\n@@")
	_, out, _ = strings.Cut(out, "\n")
	return out
}

// TestNothingIsChangedThatIsLeftToAPerson has a row of every kind that cannot be
// accepted: each is refused before any file is read, and says what to do instead.
func TestNothingIsChangedThatIsLeftToAPerson(t *testing.T) {
	for _, row := range []drift.Drift{
		{Path: "config.log_level", Have: `"debug"`, Pending: true},
		{Path: "config.log_level", Have: `"debug"`, Kind: drift.DriftLatent},
		{Path: "seal.transit.token", Have: "(sensitive)", Want: "(sensitive)"},
		{Path: "storage.consul.token", Have: "absent", Want: "(sensitive)"},
		{Path: "vault", Have: "1.21.0 abc", Kind: drift.DriftTampered},
		{Path: "vault", Have: "absent", Kind: drift.DriftMissing},
		{Path: "vault", Have: "a program of no version that is locked, abc"},
		{Path: "vault.binary", Have: "unpinned, abc"},
		{Path: "config", Have: "absent", Kind: drift.DriftMissing},
		{Path: "config", Have: "other bytes that say the same"},
		{Path: "config.mode", Have: "0644"},
		{Path: "config.owner", Have: "root:root"},
		{Path: "environment_file", Have: "sha256:abc"},
		{Path: "environment_file.mode", Have: "0644"},
		{Path: "service.unit", Have: "sha256:abc"},
		{Path: "service.unit.mode", Have: "0600"},
		{Path: "service.enabled", Have: "disabled"},
		{Path: "service.user", Have: "absent", Kind: drift.DriftMissing},
		{Path: "service.drop_in[/etc/systemd/system/vault.service.d/x.conf]", Have: "in force", Kind: drift.DriftExtra},
		{Path: "config_folder[/etc/vault.d/x.hcl]", Have: "lies beside vault.hcl", Kind: drift.DriftExtra},
		{Path: "folder[/opt/vault/data]", Have: "root:root:0755"},
		{Path: "files[/etc/vault.d/tls/ca.crt]", Have: "sha256:abc"},
		{Path: "files[/etc/vault.d/tls/ca.crt]", Have: "absent", Kind: drift.DriftMissing},
		{Path: "audit[file]", Have: "absent", Kind: drift.DriftMissing},
		{Path: "audit[x]", Have: "file /tmp/x", Kind: drift.DriftExtra},
		{Path: "raft.peers[x]", Have: "voter at x", Kind: drift.DriftExtra},
		{Path: "something.new", Have: "x"},
	} {
		row.Nodes = []string{"eu-1"}
		_, err := accept.Drift(fstest.MapFS{}, func(fs.FS) desired.Fleet { t.Fatalf("%s is looked for in the repo", row.Path); panic("") }, "prod-eu", row)
		refused, ok := err.(*accept.RefusedError)
		if !ok || refused.Why == "" || refused.Hint() == "" {
			t.Errorf("%s %s: %v", row.Path, row.Have, err)
		}
	}
}

func TestASecretIsNotWritten(t *testing.T) {
	token := `"hvs.` + strings.Repeat("CAESIJ3kD0", 10) + `"`
	for _, path := range []string{"config.cluster_name", "config.telemetry.statsd_address"} {
		tree := exampleFleet(t)
		row := drift.Drift{Kind: drift.DriftExtra, Nodes: []string{"eu-1", "eu-2", "eu-3"}, Path: path, Have: token}
		e, err := accept.Drift(tree, load, "prod-eu", row)
		if err == nil || bytes.Contains(e.After, []byte("hvs.")) {
			t.Errorf("%s: %s", path, e.After)
		} else if strings.Contains(err.Error(), "CAESIJ3kD0") {
			t.Errorf("the secret is in %v", err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// comments are those of a file, by line.
func comments(text []byte) (list []string) {
	for line := range strings.Lines(string(text)) {
		if _, comment, ok := strings.Cut(line, "# "); ok {
			list = append(list, comment)
		}
	}
	slices.Sort(list)
	return list
}
