// Package accept makes a spec want what drifted: it finds the lines of the cluster's own
// file that have to change, and proves on the whole repo, as it would be with them, that
// the value is wanted then, on the nodes that have it, and that nothing else is wanted
// otherwise anywhere.
//
// It knows the layers of a spec, and the paths of drift. Defaults and environments are
// not touched: what comes from there is set in the cluster's file, so that other clusters
// stay as they are.
//
// It must not know how a commit is read, who is asked, nor how a change is proposed.
//
//	edit, err := accept.Drift(tree, load, "prod", row)
//	// edit.File is clusters/prod/cluster.yaml, edit.After its new bytes
package accept
