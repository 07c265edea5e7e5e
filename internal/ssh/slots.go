package ssh

import (
	"context"
	"sync"
	"time"
)

// slots bound the sessions of one connection: sshd has MaxSessions, 10 by
// default, 1 at careful sites, and says so only by refusing.
//
// A refusal is no proof, though: sshd confirms the end of a session a moment
// before it counts one fewer. So the bound never sinks below what the peer has
// already allowed at a time; a refusal at that bound is waited out.
type slots struct {
	free chan struct{}

	mu   sync.Mutex
	size int // in circulation
	open int
	most int // that were open at a time
}

// A session that is refused although as many were open before is asked for
// again after refusedPause, refusedTries times.
const (
	refusedPause = 50 * time.Millisecond
	refusedTries = 10
)

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

// opened notes that the peer allowed one more.
func (s *slots) opened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	s.most = max(s.most, s.open)
}

// closed gives back the slot of a session.
func (s *slots) closed() {
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
	s.free <- struct{}{}
}

// refused gives up the slot of a session that the peer did not allow, for good
// when it is one more than there ever were. False: it is not to be asked for
// again.
func (s *slots) refused(ctx context.Context, tries int) bool {
	s.mu.Lock()
	if s.size > max(s.most, 1) {
		s.size--
		s.mu.Unlock()
		return true
	}
	proven := s.most > 0
	s.mu.Unlock()
	s.free <- struct{}{}
	if !proven || tries >= refusedTries {
		return false
	}
	select {
	case <-time.After(refusedPause):
	case <-ctx.Done():
	}
	return true
}
