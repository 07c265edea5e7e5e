package main

import (
	"context"
	"fmt"
	"net"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/hook"
	"github.com/vaultfleet/reconciler/internal/settings"
)

// hooks hear from a forge that somebody pushed. Their zero value hears nothing.
type hooks struct {
	news  chan struct{}
	ended chan struct{} // closed once nobody is answered any more
}

// listen hears hooks until the context ends, where reconciler.yaml says so.
func (r *running) listen(ctx context.Context, followed settings.Fleet, pulls func()) (hooks, error) {
	w, log := r.here.settings.Webhook, r.here.log
	if w.Listen == "" {
		return hooks{}, nil
	}
	secrets := hook.File(w.SecretFile)
	if _, err := secrets(); err != nil {
		return hooks{}, &exitError{code: exitFailed, err: err, hint: "write a secret into it, as: (umask 077; openssl rand -hex 32 > FILE), and the same one into the forge"}
	}
	listener, err := net.Listen("tcp", w.Listen)
	if err != nil {
		return hooks{}, &exitError{code: exitFailed, err: fmt.Errorf("hear webhooks: %w", err),
			hint: "give webhook.listen an address of this host and a port that is free; ss -ltnp says who has it"}
	}
	h := hooks{news: make(chan struct{}, 1), ended: make(chan struct{})}
	handler := hook.New(hook.Options{Branch: followed.Branch, Secrets: secrets, Hint: h.hint, Pulls: pulls}, log)
	log.Info("hearing webhooks", "listen", w.Listen, "path", hook.Path)
	go func() {
		defer close(h.ended)
		if err := hook.Serve(ctx, listener, handler); err != nil {
			log.Error("webhooks are not heard any more", daemon.KeyError, err)
		}
	}()
	return h, nil
}

// hint tells the daemon; one that it has not heard yet stands for this one too.
func (h hooks) hint() {
	select {
	case h.news <- struct{}{}:
	default:
	}
}

// wait returns once nobody is answered any more.
func (h hooks) wait() {
	if h.ended != nil {
		<-h.ended
	}
}
