package review

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// What is followed of rollouts outlives a restart in a file beside the clone, so that
// no commit is left with a status that says for ever that it is on its way. Losing the
// file costs words and nothing else: one that cannot be read is said, and begun anew.

const (
	keptFormat = 1
	maxKept    = 8 << 20 // bytes
)

// record is what the file holds.
type record struct {
	Format   int         `json:"format"`
	Of       string      `json:"of"`     // the marker of our comments: of which clusters it is
	Commit   string      `json:"commit"` // whose rollout was begun last
	Followed []*followed `json:"followed"`
}

// recall reads what was followed before this process began, once.
func (r *Reviewer) recall(ctx context.Context) error {
	if r.recalled {
		return nil
	}
	k, err := readRecord(r.File)
	if err != nil {
		r.log.Warn("what was followed of rollouts cannot be read, and is begun anew", "file", r.File, "error", err)
	}
	if k.Of != marker(r.Identity) {
		k = record{} // other clusters were kept
	}
	if k.Commit != "" {
		before, err := r.At(ctx, k.Commit)
		if err != nil {
			return err
		}
		if r.fleet = before; len(namesOf(before)) == 0 {
			k.Commit = "" // what came since changes we cannot say
		}
	}
	r.commit, r.followed, r.recalled = k.Commit, k.Followed, true
	return nil
}

// keep writes what is followed, where it has changed. Of more than the file takes the
// oldest are left.
func (r *Reviewer) keep() error {
	for {
		text, err := json.Marshal(record{keptFormat, marker(r.Identity), r.commit, r.followed})
		switch {
		case err != nil:
			return fmt.Errorf("keep what is followed of rollouts: %w", err)
		case len(text) > maxKept && len(r.followed) > 0:
			r.followed = r.followed[1:]
			continue
		case bytes.Equal(text, r.written):
			return nil
		}
		if err := durable.WriteFile(r.File, text, 0o600); err != nil {
			return fmt.Errorf("keep what is followed of rollouts: %w", err)
		}
		r.written = text
		return nil
	}
}

// readRecord reads the file; nothing was kept where there is none.
func readRecord(file string) (record, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKept+1))
	if err != nil {
		return record{}, err
	}
	var k record
	switch err := json.Unmarshal(text, &k); {
	case len(text) > maxKept:
		return record{}, fmt.Errorf("it has more than %d MiB", maxKept>>20)
	case err != nil:
		return record{}, err
	case k.Format != keptFormat:
		return record{}, fmt.Errorf("it is of the format %d, and this release reads %d", k.Format, keptFormat)
	case !isCommit(k.Commit) || len(k.Followed) > 2*maxFollowed:
		return record{}, errors.New("it does not say what was followed")
	}
	for _, f := range k.Followed {
		if f == nil || !isCommit(f.Commit) {
			return record{}, errors.New("it follows what is no commit")
		}
	}
	return k, nil
}

func isCommit(text string) bool {
	return len(text) == 40 && strings.Trim(text, "0123456789abcdef") == ""
}
