package daemon

import (
	"context"
	"sync"
)

// Places hold whose turn it is at a cluster, by name. Two may want it: two fleets
// that name it, or, while settings are being replaced, who kept it before and is
// at his last turn. The second one waits for as long as that takes, and delays
// nobody else.
type Places struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the place is free
}

// NewPlaces are places that are all free.
func NewPlaces() *Places { return &Places{held: map[string]chan struct{}{}} }

// take takes the place of a cluster once it is free. Whoever has it must leave it.
func (p *Places) take(ctx context.Context, cluster string) (leave func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	for {
		p.mu.Lock()
		taken := p.held[cluster]
		if taken == nil {
			mine := make(chan struct{})
			p.held[cluster] = mine
			p.mu.Unlock()
			return func() { p.free(cluster, mine) }, nil
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-taken:
		}
	}
}

func (p *Places) free(cluster string, mine chan struct{}) {
	p.mu.Lock()
	delete(p.held, cluster)
	p.mu.Unlock()
	close(mine)
}
