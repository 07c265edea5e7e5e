package main

import (
	"context"
	"errors"

	"github.com/vaultfleet/reconciler/internal/history"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/web"
)

// shownPast is the history of a state folder as the pages ask for it. The file is opened
// for each of them, so that nothing is kept of it while nobody looks.
type shownPast struct{ state string }

func (s *standing) past() web.History { return shownPast{s.here.settings.State} }

func (p shownPast) Recent(ctx context.Context, a web.Asked) ([]web.Event, string, error) {
	r, err := history.Read(ctx, p.state)
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	// What the address says is a glob here: it shows nothing that the pages do not.
	found, older, err := r.Recent(ctx, history.Filter{Cluster: a.Cluster, Before: a.Before, Limit: a.Limit})
	var events []web.Event
	for _, e := range found {
		events = append(events, shownEvent(e))
	}
	return events, older, unknown(err)
}

func (p shownPast) Show(ctx context.Context, id string) (web.Shown, error) {
	r, err := history.Read(ctx, p.state)
	if err != nil {
		return web.Shown{}, err
	}
	defer r.Close()
	e, plan, steps, err := r.Show(ctx, id)
	if err != nil {
		return web.Shown{}, unknown(err)
	}
	shown := web.Shown{Event: shownEvent(e), Plan: plan, Size: e.Size}
	for _, s := range steps {
		shown.Steps = append(shown.Steps, web.StepDone{StepDone: s})
	}
	return shown, nil
}

func shownEvent(e report.Event) web.Event {
	return web.Event{ID: e.ID, At: e.At, Kind: string(e.Kind), Cluster: e.Cluster, Commit: e.Commit, Outcome: e.Outcome, Words: e.Words()}
}

// unknown is an error in the words of the pages.
func unknown(err error) error {
	if errors.As(err, new(*history.UnknownError)) {
		return web.ErrUnknown
	}
	return err
}
