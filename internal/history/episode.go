package history

import (
	"strings"
	"time"
)

// Episode is a drift from its beginning to its end. The same cluster and ID is the
// same episode, as it stands now.
type Episode struct {
	Cluster   string
	ID        string // D-7
	Kind      string
	Severity  string
	Path      string
	Nodes     []string
	Opened    time.Time
	Confirmed time.Time // zero: not yet
	Closed    time.Time // zero: not yet
}

// Episode hears how a drift stands, and does not wait.
func (h *History) Episode(e Episode) { h.queue(e) }

func (w *page) episode(e Episode) {
	w.exec("INSERT INTO episode (cluster, id, kind, severity, path, nodes, opened, confirmed, closed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "+
		"ON CONFLICT DO UPDATE SET kind = excluded.kind, severity = excluded.severity, path = excluded.path, nodes = excluded.nodes, "+
		"opened = excluded.opened, confirmed = excluded.confirmed, closed = excluded.closed",
		e.Cluster, e.ID, e.Kind, e.Severity, e.Path, strings.Join(e.Nodes, " "), e.Opened.UnixMilli(), moment(e.Confirmed), moment(e.Closed))
}

// moment is a time that may not have come.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}
