package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// File is the history of a state folder.
func File(state string) string { return filepath.Join(state, "history.db") }

// NewerError says that a newer release wrote the file. It is left as it is.
type NewerError struct {
	File         string
	Schema, Ours int
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s is of a newer release of reconciler (schema %d, this one knows %d)", e.File, e.Schema, e.Ours)
}

// Hint is the way out.
func (e *NewerError) Hint() string {
	return "use the newer release again, or move the file away to begin a new history"
}

// DamagedError says that the file was damaged and set aside; a new one is begun.
type DamagedError struct {
	File, Aside string
	Err         error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s was damaged (%v) and is set aside as %s; a new history is begun", e.File, e.Err, filepath.Base(e.Aside))
}

func (e *DamagedError) Unwrap() error { return e.Err }

// The connection of the one that writes, and those of the ones that ask. SQLite's
// write-ahead log lets them go on beside each other, also in several processes.
// The cache is small: an idle daemon should be.
const (
	forWriting = "_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-512)&_pragma=journal_size_limit(4194304)"
	forReading = "mode=ro&_pragma=busy_timeout(5000)&_pragma=cache_size(-4096)"
)

func connect(file, how string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: file, RawQuery: how}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// openFile opens the history for writing, and makes it, or brings it to our schema,
// where that is needed.
func openFile(ctx context.Context, file string) (*sql.DB, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600) // SQLite's other files get its mode
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	db, err := connect(file, forWriting)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, db, file); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// schema is how many migrations a file has seen.
func schema(ctx context.Context, db *sql.DB) (n int, err error) {
	return n, db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&n)
}

// migrate brings a file to our schema. Two processes may come to it at once: what
// is left to do is asked again under the lock.
func migrate(ctx context.Context, db *sql.DB, file string) error {
	todo := migrations()
	for {
		done, err := schema(ctx, db)
		switch {
		case err != nil:
			return err
		case done > len(todo):
			return &NewerError{File: file, Schema: done, Ours: len(todo)}
		case done == len(todo):
			return nil
		}
		if err := migrateOne(ctx, db, todo); err != nil {
			return fmt.Errorf("bring %s to schema %d: %w", file, done+1, err)
		}
	}
}

func migrateOne(ctx context.Context, db *sql.DB, todo []string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var done int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&done); err != nil || done >= len(todo) {
		return err
	}
	if _, err := tx.ExecContext(ctx, todo[done]); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", done+1)); err != nil {
		return err
	}
	return tx.Commit()
}

// damaged says that an error means that the file itself cannot be used.
func damaged(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	code := e.Code() & 0xff // without what extends it
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// setAside moves a damaged file out of the way. It is asked itself before: another
// process may have begun a new one meanwhile.
func setAside(ctx context.Context, file string, found error, now time.Time) error {
	if !unsound(ctx, file) {
		return nil
	}
	aside := file + ".damaged-" + now.UTC().Format("20060102T150405Z")
	if err := os.Rename(file, aside); err != nil {
		return fmt.Errorf("set aside the damaged %s: %w", file, err)
	}
	for _, beside := range []string{"-wal", "-shm"} {
		if err := os.Rename(file+beside, aside+beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set aside the damaged %s: %w", file+beside, err)
		}
	}
	return &DamagedError{File: file, Aside: aside, Err: found}
}

// unsound says that a file is damaged. One that cannot be asked may be in use.
func unsound(ctx context.Context, file string) bool {
	db, err := connect(file, forReading)
	if err != nil {
		return false
	}
	defer db.Close()
	var says string
	if err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&says); err != nil {
		return damaged(err)
	}
	return says != "ok"
}
