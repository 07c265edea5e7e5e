package history

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Show is one event in full: by its own ID, by the fingerprint of a plan, or, with
// only that step of its wave, by the ID of an operation or a step. Of several, it is
// the newest.
func (r *Reader) Show(ctx context.Context, id string) (e report.Event, plan *diff.Plan, steps []report.StepDone, err error) {
	number, op, err := r.named(ctx, id)
	if err == nil {
		e, err = r.event(ctx, number)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = &UnknownError{id}
	}
	if err == nil && e.Kind == report.EventPlan {
		plan, err = r.plan(ctx, number)
	}
	if err == nil && e.Kind == report.EventWave {
		steps, err = r.steps(ctx, number, op)
	}
	if err != nil {
		return e, nil, nil, fmt.Errorf("show %s: %w", id, err)
	}
	return e, plan, steps, nil
}

// named is the event that an ID leads to, and the operation where it is of one.
func (r *Reader) named(ctx context.Context, id string) (number int64, op string, err error) {
	if kind, number, err := split(id); err == nil {
		var found report.EventKind
		err := r.db.QueryRowContext(ctx, "SELECT kind FROM event WHERE id = ?", number).Scan(&found)
		if err == nil && found != kind {
			err = sql.ErrNoRows
		}
		return number, "", err
	}
	if strings.HasPrefix(id, "sha256:") {
		err := r.db.QueryRowContext(ctx, "SELECT event FROM plan WHERE fingerprint = ? ORDER BY event DESC LIMIT 1", id).Scan(&number)
		return number, "", err
	}
	err = r.db.QueryRowContext(ctx, "SELECT event, op FROM step WHERE op = ?", id).Scan(&number, &op)
	if errors.Is(err, sql.ErrNoRows) {
		err = r.db.QueryRowContext(ctx, "SELECT event, op FROM step WHERE step = ? ORDER BY ended DESC LIMIT 1", id).Scan(&number, &op)
	}
	return number, op, err
}

func (r *Reader) plan(ctx context.Context, number int64) (*diff.Plan, error) {
	var zipped []byte
	if err := r.db.QueryRowContext(ctx, "SELECT zipped FROM plan WHERE event = ?", number).Scan(&zipped); err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	var plan diff.Plan
	return &plan, json.Unmarshal(text, &plan)
}

// steps are those of a wave, in the order in which they ended; only one where an
// operation is named.
func (r *Reader) steps(ctx context.Context, number int64, op string) ([]report.StepDone, error) {
	rows, err := r.db.QueryContext(ctx, "SELECT op, step, node, action, effect, cause, why, changes, outcome, evidence, started, ended FROM step "+
		"WHERE event = ? AND (op = ? OR ? = '') ORDER BY ended, op", number, op, op)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var steps []report.StepDone
	for rows.Next() {
		var s report.StepDone
		var changes string
		var started, ended int64
		if err := rows.Scan(&s.Op, &s.Step, &s.Node, &s.Action, &s.Effect, &s.Cause, &s.Why, &changes, &s.Outcome, &s.Evidence, &started, &ended); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(changes), &s.Changes); err != nil {
			return nil, err
		}
		s.Started, s.Ended = time.UnixMilli(started).UTC(), time.UnixMilli(ended).UTC()
		steps = append(steps, s)
	}
	return steps, rows.Err()
}
