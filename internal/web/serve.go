package web

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

// Bounds of the server: streams may be as many as there can be, and others still find
// a place.
const (
	connections  = 2 * mostStreams
	headersTake  = 5 * time.Second
	requestTakes = 15 * time.Second
	answerTakes  = 30 * time.Second
	idle         = 15 * time.Second // others wait for the place
	endTakes     = 5 * time.Second
	maxHeader    = 16 << 10
)

// Serve answers whoever connects until the context ends: streams end with it, and what
// else is in flight is answered. It speaks HTTP/1.1; whether in the clear is the
// listener's affair.
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
		BaseContext:       func(net.Listener) context.Context { return ctx },
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
