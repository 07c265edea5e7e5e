package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/vaultfleet/reconciler/internal/loop"
)

// board is how each cluster stood after its last turn, for the one line of
// systemctl status.
type board struct {
	mu   sync.Mutex
	last map[string]loop.Standing // by cluster
}

func newBoard() *board { return &board{last: map[string]loop.Standing{}} }

// seen takes a turn.
func (b *board) seen(t loop.Turned) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last[t.Cluster] = t.Standing()
}

// forget begins anew: other clusters may be kept from now on.
func (b *board) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.last)
}

// wordOf is how people are told how a cluster stands.
func wordOf(s loop.Standing) string {
	switch s {
	case loop.StandingUrgent:
		return "need a person now"
	case loop.StandingBusy, loop.StandingChanging:
		return "being changed"
	case loop.StandingInSync:
		return "in sync"
	}
	return string(s)
}

// words are the line: how many clusters stand how, of those that some fleet still
// names, with a few names where they are not in sync; and which fleets have no
// commit in force.
func (b *board) words(waiting []string, named *claims) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	by := map[string][]string{}
	for cluster, standing := range b.last {
		if len(named.of(cluster)) == 0 {
			delete(b.last, cluster)
			continue
		}
		by[wordOf(standing)] = append(by[wordOf(standing)], cluster)
	}
	parts := []string{}
	for _, standing := range loop.Standings() {
		word := wordOf(standing)
		clusters := by[word]
		if len(clusters) == 0 {
			continue
		}
		delete(by, word)
		part := fmt.Sprintf("%d %s", len(clusters), word)
		if standing != loop.StandingInSync {
			slices.Sort(clusters)
			part += " (" + few(clusters) + ")"
		}
		parts = append(parts, part)
	}
	line := "no cluster was looked at yet"
	if len(parts) > 0 {
		line = "clusters: " + strings.Join(parts, ", ")
	}
	if len(waiting) > 0 {
		line += "; no commit in force of " + strings.Join(waiting, "; ")
	}
	return line
}

// few are the first of many names.
func few(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
