package demo

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// watched is what was seen of the nodes during a step.
type watched struct {
	looks int
	down  int    // most nodes that did not serve at once
	led   string // the node that led when it began
}

// watching does a step and looks at the nodes meanwhile, past the product.
func (s *story) watching(do step) step {
	return func(ctx context.Context) error {
		leader, err := s.leader(ctx)
		if err != nil {
			return err
		}
		s.seen = watched{led: leader.Name}
		ended := make(chan struct{})
		var watcher sync.WaitGroup
		watcher.Go(func() {
			for {
				s.watch(ctx)
				select {
				case <-ended:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
		err = do(ctx)
		close(ended)
		watcher.Wait()
		return err
	}
}

// watch is one look at all nodes at once.
func (s *story) watch(ctx context.Context) {
	var down atomic.Int64
	var looks sync.WaitGroup
	for _, n := range s.Fleet.Nodes {
		looks.Go(func() {
			code, err := s.ask.Health(ctx, n.Address)
			if err != nil || code != http.StatusOK && code != http.StatusTooManyRequests {
				down.Add(1)
			}
		})
	}
	looks.Wait()
	if ctx.Err() == nil {
		s.seen.looks++
		s.seen.down = max(s.seen.down, int(down.Load()))
	}
}

// down expects that never more nodes than so many did not serve at once.
func (s *story) down(most int) func(context.Context) error {
	return func(context.Context) error {
		if s.seen.looks == 0 {
			return fmt.Errorf("nobody looked")
		}
		if s.seen.down > most {
			return fmt.Errorf("%d were", s.seen.down)
		}
		return nil
	}
}
