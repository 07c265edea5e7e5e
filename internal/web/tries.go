package web

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A token cannot be guessed; that nobody tries for long costs little. Wrong tokens are
// counted by where they came from, so that whoever sends many keeps nobody else out.

// Bounds of wrong tokens.
const (
	wrongAtOnce = 10
	wrongEvery  = 6 * time.Second
	mostSources = 1024
)

type tries struct {
	mu   sync.Mutex
	from map[netip.Prefix]*rate.Limiter
}

func newTries() *tries { return &tries{from: map[netip.Prefix]*rate.Limiter{}} }

// may says that a token from there is looked at.
func (t *tries) may(from netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.from[network(from)]
	return l == nil || l.Tokens() >= 1
}

// wrong counts a token that was none.
func (t *tries) wrong(from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.from) >= mostSources {
		for n, l := range t.from {
			if l.Tokens() >= wrongAtOnce {
				delete(t.from, n)
			}
		}
	}
	if len(t.from) >= mostSources { // more at once than there can be honest ones
		clear(t.from)
	}
	n := network(from)
	if t.from[n] == nil {
		t.from[n] = rate.NewLimiter(rate.Every(wrongEvery), wrongAtOnce)
	}
	t.from[n].Allow()
}

// network is what one person is given: an address, or 64 bits of them.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of the zero address it is the zero prefix
	return p
}
