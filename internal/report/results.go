package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// deed is the same act with the same outcome on some nodes.
type deed struct {
	action   diff.Action
	outcome  diff.Outcome
	evidence string
	nodes    []string
	took     time.Duration // the longest
}

// deeds are what was done, grouped, in the order in which it first happened.
func deeds(c Cluster) []deed {
	var out []deed
	for _, r := range c.Results {
		i := slices.IndexFunc(out, func(d deed) bool {
			return d.action == r.Step.Action && d.outcome == r.Try.Outcome && d.evidence == r.Try.Evidence
		})
		if i < 0 {
			i = len(out)
			out = append(out, deed{action: r.Step.Action, outcome: r.Try.Outcome, evidence: r.Try.Evidence})
		}
		if !slices.Contains(out[i].nodes, r.Step.Node) {
			out[i].nodes = append(out[i].nodes, r.Step.Node)
		}
		out[i].took = max(out[i].took, r.Took)
	}
	return out
}

// results writes what was done, and what became of it.
func (p *page) results(c Cluster) {
	for _, d := range deeds(c) {
		mark, s := "✔", green
		if bad(d.outcome) {
			mark, s = "✘", red
		} else if d.outcome == diff.OutcomeStale {
			mark, s = "·", faint
		}
		words := fmt.Sprintf("%s   %s %s", names(d.nodes, c.size()), d.action, d.outcome)
		if d.took >= time.Second {
			words += " in " + d.took.Round(time.Second).String()
		}
		if d.evidence != "" {
			words += ": " + d.evidence
		}
		p.wrapped("  "+mark+" ", s, words)
	}
}
