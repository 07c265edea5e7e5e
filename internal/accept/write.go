package accept

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/internal/specedit"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// writing is where settings go. Layers are laid one over the other: defaults, the
// environment, the cluster, the node. What all nodes have is the cluster's; what some
// have is theirs; and a node that writes a key by itself has it changed there.
type writing struct {
	cluster  desired.Cluster
	row      diff.Drift
	settings []setting

	fleet       []byte // fleet.yaml
	environment []byte // nil: there is none
}

func (w *writing) readLayers(tree fs.FS) (err error) {
	if w.fleet, err = fs.ReadFile(tree, "fleet.yaml"); err != nil || w.cluster.Environment == "" {
		return err
	}
	if text, err := fs.ReadFile(tree, "environments/"+w.cluster.Environment+".yaml"); err == nil {
		w.environment = text
	}
	return nil
}

// write is the cluster's own file with everything in it.
func (w *writing) write(text []byte) ([]byte, error) {
	for _, s := range w.settings {
		var err error
		if text, err = w.setting(text, s); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func (w *writing) setting(text []byte, s setting) (_ []byte, err error) {
	onNode := func(name string) specedit.Path {
		return slices.Concat(specedit.Path{}.Key("nodes").Item(name, "name"), s.at)
	}
	everywhere := w.everywhere(s)
	var own []string // nodes that have it in their own item
	for _, name := range w.row.Nodes {
		if !everywhere || specedit.Writes(text, onNode(name)) {
			own = append(own, name)
		}
	}
	if len(own) > 0 && !s.onNode {
		return nil, refuse("bring all nodes to one value first, or change the spec by hand",
			"%s holds for the whole cluster, and may not stand on a node; of %d nodes only %s would have it so", s.at, len(w.cluster.Nodes), strings.Join(own, " "))
	}
	if len(own) < len(w.row.Nodes) {
		if text, err = w.put(text, s.at, s.value, w.inherits(s.at)); err != nil {
			return nil, err
		}
	}
	for _, name := range own {
		inherits := w.inherits(s.at)
		if specedit.Writes(text, s.at) {
			inherits = specedit.Has(text, s.at)
		}
		if text, err = w.put(text, onNode(name), s.value, inherits); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// put sets a value. One that is not to be there is taken out of the file, or, where a
// layer below would bring it back, taken away by a null.
func (w *writing) put(text []byte, at specedit.Path, v *specedit.Value, inherits bool) ([]byte, error) {
	switch {
	case v != nil:
		return specedit.Set(text, at, *v)
	case inherits || !specedit.Writes(text, at):
		return specedit.Set(text, at, specedit.Null())
	}
	return specedit.Remove(text, at)
}

// everywhere says that all nodes have the value that drifted. A node that is to leave
// does not count for what only the whole cluster can have.
func (w *writing) everywhere(s setting) bool {
	for _, n := range w.cluster.Nodes {
		if !slices.Contains(w.row.Nodes, n.Name) && (s.onNode || !n.Absent) {
			return false
		}
	}
	return true
}

// inherits says that the layers below the cluster's own file have a value.
func (w *writing) inherits(at specedit.Path) bool {
	if w.environment != nil && specedit.Writes(w.environment, at) {
		return specedit.Has(w.environment, at)
	}
	return specedit.Has(w.fleet, slices.Concat(specedit.Path{}.Key("defaults"), at))
}
