// Package inbound is what our servers have in common: nobody can hold a connection for
// long, and when the daemon ends they end.
//
// It must not know what is asked, nor who may ask.
//
//	err := inbound.Serve(ctx, listener, handler, inbound.Bounds{Connections: 32, Answer: time.Minute, Idle: time.Second, Header: 64 << 10})
package inbound

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

// Bounds of a server.
type Bounds struct {
	Connections int           // at once
	Answer      time.Duration // how long one may take
	Idle        time.Duration // how long a connection keeps its place for another request
	Header      int           // bytes
}

// RequestTakes is how long a request may take to come in.
const RequestTakes = 15 * time.Second

const (
	headersTake = 5 * time.Second
	endTakes    = 5 * time.Second
)

// Serve answers whoever connects until the context ends, and then what is in flight;
// the contexts of requests end with it. It speaks HTTP/1.1; whether in the clear is
// the listener's affair.
func Serve(ctx context.Context, l net.Listener, h http.Handler, b Bounds) error {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headersTake,
		ReadTimeout:       RequestTakes,
		WriteTimeout:      b.Answer,
		IdleTimeout:       b.Idle,
		MaxHeaderBytes:    b.Header,
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
	err := s.Serve(netutil.LimitListener(l, b.Connections))
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
