package webtest

import (
	"context"
	"fmt"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Past is a history of so many events, the last of which is a wave that failed.
type Past struct {
	Count int
	Err   error // that every question is answered with
}

func (p Past) of(n int) web.Event {
	e := web.Event{ID: fmt.Sprintf("N-%d", n), At: Noon().Add(time.Duration(n-p.Count) * time.Minute), Kind: "node", Cluster: "prod-eu", Words: "prod-eu-2: unsealed → sealed"}
	switch {
	case n == p.Count:
		e.ID, e.Kind, e.Outcome, e.Words, e.Commit = fmt.Sprintf("W-%d", n), "wave", "failed", "restart prod-eu-2", Source().Commit
	case n == p.Count-1:
		e.ID, e.Kind, e.Outcome, e.Words, e.Commit = fmt.Sprintf("P-%d", n), "plan", "planned", "to do: install prod-eu-1 prod-eu-2 prod-eu-3, restart prod-eu-2 prod-eu-3 prod-eu-1", Source().Commit
	case n%3 == 0:
		e.Cluster, e.Words = "prod-us", "prod-us-1: follower → leader"
	}
	return e
}

// Recent are the newest of them.
func (p Past) Recent(_ context.Context, a web.Asked) (events []web.Event, older string, err error) {
	if p.Err != nil {
		return nil, "", p.Err
	}
	from := p.Count
	if a.Before != "" {
		for from > 0 && p.of(from).ID != a.Before {
			from--
		}
		if from == 0 {
			return nil, "", fmt.Errorf("ask the history: %w", web.ErrUnknown)
		}
		from--
	}
	for n := from; n > 0; n-- {
		if e := p.of(n); a.Cluster == "" || e.Cluster == a.Cluster {
			if len(events) == a.Limit {
				return events, events[len(events)-1].ID, nil
			}
			events = append(events, e)
		}
	}
	return events, "", nil
}

// Show is one of them.
func (p Past) Show(_ context.Context, id string) (web.Shown, error) {
	if p.Err != nil {
		return web.Shown{}, p.Err
	}
	n := p.Count
	for n > 0 && p.of(n).ID != id {
		n--
	}
	if n == 0 {
		return web.Shown{}, fmt.Errorf("show %s: %w", id, web.ErrUnknown)
	}
	s := web.Shown{Event: p.of(n)}
	plan := Upgrading("prod-eu").Plan
	switch s.Kind {
	case "plan":
		s.Plan, s.Size = &plan, 3
	case "wave":
		restart := plan.Waves[1][0]
		s.Steps = []web.StepDone{{StepDone: report.StepDone{Op: "op-41", Step: restart.ID, Node: restart.Node, Action: restart.Action, Effect: restart.Effect, Cause: restart.Cause, Changes: restart.Changes,
			Outcome: diff.OutcomeFailed, Evidence: "done on the node, but api of prod-eu-2 is silent and not up", Started: s.At.Add(-41 * time.Second), Ended: s.At}}}
	}
	return s, nil
}
