package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// claims are the clusters that each fleet of a daemon names. Fleets are read each
// in its own time, so whether two of them name the same cluster is asked before
// each turn of it.
type claims struct {
	mu sync.Mutex
	by map[string]map[string]bool // fleet → its clusters
}

func newClaims() *claims { return &claims{by: map[string]map[string]bool{}} }

// set says what a fleet names now.
func (c *claims) set(fleet string, clusters []string) {
	names := map[string]bool{}
	for _, name := range clusters {
		names[name] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[fleet] = names
}

// of are the fleets that name a cluster, sorted.
func (c *claims) of(cluster string) (fleets []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fleet := range slices.Sorted(maps.Keys(c.by)) {
		if c.by[fleet][cluster] {
			fleets = append(fleets, fleet)
		}
	}
	return fleets
}

// clashes says that more than one fleet names a cluster; nil: at most one does.
func (c *claims) clashes(cluster string) error {
	if fleets := c.of(cluster); len(fleets) > 1 {
		return clash(cluster, fleets)
	}
	return nil
}

// namesOf are the clusters that a fleet names, and those that it keeps though it
// is too broken to name them.
func namesOf(fleet desired.Fleet, whole []wanted) []string {
	names := clusterNames(fleet)
	for _, w := range whole {
		names = append(names, w.Name)
	}
	return names
}
