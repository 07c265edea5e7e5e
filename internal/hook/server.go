package hook

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/vaultfleet/reconciler/internal/inbound"
)

// Serve answers whoever connects until the context ends, and then what is in
// flight. Anybody may reach it: all together hold at most so many bodies as there are
// connections. It speaks HTTP/1.1 in the clear: TLS is for a proxy in front.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	return inbound.Serve(ctx, l, h, inbound.Bounds{Connections: 32, Answer: 20 * time.Second,
		Idle: time.Second, Header: 64 << 10}) // idle: others wait for the place
}
