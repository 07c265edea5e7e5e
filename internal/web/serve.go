package web

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/vaultfleet/reconciler/internal/inbound"
)

// Serve answers whoever connects until the context ends: streams end with it, and what
// else is in flight is answered. Streams may be as many as there can be, and others
// still find a place. It speaks HTTP/1.1; whether in the clear is the listener's affair.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	return inbound.Serve(ctx, l, h, inbound.Bounds{Connections: 2 * mostStreams, Answer: 30 * time.Second,
		Idle: 15 * time.Second, Header: 16 << 10}) // idle: others wait for the place
}
