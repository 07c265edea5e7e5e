package web_test

import (
	"context"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// hostile is a history of one event, whatever is asked for.
type hostile struct{ web.Event }

func (h hostile) Recent(context.Context, web.Asked) ([]web.Event, string, error) {
	return []web.Event{h.Event}, h.ID, nil
}

func (h hostile) Show(context.Context, string) (web.Shown, error) {
	evil := h.Words
	plan := diff.Plan{Waves: []diff.Wave{{{Node: evil, Action: diff.Action(evil), Why: evil, Changes: []diff.Change{{What: evil, From: evil, To: evil}}}}}, Blocks: []diff.Block{{Detail: evil, Lift: evil}}}
	return web.Shown{Event: h.Event, Plan: &plan, Steps: []web.StepDone{{StepDone: report.StepDone{Op: evil, Node: evil, Action: diff.Action(evil), Why: evil, Evidence: evil,
		Changes: plan.Waves[0][0].Changes, Started: time.Time{}, Ended: time.Time{}}}}}, nil
}
