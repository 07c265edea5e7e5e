package history

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// pruneEvery is how often old rows are looked for, and batch how many events are
// deleted at a time: whoever writes meanwhile waits for no more.
const (
	pruneEvery = 24 * time.Hour
	batch      = 500
)

// prune deletes some of what is older than is kept, where it is time or there was
// more, and says whether there is more still. What was written down last of each
// cluster stays, and an episode that is open.
func (h *History) prune(ctx context.Context, more bool, now time.Time) bool {
	h.mu.Lock()
	keep := h.keep
	h.mu.Unlock()
	if h.db == nil || keep == 0 || !more && now.Sub(h.pruned) < pruneEvery {
		return false
	}
	h.pruned = now
	more, err := h.pruneSome(ctx, now.Add(-keep).UnixMilli())
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.hear(fmt.Errorf("delete from %s what is older than is kept: %w", h.file, err))
	}
	return more
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
