package main

import (
	"errors"
	"fmt"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/history"
	"github.com/vaultfleet/reconciler/internal/loop"
)

// remembers opens the history of a state folder. A command says on stderr that it
// cannot be written.
func (a *app) remembers(h host) *history.History {
	return history.Open(h.settings.State, history.Options{Keep: h.settings.History.Keep, Tell: func(err error) {
		if err != nil {
			fmt.Fprintf(a.stderr, "reconciler: warning: history is not written: %v\n", err)
		}
	}})
}

// remembers opens the history of the daemon, or of its one round: that it cannot be
// written stands in the log, and keeps nothing from being done.
func (r *running) remembers(h host) *history.History {
	return history.Open(h.settings.State, history.Options{Keep: h.settings.History.Keep, Tell: func(err error) {
		if err == nil {
			h.log.Info("history is written again")
			return
		}
		attrs := []any{daemon.KeyError, err}
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) {
			attrs = append(attrs, "hint", hinted.Hint())
		}
		h.log.Warn("history is not written", attrs...)
	}})
}

// also has a turn heard by one more.
func also(one, other func(loop.Turned)) func(loop.Turned) {
	return func(t loop.Turned) {
		one(t)
		other(t)
	}
}

// fleetOf names a fleet to the history.
func fleetOf(fleet opened) string {
	if fleet.repo == nil {
		return "folder " + fleet.source.Folder
	}
	return fleet.only.Words()
}
