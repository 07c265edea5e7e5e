package sim

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// fleet is a repo of one cluster of three nodes, with some lines of its config
// and its version to choose.
func (r *run) fleet(version, config string) loop.Spec {
	t := r.t
	t.Helper()
	lock := "format: 1\nvault:\n"
	for _, v := range []string{"1.21.0", "1.21.1"} {
		lock += fmt.Sprintf("  %s:\n    linux_amd64: {archive: %q, binary: %q}\n", v, versionDigest("archive "+v), versionDigest(v))
	}
	var nodes strings.Builder
	for _, n := range r.Nodes {
		fmt.Fprintf(&nodes, "  - {name: %s, address: %s, zone: %q}\n", n.Name, n.Address, n.Name)
	}
	repo := fstest.MapFS{}
	put := func(path, body string) { repo[path] = &fstest.MapFile{Data: []byte(body)} }
	put("fleet.yaml", "format: 1\nfleet: acme\nreleases: {source: file:///srv/releases}\n")
	put("vault.lock", lock)
	put("clusters/prod/cluster.yaml", `cluster: prod
mode: enforce
rules: `+r.rules+`
vault: {version: "`+version+`"}
ca: tls/ca.crt
storage: {raft: {path: /opt/vault/data}}
listener:
  - tcp: {address: "0.0.0.0:8200", tls_cert_file: /etc/vault.d/tls/vault.crt, tls_key_file: /etc/vault.d/tls/vault.key}
seal: shamir
keys: {secret_shares: 5, secret_threshold: 3, held_by: reconciler}
config:
  disable_mlock: true
  telemetry: {prometheus_retention_time: 24h, disable_hostname: true}
`+config+`
files:
  - {path: /etc/vault.d/tls/vault.crt, source: "tls/{node}.crt", group: vault, mode: "0644", on_change: reload}
  - {path: /etc/vault.d/tls/vault.key, source: "age:tls/{node}.key.age", group: vault, mode: "0640", on_change: reload}
  - {path: /etc/vault.d/tls/ca.crt, source: tls/ca.crt}
audit:
  - {path: file, type: file, options: {file_path: /var/log/vault/audit.log}}
  - {path: syslog, type: syslog}
nodes:
`+nodes.String())
	for path, body := range r.tls {
		put(path, body)
	}
	loaded := desired.Load(repo, desired.Options{})
	for _, p := range loaded.Errors() {
		t.Error(p)
	}
	c, ok := loaded.Cluster("prod")
	if !ok {
		t.Fatal("the fleet has no whole cluster prod")
	}
	return loop.Spec{Cluster: c, Commit: "commit-" + version + config, Contents: contentsOf(c)}
}

// run is a world of three bare machines under a spec.
type run struct {
	*World
	t     *testing.T
	seed  uint64
	rules string
	tls   map[string]string // repo path → certificate, or encrypted key
	spec  loop.Spec
}

func newRun(t *testing.T, seed uint64, nodes int) *run {
	w := NewWorld(seed)
	for i := 1; i <= nodes; i++ {
		w.AddNode(fmt.Sprintf("eu-%d", i), fmt.Sprintf("10.1.0.1%d", i))
	}
	r := &run{World: w, t: t, seed: seed, rules: "production", tls: material(t, nodes)}
	if nodes == 1 {
		r.rules = "learning"
	}
	return r
}

// converge takes turns until nothing is left to do, checks the forecast of
// every wave against the next look, and that nothing was broken.
func (r *run) converge(spec loop.Spec) loop.Turned {
	r.t.Helper()
	r.spec = spec
	r.Use(spec.Cluster)
	last := loop.Converge(context.Background(), r.Ports(), spec, func(t loop.Turned) { r.forecastHeld(t) })
	if last.Err != nil {
		r.t.Fatal(last.Err)
	}
	if len(r.Broken) > 0 {
		r.t.Fatal(strings.Join(r.Broken, "\n"))
	}
	return last
}

// forecastHeld compares what Simulate said of a wave with the look after it,
// once raft has settled; only what was done is compared.
func (r *run) forecastHeld(t loop.Turned) {
	r.t.Helper()
	var wave diff.Wave
	for _, result := range t.Results {
		if result.Try.Outcome != diff.OutcomeDone {
			r.t.Fatalf("%s on %s: %s: %s %v", result.Step.Action, result.Step.Node, result.Try.Outcome, result.Try.Evidence, result.Err)
		}
		wave = append(wave, result.Step)
	}
	if len(wave) == 0 {
		return
	}
	forecast := diff.Simulate(r.spec.Cluster, t.Have, t.Memory, wave)
	r.Pass(Stabilization + 1e9)
	now := loop.Look(context.Background(), r.Ports(), r.spec)
	facts := diff.Facts(r.spec.Cluster, now.Have, now.Memory)
	for _, f := range forecast {
		if have, known := lookUp(facts, f); known && have != f.Value && !settling(f.Key) {
			r.t.Errorf("after %s on %s the forecast says %s of %s is %s, and the look says %s", wave[0].Action, wave[0].Node, f.Key, f.Node, f.Value, have)
		}
	}
}

// settling says that a fact moves by itself while raft finds its feet, or
// depends on which follower wins.
func settling(key string) bool {
	switch key {
	case "role", "voter", "healthy", "member", "birth":
		return true
	}
	return false
}

func lookUp(facts []diff.Fact, f diff.Fact) (string, bool) {
	for _, x := range facts {
		if x.Node == f.Node && x.Key == f.Key {
			return x.Value, true
		}
	}
	return "", false
}

// done counts what was done since the trace was last cut.
func (r *run) done() map[string]int {
	counts := map[string]int{}
	for _, line := range r.Trace {
		action, _, _ := strings.Cut(line, " ")
		counts[action]++
	}
	return counts
}

func (r *run) cut() { r.Trace = nil }

// born is a run whose cluster is born, confirmed and converged.
func born(t *testing.T, seed uint64) *run {
	t.Helper()
	return bornOf(t, seed, 3)
}

// bornOf is born of some number of nodes; one is a learning cluster.
func bornOf(t *testing.T, seed uint64, nodes int) *run {
	t.Helper()
	r := newRun(t, seed, nodes)
	spec := r.fleet("1.21.0", "  log_level: info\n  ui: true")
	last := r.converge(spec)
	wantBlock(t, last, diff.ReasonUnapproved)
	if r.Inits != 0 {
		t.Fatal("initialised without approval")
	}
	r.approve()
	wantBlock(t, r.converge(spec), diff.ReasonConfirm)
	r.confirm()
	if last = r.converge(spec); !last.Plan.Empty() {
		t.Fatalf("not in sync after the birth: %+v", last.Plan)
	}
	return r
}

// approve and confirm are what people do in a birth.
func (r *run) approve() {
	r.change(func(m diff.Memory) diff.Memory {
		m.Leaves = append(m.Leaves, diff.Leave{Kind: diff.LeaveInit, By: "alice", At: r.Time})
		return m
	})
}

func (r *run) confirm() {
	r.change(func(m diff.Memory) diff.Memory {
		m.Birth.Phase = diff.BirthConfirmed
		return m
	})
}

func (r *run) change(change func(diff.Memory) diff.Memory) {
	r.t.Helper()
	if err := r.Change(context.Background(), "prod", change); err != nil {
		r.t.Fatal(err)
	}
}

func wantBlock(t *testing.T, turned loop.Turned, reason diff.Reason) {
	t.Helper()
	for _, b := range turned.Plan.Blocks {
		if b.Reason == reason {
			return
		}
	}
	t.Fatalf("no block %s: %+v %+v", reason, turned.Plan.Blocks, turned.Plan.Waits)
}

func TestFromNothingToThreeUnsealedNodesToAnEmptyPlan(t *testing.T) {
	for seed := range uint64(20) {
		r := born(t, seed)
		raft := r.Nodes[0].Vault.Raft
		if r.Inits != 1 || raft.voters() != 3 || raft.Leader == "" || raft.Root || !raft.Cred || len(raft.Devices) != 2 {
			t.Fatalf("seed %d: inits %d, raft %+v", seed, r.Inits, raft)
		}
		r.cut()
		writes := r.writes()
		if last := r.converge(r.spec); !last.Plan.Empty() || len(r.Trace) > 0 || r.writes() != writes {
			t.Fatalf("seed %d: a converged fleet was touched: %v", seed, r.Trace)
		}
	}
}

func (r *run) writes() int {
	n := 0
	for _, node := range r.Nodes {
		n += node.Writes
	}
	return n
}

func TestALogLevelIsOneReloadPerNode(t *testing.T) {
	r := born(t, 1)
	r.cut()
	r.converge(r.fleet("1.21.0", "  log_level: debug\n  ui: true"))
	if got := r.done(); got["reload"] != 3 || len(got) != 1 {
		t.Errorf("want three reloads and nothing else, got %v", got)
	}
}

func TestAnUIChangeIsARollWithTheLeaderLast(t *testing.T) {
	before := born(t, 1)
	for seed := range uint64(20) {
		r := before.copy(seed)
		leader := r.Nodes[0].Vault.Raft.Leader
		r.cut()
		last := r.converge(r.fleet("1.21.0", "  log_level: info\n  ui: false"))
		got := r.done()
		if got["restart"] != 3 || got["unseal"] != 3 || len(got) != 2 || !last.Plan.Empty() {
			t.Fatalf("seed %d: want three restarts and unseals, got %v, plan %+v", seed, got, last.Plan)
		}
		if at := lastOf(r.Trace, "restart"); at != "restart "+leader {
			t.Errorf("seed %d: the leader was %s, and the last restart is %q", seed, leader, at)
		}
	}
}

func lastOf(trace []string, action string) string {
	last := ""
	for _, line := range trace {
		if strings.HasPrefix(line, action+" ") {
			last = line
		}
	}
	return last
}

func TestAVersionIsStagedEverywhereThenRolledLeaderLast(t *testing.T) {
	before := born(t, 2)
	for seed := range uint64(20) {
		r := before.copy(seed)
		r.cut()
		last := r.converge(r.fleet("1.21.1", "  log_level: info\n  ui: true"))
		if got := r.done(); got["install"] != 3 || got["restart"] != 3 || !last.Plan.Empty() {
			t.Fatalf("seed %d: got %v, plan %+v", seed, got, last.Plan)
		}
		for i, line := range r.Trace {
			if strings.HasPrefix(line, "install") != (i < 3) {
				t.Fatalf("seed %d: every install comes before the first restart: %v", seed, r.Trace)
			}
		}
		back := r.converge(r.fleet("1.21.0", "  log_level: info\n  ui: true"))
		wantBlock(t, back, diff.ReasonDowngrade)
	}
}

func TestAClusterOfAnySizeIsBornAndRolled(t *testing.T) {
	for _, nodes := range []int{1, 5} {
		r := bornOf(t, 7, nodes)
		if raft := r.Nodes[0].Vault.Raft; raft.voters() != nodes {
			t.Fatalf("%d of %d nodes vote", raft.voters(), nodes)
		}
		r.cut()
		last := r.converge(r.fleet("1.21.1", "  log_level: info\n  ui: false"))
		if got := r.done(); got["install"] != nodes || got["restart"] != nodes || got["unseal"] != nodes || !last.Plan.Empty() {
			t.Errorf("%d nodes: %v, plan %+v", nodes, got, last.Plan)
		}
	}
}

func TestEverythingPowerCutAtOnceComesBack(t *testing.T) {
	before := bornOf(t, 1, 5)
	for seed := range uint64(10) {
		r := before.copy(seed)
		for _, n := range r.Nodes {
			n.Reboot(r.spec.Cluster, r.Time)
		}
		r.cut()
		if last := r.converge(r.spec); !last.Plan.Empty() {
			t.Fatalf("seed %d: %+v", seed, last.Plan)
		}
		if got := r.done(); got["unseal"] != 5 || len(got) != 1 {
			t.Errorf("seed %d: want five unseals and nothing else, got %v", seed, got)
		}
	}
}

func TestDamageIsRepairedAndAPersonsWillIsLeftAlone(t *testing.T) {
	r := born(t, 3)
	r.Node("eu-2").Unit.Kill()
	r.Node("eu-2").Vault.Stop()
	r.Node("eu-3").Reboot(r.spec.Cluster, r.Time)
	r.cut()
	if last := r.converge(r.spec); !last.Plan.Empty() {
		t.Fatalf("not repaired: %+v", last.Plan)
	}
	if got := r.done(); got["start"] != 1 || got["unseal"] != 2 {
		t.Errorf("want one start and two unseals, got %v", got)
	}
	r.Node("eu-2").Vault.Seal()
	r.cut()
	wantBlock(t, r.converge(r.spec), diff.ReasonSealedByHand)
	r.Node("eu-2").Reboot(r.spec.Cluster, r.Time)
	wantBlock(t, r.converge(r.spec), diff.ReasonSealedByHand)
	if len(r.Trace) > 0 {
		t.Errorf("a seal by hand was not left alone: %v", r.Trace)
	}
}

func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	for seed := range uint64(10) {
		first, second := born(t, seed), born(t, seed)
		if a, b := strings.Join(first.Trace, "\n"), strings.Join(second.Trace, "\n"); a != b {
			t.Fatalf("seed %d:\n%s\n\n%s", seed, a, b)
		}
	}
}
