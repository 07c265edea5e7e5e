package report

import (
	"slices"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Exit codes (design §8). Scripts branch on them: they never change meaning.
const (
	Done        = 0 // done, in sync, or waiting
	Error       = 1
	Changes     = 2 // only when asked for
	Unobserved  = 3
	Stale       = 4 // a saved plan was refused
	Blocked     = 5
	Occupied    = 6 // another one acts here
	Partway     = 7 // stopped, resumable
	HumanNeeded = 8
	Usage       = 64
	Internal    = 70
	Interrupted = 130
)

// severity is the order in which codes win over each other.
func severity() []int {
	return []int{HumanNeeded, Partway, Occupied, Blocked, Stale, Unobserved, Error, Changes, Done}
}

// Asked is what decides between codes.
type Asked struct {
	// Acted: the command does things and does not only look. A node that was
	// not seen, a mode that forbids acting, and work that is left then count.
	Acted bool
	// Detailed: changes are worth a code (--detailed-exitcode).
	Detailed bool
	// Unobserved: nodes that were not seen are (--fail-on unobserved).
	Unobserved bool
}

// Code is the exit code of all clusters together: the worst.
func Code(clusters []Cluster, asked Asked) int {
	var codes []int
	for _, c := range clusters {
		codes = append(codes, c.codes(asked)...)
	}
	return Worst(codes...)
}

// Worst is the code that wins over the others; a code that is none of a
// report's (usage, interrupted) wins over all.
func Worst(codes ...int) int {
	for _, c := range codes {
		if !slices.Contains(severity(), c) {
			return c
		}
	}
	for _, c := range severity() {
		if slices.Contains(codes, c) {
			return c
		}
	}
	return Done
}

func (c Cluster) codes(asked Asked) []int {
	var codes []int
	add := func(code int, is bool) {
		if is {
			codes = append(codes, code)
		}
	}
	_, busy := asBusy(c.Err)
	add(HumanNeeded, len(c.urgent()) > 0)
	add(Partway, asked.Acted && c.partway())
	add(Occupied, busy)
	add(Blocked, len(c.blocked()) > 0 || (asked.Acted && len(observed(c)) > 0))
	add(Unobserved, (asked.Acted || asked.Unobserved) && len(c.Plan.Unseen) > 0)
	add(Error, (c.Err != nil && !busy) || len(c.Broken) > 0)
	add(Changes, asked.Detailed && len(c.Plan.Waves)+len(c.Plan.Blocks)+len(c.Plan.Waits) > 0)
	return codes
}

// partway says that something of what was begun is left: a step whose last
// attempt did not come to its goal, or steps and waits that were not gone
// through to their end. A pause or a window is only waited for, and what another one keeps us
// from is that one's to go on with.
func (c Cluster) partway() bool {
	last := map[string]diff.Outcome{}
	for _, r := range c.Results {
		if _, busy := asBusy(r.Err); busy {
			continue
		}
		last[r.Step.ID] = r.Try.Outcome
		if r.Step.Action == diff.ActionRestart && r.Try.Outcome == diff.OutcomeDone {
			for _, before := range c.Results { // what their reload did not bring into force, it did
				if before.Step.Action == diff.ActionReload && before.Step.Node == r.Step.Node {
					delete(last, before.Step.ID)
				}
			}
		}
	}
	for _, o := range last {
		if bad(o) {
			return true
		}
	}
	_, busy := asBusy(c.Err)
	return !busy && len(last) > 0 && slices.ContainsFunc(c.Plan.Waits, func(w diff.Wait) bool { return !patient(w.Reason) })
}

// patient says that a wait is one that was asked for: nothing is left half-done by it.
func patient(r diff.Reason) bool {
	switch r {
	case diff.WaitPause, diff.WaitWindow, diff.WaitFreeze, diff.WaitApproval, diff.WaitByHand, diff.WaitRing:
		return true
	}
	return false
}
