package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/vaultfleet/reconciler/internal/daemon"
)

// ear is an address that is listened on. It outlives the settings that named it
// as long as newer ones name it too: only who answers is replaced, and nobody
// finds the door closed meanwhile.
type ear struct {
	address  string
	listener net.Listener
	serve    func(context.Context, net.Listener, http.Handler) error
	tls      atomic.Pointer[tls.Config] // nil: in the clear
	answers  atomic.Pointer[http.Handler]
	stop     context.CancelFunc
	ended    chan struct{} // closed once nobody is answered any more; nil: nobody is yet
}

// listen takes an address, or keeps the one that is listened on already. Nothing
// is answered there yet. Without an address there is no ear.
func listen(address string, before *ear, serve func(context.Context, net.Listener, http.Handler) error) (*ear, error) {
	if address == "" || before != nil && before.address == address {
		if address == "" {
			return nil, nil
		}
		return before, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	e := &ear{address: address, serve: serve}
	e.listener = encrypting{listener, &e.tls}
	return e, nil
}

// answer has whoever comes from now on answered by somebody.
func (e *ear) answer(by http.Handler, log *slog.Logger, over string) {
	e.answers.Store(&by)
	if e.ended != nil {
		return
	}
	var ctx context.Context
	ctx, e.stop = context.WithCancel(context.Background())
	e.ended = make(chan struct{})
	go func() {
		defer close(e.ended)
		err := e.serve(ctx, e.listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*e.answers.Load()).ServeHTTP(w, r) }))
		if err != nil {
			log.Error(over, daemon.KeyError, err)
		}
	}()
}

// close returns once nobody is answered any more.
func (e *ear) close() {
	switch {
	case e == nil:
	case e.ended == nil:
		_ = e.listener.Close() // nobody was ever answered there
	default:
		e.stop()
		<-e.ended
	}
}
