package hook

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds of a server that anybody may reach: nobody can hold a connection for
// long, and all together hold at most so many bodies as there are connections.
const (
	connections  = 32
	headersTake  = 5 * time.Second
	requestTakes = 15 * time.Second
	answerTakes  = 20 * time.Second
	idle         = time.Second // others wait for the place
	endTakes     = 5 * time.Second
	maxHeader    = 64 << 10
)

// Serve answers whoever connects until the context ends, and then what is in
// flight. It speaks HTTP/1.1 in the clear: TLS is for a proxy in front.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headersTake,
		ReadTimeout:       requestTakes,
		WriteTimeout:      answerTakes,
		IdleTimeout:       idle,
		MaxHeaderBytes:    maxHeader,
		Protocols:         &protocols,
		ErrorLog:          log.New(io.Discard, "", 0), // it would quote requests of anybody
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTakes)
		defer cancel()
		if s.Shutdown(within) != nil {
			s.Close()
		}
	})
	err := s.Serve(netutil.LimitListener(l, connections))
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
