package accept

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vaultfleet/reconciler/internal/specedit"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Edit is the one file that changes.
type Edit struct {
	File          string // in the fleet's folder
	Before, After []byte
	// Warnings are what the spec is warned of with it, and was not before.
	Warnings []string
}

// RefusedError says that a drift cannot be accepted.
type RefusedError struct {
	Why     string
	Instead string // what a person does
}

func (e *RefusedError) Error() string { return e.Why }

// Hint is what a person does instead.
func (e *RefusedError) Hint() string { return e.Instead }

func refuse(instead, format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...), instead}
}

// Load reads a fleet as it would be acted on.
type Load func(fs.FS) desired.Fleet

// Drift is the edit that makes the spec of a cluster want what drifted. An error is a
// [*RefusedError], or says that the tree could not be read.
func Drift(tree fs.FS, load Load, cluster string, row diff.Drift) (Edit, error) {
	if why, instead := row.Unacceptable(); why != "" {
		return Edit{}, &RefusedError{why, instead}
	}
	before := load(tree)
	c, ok := before.Cluster(cluster)
	if !ok {
		return Edit{}, refuse("mend it first: reconciler validate", "the spec of %s at this commit is broken", cluster)
	}
	e := Edit{File: "clusters/" + cluster + "/cluster.yaml"}
	var err error
	if e.Before, err = fs.ReadFile(tree, e.File); err != nil {
		return Edit{}, err
	}
	w, err := newWriting(tree, before, c, row)
	if err == nil {
		e.After, err = w.write(e.Before)
	}
	if refused := (*RefusedError)(nil); err != nil && !errors.As(err, &refused) {
		err = refuse("change it by hand", "%v, in %s", err, e.File)
	}
	if err != nil {
		return Edit{}, err
	}
	after := load(over{tree, e.File, e.After})
	if err := only(before, after, c, w); err != nil {
		return Edit{}, err
	}
	e.Warnings = news(before, after, cluster)
	return e, nil
}

// newWriting finds the keys that say what drifted.
func newWriting(tree fs.FS, fleet desired.Fleet, c desired.Cluster, row diff.Drift) (*writing, error) {
	w := &writing{cluster: c, row: row}
	if err := w.readLayers(tree); err != nil {
		return nil, err
	}
	var err error
	w.settings, err = settingsOf(fleet, c, row)
	return w, err
}

// news are the warnings of a cluster that were not there before.
func news(before, after desired.Fleet, cluster string) (texts []string) {
	known := map[string]bool{}
	for _, p := range before.Problems {
		known[p.Cluster+" "+p.Text] = true
	}
	for _, p := range after.Problems {
		if p.Cluster == cluster && !known[p.Cluster+" "+p.Text] {
			texts = append(texts, p.Error())
		}
	}
	return texts
}

// value is a value of vault.hcl as a spec writes it.
func value(json string) (specedit.Value, error) {
	v, err := specedit.OfJSON(json)
	if err != nil {
		return v, refuse("write it into the spec by hand", "%v", err)
	}
	return v, nil
}
