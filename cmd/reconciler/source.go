package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// opened is a fleet and where it came from.
type opened struct {
	desired.Fleet
	source  report.Source
	repo    *git.Repo                 // nil: it is a folder
	acts    func(cluster string) bool // whom this process is about to act on, of those that the flags leave; nil: it only looks
	only    settings.Fleet            // as reconciler.yaml has it, and which of its clusters are kept here
	before  map[string]desired.Fleet  // older commits as they were read; nil: nobody asks again
	clashes map[string]bool           // clusters that another fleet names as well
}

// open reads the fleets: the folder of --fleet, else every repo of
// reconciler.yaml. Of several, one that cannot be read does not keep the others
// from being acted on.
func (a *app) open(ctx context.Context, h host) ([]opened, error) {
	if a.fleet != "" {
		fleet, err := a.openCheckout()
		return []opened{fleet}, err
	}
	followed, err := a.followed(h)
	if err != nil {
		return nil, err
	}
	var all []opened
	for _, f := range followed {
		var fleet opened
		if fleet, err = a.openNewest(ctx, h, f); err != nil {
			if len(followed) > 1 {
				err = fmt.Errorf("fleet in %s: %w", f.Words(), err)
				a.leftOut = append(a.leftOut, err)
			}
			continue
		}
		all = append(all, fleet)
	}
	if len(all) == 0 {
		a.leftOut = a.leftOut[:max(0, len(a.leftOut)-1)]
		return nil, err
	}
	apart(all)
	return all, nil
}

// openNewest reads a fleet at the commit to act on.
func (a *app) openNewest(ctx context.Context, h host, followed settings.Fleet) (opened, error) {
	b, err := a.openBranch(ctx, h, followed)
	if err != nil {
		return opened{}, err
	}
	commit, err := a.newest(ctx, b)
	if err != nil {
		return opened{}, err
	}
	fleet, err := openCommit(b.Repo, followed, commit, nil)
	fleet.before = map[string]desired.Fleet{}
	return fleet, err
}

// followed are the repos that reconciler.yaml follows.
func (a *app) followed(h host) ([]settings.Fleet, error) {
	if len(h.settings.Fleets) == 0 {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("no fleet is named"), hint: "give --fleet DIR, or follow a repo: fleets in reconciler.yaml"}
	}
	return h.settings.Fleets, nil
}

// openCommit is the fleet as it stands at a commit that we have: the clusters of
// it that are kept here.
func openCommit(repo *git.Repo, followed settings.Fleet, commit string, known *desired.Known) (opened, error) {
	fleet, err := loadCommit(repo, commit, known)
	source := report.Source{Fleet: fleet.Name, Repo: followed.Repo, Branch: followed.Branch, Commit: commit}
	return opened{Fleet: keptHere(fleet, followed), source: source, repo: repo, only: followed}, err
}

// keptHere leaves the clusters that are kept here.
func keptHere(fleet desired.Fleet, by settings.Fleet) desired.Fleet {
	if len(by.Clusters) == 0 {
		return fleet
	}
	fleet.Clusters = slices.DeleteFunc(slices.Clone(fleet.Clusters), func(c desired.Cluster) bool { return !by.Keeps(c.Name) })
	fleet.Broken = slices.DeleteFunc(slices.Clone(fleet.Broken), func(b desired.Broken) bool { return !by.Keeps(b.Name) })
	return fleet
}

// loadCommit reads the fleet of a commit. What the commit is to blame
// for is a problem of the fleet, and the last specs stay in force; an error means
// that our clone could not be read, which says nothing about the commit.
func loadCommit(repo *git.Repo, commit string, known *desired.Known) (desired.Fleet, error) {
	tree, err := repo.At(commit)
	if errors.Is(err, git.ErrDamaged) || errors.Is(err, git.ErrUnread) {
		return desired.Fleet{}, err
	}
	if err != nil {
		return desired.Fleet{Problems: []desired.Problem{{Place: desired.Place{File: repo.Folder()}, Severity: desired.SeverityError, Text: err.Error()}}}, nil
	}
	return loadTree(tree, known)
}

// loadTree reads the fleet of a commit's folder, and what is known not again.
func loadTree(tree *git.Tree, known *desired.Known) (desired.Fleet, error) {
	options := loadOptions()
	options.Known = known
	fleet := desired.Load(tree, options)
	if err := tree.Err(); err != nil {
		known.Forget()
		return fleet, err
	}
	return fleet, nil
}

func (a *app) openCheckout() (opened, error) {
	fsys, err := openFolder(a.fleet)
	if err != nil {
		return opened{}, err
	}
	fleet := desired.Load(fsys, loadOptions())
	return opened{Fleet: fleet, source: report.Source{Fleet: fleet.Name, Folder: a.fleet}}, nil
}

// choice is what is chosen of a fleet: clusters with a spec in force, and the
// broken.
type choice struct {
	opened
	whole  []wanted
	broken []desired.Broken
}

// chosen are the clusters that the flags leave, fleet by fleet; a fleet of which
// none is left is left out. That none is left at all is an error: a typo must not
// look like a fleet in sync.
func (a *app) chosen(ctx context.Context, h host, all []opened) ([]choice, error) {
	var left []choice
	for _, fleet := range all {
		whole, broken, err := a.choose(ctx, h, fleet)
		if err != nil {
			return nil, err
		}
		if len(whole)+len(broken) > 0 {
			left = append(left, choice{fleet, whole, broken})
		}
	}
	if len(left) == 0 {
		return nil, a.noneChosen(together(all))
	}
	return left, nil
}

// choose are the clusters of one fleet that the flags leave.
func (a *app) choose(ctx context.Context, h host, fleet opened) (whole []wanted, broken []desired.Broken, err error) {
	inForce, rest, err := a.inForce(ctx, h, fleet)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range inForce {
		if a.picks(c.Cluster) {
			whole = append(whole, c)
		}
	}
	for _, b := range rest {
		if a.matches(b.Name) && len(a.labels) == 0 && a.node == "" {
			broken = append(broken, b)
		}
	}
	return whole, broken, nil
}

// picks says that the flags leave a cluster.
func (a *app) picks(c desired.Cluster) bool {
	return a.matches(c.Name) && a.labelled(c) && a.hasNode(c)
}

// noneChosen says why no cluster is left.
func (a *app) noneChosen(fleet desired.Fleet) error {
	names := clusterNames(fleet)
	if errs := fleetErrors(fleet); len(errs) > 0 && len(names) == 0 {
		for _, p := range errs[:len(errs)-1] {
			fmt.Fprintf(a.stderr, "reconciler: error: %v\n", p)
		}
		return errs[len(errs)-1]
	}
	there := "there are: " + strings.Join(names, ", ")
	if a.node == "" && len(a.labels) == 0 {
		return usage(there, "the fleet has no cluster %q", a.cluster)
	}
	return usage(there, "no cluster is chosen by --cluster %q --node %q and %d labels", a.cluster, a.node, len(a.labels))
}

// fleetErrors are the errors that belong to no cluster.
func fleetErrors(fleet desired.Fleet) []desired.Problem {
	return slices.DeleteFunc(fleet.Errors(), func(p desired.Problem) bool { return p.Cluster != "" })
}

func clusterNames(fleet desired.Fleet) []string {
	var names []string
	for _, c := range fleet.Clusters {
		names = append(names, c.Name)
	}
	for _, b := range fleet.Broken {
		names = append(names, b.Name)
	}
	slices.Sort(names)
	return names
}

// labelled says that a cluster, or a node of it, has all labels asked for.
func (a *app) labelled(c desired.Cluster) bool {
	for _, label := range a.labels {
		name, value, _ := strings.Cut(label, "=")
		has := c.Labels[name] == value
		for _, n := range c.Nodes {
			has = has || n.Labels[name] == value
		}
		if !has {
			return false
		}
	}
	return true
}

func (a *app) hasNode(c desired.Cluster) bool {
	return a.node == "" || slices.ContainsFunc(c.Nodes, func(n desired.Node) bool { return a.matchesNode(n.Name) })
}

// matchesNode says whether a node is among those asked for; what belongs to
// the cluster as a whole always is.
func (a *app) matchesNode(node string) bool {
	if a.node == "" || node == "" {
		return true
	}
	ok, _ := path.Match(a.node, node) // the pattern was checked with the flags
	return ok
}
