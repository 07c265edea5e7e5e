package report

import (
	"errors"
	"fmt"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// seen is a cluster of n nodes as a look finds it, the first one leading.
func seen(name string, n int) Cluster {
	c := Cluster{Name: name, Nodes: n, Plan: diff.Plan{Cluster: name, Digest: "sha256:5bec", Mode: "enforce"}}
	raft := &actual.Raft{Autopilot: &actual.Autopilot{Healthy: true, HealthyServers: map[string]bool{}}}
	for i := 1; i <= n; i++ {
		node := fmt.Sprintf("eu-%d", i)
		c.Have = append(c.Have, actual.Node{Name: node, ID: node, At: noon,
			Service: &actual.Service{LoadState: "loaded", ActiveState: "active"},
			Process: &actual.Process{PID: 100, Served: &actual.Certificate{NotAfter: noon.Add(90 * 24 * time.Hour)}},
			Vault:   &actual.Vault{Initialized: true, Version: "1.20.4", Health: 429, Leader: i == 1, LeaderAddress: "https://10.1.0.11:8200", ClusterID: "7be4"}})
		raft.Servers = append(raft.Servers, actual.Server{ID: node, Voter: true, Leader: i == 1})
		raft.Autopilot.HealthyServers[node] = true
	}
	c.Have[0].Vault.Health, c.Have[0].Raft = 200, raft
	c.Memory = diff.Memory{Known: true, ClusterID: "7be4"}
	return c
}

func step(node string, action diff.Action, effect diff.Effect, changes ...diff.Change) diff.Step {
	return diff.Step{ID: node + "-" + string(action), Node: node, Action: action, Effect: effect, Cause: diff.CauseCommit, Changes: changes}
}

// upgrading is a cluster on its way to a new version.
func upgrading(name string) Cluster {
	c := seen(name, 3)
	version, level := diff.Change{What: "vault", From: "1.20.4", To: "1.21.4"}, diff.Change{What: "log_level", From: `"info"`, To: `"warn"`}
	var install diff.Wave
	for _, n := range []string{"eu-1", "eu-2", "eu-3"} {
		install = append(install, step(n, diff.ActionInstall, diff.EffectNone, diff.Change{What: "/opt/vault/versions/1.21.4/vault", From: absent, To: "1.21.4"}))
	}
	c.Plan.Waves = []diff.Wave{install}
	for _, n := range []string{"eu-2", "eu-3", "eu-1"} {
		effect := diff.EffectRestartUnseal
		if n == "eu-1" {
			effect = diff.EffectOneWay
		}
		hcl := diff.Change{What: "/etc/vault.d/vault.hcl", From: "sha256:aaaaaaaaaa0" + n[3:] + " root:vault:0640", To: "sha256:bbbbbbbbbb0" + n[3:] + " root:vault:0640"}
		restart := step(n, diff.ActionRestart, effect, version, level, hcl)
		unseal := step(n, diff.ActionUnseal, diff.EffectNone)
		unseal.Why = "sealed, and not by a person"
		c.Plan.Waves = append(c.Plan.Waves, diff.Wave{restart}, diff.Wave{unseal})
	}
	return c
}

// drifted is a cluster where somebody edited a file on one node, that a rule
// blocks and that was not wholly seen.
func drifted(name string) Cluster {
	c := seen(name, 3)
	reload := step("eu-3", diff.ActionReload, diff.EffectReload, diff.Change{What: "log_level", From: `"trace"`, To: `"info"`})
	reload.Cause = diff.CauseDrift
	c.Plan.Waves = []diff.Wave{{reload}}
	c.Plan.Blocks = []diff.Block{
		{Node: "eu-1", Reason: diff.ReasonQuorum, Detail: "taking eu-1 down would leave 1 serving of 3 voters, and 2 are a quorum", Lift: "bring the other voters back first"},
		{Node: "eu-2", Reason: diff.ReasonQuorum, Detail: "taking eu-2 down would leave 1 serving of 3 voters, and 2 are a quorum", Lift: "bring the other voters back first"},
	}
	c.Plan.Waits = []diff.Wait{{Node: "eu-3", Reason: diff.WaitRetry, Detail: "reload failed: no answer", Until: noon.Add(time.Minute)}}
	c.Plan.Notes = []diff.Note{
		{Node: "eu-1", Effect: diff.EffectDeferred, Change: diff.Change{What: "storage.raft.retry_join", From: "2", To: "3"}, Why: "rides the next restart"},
		{Node: "eu-2", Effect: diff.EffectDeferred, Change: diff.Change{What: "storage.raft.retry_join", From: "2", To: "3"}, Why: "rides the next restart"},
	}
	c.Plan.Unseen = []diff.Unseen{{Node: "eu-2", Phase: "tcp", Error: "dial 10.1.0.12:22: connection refused"}}
	c.Have[1] = actual.Node{Name: "eu-2", ID: "eu-2", Unknown: map[actual.Phase]string{actual.PhaseTCP: "dial 10.1.0.12:22: connection refused"}}
	return c
}

// lost is a cluster that a person is needed for.
func lost(name string) Cluster {
	c := seen(name, 3)
	c.Have[0].Vault.Sealed, c.Have[1].Vault.Sealed = true, true
	c.Plan.Blocks = []diff.Block{
		{Reason: diff.ReasonQuorumLost, Detail: "1 of 3 voters serve, and 2 are a quorum", Lift: "bring back the nodes that are named as left alone"},
		{Node: "eu-1", Reason: diff.ReasonSealedByHand, Detail: "somebody sealed eu-1 while its process went on", Lift: "vault operator unseal on the node"},
	}
	return c
}

func broken(name string) Cluster {
	return Cluster{Name: name, Broken: []desired.Problem{{Place: desired.Place{File: "clusters/dev/cluster.yaml", Line: 3, Column: 1},
		Severity: desired.SeverityError, Text: `unknown key "ndoes"`, Hint: `did you mean "nodes"?`}}}
}

func observing(name string) Cluster {
	c := drifted(name)
	c.Plan = diff.Plan{Cluster: name, Mode: "observe", Waves: c.Plan.Waves, Unseen: c.Plan.Unseen, Blocks: []diff.Block{{Reason: diff.ReasonObserve,
		Detail: "this cluster is only observed, so nothing of this plan is done", Lift: "set mode: enforce"}}}
	return c
}

func ended(s diff.Step, o diff.Outcome, evidence string) apply.Result {
	return apply.Result{Step: s, Try: diff.Try{Step: s.ID, Node: s.Node, Action: s.Action, Outcome: o, Evidence: evidence}, Took: 41 * time.Second}
}

type busyError struct{}

func (busyError) Error() string { return "lease of prod is held" }
func (busyError) Busy() string  { return "host-b, pid 7" }

var errLook = errors.New("load the memory of prod: disk gone")

// fleet is one of each.
func fleet() []Cluster {
	failed := upgrading("upgrading")
	failed.Results = []apply.Result{
		ended(failed.Plan.Waves[0][0], diff.OutcomeDone, ""),
		ended(failed.Plan.Waves[1][0], diff.OutcomeFailed, "done on the node, but api of eu-2 is silent and not up"),
	}
	busy, errored := seen("busy", 1), seen("errored", 1)
	busy.Err, errored.Err = fmt.Errorf("ask leave: %w", busyError{}), errLook
	return []Cluster{seen("quiet-b", 3), upgrading("prod-eu"), drifted("prod-us"), lost("prod-ap"), broken("dev"), observing("seen-only"), failed, busy, errored, seen("quiet-a", 5)}
}
