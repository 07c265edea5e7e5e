package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/notify"
)

// post sends what is put into the outbox, beside the daemon's turns and never by them.
// It outlives the settings that named its sinks; nil sends nothing.
type post struct {
	*notify.Outbox
	stop  context.CancelFunc
	ended chan struct{}
}

// openPost is the outbox of a state folder, or the one that is open already. Without
// sinks there is none, and none is made.
func openPost(state string, sinks map[string]notify.Sink, before *post, log *slog.Logger) (*post, error) {
	if before != nil || len(sinks) == 0 {
		return before, nil
	}
	outbox, err := notify.Open(filepath.Join(state, "notify"), log)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &post{outbox, stop, make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.Run(ctx)
		p.Close()
	}()
	return p, nil
}

// use sends to other sinks from now on.
func (p *post) use(sinks map[string]notify.Sink, log *slog.Logger) {
	if p == nil {
		return
	}
	if err := p.Use(sinks); err != nil {
		log.Error("messages go to the sinks of before", daemon.KeyError, err)
	}
}

// close returns once nothing is being sent any more. What waits is sent after the next
// start.
func (p *post) close() {
	if p == nil {
		return
	}
	p.stop()
	<-p.ended
}
