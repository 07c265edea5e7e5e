package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// newLog is the log that -v asks for: one line per look and per act, on stderr.
// Without -v nothing is written.
func newLog(verbose bool, stderr io.Writer) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// logged are ports whose looks and acts are told to the log. What a node said
// is not in it, only how long it took and what could not be read.
func logged(p loop.Ports, log *slog.Logger, cluster string) loop.Ports {
	log = log.With(daemon.KeyCluster, cluster)
	look, hands := p.Host, p.Hands
	p.Host = func(ctx context.Context, t actual.Target) actual.Node {
		began := time.Now()
		seen := look(ctx, t)
		attrs := []slog.Attr{slog.String(daemon.KeyNode, t.Node), slog.Duration("took", time.Since(began).Round(time.Millisecond))}
		for _, phase := range actual.Phases() {
			if _, ok := seen.Unknown[phase]; ok {
				attrs = append(attrs, slog.String("unknown", string(phase)))
			}
		}
		log.LogAttrs(ctx, slog.LevelDebug, "looked", attrs...)
		return seen
	}
	p.Hands = func(ctx context.Context, try diff.Try, step diff.Step, contents apply.Contents) error {
		began := time.Now()
		err := hands(ctx, try, step, contents)
		attrs := []slog.Attr{slog.String(daemon.KeyNode, step.Node), slog.String(daemon.KeyAction, string(step.Action)), slog.String(daemon.KeyStep, step.ID),
			slog.String("op", try.Op), slog.Uint64("epoch", try.Epoch), slog.Duration("took", time.Since(began).Round(time.Millisecond))}
		if err != nil {
			attrs = append(attrs, slog.String(daemon.KeyError, err.Error()))
		}
		log.LogAttrs(ctx, slog.LevelDebug, "acted", attrs...)
		return err
	}
	return p
}
