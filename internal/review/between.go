package review

import (
	"cmp"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Differences are what commits change of a fleet, in its specs alone.
type Differences struct {
	pairs     []pair // of the clusters that are touched, by name
	problems  []desired.Problem
	untouched int
}

// pair is a cluster before and after.
type pair struct {
	name     string
	fate     report.Fate
	old, new desired.Cluster   // zero where there is none
	broken   []desired.Problem // why there is no new one
}

// Seen is what the last turn of a cluster saw.
type Seen struct {
	At     time.Time
	Have   []actual.Node
	Memory diff.Memory
	Plan   diff.Plan // of the spec that was in force then
	Err    error     // the turn could not go on
}

// Between compares two fleets. What was wrong before is not told again: it is no
// fault of what came since.
func Between(base, head desired.Fleet) Differences {
	var d Differences
	told := map[[2]string]bool{} // cluster and text: the line may have moved
	for _, p := range base.Errors() {
		told[[2]string{p.Cluster, p.Text}] = true
	}
	for _, b := range base.Broken {
		for _, p := range b.Problems {
			told[[2]string{p.Cluster, p.Text}] = true
		}
	}
	fresh := func(problems []desired.Problem) []desired.Problem {
		var out []desired.Problem
		for _, p := range problems {
			if p.Severity == desired.SeverityError && !told[[2]string{p.Cluster, p.Text}] {
				out = append(out, p)
			}
		}
		return out
	}
	for _, p := range fresh(head.Problems) {
		if p.Cluster == "" {
			d.problems = append(d.problems, p)
		}
	}
	was, is := brokenOf(base), brokenOf(head)
	for _, name := range namesOf(base, head) {
		before, had := base.Cluster(name)
		after, has := head.Cluster(name)
		one := pair{name: name, fate: report.FateChanged, old: before, new: after}
		problems, bad := is[name]
		_, wasBad := was[name]
		switch {
		case bad:
			if one.broken = fresh(problems); len(one.broken) == 0 {
				d.untouched++
				continue
			}
			if !had && !wasBad {
				one.fate = report.FateAdded
			}
		case !has && len(d.problems) > 0:
			continue // the fleet's own files are wrong, so who is missing is not gone
		case !has:
			one.fate = report.FateRemoved
		case wasBad:
			one.fate = report.FateMended
		case !had:
			one.fate = report.FateAdded
		case before.Digest == after.Digest && before.Mode == after.Mode:
			d.untouched++
			continue
		}
		d.pairs = append(d.pairs, one)
	}
	return d
}

func brokenOf(f desired.Fleet) map[string][]desired.Problem {
	all := map[string][]desired.Problem{}
	for _, b := range f.Broken {
		all[b.Name] = b.Problems
	}
	return all
}

// namesOf are the clusters of both fleets.
func namesOf(fleets ...desired.Fleet) []string {
	var names []string
	for _, f := range fleets {
		for _, c := range f.Clusters {
			names = append(names, c.Name)
		}
		for _, b := range f.Broken {
			names = append(names, b.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Digests are the specs that the touched clusters will have.
func (d Differences) Digests() map[string]string {
	digests := map[string]string{}
	for _, p := range d.pairs {
		if len(p.broken) == 0 && p.fate != report.FateRemoved {
			digests[p.name] = p.new.Digest
		}
	}
	return digests
}

// Propose says what merging would do to the nodes as they were seen last. It is
// pure: the same looks give the same proposal.
func (d Differences) Propose(seen func(cluster string) (Seen, bool), now time.Time) report.Proposal {
	p := report.Proposal{Problems: d.problems, Untouched: d.untouched}
	for _, one := range d.pairs {
		p.Clusters = append(p.Clusters, one.propose(seen, now))
	}
	return p
}

func (p pair) propose(seen func(cluster string) (Seen, bool), now time.Time) report.Proposed {
	size := len(p.new.Nodes)
	out := report.Proposed{Name: p.name, Nodes: cmp.Or(size, len(p.old.Nodes)), Fate: p.fate,
		Commits: report.Cluster{Name: p.name, Nodes: size, Broken: p.broken}}
	if len(p.broken) > 0 || p.fate == report.FateRemoved {
		return out
	}
	if p.fate != report.FateMended {
		out.Commits.Plan = diff.Between(p.old, p.new, now)
	}
	look, ok := seen(p.name)
	if !ok {
		return out
	}
	out.Seen = look.At
	anyway := planned(p.old, look, nil)
	out.Anyway = &anyway
	out.Strange = p.strange()
	look.Have = diff.Asked(look.Have, p.old, p.new)
	after := planned(p.new, look, out.Strange)
	out.After = &after
	return out
}

// strange are the nodes that the new spec reaches otherwise than the old one.
func (p pair) strange() []string {
	var names []string
	for _, n := range p.new.Nodes {
		before, ok := p.old.Node(n.Name)
		if !ok || before.SSH != n.SSH || before.Address != n.Address || before.APIAddr != n.APIAddr || before.TLSServerName != n.TLSServerName {
			names = append(names, n.Name)
		}
	}
	return names
}

// planned plans a cluster on what was seen of it, as a turn does.
func planned(want desired.Cluster, look Seen, strange []string) report.Cluster {
	have := AsSeen(want, look, func(node string) (actual.Phase, string, bool) {
		if slices.Contains(strange, node) {
			return actual.PhaseTrust, "its address comes from this pull request", true
		}
		return actual.PhaseTCP, "nobody has looked at it yet", false
	})
	return Plan(want, have, look.Memory, look.At)
}

// Coming is what a commit will do to a cluster that it has not reached, its nodes being
// as they were seen by a look at the spec that is in force. What is noted of that one as
// well is left out.
func Coming(now report.Cluster, old, fresh desired.Cluster, commit string, at time.Time) report.Cluster {
	strange := pair{old: old, new: fresh}.strange()
	have := AsSeen(fresh, Seen{Have: diff.Asked(now.Have, old, fresh), Memory: now.Memory}, func(node string) (actual.Phase, string, bool) {
		return actual.PhaseTCP, "it is reached otherwise then, and nobody has looked at it so", slices.Contains(strange, node)
	})
	c := Plan(fresh, have, now.Memory, at)
	c.Plan.Commit = commit
	c.Plan.Notes = slices.DeleteFunc(c.Plan.Notes, func(n diff.Note) bool { return slices.Contains(now.Plan.Notes, n) })
	return c
}

// AsSeen are the nodes that a look at a spec would ask for, as they were seen. Of
// one that was not seen, or that must not count, the phase and the reason are said.
func AsSeen(want desired.Cluster, look Seen, why func(node string) (phase actual.Phase, reason string, ignore bool)) []actual.Node {
	nodes := map[string]actual.Node{}
	for _, n := range look.Have {
		nodes[n.Name] = n
	}
	var have []actual.Node
	for _, t := range diff.Targets(want, look.Memory) {
		n, ok := nodes[t.Node]
		if phase, reason, ignore := why(t.Node); !ok || ignore {
			n = actual.Node{Name: t.Node, Unknown: map[actual.Phase]string{phase: reason}}
		}
		if n.ID == "" {
			n.ID = t.ID
		}
		have = append(have, n)
	}
	return have
}

// Plan plans a cluster as a turn of the loop does, without the world.
func Plan(want desired.Cluster, have []actual.Node, m diff.Memory, now time.Time) report.Cluster {
	m = diff.Remember(m, want, have, now)
	found := diff.FindDrift(want, nil, have, m, now)
	return report.Cluster{Name: want.Name, Nodes: len(want.Nodes), Have: have, Memory: m, Plan: diff.Cluster(want, have, m.Asked(now), now),
		Drift: found, Observes: want.Drift.Report}
}
