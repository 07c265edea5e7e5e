package history

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
)

// NoneError says that there is no history yet.
type NoneError struct{ File string }

func (e *NoneError) Error() string { return "there is no history yet: " + e.File + " is not there" }

// Hint is the way to one.
func (e *NoneError) Hint() string {
	return "reconciler run and reconciler apply write it; state: in reconciler.yaml says where"
}

// UnreadableError says that the file is damaged.
type UnreadableError struct {
	File string
	Err  error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("the history %s is damaged: %v", e.File, e.Err)
}

func (e *UnreadableError) Unwrap() error { return e.Err }

// Hint says what becomes of it.
func (e *UnreadableError) Hint() string {
	return "the next turn of reconciler run or apply sets it aside and begins a new one; a backup holds the older one"
}

// UnknownError says that nothing of that ID is written down.
type UnknownError struct{ ID string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("nothing with the ID %q is written down", e.ID)
}

// Hint says where IDs are found.
func (e *UnknownError) Hint() string {
	return "reconciler history lists IDs such as W-17; the ID of a step or an operation, and the fingerprint of a plan, are taken as well"
}

// Reader asks a history, beside whoever writes it.
type Reader struct{ db *sql.DB }

// Read opens a history to ask it. Nothing is changed, and no file is made.
func Read(ctx context.Context, state string) (*Reader, error) {
	file := File(state)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, &NoneError{file}
	} else if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	db, err := connect(file, forReading)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	found, err := schema(ctx, db)
	switch ours := len(migrations()); {
	case damaged(err):
		err = &UnreadableError{file, err}
	case err != nil:
		err = fmt.Errorf("open the history %s: %w", file, err)
	case found == 0:
		err = &NoneError{file} // it is being made
	case found > ours:
		err = &NewerError{File: file, Schema: found, Ours: ours}
	case found < ours:
		err = fmt.Errorf("%s is of an older release (schema %d): the next turn of reconciler run or apply brings it to schema %d", file, found, ours)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return &Reader{db}, nil
}

// Close ends the asking.
func (r *Reader) Close() { r.db.Close() }

// Filter says which events are asked for.
type Filter struct {
	Cluster string    // glob of [path.Match]; empty: all
	Node    string    // glob: only what touched such a node
	Since   time.Time // zero: from the beginning
	Until   time.Time // zero: to the end
	Before  string    // ID of an event: only older ones
	Limit   int       // at least 1
}

// spot is where an event stands in time. Of two at the same millisecond, that with
// the higher number is newer.
type spot struct {
	at    int64
	event int64
}

func newest(a, b spot) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.event, a.event)) }

// Recent are the newest events that are asked for, newest first. With before there
// are more, and it is what to ask for them with.
func (r *Reader) Recent(ctx context.Context, f Filter) (events []report.Event, before string, err error) {
	found, err := r.find(ctx, f)
	if err != nil {
		return nil, "", fmt.Errorf("ask the history: %w", err)
	}
	more := len(found) > f.Limit
	for _, s := range found[:min(len(found), f.Limit)] {
		e, err := r.event(ctx, s.event)
		if errors.Is(err, sql.ErrNoRows) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, "", fmt.Errorf("ask the history: %w", err)
		}
		events = append(events, e)
	}
	if more && len(events) > 0 {
		before = events[len(events)-1].ID
	}
	return events, before, nil
}

// find says where the events stand that are asked for: one more than the limit,
// where there are as many.
func (r *Reader) find(ctx context.Context, f Filter) ([]spot, error) {
	from, to := spot{f.Since.UnixMilli(), 0}, spot{1 << 62, 0}
	if f.Since.IsZero() {
		from.at = -1 << 62
	}
	if !f.Until.IsZero() {
		to.at = f.Until.UnixMilli()
	}
	if f.Before != "" {
		_, number, err := split(f.Before)
		if err != nil {
			return nil, err
		}
		last := spot{event: number}
		if err := r.db.QueryRowContext(ctx, "SELECT at FROM event WHERE id = ?", number).Scan(&last.at); errors.Is(err, sql.ErrNoRows) {
			return nil, &UnknownError{f.Before}
		} else if err != nil {
			return nil, err
		}
		if newest(to, last) < 0 {
			to = last
		}
	}
	if f.Cluster == "" && f.Node == "" {
		return spots(r.db.QueryContext(ctx, "SELECT at, id FROM event WHERE (at, id) < (?, ?) AND at >= ? ORDER BY at DESC, id DESC LIMIT ?", to.at, to.event, from.at, f.Limit+1))
	}
	places, err := r.places(ctx, f)
	if err != nil {
		return nil, err
	}
	return r.merged(ctx, places, from, to, f.Limit+1)
}

// merged are the newest spots of several places. They are asked in the order in
// which they were touched last, until what is left is older than what was found.
func (r *Reader) merged(ctx context.Context, places []int64, from, to spot, limit int) ([]spot, error) {
	last, err := r.touchedLast(ctx, places, to)
	if err != nil {
		return nil, err
	}
	query, err := r.db.PrepareContext(ctx, "SELECT at, event FROM touched WHERE place = ? AND (at, event) < (?, ?) AND (at, event) >= (?, ?) ORDER BY at DESC, event DESC LIMIT ?")
	if err != nil {
		return nil, err
	}
	defer query.Close()
	var found []spot
	for _, place := range last {
		if place.at < from.at {
			break
		}
		more, err := spots(query.QueryContext(ctx, place.id, to.at, to.event, from.at, from.event, limit))
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
		slices.SortFunc(found, newest)
		found = slices.Compact(found) // one event may touch several places
		if len(found) >= limit {
			found = found[:limit]
			from = found[limit-1]
		}
	}
	return found, nil
}

// place is one, and when it was touched last.
type place struct{ id, at int64 }

// touchedLast are the places that were touched at all, the last one first.
func (r *Reader) touchedLast(ctx context.Context, ids []int64, to spot) ([]place, error) {
	list, _ := json.Marshal(ids) // numbers always marshal
	rows, err := r.db.QueryContext(ctx, "SELECT value, at FROM (SELECT value, (SELECT max(at) FROM touched WHERE place = value AND at <= ?) AS at FROM json_each(?)) WHERE at IS NOT NULL ORDER BY at DESC",
		to.at, string(list))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var places []place
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.id, &p.at); err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	return places, rows.Err()
}

func spots(rows *sql.Rows, err error) ([]spot, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []spot
	for rows.Next() {
		var s spot
		if err := rows.Scan(&s.at, &s.event); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// places are those that a filter names: nodes where it names nodes, else clusters.
func (r *Reader) places(ctx context.Context, f Filter) ([]int64, error) {
	rows, err := r.db.QueryContext(ctx, "SELECT id, cluster, node FROM place")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		var cluster, node string
		if err := rows.Scan(&id, &cluster, &node); err != nil {
			return nil, err
		}
		if gap := cluster == ""; (node == "") == (f.Node == "") && (gap || matches(f.Cluster, cluster)) && matches(f.Node, node) {
			ids = append(ids, id) // a gap may hide something of any cluster
		}
	}
	return ids, rows.Err()
}

func matches(glob, name string) bool {
	ok, _ := path.Match(glob, name) // one that is none, as an address may hold, matches nothing
	return ok || glob == ""
}

// event reads one event.
func (r *Reader) event(ctx context.Context, number int64) (e report.Event, err error) {
	var at int64
	var detail string
	err = r.db.QueryRowContext(ctx, "SELECT at, kind, fleet, cluster, revision, outcome, detail FROM event JOIN place ON place.id = event.place WHERE event.id = ?", number).
		Scan(&at, &e.Kind, &e.Fleet, &e.Cluster, &e.Commit, &e.Outcome, &detail)
	if err != nil {
		return e, err
	}
	e.ID, e.At = name(e.Kind, number), time.UnixMilli(at).UTC()
	if err := json.Unmarshal([]byte(detail), &e.EventDetail); err != nil {
		return e, fmt.Errorf("read %s: %w", e.ID, err)
	}
	return e, nil
}

// letters are how the IDs of a kind begin. D is for drifts themselves: one of them
// makes several events.
func letters() map[report.EventKind]string {
	return map[report.EventKind]string{report.EventCommit: "C", report.EventPlan: "P", report.EventWave: "W",
		report.EventNode: "N", report.EventWord: "H", report.EventDrift: "E", report.EventGap: "G"}
}

func name(kind report.EventKind, number int64) string {
	return fmt.Sprintf("%s-%d", letters()[kind], number)
}

// split is the kind and the number of an ID.
func split(id string) (report.EventKind, int64, error) {
	letter, digits, _ := strings.Cut(strings.ToUpper(id), "-")
	number, err := strconv.ParseInt(digits, 10, 64)
	for kind, its := range letters() {
		if err == nil && its == letter {
			return kind, number, nil
		}
	}
	return "", 0, &UnknownError{id}
}
