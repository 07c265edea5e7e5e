package desired

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// Known are the clusters of the commit that was loaded last, by what they were made
// of: a commit that does not touch a cluster does not have it read again. It is
// for one [Load] at a time, with the same [Options] each time, and for files that
// tell what is below a path by an ID, as those of a commit do. Clusters that are
// known share what they point to: nobody changes it.
type Known struct {
	drafts map[string]known // by key
	next   map[string]known // of the load under way
}

// known is a cluster as it was read, before it was held against others.
type known struct {
	draft    draft
	problems []Problem // of its files
}

// NewKnown knows nothing yet.
func NewKnown() *Known { return &Known{drafts: map[string]known{}} }

// Forget is for a load whose files could not all be read: what came of it is no
// word about the commit.
func (k *Known) Forget() {
	if k != nil {
		clear(k.drafts)
	}
}

// identified is a file system that has an ID of all that is below a path.
type identified interface {
	TreeID(name string) (string, error)
}

// madeOf is what a cluster is made of, the day that waivers expire by included; ""
// where that cannot be told.
func madeOf(fsys fs.FS, name string, now time.Time) string {
	files, ok := fsys.(identified)
	if !ok {
		return ""
	}
	own, err := files.TreeID(clustersFolder + "/" + name)
	if err != nil {
		return ""
	}
	parts := []string{name, own, now.UTC().Format(time.DateOnly)}
	for _, shared := range []string{fleetFile, lockFile, environmentsDir} {
		id, err := files.TreeID(shared)
		if err != nil {
			id = "none"
		}
		parts = append(parts, id)
	}
	return strings.Join(parts, " ")
}

// recall is a cluster that was read from the same before, or nil.
func (k *Known) recall(key string) *known {
	if k == nil || key == "" {
		return nil
	}
	found, ok := k.drafts[key]
	if !ok {
		return nil
	}
	k.next[key] = found
	found.draft = found.draft.clone()
	return &found
}

// keep notes a cluster that was read.
func (k *Known) keep(key string, d draft, problems []Problem) {
	if k != nil && key != "" {
		k.next[key] = known{d.clone(), problems}
	}
}

// begin and end are round a load: what it did not need is forgotten.
func (k *Known) begin() {
	if k != nil {
		k.next = map[string]known{}
	}
}

func (k *Known) end() {
	if k != nil {
		k.drafts, k.next = k.next, nil
	}
}

func (d draft) clone() draft {
	return draft{d.cluster, slices.Clone(d.problems), maps.Clone(d.seen)}
}
