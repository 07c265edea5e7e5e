package history

import (
	"context"
	"database/sql"
	"time"
)

// batch is how many events are deleted at a time: whoever writes beside us waits
// for no more.
const batch = 500

// prune deletes what is older than is kept. What was written down last of each
// cluster stays, and an episode that is open.
func (h *History) prune(ctx context.Context, now time.Time) error {
	h.mu.Lock()
	keep := h.keep
	h.mu.Unlock()
	if keep == 0 {
		return nil
	}
	for before, more := now.Add(-keep).UnixMilli(), true; more; {
		var err error
		if more, err = h.pruneSome(ctx, before); err != nil {
			return err
		}
	}
	return nil
}

func (h *History) pruneSome(ctx context.Context, before int64) (more bool, err error) {
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	var end sql.NullInt64 // of the batch
	if err := tx.QueryRowContext(ctx, "SELECT max(at) + 1 FROM (SELECT at FROM event WHERE at < ? ORDER BY at LIMIT ?)", before, batch).Scan(&end); err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM episode WHERE closed < ?", before); err != nil {
		return false, err
	}
	if !end.Valid {
		return false, tx.Commit()
	}
	for _, query := range []string{
		"DELETE FROM step WHERE event IN (SELECT id FROM event WHERE at < ?)",
		"DELETE FROM plan WHERE event IN (SELECT id FROM event WHERE at < ?)",
		"DELETE FROM touched WHERE place IN (SELECT id FROM place) AND at < ?",
		"DELETE FROM event WHERE at < ?",
	} {
		if _, err := tx.ExecContext(ctx, query, end.Int64); err != nil {
			return false, err
		}
	}
	return true, tx.Commit()
}
