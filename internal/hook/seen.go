package hook

import (
	"crypto/sha256"
	"net/http"
	"sync"
)

// seen are the deliveries that were heard lately. It holds the last deliveries up
// to twice its size, in two halves: when the newer one is full, the older one is
// forgotten.
//
// Only Standard Webhooks sign the ID, so whoever has recorded a request can send it
// under another one. All it brings about is a poll.
type seen struct {
	size int

	mu         sync.Mutex
	now, older map[[sha256.Size]byte]struct{}
}

func newSeen(size int) *seen {
	return &seen{size: size, now: map[[sha256.Size]byte]struct{}{}}
}

// again says whether a delivery was heard before; from now on it was.
func (s *seen) again(id string) bool {
	key := sha256.Sum256([]byte(id)) // whatever its length
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.now[key]; ok {
		return true
	}
	if _, ok := s.older[key]; ok {
		return true
	}
	if len(s.now) >= s.size {
		s.older, s.now = s.now, map[[sha256.Size]byte]struct{}{}
	}
	s.now[key] = struct{}{}
	return false
}

// delivery names a delivery; empty: it has no name.
func delivery(h http.Header) string {
	for _, name := range []string{standardID, "X-Forgejo-Delivery", "X-Gitea-Delivery", "X-Github-Delivery", "X-Gitlab-Event-Uuid"} {
		if id := h.Get(name); id != "" {
			return name + " " + id
		}
	}
	return ""
}
