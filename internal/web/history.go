package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// History is what was done, when, and by which commit. Both may be asked by many at a
// time. The error is [ErrUnknown] where nothing of that ID is written down; any other
// one is shown as it is.
type History interface {
	// Recent are the newest events, newest first. With older there are more, and it is
	// what to ask for them with.
	Recent(ctx context.Context, a Asked) (events []Event, older string, err error)
	// Show is one event in full.
	Show(ctx context.Context, id string) (Shown, error)
}

// ErrUnknown says that nothing of that ID is written down.
var ErrUnknown = errors.New("nothing of that ID is written down")

// Asked says which events are asked for.
type Asked struct {
	Cluster string // a name; empty: all
	Before  string // ID of an event: only older ones
	Limit   int
}

// Event is one line of a history.
type Event struct {
	ID      string
	At      time.Time
	Kind    string // commit plan wave node word drift gap
	Cluster string // empty: all of them
	Commit  string
	Outcome string
	Words   string
	Link    string // made here
	Of      string // so is this: the page of its cluster
}

// Shown is one event in full.
type Shown struct {
	Event
	Plan  *diff.Plan // of a plan
	Size  int        // nodes that were looked at for it
	Steps []StepDone // of a wave
}

// StepDone is one step of a wave, as it was done.
type StepDone struct{ report.StepDone }

// Took is how long it took.
func (s StepDone) Took() string { return s.Ended.Sub(s.Started).Round(time.Second).String() }

// Bad says that it did not come to its goal, or that nobody knows.
func (s StepDone) Bad() bool { return s.Outcome != diff.OutcomeDone && s.Outcome != diff.OutcomeStale }

// pageOfHistory is how many events are on one page.
const pageOfHistory = 50

type historyPage struct {
	Past    past
	Cluster string
	Newest  string // address of the newest ones; empty: these are
}

func (p *pages) history(r *http.Request) (page, error) {
	q := r.URL.Query()
	cluster, before := q.Get("cluster"), q.Get("before")
	h := historyPage{Cluster: cluster}
	made := page{name: "history", Title: "History", Section: "history", N: p.Board.view().n, Live: before == "", Cluster: cluster}
	if p.History != nil {
		events, older, err := p.History.Recent(r.Context(), Asked{Cluster: cluster, Before: before, Limit: pageOfHistory})
		if errors.Is(err, ErrUnknown) {
			return page{}, lost("Nothing with the ID " + before + " is written down.")
		}
		h.Past = past{Kept: true, Events: linked(events)}
		if err != nil {
			h.Past.Why = err.Error()
		}
		if older != "" {
			h.Past.More = pageOf(cluster, older)
		}
		if before != "" {
			h.Newest = pageOf(cluster, "")
		}
	}
	made.Data = h
	return made, nil
}

func pageOf(cluster, before string) string {
	q := url.Values{}
	if cluster != "" {
		q.Set("cluster", cluster)
	}
	if before != "" {
		q.Set("before", before)
	}
	return (&url.URL{Path: "/history", RawQuery: q.Encode()}).String()
}

func linked(events []Event) (all []Event) {
	for _, e := range events {
		all = append(all, e.linked())
	}
	return all
}

func (e Event) linked() Event {
	e.Link = linkTo("/history/", e.ID)
	if e.Cluster != "" {
		e.Of = linkTo("/clusters/", e.Cluster)
	}
	return e
}

// eventPage is one event, with its plan in the words of a plan.
type eventPage struct {
	Event Event
	Plan  *report.Told
	Steps []StepDone
}

func (p *pages) event(r *http.Request) (page, error) {
	if p.History == nil {
		return page{}, lost("No history is kept.")
	}
	id := r.PathValue("id")
	shown, err := p.History.Show(r.Context(), id)
	if errors.Is(err, ErrUnknown) {
		return page{}, lost("Nothing with the ID " + id + " is written down.")
	}
	if err != nil {
		return page{}, err
	}
	made := eventPage{Event: shown.Event.linked(), Steps: shown.Steps}
	if shown.Plan != nil {
		told := report.Tell(report.Cluster{Name: shown.Cluster, Nodes: shown.Size, Plan: *shown.Plan}, shown.At)
		made.Plan = &told
	}
	return page{name: "event", Title: shown.ID, Section: "history", Data: made}, nil
}
