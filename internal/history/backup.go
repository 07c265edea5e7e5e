package history

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Copy writes a copy of a state folder's history to a file that is not there yet: as
// it stands at one moment, whoever writes it meanwhile. False: there is no history.
func Copy(ctx context.Context, state, to string) (bool, error) {
	r, err := Read(ctx, state)
	if errors.As(err, new(*NoneError)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	if err := r.copy(ctx, to); err != nil {
		return false, fmt.Errorf("copy the history: %w", err)
	}
	return true, nil
}

func (r *Reader) copy(ctx context.Context, to string) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // SQLite takes an empty file, and leaves its mode
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if _, err := r.db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}
