// Package webtest is a made-up fleet in every trouble that the pages show, for their
// tests alone: what they look like in a browser is tested elsewhere than what they say.
package webtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Noon is when everything was looked at.
func Noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// Source is where the specs came from.
func Source() report.Source {
	return report.Source{Fleet: "acme", Repo: "ssh://git@git.internal/acme/fleet.git", Branch: "main", Commit: "3f9c2a7d41b80c55e1d2aa90b7c4e6f102938475"}
}

// Fleet is the name of the fleet.
const Fleet = "ssh://git@git.internal/acme/fleet.git, branch main"

// Board shows clusters as they are given.
func Board(clusters ...report.Cluster) *web.Board {
	b := web.NewBoard()
	b.Follow([]string{Fleet})
	var all []web.Wanted
	for _, c := range clusters {
		all = append(all, web.Wanted{Name: c.Name, Nodes: c.Nodes, Observes: c.Observes, Broken: c.Broken})
	}
	b.Wants(Fleet, Source(), all)
	for _, c := range clusters {
		if c.Have != nil || c.Err != nil {
			b.Seen(c, Noon())
		}
	}
	return b
}

// Well is a cluster where everything is as it should be.
func Well(name string, nodes int) report.Cluster {
	digest := "sha256:5bec"
	c := report.Cluster{Name: name, Nodes: nodes, Plan: diff.Plan{Cluster: name, Commit: Source().Commit, Digest: digest, Mode: "enforce"}}
	raft := &actual.Raft{Autopilot: &actual.Autopilot{Healthy: true, HealthyServers: map[string]bool{}}}
	for i := 1; i <= nodes; i++ {
		node := fmt.Sprintf("%s-%d", name, i)
		c.Have = append(c.Have, actual.Node{Name: node, ID: node, At: Noon(),
			Service: &actual.Service{LoadState: "loaded", ActiveState: "active"},
			Process: &actual.Process{PID: 100, Served: &actual.Certificate{NotAfter: Noon().Add(time.Duration(60+7*i)*24*time.Hour + time.Hour)}},
			Vault:   &actual.Vault{Initialized: true, Version: "1.21.0", Health: 429, Leader: i == 1, LeaderAddress: "https://10.1.0.11:8200", ClusterID: "7be4"}})
		raft.Servers = append(raft.Servers, actual.Server{ID: node, Voter: true, Leader: i == 1})
		raft.Autopilot.HealthyServers[node] = true
	}
	c.Have[0].Vault.Health, c.Have[0].Raft = 200, raft
	c.Memory = diff.Memory{Known: true, ClusterID: "7be4", Good: diff.Standing{Digest: digest, Commit: Source().Commit, Since: Noon().Add(-50 * time.Hour)}}
	c.Drift.Compared = 40 * nodes
	return c
}

func step(node string, action diff.Action, effect diff.Effect, changes ...diff.Change) diff.Step {
	return diff.Step{ID: node + "-" + string(action), Node: node, Action: action, Effect: effect, Cause: diff.CauseCommit, Changes: changes}
}

// Upgrading is a cluster on its way to a new version.
func Upgrading(name string) report.Cluster {
	c := Well(name, 3)
	version := diff.Change{What: "vault", From: "1.21.0", To: "1.21.4"}
	level := diff.Change{What: "log_level", From: `"info"`, To: `"warn"`}
	var install diff.Wave
	for _, n := range c.Have {
		install = append(install, step(n.Name, diff.ActionInstall, diff.EffectNone, diff.Change{What: "/opt/vault/versions/1.21.4/vault", From: "absent", To: "1.21.4"}))
	}
	c.Plan.Waves = []diff.Wave{install}
	for i, n := range []string{name + "-2", name + "-3", name + "-1"} {
		effect := diff.EffectRestartUnseal
		if i == 2 {
			effect = diff.EffectOneWay
		}
		unseal := step(n, diff.ActionUnseal, diff.EffectNone)
		unseal.Why = "sealed, and not by a person"
		c.Plan.Waves = append(c.Plan.Waves, diff.Wave{step(n, diff.ActionRestart, effect, version, level)}, diff.Wave{unseal})
	}
	return c
}

// Under is what is under way in a cluster that is upgraded: its first wave has ended,
// and a node is restarted.
func Under(b *web.Board, c report.Cluster) {
	for i, s := range c.Plan.Waves[0] {
		b.Event(c.Name, apply.Event{Kind: apply.EventBegan, Step: s, At: Noon()})
		b.Event(c.Name, apply.Event{Kind: apply.EventEnded, Step: s, Outcome: diff.OutcomeDone, At: Noon().Add(time.Duration(10+i) * time.Second)})
	}
	s := c.Plan.Waves[1][0]
	b.Event(c.Name, apply.Event{Kind: apply.EventBegan, Step: s, At: Noon().Add(14 * time.Second)})
	b.Event(c.Name, apply.Event{Kind: apply.EventWaiting, Step: s, Detail: "service activating, API silent", At: Noon().Add(21 * time.Second)})
}

// Drifted is a cluster where somebody changed two nodes by hand, and one of which is
// not reached.
func Drifted(name string) report.Cluster {
	c := Well(name, 3)
	one, two, three := name+"-1", name+"-2", name+"-3"
	reload := step(three, diff.ActionReload, diff.EffectReload, diff.Change{What: "log_level", From: `"trace"`, To: `"info"`})
	reload.Cause = diff.CauseDrift
	c.Plan.Waves = []diff.Wave{{reload}}
	c.Plan.Blocks = []diff.Block{{Node: one, Reason: diff.ReasonQuorum, Detail: "taking " + one + " down would leave 1 serving of 3 voters, and 2 are a quorum", Lift: "bring the other voters back first"}}
	c.Plan.Waits = []diff.Wait{{Node: three, Reason: diff.WaitRetry, Detail: "reload failed: no answer", Until: Noon().Add(time.Minute)}}
	c.Plan.Unseen = []diff.Unseen{{Node: two, Phase: "tcp", Error: "dial 10.1.0.12:22: connection refused"}}
	c.Have[1] = actual.Node{Name: two, ID: two, Unknown: map[actual.Phase]string{actual.PhaseTCP: "dial 10.1.0.12:22: connection refused"}}
	c.Have[2].Process.Served.NotAfter = Noon().Add(6*24*time.Hour + time.Hour)
	since := Noon().Add(-3 * time.Hour)
	c.Drift = diff.Drifted{Compared: 120, Unobserved: c.Plan.Unseen, Rows: []diff.Drift{
		{ID: "D-3", Kind: diff.DriftTampered, Severity: diff.SeverityCritical, Path: "vault.binary", File: "/usr/local/bin/vault", Nodes: []string{one}, Want: "sha256:2f1d…", Have: "sha256:99a0…", Since: since, Sure: since.Add(time.Minute), Times: 1,
			Traces: []diff.Trace{{Node: one, Owner: "root", At: since.Add(-time.Minute)}}},
		{ID: "D-7", Kind: diff.DriftChanged, Severity: diff.SeverityMedium, Path: "config.log_level", File: "/etc/vault.d/vault.hcl", Nodes: []string{three}, Want: `"info"`, Have: `"trace"`, Place: "clusters/" + name + "/cluster.yaml:21", Since: since, Sure: since.Add(time.Minute), Times: 3,
			Traces: []diff.Trace{{Node: three, Owner: "bob", At: since}}},
		{ID: "D-9", Kind: diff.DriftExtra, Severity: diff.SeverityLow, Path: "config_folder[/etc/vault.d/local.hcl]", Nodes: []string{three}, Want: "absent", Have: "there", Waived: &diff.Waived{Reason: "until the migration is over", Owner: "ada", Until: Noon().Add(240 * time.Hour)}},
	}}
	c.Memory.Drifts = []diff.Episode{{ID: "D-1", Path: "files[/etc/vault.d/tls/vault.crt].mode", Nodes: []string{one}, Opened: []time.Time{Noon().Add(-40 * time.Hour)}, Gone: Noon().Add(-30 * time.Hour)}}
	c.Memory.Tries = []diff.Try{{Step: reload.ID, Node: three, Action: diff.ActionReload, Outcome: diff.OutcomeFailed, Evidence: "no answer", Count: 1, At: Noon()}}
	c.Memory.Leaves = []diff.Leave{{Kind: diff.LeaveHold, Node: two, By: "ada", Reason: "disk is replaced", At: Noon().Add(-time.Hour), Until: Noon().Add(time.Hour)}}
	return c
}

// Lost is a cluster that a person is needed for.
func Lost(name string) report.Cluster {
	c := Well(name, 3)
	c.Have[0].Vault.Sealed, c.Have[1].Vault.Sealed = true, true
	c.Have[2].Service.ActiveState, c.Have[2].Vault = "failed", nil
	c.Memory.Good.Since = time.Time{}
	c.Plan.Blocks = []diff.Block{
		{Reason: diff.ReasonQuorumLost, Detail: "0 of 3 voters serve, and 2 are a quorum", Lift: "bring back the nodes that are named as left alone"},
		{Node: name + "-1", Reason: diff.ReasonSealedByHand, Detail: "somebody sealed " + name + "-1 while its process went on", Lift: "vault operator unseal on the node"},
	}
	return c
}

// Broken is a cluster whose spec cannot be read.
func Broken(name string) report.Cluster {
	return report.Cluster{Name: name, Nodes: 1, Broken: []desired.Problem{{Place: desired.Place{File: "clusters/" + name + "/cluster.yaml", Line: 3, Column: 1},
		Severity: desired.SeverityError, Text: `unknown key "ndoes"`, Hint: `did you mean "nodes"?`}}}
}

// Failed is a cluster whose turn could not go on.
func Failed(name string) report.Cluster {
	c := Well(name, 3)
	c.Err = errors.New("load the memory of " + name + ": no space left on device")
	return c
}

// Sick is one of each, and some that are well.
func Sick() []report.Cluster {
	return []report.Cluster{Well("prod-ca", 5), Upgrading("prod-eu"), Drifted("prod-us"), Lost("prod-ap"), Broken("dev"), Failed("stage-eu"), Well("stage-us", 3)}
}

// Many are so many clusters, of which every twentieth drifts.
func Many(clusters, nodes int) (all []report.Cluster) {
	for i := range clusters {
		c := Well(fmt.Sprintf("prod-%03d", i), nodes)
		if i%20 == 7 {
			d := Drifted(c.Name)
			c.Drift, c.Plan.Blocks = d.Drift, d.Plan.Blocks
		}
		all = append(all, c)
	}
	return all
}
