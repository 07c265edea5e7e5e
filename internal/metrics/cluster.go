package metrics

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// cluster is what is told of one.
type cluster struct {
	seen    []prometheus.Metric  // what the last look found; nil: none came about
	open    map[string]time.Time // nodes that were seen unsealed last, and when
	seals   float64
	turns   map[loop.Standing]float64
	success time.Time
	steps   map[step]float64
	began   map[string]time.Time // by step ID, of those in flight
	drift   []prometheus.Metric
	checked time.Time
}

type step struct {
	action  diff.Action
	outcome diff.Outcome
}

func newCluster() *cluster {
	return &cluster{open: map[string]time.Time{}, turns: map[loop.Standing]float64{}, steps: map[step]float64{}, began: map[string]time.Time{}}
}

// Turned takes a turn. One that came to no plan says nothing of what it would have
// found, so what the last look found stands; that it failed is told.
func (m *Metrics) Turned(t loop.Turned) {
	var seen []prometheus.Metric
	if t.Plan.Cluster != "" {
		seen = slices.Concat(m.families.plan(t), m.families.nodes(t))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.clusters[t.Cluster]
	if c == nil {
		return
	}
	c.turns[t.Standing()]++
	m.turnTook.Observe(t.Took.Seconds())
	if seen != nil {
		c.seen = seen
		c.countSeals(t)
	}
	if t.Err == nil || errors.As(t.Err, new(loop.Busy)) {
		c.success = t.At
	}
}

// Event takes what becomes of a step.
func (m *Metrics) Event(cluster string, e apply.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.clusters[cluster]
	if c == nil {
		return
	}
	switch e.Kind {
	case apply.EventBegan:
		c.began[e.Step.ID] = e.At
	case apply.EventEnded:
		c.steps[step{e.Step.Action, e.Outcome}]++
		if began, ok := c.began[e.Step.ID]; ok { // else there was nothing to do
			m.stepTook.WithLabelValues(string(e.Step.Action)).Observe(e.At.Sub(began).Seconds())
			delete(c.began, e.Step.ID)
		}
	}
}

func (c *cluster) now(f *families, name string) []prometheus.Metric {
	all := slices.Concat(c.seen, c.drift)
	for standing, n := range c.turns {
		all = append(all, f.turns.of(n, name, string(standing)))
	}
	for s, n := range c.steps {
		all = append(all, f.steps.of(n, name, string(s.action), string(s.outcome)))
	}
	if c.seen != nil {
		all = append(all, f.unseen.of(c.seals, name))
	}
	if !c.success.IsZero() {
		all = append(all, f.turned.of(seconds(c.success), name))
	}
	if !c.checked.IsZero() {
		all = append(all, f.checked.of(seconds(c.checked), name))
	}
	return all
}

// plan is what a turn says of the cluster as a whole.
func (f *families) plan(t loop.Turned) []prometheus.Metric {
	all := []prometheus.Metric{f.converged.truth(t.Plan.Empty(), t.Cluster)}
	actions, blocks, waits := map[diff.Action]int{}, map[diff.Reason]int{}, map[diff.Reason]int{}
	for _, wave := range t.Plan.Waves {
		for _, s := range wave {
			actions[s.Action]++
		}
	}
	for _, b := range t.Plan.Blocks {
		if !b.Later { // it may never come to that
			blocks[b.Reason]++
		}
	}
	for _, w := range t.Plan.Waits {
		waits[w.Reason]++
	}
	for action, n := range actions {
		all = append(all, f.actions.of(float64(n), t.Cluster, string(action)))
	}
	for reason, n := range blocks {
		all = append(all, f.blocked.of(float64(n), t.Cluster, string(reason)))
	}
	for reason, n := range waits {
		all = append(all, f.waits.of(float64(n), t.Cluster, string(reason)))
	}
	if margin, ok := diff.MarginOf(t.Want, t.Have, t.Memory); ok {
		all = append(all, f.voters.of(float64(margin.Voters), t.Cluster), f.spare.of(float64(margin.Spare()), t.Cluster))
	}
	if pilot := autopilot(t.Have); pilot != nil {
		all = append(all, f.healthy.truth(pilot.Healthy, t.Cluster))
	}
	return all
}

// autopilot is the leader's view of all servers; nil: it was not read.
func autopilot(have []actual.Node) *actual.Autopilot {
	for _, n := range have {
		if n.Raft != nil && n.Raft.Autopilot != nil && n.Vault != nil && n.Vault.Leader {
			return n.Raft.Autopilot
		}
	}
	return nil
}

// nodes are what a turn says of each node that the spec names.
func (f *families) nodes(t loop.Turned) (all []prometheus.Metric) {
	for _, n := range t.Have {
		if want, ok := t.Want.Node(n.Name); ok && !want.Absent {
			all = append(all, f.node(t, n)...)
		}
	}
	return all
}

func (f *families) node(t loop.Turned, n actual.Node) []prometheus.Metric {
	on := func(more ...string) []string { return append([]string{t.Cluster, n.Name}, more...) }
	all := []prometheus.Metric{f.reachable.truth(n.Machine != nil, on()...)}
	for _, phase := range actual.Phases() {
		if _, there := n.Unknown[phase]; there {
			all = append(all, f.unknown.of(1, on(string(phase))...))
		}
	}
	if n.Machine != nil {
		all = append(all, f.skew.of(n.Machine.Clock.Sub(n.At).Round(time.Millisecond).Seconds(), on()...))
		if free, ok := fullest(n.Machine.FreeBytes); ok {
			all = append(all, f.free.of(free, on()...))
		}
		wanted := t.Want.Artefacts[n.Machine.Platform].Binary
		if n.Process != nil && n.Process.Binary != "" && wanted != "" {
			all = append(all, f.runs.truth(n.Process.Binary == wanted, on()...))
		}
	}
	if n.Process != nil && n.Process.Served != nil && !n.Process.Served.NotAfter.IsZero() {
		all = append(all, f.expires.of(seconds(n.Process.Served.NotAfter), on()...))
	}
	if v := n.Vault; v != nil {
		all = append(all, f.sealed.truth(v.Sealed, on()...), f.initialized.truth(v.Initialized, on()...),
			f.active.truth(v.Leader && !v.Sealed, on()...), f.version.of(1, on(known(v.Version, t))...))
	}
	return all
}

// fullest is the least that is free.
func fullest(free map[string]uint64) (least float64, known bool) {
	least = math.Inf(1)
	for _, bytes := range free {
		least = min(least, float64(bytes))
	}
	return least, len(free) > 0
}

// known is what a server says of its version, where the spec names it or the
// cluster was led with it. Whatever else it may say is one word.
func known(version string, t loop.Turned) string {
	if version == t.Want.Vault.Version || version == t.Memory.Newest {
		return version
	}
	return "other"
}

// countSeals counts the nodes that were seen unsealed before and are sealed now,
// though nobody here took them down since: not this process, nor another one that
// wrote the same journal.
func (c *cluster) countSeals(t loop.Turned) {
	for _, n := range t.Have {
		if n.Vault == nil {
			continue
		}
		since, was := c.open[n.Name]
		delete(c.open, n.Name)
		switch {
		case !n.Vault.Sealed:
			c.open[n.Name] = t.At
		case was && !tookDown(t.Memory, n.Name, since):
			c.seals++
		}
	}
	for _, r := range t.Results {
		if takesDown(r.Try) {
			delete(c.open, r.Step.Node) // the memory forgets what failed once its goal is reached
		}
	}
}

// tookDown says that a start or a restart of ours was begun on a node since then.
func tookDown(m diff.Memory, node string, since time.Time) bool {
	return slices.ContainsFunc(m.Tries, func(t diff.Try) bool { return t.Node == node && takesDown(t) && !t.At.Before(since) })
}

// takesDown says that an attempt leaves a Vault sealed, or may.
func takesDown(t diff.Try) bool {
	return (t.Action == diff.ActionRestart || t.Action == diff.ActionStart) && t.Outcome != diff.OutcomeStale
}
