package history

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Episode is a drift from its beginning to its end. The same cluster and ID is the
// same episode, as it stands now.
type Episode struct {
	Cluster   string
	ID        string // D-1f0c22ab
	Kind      diff.DriftKind
	Severity  diff.Severity
	Path      string
	Nodes     []string
	At        time.Time // when it was seen to stand so
	Opened    time.Time
	Confirmed time.Time // zero: not yet
	Closed    time.Time // zero: not yet
}

// Episode hears how a drift stands, and does not wait.
func (h *History) Episode(e Episode) { h.queue(e) }

func (w *page) episode(e Episode) {
	w.tells(w.episodeOf(e.Cluster, e.ID), e)
	w.exec("INSERT INTO episode (cluster, id, kind, severity, path, nodes, opened, confirmed, closed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "+
		"ON CONFLICT DO UPDATE SET kind = excluded.kind, severity = excluded.severity, path = excluded.path, nodes = excluded.nodes, "+
		"opened = excluded.opened, confirmed = excluded.confirmed, closed = excluded.closed",
		e.Cluster, e.ID, e.Kind, e.Severity, e.Path, strings.Join(e.Nodes, " "), e.Opened.UnixMilli(), moment(e.Confirmed), moment(e.Closed))
}

// tells writes what is news of an episode. What was seen once, and not again, is
// none.
func (w *page) tells(was, e Episode) {
	event := func(at time.Time, outcome string) {
		w.event(w.fleetOf(e.Cluster), e.Cluster, report.Event{At: at, Kind: report.EventDrift, Outcome: outcome,
			EventDetail: report.EventDetail{Nodes: slices.Clone(e.Nodes), Drift: &report.DriftID{ID: e.ID, Kind: e.Kind, Severity: e.Severity, Path: e.Path}}})
	}
	if e.Confirmed.IsZero() {
		return
	}
	opened := was.Confirmed.UnixMilli() != e.Confirmed.UnixMilli()
	if opened {
		event(e.Confirmed, report.DriftOpened)
	}
	switch {
	case !e.Closed.IsZero() && (opened || was.Closed.IsZero()):
		event(e.Closed, report.DriftClosed)
	case e.Closed.IsZero() && !opened && slices.ContainsFunc(e.Nodes, func(n string) bool { return !slices.Contains(was.Nodes, n) }):
		event(e.At, report.DriftSpread)
	}
}

// episodeOf is an episode as it was written down last: where it was on, since when
// it is sure, and when it ended. One that was not is the zero one.
func (w *page) episodeOf(cluster, id string) (e Episode) {
	if w.err != nil {
		return e
	}
	var nodes string
	var confirmed, closed sql.NullInt64
	err := w.tx.QueryRowContext(w.ctx, "SELECT nodes, confirmed, closed FROM episode WHERE cluster = ? AND id = ?", cluster, id).Scan(&nodes, &confirmed, &closed)
	if !errors.Is(err, sql.ErrNoRows) {
		w.err = err
	}
	e.Nodes = strings.Fields(nodes)
	if confirmed.Valid {
		e.Confirmed = time.UnixMilli(confirmed.Int64)
	}
	if closed.Valid {
		e.Closed = time.UnixMilli(closed.Int64)
	}
	return e
}

// moment is a time that may not have come.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}
