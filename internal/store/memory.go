package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Load is a cluster's memory and its revision, which Save wants back. A
// cluster without a journal has the zero Memory at revision 0.
func (s *Store) Load(ctx context.Context, cluster string) (diff.Memory, uint64, error) {
	j, err := s.open(ctx, cluster, false)
	if errors.Is(err, fs.ErrNotExist) {
		return diff.Memory{}, 0, nil
	}
	if err != nil {
		return diff.Memory{}, 0, fmt.Errorf("load the memory of %s: %w", cluster, err)
	}
	defer j.close()
	m, err := j.memory()
	if err != nil {
		return diff.Memory{}, 0, fmt.Errorf("load the memory of %s: %w", cluster, err)
	}
	return m, j.image.rev, nil
}

// Save replaces a memory, if it is still at the revision that it was loaded
// at, and returns the new revision; otherwise the error is [ErrConflict]. What
// has not changed is not written and keeps its revision.
func (s *Store) Save(ctx context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error) {
	next, err := s.save(ctx, cluster, m, rev)
	if err != nil {
		return 0, fmt.Errorf("save the memory of %s: %w", cluster, err)
	}
	return next, nil
}

func (s *Store) save(ctx context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error) {
	j, err := s.open(ctx, cluster, true)
	if err != nil {
		return 0, err
	}
	defer j.close()
	if j.image.rev != rev {
		return 0, fmt.Errorf("%w: it is at revision %d, not %d", ErrConflict, j.image.rev, rev)
	}
	folded, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("encode: %w", err)
	}
	if rev != 0 && bytes.Equal(folded, j.image.folded) {
		return rev, nil
	}
	err = j.write(record{Kind: kindMemory, Memory: &m})
	return j.image.rev, err
}

// Append makes one try durable.
func (s *Store) Append(ctx context.Context, cluster string, t diff.Try) error {
	if err := s.add(ctx, cluster, record{Kind: kindTry, Try: &t}); err != nil {
		return fmt.Errorf("note %s of %s on %s: %w", t.Action, cluster, t.Node, err)
	}
	return nil
}

// Grant makes a leave durable. It takes the place of one of the same kind for
// the same node.
func (s *Store) Grant(ctx context.Context, cluster string, l diff.Leave) error {
	if err := s.add(ctx, cluster, record{Kind: kindGrant, Leave: &l}); err != nil {
		return fmt.Errorf("grant %s to %s: %w", l.Kind, cluster, err)
	}
	return nil
}

// Lift takes back the leave of l's kind for l's node; By, Reason and At say
// who lifts it. The error is [ErrNoLeave] where there is none.
func (s *Store) Lift(ctx context.Context, cluster string, l diff.Leave) error {
	if err := s.lift(ctx, cluster, l); err != nil {
		return fmt.Errorf("lift %s of %s: %w", l.Kind, cluster, err)
	}
	return nil
}

func (s *Store) lift(ctx context.Context, cluster string, l diff.Leave) error {
	j, err := s.open(ctx, cluster, false)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoLeave
	}
	if err != nil {
		return err
	}
	defer j.close()
	m, err := j.memory()
	if err != nil {
		return err
	}
	if len(others(m.Leaves, l)) == len(m.Leaves) {
		return ErrNoLeave
	}
	return j.write(record{Kind: kindLift, Leave: &l})
}

func (s *Store) add(ctx context.Context, cluster string, r record) error {
	j, err := s.open(ctx, cluster, true)
	if err != nil {
		return err
	}
	defer j.close()
	return j.write(r)
}

// readAll reads a journal that is not absurdly large.
func readAll(f *os.File, size int64) ([]byte, error) {
	if size > maxJournal {
		return nil, fmt.Errorf("journal %s has %d bytes, more than any that reconciler writes; nothing is done to this cluster until the file is restored from a backup, or moved away and `reconciler takeover` is run", f.Name(), size)
	}
	data := make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if int64(n) == size {
		return data, nil
	}
	return nil, err
}
