package store

import (
	"context"
	"fmt"
	"io"
)

// Copy is a cluster's journal as it stands at one moment, for a backup: every record
// in it checks out. A torn tail, which nobody was promised, is left out.
func (s *Store) Copy(ctx context.Context, cluster string) ([]byte, error) {
	j, err := s.open(ctx, cluster, false)
	if err != nil {
		return nil, fmt.Errorf("copy the memory of %s: %w", cluster, err)
	}
	defer j.close()
	data := make([]byte, j.image.whole)
	if _, err := io.ReadFull(io.NewSectionReader(j.file, 0, j.image.whole), data); err != nil {
		return nil, fmt.Errorf("copy the memory of %s: %w", cluster, err)
	}
	return data, nil
}
