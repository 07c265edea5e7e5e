package history

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// record is what a turn leaves to be remembered: how the cluster stands, as values
// by name, and what was done. Most turns stand as the last one did, and have done
// nothing; those are told by their sum.
type record struct {
	fleet, cluster string
	at             time.Time
	stands         map[string]string // what → value, as table last has it
	sum            [sha256.Size]byte // of stands
	planned        planned
	steps          []report.StepDone
	commit         string
}

// planned is the plan of a turn; it is put into words only where it is news.
type planned struct {
	plan diff.Plan
	size int // nodes that were looked at
}

// The names of what a cluster stands at. A node's has its name behind it, a leave's
// its kind and node. In this order they are written down.
const (
	whatCommit = "commit"
	whatLeave  = "leave "
	whatNode   = "node "
	whatPlan   = "plan"
)

// spec is the value of what is in force.
type spec struct {
	Commit string `json:"commit"`
	Digest string `json:"digest"`
}

// asks is the value of a plan: what is to be done, and what is in the way.
type asks struct {
	Outcome string   `json:"outcome"`
	Of      []string `json:"of"` // IDs of steps, node and reason of blocks; sorted
}

// leave is the value of a person's word.
type leave struct {
	diff.Leave
	Gone bool `json:"gone,omitempty"` // lifted or ended at At
}

// recorded is what of a turn is remembered. A turn that came to no plan tells
// nothing of how the cluster stands.
func recorded(fleet string, t loop.Turned) record {
	r := record{fleet: fleet, cluster: t.Cluster, at: t.At, commit: t.Plan.Commit, steps: steps(t.Results), stands: map[string]string{}}
	if t.Plan.Cluster == "" {
		return r
	}
	in := spec{t.Plan.Commit, t.Plan.Digest}
	if t.Memory.Accepted.Digest == t.Plan.Digest && in.Commit != "" {
		in.Commit = t.Memory.Accepted.Commit // that brought it, and not a later one that left it alone
	}
	r.put(whatCommit, in)
	if asked, ok := asksOf(t.Plan); ok {
		r.put(whatPlan, asked)
		r.planned = planned{t.Plan, len(t.Have)}
	}
	for _, n := range t.Have {
		r.put(whatNode+n.Name, classOf(n))
	}
	for _, l := range t.Memory.Leaves {
		r.put(leaveKey(l), leave{Leave: l})
	}
	r.add()
	return r
}

func leaveKey(l diff.Leave) string { return whatLeave + string(l.Kind) + " " + l.Node }

func (r *record) put(what string, value any) {
	b, _ := json.Marshal(value) // plain data always marshals
	r.stands[what] = string(b)
}

func (r *record) add() {
	sum := sha256.New()
	for _, what := range slices.Sorted(maps.Keys(r.stands)) {
		sum.Write([]byte(what + "\x00" + r.stands[what] + "\x00"))
	}
	sum.Sum(r.sum[:0])
}

// asksOf is what a plan asks for; false: nobody knows yet, because it waits, or
// because something was not seen.
func asksOf(p diff.Plan) (asks, bool) {
	a := asks{Outcome: report.PlanBlocked}
	for _, w := range p.Waves {
		a.Outcome = report.PlanSteps
		for _, s := range w {
			a.Of = append(a.Of, s.ID)
		}
	}
	for _, b := range p.Blocks {
		a.Of = append(a.Of, b.Node+" "+string(b.Reason))
	}
	if len(a.Of) == 0 {
		a.Outcome = report.PlanInSync
	}
	slices.Sort(a.Of)
	a.Of = slices.Compact(a.Of)
	return a, len(a.Of) > 0 || p.Empty()
}

// news says that a plan asks for what the last one did not, or for nothing more.
// What is left of the last one is no news.
func (a asks) news(last asks) bool {
	if len(a.Of) == 0 || len(last.Of) == 0 {
		return a.Outcome != last.Outcome
	}
	return slices.ContainsFunc(a.Of, func(x string) bool {
		_, asked := slices.BinarySearch(last.Of, x)
		return !asked
	})
}

// steps are what was done. A wave of which nothing was begun leaves none.
func steps(results []apply.Result) []report.StepDone {
	idle := func(o diff.Outcome) bool { return o == diff.OutcomeStale || o == diff.OutcomeIntent }
	if !slices.ContainsFunc(results, func(r apply.Result) bool { return !idle(r.Try.Outcome) }) {
		return nil
	}
	var done []report.StepDone
	for _, r := range results {
		done = append(done, report.StepDone{Op: r.Try.Op, Step: r.Step.ID, Node: r.Step.Node, Action: r.Step.Action,
			Effect: r.Step.Effect, Cause: r.Step.Cause, Why: r.Step.Why, Changes: r.Step.Changes, Outcome: r.Try.Outcome,
			Evidence: evidence(r), Started: r.Try.At.Add(-r.Took), Ended: r.Try.At})
	}
	return done
}

// evidence is what is known of why a step ended as it did.
func evidence(r apply.Result) string {
	if r.Try.Evidence == "" && r.Try.Outcome != diff.OutcomeDone && r.Err != nil {
		return r.Err.Error()
	}
	return r.Try.Evidence
}
