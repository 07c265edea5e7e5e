package ssh

import (
	"context"
	"sync"
)

// slots bound the sessions of one connection: sshd has MaxSessions, 10 by
// default, 1 at careful sites, and says so only by refusing.
type slots struct {
	free chan struct{}

	mu   sync.Mutex
	size int
}

func newSlots(size int) *slots {
	s := &slots{free: make(chan struct{}, size), size: size}
	for range size {
		s.free <- struct{}{}
	}
	return s
}

func (s *slots) take(ctx context.Context) error {
	select {
	case <-s.free:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *slots) give() { s.free <- struct{}{} }

// shrink takes a slot that the caller holds out of circulation, because the
// peer allows fewer. False: it is the last one and stays.
func (s *slots) shrink() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size == 1 {
		return false
	}
	s.size--
	return true
}
