package report

import (
	"cmp"
	"slices"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Cluster is all there is to say about one cluster.
type Cluster struct {
	Name     string
	Nodes    int // of the spec
	Have     []actual.Node
	Memory   diff.Memory
	Plan     diff.Plan
	Drift    diff.Drifted
	Observes bool              // drift of it is only reported
	Results  []apply.Result    // of all waves that were done, in order
	Broken   []desired.Problem // why its newest spec is not in force; without a commit in Plan nothing was planned
	Err      error             // what kept the look or the waves from going on
	// Next is the cluster once the commit that it waits for reaches it, its nodes being
	// as they are now; nil: it waits for none. No exit code and no sum counts it.
	Next *Cluster
}

// Busy is an error that says who else acts on a cluster.
type Busy interface {
	error
	Busy() string
}

// sorted returns the clusters by name.
func sorted(clusters []Cluster) []Cluster {
	clusters = slices.Clone(clusters)
	slices.SortFunc(clusters, func(a, b Cluster) int { return cmp.Compare(a.Name, b.Name) })
	return clusters
}

// size is how many nodes the spec names, or were looked at.
func (c Cluster) size() int { return max(c.Nodes, len(c.Have)) }

// settled says that there is nothing to tell about the cluster.
func (c Cluster) settled() bool {
	return c.Err == nil && len(c.Broken) == 0 && c.Plan.Empty() && len(c.Plan.Notes) == 0 && len(c.Results) == 0
}

// urgent are the blocks that a person is needed for now.
func (c Cluster) urgent() []diff.Block {
	return slices.DeleteFunc(slices.Clone(c.Plan.Blocks), func(b diff.Block) bool { return !b.Urgent() })
}

// blocked are the other blocks, without the mode that forbids acting: that one
// is no fault of a plan, and blocks only who would act.
func (c Cluster) blocked() []diff.Block {
	return slices.DeleteFunc(slices.Clone(c.Plan.Blocks), func(b diff.Block) bool {
		return b.Reason.Urgent() || b.Reason == diff.ReasonObserve
	})
}

// later are the blocks that a person will be needed for once the plan is done.
func (c Cluster) later() []diff.Block {
	return slices.DeleteFunc(slices.Clone(c.Plan.Blocks), func(b diff.Block) bool { return !b.Later || !b.Reason.Urgent() })
}

// leader is the node that says of itself that it leads; "" when none does, or
// more than one.
func (c Cluster) leader() string {
	leader := ""
	for _, n := range c.Have {
		if n.Vault == nil || n.Vault.Sealed || !n.Vault.Leader {
			continue
		}
		if leader != "" {
			return ""
		}
		leader = n.Name
	}
	return leader
}

// steps are the steps of all waves, in order.
func (c Cluster) steps() []diff.Step {
	var steps []diff.Step
	for _, w := range c.Plan.Waves {
		steps = append(steps, w...)
	}
	return steps
}

// nodesWith are the names of the nodes that have a step of one of these
// classes, sorted.
func (c Cluster) nodesWith(classes ...class) []string {
	var names []string
	for _, s := range c.steps() {
		if slices.Contains(classes, classOf(s.Effect, s.Action)) && !slices.Contains(names, s.Node) {
			names = append(names, s.Node)
		}
	}
	slices.Sort(names)
	return names
}

// unseenNodes are the names of the nodes of which something could not be read.
func (c Cluster) unseenNodes() []string {
	var names []string
	for _, u := range c.Plan.Unseen {
		if !slices.Contains(names, u.Node) {
			names = append(names, u.Node)
		}
	}
	return names
}

// class is what people ask first of a step: does it interrupt anybody?
type class int

const (
	classQuiet   class = iota // nobody notices
	classReload               // SIGHUP
	classRestart              // the process goes away
	classBirth                // init
)

func classOf(e diff.Effect, a diff.Action) class {
	if a == diff.ActionInit {
		return classBirth
	}
	switch e {
	case diff.EffectReload:
		return classReload
	case diff.EffectRestart, diff.EffectRestartUnseal, diff.EffectLeaderMove, diff.EffectOneWay:
		return classRestart
	case diff.EffectNone, diff.EffectDeferred:
	}
	return classQuiet
}

// oneWay says that a step of the plan cannot be undone by reverting a commit.
func (c Cluster) oneWay() bool {
	return slices.ContainsFunc(c.steps(), func(s diff.Step) bool { return s.Effect == diff.EffectOneWay })
}
