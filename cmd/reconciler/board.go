package main

import (
	"errors"
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
	last map[string]string // cluster → word
}

func newBoard() *board { return &board{last: map[string]string{}} }

// seen takes a turn.
func (b *board) seen(t loop.Turned) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last[t.Cluster] = standsAs(t)
}

// forget begins anew: other clusters may be kept from now on.
func (b *board) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.last)
}

// The words, those that a person should see first at the front.
const (
	wordUrgent  = "need a person now"
	wordFailed  = "failed"
	wordBlocked = "blocked"
	wordChanges = "being changed"
	wordWaiting = "waiting"
	wordInSync  = "in sync"
)

func standsAs(t loop.Turned) string {
	urgent, blocked := false, false
	for _, b := range t.Plan.Blocks {
		urgent = urgent || !b.Later && b.Urgent()
		blocked = blocked || !b.Later
	}
	switch {
	case urgent:
		return wordUrgent
	case t.Err != nil && !errors.As(t.Err, new(loop.Busy)):
		return wordFailed
	case blocked:
		return wordBlocked
	case len(t.Plan.Waves) > 0:
		return wordChanges
	case len(t.Plan.Waits) > 0 || t.Err != nil || len(t.Plan.Unseen) > 0:
		return wordWaiting
	}
	return wordInSync
}

// words are the line: how many clusters stand how, of those that some fleet still
// names, with a few names where they are not in sync; and which fleets have no
// commit in force.
func (b *board) words(waiting []string, named *claims) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	by := map[string][]string{}
	for cluster, word := range b.last {
		if len(named.of(cluster)) == 0 {
			delete(b.last, cluster)
			continue
		}
		by[word] = append(by[word], cluster)
	}
	parts := []string{}
	for _, word := range []string{wordUrgent, wordFailed, wordBlocked, wordChanges, wordWaiting, wordInSync} {
		clusters := by[word]
		if len(clusters) == 0 {
			continue
		}
		part := fmt.Sprintf("%d %s", len(clusters), word)
		if word != wordInSync {
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
