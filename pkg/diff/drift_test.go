package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultfleet/reconciler/examples"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// drifted is what a scene's look says of drift, a line for each row.
func (s *scene) drifted(old *desired.Cluster) (lines []string) {
	m := Remember(s.memory, s.want, s.have, s.now)
	for _, d := range FindDrift(s.want, old, s.have, m, s.now).Rows {
		line := fmt.Sprintf("%s %s %s: %s, not %s %v %s", d.Severity, d.Kind, d.Path, d.Have, d.Want, d.Nodes, d.Effect)
		if d.Pending {
			line += " pending"
		}
		if d.Waived != nil {
			line += " waived by " + d.Waived.Owner
		}
		lines = append(lines, line)
	}
	return lines
}

// change edits a file of a node, on disk alone.
func (s *scene) change(node, path string, edit func(*actual.File)) {
	f := s.find(node).Files[path]
	edit(&f)
	s.find(node).Files[path] = f
}

func onDisk(key, value string) func(*actual.File) {
	return func(f *actual.File) {
		config := map[string]string{}
		for k, v := range f.Config {
			config[k] = v
		}
		if config[key] = value; value == "" {
			delete(config, key)
		}
		f.Config, f.Digest = config, "sha256:edited"
	}
}

func TestEachDamageIsOneRow(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(*scene)
		want   []string
	}{
		"nothing": {func(*scene) {}, nil},
		"a value of the configuration on two nodes": {func(s *scene) {
			s.change("eu-1", configPath, onDisk("log_level", `"trace"`))
			s.change("eu-3", configPath, onDisk("log_level", `"trace"`))
		}, []string{`medium changed config.log_level: "trace", not "info" [eu-1 eu-3] none`}},
		"a key that nobody asked for": {func(s *scene) { s.change("eu-1", configPath, onDisk("raw_storage_endpoint", "true")) },
			[]string{`medium extra config.raw_storage_endpoint: true, not absent [eu-1] none`}},
		"a key that is gone": {func(s *scene) { s.change("eu-1", configPath, onDisk("ui", "")) },
			[]string{`medium missing config.ui: absent, not true [eu-1] none`}},
		"a comment": {func(s *scene) { s.change("eu-1", configPath, onDisk("ui", "true")) },
			[]string{`low changed config: other bytes that say the same, not as rendered [eu-1] none`}},
		"a listener": {func(s *scene) {
			s.change("eu-2", configPath, onDisk("listener.tcp[0].tls_disable", "true"))
		}, []string{`critical extra listener.tcp[0].tls_disable: true, not absent [eu-2] none`}},
		"a key that others may read": {func(s *scene) { s.change("eu-2", keyPath, func(f *actual.File) { f.Mode = "0644" }) },
			[]string{`critical changed files[` + keyPath + `].mode: 0644, not 0640 [eu-2] none`}},
		"a key that fewer may read": {func(s *scene) { s.change("eu-2", keyPath, func(f *actual.File) { f.Mode = "0600" }) },
			[]string{`low changed files[` + keyPath + `].mode: 0600, not 0640 [eu-2] none`}},
		"another secret that others may read": {func(s *scene) {
			for i, p := range s.node("eu-2").Puts {
				if p.Path == notePath {
					s.node("eu-2").Puts[i].Digest = "age:sha256:note"
					s.memory.Secrets["age:sha256:note"] = "sha256:note-1"
				}
			}
			s.change("eu-2", notePath, func(f *actual.File) { f.Mode = "0644" })
		}, []string{`critical changed files[` + notePath + `].mode: 0644, not 0640 [eu-2] none`}},
		"the configuration is gone": {func(s *scene) {
			s.change("eu-1", configPath, func(f *actual.File) { *f = actual.File{Kind: actual.KindAbsent} })
		}, []string{`high missing config: absent, not present [eu-1] none`}},
		"a configuration that cannot be read as one": {func(s *scene) {
			s.change("eu-1", configPath, func(f *actual.File) { f.Digest, f.Config = "sha256:garbage", nil })
		}, []string{`high changed config: sha256:garbage, not sha256:config-1-eu- [eu-1] none`}},
		"an owner": {func(s *scene) { s.change("eu-2", notePath, func(f *actual.File) { f.Owner = "bob" }) },
			[]string{`low changed files[` + notePath + `].owner: bob:vault, not root:vault [eu-2] none`}},
		"a certificate swapped": {func(s *scene) {
			s.change("eu-2", certPath, func(f *actual.File) {
				f.Digest, f.Certificate = "sha256:else", &actual.Certificate{Digest: "leaf-else"}
			})
		}, []string{`critical changed files[` + certPath + `]: sha256:else, not sha256:cert-1-eu-2 [eu-2] none`}},
		"a file is gone": {func(s *scene) {
			s.change("eu-1", notePath, func(f *actual.File) { *f = actual.File{Kind: actual.KindAbsent} })
		}, []string{`medium missing files[` + notePath + `]: absent, not present [eu-1] none`}},
		"a drop-in": {func(s *scene) {
			s.find("eu-1").Service.DropIns = "/etc/systemd/system/vault.service.d/x.conf /usr/lib/systemd/system/service.d/10-timeout.conf"
		}, []string{`high extra service.drop_in[/etc/systemd/system/vault.service.d/x.conf]: in force, not absent [eu-1] restart`}},
		"a file beside the configuration": {func(s *scene) { s.find("eu-1").Beside = []string{"/etc/vault.d/more.hcl", configPath} },
			[]string{`low extra config_folder[/etc/vault.d/more.hcl]: lies beside vault.hcl, not absent [eu-1] none`}},
		"the program swapped": {func(s *scene) {
			s.memory.Members[0].Pinned = binaryDigest("1.21.0")
			s.find("eu-1").Binary.Digest = "sha256:evil"
			s.find("eu-1").Binary.Target = desired.BinaryPath("1.21.0")
		}, []string{`critical tampered vault: 1.21.0 sha256:evil, not 1.21.0 sha256:vault-1.21.0 [eu-1] restart`}},
		"a package's own build": {func(s *scene) {
			s.find("eu-1").Binary.Digest, s.find("eu-1").Process.Binary = "sha256:package", "sha256:package"
		}, []string{`low changed vault.binary: unpinned, sha256:package, not sha256:vault-1.21.0 [eu-1] restart`}},
		"one node behind": {func(s *scene) {
			n := s.find("eu-2")
			n.Binary.Digest, n.Process.Binary, n.Vault.Version = binaryDigest("1.20.0"), binaryDigest("1.20.0"), "1.20.0"
		}, []string{`high mixed vault: 1.20.0, not 1.21.0 [eu-2] restart`}},
		"all nodes behind": {func(s *scene) {
			for i := range s.have {
				n := &s.have[i]
				n.Binary.Digest, n.Process.Binary, n.Vault.Version = binaryDigest("1.20.0"), binaryDigest("1.20.0"), "1.20.0"
			}
		}, []string{`high changed vault: 1.20.0, not 1.21.0 [eu-1 eu-2 eu-3] restart`}},
		"a process of another program": {func(s *scene) { s.find("eu-2").Process.Binary = binaryDigest("1.20.0") },
			[]string{`high latent vault: 1.21.0, started before the program was replaced, not 1.21.0 [eu-2] restart`}},
		"the service disabled": {func(s *scene) { s.find("eu-3").Service.UnitFileState = "disabled" },
			[]string{`high changed service.enabled: disabled, not enabled [eu-3] none`}},
		"the unit not loaded": {func(s *scene) { s.find("eu-3").Service.NeedDaemonReload = true },
			[]string{`high latent service.unit: stale, not loaded by systemd [eu-3] none`}},
		"a peer that nobody knows": {func(s *scene) { _ = s.apply([]string{"stranger", "ghost"}) },
			[]string{`high extra raft.peers[ghost]: voter at , not absent [] none`}},
		"a member taken out of raft": {func(s *scene) { _ = s.apply([]string{"no-member", "eu-3"}) },
			[]string{`high missing raft.peers[eu-3]: removed, not a member [eu-3] none`}},
		"an audit device is gone": {func(s *scene) { _ = s.apply([]string{"no-device", "file"}) },
			[]string{`critical missing audit[file]: absent, not file{"file_path":"` + auditPath + `"} [] none`}},
		"an audit device too many": {func(s *scene) { _ = s.apply([]string{"device", "spare", "syslog"}) },
			[]string{`critical extra audit[spare]: syslog, not absent [] none`}},
		"a process with another configuration": {func(s *scene) {
			mark := s.find("eu-1").Process.Mark
			mark.Files[configPath] = "sha256:was"
			mark.Config["log_level"] = `"trace"`
		}, []string{`medium latent config.log_level: "trace", not "info" [eu-1] reload`}},
		"what rides the next restart": {func(s *scene) {
			s.change("eu-1", configPath, onDisk("storage.raft.retry_join[0].leader_api_addr", `"https://old:8200"`))
		},
			[]string{`medium changed storage.raft.retry_join[0].leader_api_addr: "https://old:8200", not "https://other:8200" [eu-1] deferred pending`}},
		"sealed, and a new leader: that is health": {func(s *scene) { s.lead("eu-2"); s.find("eu-3").Vault.Sealed = true }, nil},
		"down: that is health":                     {func(s *scene) { s.find("eu-3").Service.ActiveState = "failed" }, nil},
		"not reached: not known": {func(s *scene) {
			*s.find("eu-2") = actual.Node{Name: "eu-2", ID: "eu-2", At: noon, Unknown: map[actual.Phase]string{actual.PhaseTCP: "refused"}}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := convergedScene(3)
			c.damage(s)
			if got := s.drifted(nil); !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// Whatever the spec: nodes that are as it wants them do not drift.
func TestNothingDriftsOnNodesAsTheyAreWanted(t *testing.T) {
	fleet := desired.Load(examples.FleetRepo(), desired.Options{})
	for _, c := range fleet.Clusters {
		have, m := Settled(c, c, noon)
		if found := FindDrift(c, nil, have, m, noon); len(found.Rows) > 0 || found.Compared < 10 {
			t.Errorf("%s: %d compared, %+v", c.Name, found.Compared, found.Rows)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		c := anyScene(t).want
		have, m := Settled(c, c, noon)
		if found := FindDrift(c, nil, have, m, noon); len(found.Rows) > 0 {
			t.Fatalf("%+v", found.Rows)
		}
	})
}

func TestWhatACommitBringsIsPending(t *testing.T) {
	s := convergedScene(3)
	old := convergedScene(3).want
	if err := s.applyWant([]string{"config", "log_level", `"debug"`}); err != nil {
		t.Fatal(err)
	}
	s.find("eu-2").Service.UnitFileState = "disabled"
	if got, want := s.drifted(&old), []string{
		"high changed service.enabled: disabled, not enabled [eu-2] none",
		`medium changed config.log_level: "info", not "debug" [eu-1 eu-2 eu-3] reload pending`,
	}; !slices.Equal(got, want) {
		t.Errorf("with the old spec:\n%s", strings.Join(got, "\n"))
	}
	for _, line := range s.drifted(nil) {
		if !strings.HasSuffix(line, "pending") {
			t.Errorf("without the old spec nothing tells drift from what comes: %s", line)
		}
	}
	s.want.Mode = desired.ModeObserve
	for _, line := range s.drifted(nil) {
		if strings.HasSuffix(line, "pending") {
			t.Errorf("nothing comes to a cluster that is only observed: %s", line)
		}
	}
}

func TestAWaivedDriftIsToldAndLeftAlone(t *testing.T) {
	s := convergedScene(3)
	s.want.Waivers = []desired.Waiver{{Path: notePath, Nodes: []string{"eu-1"}, Owner: "mara", Reason: "test", Until: noon.Add(time.Hour)}}
	for _, n := range []string{"eu-1", "eu-2"} {
		s.change(n, notePath, func(f *actual.File) { f.Mode = "0600" })
	}
	want := []string{
		"low changed files[" + notePath + "].mode: 0600, not 0640 [eu-1] none waived by mara",
		"low changed files[" + notePath + "].mode: 0600, not 0640 [eu-2] none",
	}
	if got := s.drifted(nil); !slices.Equal(got, want) {
		t.Error(strings.Join(got, "\n"))
	}
	if steps := stepsOf(s.plan()); !slices.Equal(steps, []string{"place eu-2"}) {
		t.Error(steps)
	}
	s.now = noon.Add(2 * time.Hour) // expired
	if steps := stepsOf(s.plan()); !slices.Equal(steps, []string{"place eu-1", "place eu-2"}) {
		t.Error(steps)
	}
}

func stepsOf(p Plan) (steps []string) {
	for _, w := range p.Waves {
		for _, s := range w {
			steps = append(steps, string(s.Action)+" "+s.Node)
		}
	}
	return steps
}

// look takes a look at some time and remembers what it noticed.
func (s *scene) look(at time.Duration) Drifted {
	s.now = noon.Add(at)
	s.memory = Remember(s.memory, s.want, s.have, s.now)
	found := FindDrift(s.want, nil, s.have, s.memory, s.now)
	s.memory = s.memory.Notice(found, s.have, s.now)
	return found
}

func TestADriftIsRememberedFromItsFirstLookOn(t *testing.T) {
	s := convergedScene(3)
	s.change("eu-1", notePath, func(f *actual.File) { f.Mode = "0600" })
	first := s.look(0).Rows[0]
	if !first.Since.IsZero() {
		t.Error("it was known before it was seen")
	}
	again := s.look(time.Minute)
	if row := again.Rows[0]; row.ID != first.ID || !row.Since.Equal(noon) || !row.Sure.IsZero() {
		t.Errorf("%+v", row)
	}
	if row := s.memory.Tell(again, s.now).Rows[0]; !row.Sure.Equal(s.now) {
		t.Errorf("the look that makes it sure does not say so: %+v", row)
	}
	s.change("eu-2", notePath, func(f *actual.File) { f.Mode = "0600" })
	third := s.look(2 * time.Minute).Rows[0]
	if third.ID != first.ID || !third.Sure.Equal(noon.Add(time.Minute)) || !slices.Equal(third.Nodes, []string{"eu-1", "eu-2"}) {
		t.Errorf("it spreads, and is the same: %+v", third)
	}
	s.find("eu-1").Unknown = map[actual.Phase]string{actual.PhaseSudo: "denied"}
	s.change("eu-1", notePath, func(f *actual.File) { f.Mode = "0640" })
	s.change("eu-2", notePath, func(f *actual.File) { f.Mode = "0640" })
	s.look(3 * time.Minute)
	if e := s.memory.Drifts[0]; !e.Open() {
		t.Error("gone, while one of its nodes could not be read in whole")
	}
	s.find("eu-1").Unknown = nil
	s.look(4 * time.Minute)
	if e := s.memory.Drifts[0]; !e.Gone.Equal(noon.Add(4 * time.Minute)) {
		t.Errorf("%+v", e)
	}
	before := fmt.Sprint(s.memory)
	s.look(5 * time.Minute)
	if after := fmt.Sprint(s.memory); after != before {
		t.Error("a look that sees nothing new changes the memory")
	}
	s.look(KeepsGone + time.Hour)
	if len(s.memory.Drifts) > 0 {
		t.Error("what is gone for long is still remembered")
	}
}

func TestAHotFixIsNotUndoneWithinTheMinute(t *testing.T) {
	s := convergedScene(3)
	s.want.Drift.After = time.Minute
	s.change("eu-2", configPath, onDisk("log_level", `"trace"`))
	s.look(0)
	plan := s.plan()
	if _, now := plan.Next(); now || len(plan.Waves) == 0 || len(plan.Waits) != 1 || plan.Waits[0].Reason != WaitByHand || !plan.Waits[0].Until.Equal(noon.Add(time.Minute)) {
		t.Errorf("%s", show(plan))
	}
	if _, now := Cluster(s.want, s.have, s.memory.Asked(s.now), s.now).Next(); !now {
		t.Error("who asks for it now waits all the same")
	}
	s.look(time.Minute)
	if _, now := s.plan().Next(); !now {
		t.Errorf("%s", show(s.plan()))
	}
	s.find("eu-2").Service.ActiveState, s.find("eu-2").Service.SubState = "failed", "failed"
	s.find("eu-2").Process = &actual.Process{}
	s.find("eu-2").Vault = nil
	s.look(time.Second)
	if _, now := s.plan().Next(); !now {
		t.Errorf("what is down waits: %s", show(s.plan()))
	}
}

// Who does by hand on one node after another what helps is not undone on the second
// because of the first.
func TestAHotFixThatSpreadsIsNotUndoneWithinTheMinute(t *testing.T) {
	s := convergedScene(3)
	s.want.Drift.After = time.Minute
	s.change("eu-2", notePath, func(f *actual.File) { f.Mode = "0600" })
	s.look(0)
	s.change("eu-3", notePath, func(f *actual.File) { f.Mode = "0600" })
	s.look(55 * time.Second)
	s.look(65 * time.Second)
	if _, now := s.plan().Next(); now || !s.plan().Waits[0].Until.Equal(noon.Add(115*time.Second)) {
		t.Errorf("%s", show(s.plan()))
	}
	s.look(2 * time.Minute)
	if got := waiting(s.plan()); got != "place" {
		t.Errorf("%q", got)
	}
}

func TestDriftIsOnlyReportedWhereTheSpecSaysSo(t *testing.T) {
	s := convergedScene(3)
	s.want.Drift.Report = true
	s.change("eu-2", notePath, func(f *actual.File) { f.Mode = "0600" })
	s.find("eu-3").Service.UnitFileState = "disabled"
	s.look(0)
	plan := s.plan()
	if len(plan.Waves) > 0 || len(plan.Notes) != 2 {
		t.Errorf("%s", show(plan))
	}
	s.find("eu-3").Service.ActiveState, s.find("eu-3").Service.SubState = "failed", "failed"
	s.find("eu-3").Process = &actual.Process{}
	s.find("eu-3").Vault = nil
	if steps := stepsOf(s.plan()); !slices.Contains(steps, "start eu-3") || slices.Contains(steps, "enable eu-3") {
		t.Errorf("what is down is not brought back: %v %s", steps, show(s.plan()))
	}
}

func TestWhoeverFightsIsNotFoughtForever(t *testing.T) {
	s := convergedScene(3)
	for day := range 4 {
		s.change("eu-2", notePath, func(f *actual.File) { f.Mode, f.Owner = "0640", "root" })
		s.look(time.Duration(day) * 24 * time.Hour)
		other := []string{"0600", "0604", "0666", "0644"}[day] // they do not always want the same
		s.change("eu-2", notePath, func(f *actual.File) { f.Mode, f.Mtime = other, noon })
		s.look(time.Duration(day)*24*time.Hour + time.Hour)
		plan := s.plan()
		fights := slices.ContainsFunc(plan.Blocks, func(b Block) bool { return b.Reason == ReasonFight })
		if want := day >= 2; fights != want || want == (len(plan.Waves) > 0) {
			t.Errorf("day %d: %s", day, show(plan))
		}
		if fights && !strings.Contains(plan.Blocks[0].Detail, "written "+noon.Format(time.RFC3339)) {
			t.Errorf("the last writer is not named: %+v", plan.Blocks)
		}
	}
	s.memory.Leaves = append(s.memory.Leaves, Leave{Kind: LeaveRetry, Node: "eu-2", At: s.now.Add(time.Second)})
	if steps := stepsOf(s.plan()); !slices.Equal(steps, []string{"place eu-2"}) {
		t.Errorf("a person said that it may be put back: %v", steps)
	}
}

// Who wrote a file may have reloaded Vault as well, and nothing tells: what it may have
// taken up so is taken back.
func TestWhatAReloadBySomebodyElseBroughtIsTakenBack(t *testing.T) {
	for _, x := range []struct {
		name string
		lies func(*actual.File)
		want string
	}{
		{"a key that SIGHUP takes up", onDisk("log_level", `"trace"`), "reload eu-2"},
		{"one that it does not", onDisk("ui", "false"), "place eu-2"},
		{"only a mode", func(f *actual.File) { f.Mode = "0666" }, "place eu-2"},
		{"a text that Vault could not read", func(f *actual.File) { f.Digest, f.Config = "sha256:ff", nil }, "place eu-2"},
	} {
		s := convergedScene(3)
		s.change("eu-2", configPath, x.lies)
		if steps := stepsOf(s.plan()); !slices.Equal(steps, []string{x.want}) {
			t.Errorf("%s: %v", x.name, steps)
		}
	}
}

// Who goes back to a spec that was good once undoes our own work, and nobody's by hand.
func TestTheWayBackFromAnInterruptedRolloutIsNoDrift(t *testing.T) {
	s := convergedScene(3)
	s.want.Drift.Report = true
	before, half := s.want, s.want
	half.Digest = "spec-2"
	s.memory.Accepted = Accepted{Commit: "c0", Digest: before.Digest}
	s.memory = s.memory.Accept(half, "c1")
	s.change("eu-2", configPath, onDisk("log_level", `"trace"`)) // that far it came
	s.memory = s.memory.Accept(before, "c2")
	if found := s.look(0); len(found.Open()) > 0 {
		t.Errorf("%+v", found.Rows)
	}
	if steps := stepsOf(s.plan()); !slices.Contains(steps, "reload eu-2") {
		t.Errorf("it is not undone: %v", steps)
	}
	s.memory = s.memory.Converged(s.want, "c2", s.now)
	if found := s.look(time.Minute); len(found.Open()) != 1 {
		t.Errorf("%+v", found.Rows)
	}
}
