package main

import (
	"fmt"
	"time"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/history"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// writes opens the history of a state folder to write it. A command says on stderr
// that it cannot be written.
func (a *app) writes(h host) *history.History {
	return h.writes(func(err error, hint string) {
		if err == nil {
			return
		}
		fmt.Fprintf(a.stderr, "reconciler: warning: history is not written: %v\n", err)
		if hint != "" {
			fmt.Fprintf(a.stderr, "reconciler: hint: %s\n", hint)
		}
	})
}

// writes does so for the daemon, and says it in the log.
func (r *running) writes(h host) *history.History {
	return h.writes(func(err error, hint string) {
		switch {
		case err == nil:
			h.log.Info("history is written again")
		case hint != "":
			h.log.Warn("history is not written", daemon.KeyError, err, "hint", hint)
		default:
			h.log.Warn("history is not written", daemon.KeyError, err)
		}
	})
}

func (h host) writes(tell func(err error, hint string)) *history.History {
	return history.Open(h.settings.State, history.Options{Keep: h.settings.History.Keep, Tell: func(err error) {
		tell(err, hintOf(err))
	}})
}

// did is the word of a person that is no leave.
func did(kind diff.LeaveKind, reason string) report.Event {
	return report.Event{At: time.Now(), Kind: report.EventWord, Outcome: string(report.VerbGranted),
		EventDetail: report.EventDetail{Word: &report.Word{Verb: report.VerbGranted, Kind: kind, By: who(), Reason: reason}}}
}

// fleetOf names a fleet to the history.
func fleetOf(fleet opened) string {
	if fleet.repo == nil {
		return "folder " + fleet.source.Folder
	}
	return fleet.only.Words()
}
