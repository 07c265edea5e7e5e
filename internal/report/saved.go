package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A saved plan is a constraint and not a script: apply looks and plans anew,
// and may do what the saved plan has and nothing else. That a leader moved, or
// that a step is done already, is no reason to refuse; a step that nobody read
// is.

// largest is how big a saved plan may be, in bytes: 10,000 nodes stay below.
const largest = 256 << 20

// Read reads a saved plan.
func Read(r io.Reader) (Document, error) {
	data, err := io.ReadAll(io.LimitReader(r, largest+1))
	if err != nil {
		return Document{}, fmt.Errorf("read the saved plan: %w", err)
	}
	if len(data) > largest {
		return Document{}, fmt.Errorf("read the saved plan: more than %d bytes", largest)
	}
	var d Document
	if err := json.Unmarshal(data, &d); err != nil {
		return Document{}, fmt.Errorf("read the saved plan: %w; it is written by `reconciler plan --out FILE`", err)
	}
	if d.Schema != SchemaPlan {
		return Document{}, fmt.Errorf("read the saved plan: its schema is %q and not %q; it is written by `reconciler plan --out FILE`", d.Schema, SchemaPlan)
	}
	if major, _, _ := strings.Cut(d.FormatVersion, "."); major != "1" {
		return Document{}, fmt.Errorf("read the saved plan: format version %q is not one that this release reads; plan again", d.FormatVersion)
	}
	for _, e := range d.Clusters {
		if e.Plan.Fingerprint() != e.Fingerprint {
			return Document{}, fmt.Errorf("read the saved plan: the steps of %s do not have the fingerprint that stands beside them, so the file was changed; plan again", e.Name)
		}
	}
	return d, nil
}

// StaleError says why a saved plan no longer covers what would be done.
type StaleError struct {
	Cluster string
	What    string // what is new
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("the saved plan does not cover %s any more: %s; plan again and read it", e.Cluster, e.What)
}

// Covers says whether a saved plan still covers what would be done to a
// cluster now; the error is a [StaleError] that names the first thing that
// nobody has read.
func (d Document) Covers(now diff.Plan) error {
	for _, e := range d.Clusters {
		if e.Name == now.Cluster {
			return covers(e.Plan, now)
		}
	}
	if len(now.Waves) == 0 {
		return nil
	}
	return &StaleError{now.Cluster, "the cluster is not in it"}
}

func covers(saved, now diff.Plan) error {
	if saved.Digest != now.Digest {
		return &StaleError{now.Cluster, "the spec is another one (digest " + shortDigest(now.Digest) + ", saved " + shortDigest(saved.Digest) + ")"}
	}
	read := map[string]bool{}
	for _, w := range saved.Waves {
		for _, s := range w {
			read[s.ID] = true
		}
	}
	for _, w := range now.Waves {
		for _, s := range w {
			if !read[s.ID] && !repairs(s) {
				return &StaleError{now.Cluster, fmt.Sprintf("%s on %s is new (%s)", s.Action, s.Node, clean(s.Why))}
			}
		}
	}
	return nil
}

func repairs(s diff.Step) bool {
	return s.Action == diff.ActionStart || s.Action == diff.ActionUnseal
}

func shortDigest(d string) string {
	hex := strings.TrimPrefix(d, "sha256:")
	return hex[:min(12, len(hex))]
}

// IsStale says that an error is, or wraps, a [StaleError].
func IsStale(err error) bool {
	var stale *StaleError
	return errors.As(err, &stale)
}
