package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Several fleets may be followed. What is remembered of a cluster is kept by its
// name, so no two of them may name the same one: whose it is nobody could say,
// and neither is followed in it.

// apart takes out the clusters that more than one fleet names.
func apart(all []opened) {
	by := map[string][]string{}
	for _, fleet := range all {
		for _, name := range clusterNames(fleet.Fleet) {
			by[name] = append(by[name], fleet.only.Words())
		}
	}
	for i := range all {
		fleet := &all[i]
		fleet.clashes = map[string]bool{}
		for _, name := range clusterNames(fleet.Fleet) {
			if len(by[name]) > 1 {
				fleet.clashes[name] = true
				fleet.Fleet = without(fleet.Fleet, name)
				fleet.Broken = append(fleet.Broken, desired.Broken{Name: name, Problems: []desired.Problem{clash(name, by[name])}})
			}
		}
	}
}

// without is a fleet without one of its clusters.
func without(fleet desired.Fleet, name string) desired.Fleet {
	fleet.Clusters = slices.DeleteFunc(slices.Clone(fleet.Clusters), func(c desired.Cluster) bool { return c.Name == name })
	fleet.Broken = slices.DeleteFunc(slices.Clone(fleet.Broken), func(b desired.Broken) bool { return b.Name == name })
	return fleet
}

// clash is what is wrong with a cluster that several fleets name.
func clash(name string, fleets []string) desired.Problem {
	return desired.Problem{Place: desired.Place{File: "clusters/" + name}, Severity: desired.SeverityError, Cluster: name,
		Text: fmt.Sprintf("the cluster %s is named by %d fleets, and nothing is done to it: %s", name, len(fleets), strings.Join(fleets, "; ")),
		Hint: "rename it in one of them, or say by clusters of each fleet in reconciler.yaml which of them keeps it"}
}

// together is all that several fleets name.
func together(all []opened) desired.Fleet {
	var one desired.Fleet
	for _, fleet := range all {
		one.Clusters = append(one.Clusters, fleet.Clusters...)
		one.Broken = append(one.Broken, fleet.Broken...)
		one.Problems = append(one.Problems, fleet.Problems...)
	}
	return one
}

// judgeAll holds all fleets against reconciler.yaml.
func (h host) judgeAll(all []opened) {
	for i := range all {
		all[i].Fleet = h.judged(all[i].Fleet)
	}
}

// ofCluster is the fleet that names a cluster; false: none does, and the fleet is
// then all of them together.
func ofCluster(all []opened, cluster string) (opened, bool) {
	for _, fleet := range all {
		if slices.Contains(clusterNames(fleet.Fleet), cluster) {
			return fleet, true
		}
	}
	return opened{Fleet: together(all)}, false
}

// gravest is how several ended: an error that was not told yet, else the gravest
// exit code.
func gravest(all []error) error {
	code := 0
	for _, err := range all {
		var coded *exitError
		switch {
		case err == nil:
		case errors.As(err, &coded) && coded.err == nil:
			code = report.Worst(code, coded.code)
		default:
			return err
		}
	}
	return ended(code)
}
