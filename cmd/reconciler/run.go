package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/lease"
	"github.com/vaultfleet/reconciler/internal/metrics"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/web"
)

func newRun(a *app) *cobra.Command {
	var once bool
	var format string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Follow the repo and keep every cluster as it says, until stopped",
		Long: "Poll the repo, and keep every cluster at its newest commit: change what a commit changes, repair what\n" +
			"breaks, and leave alone what a person did on purpose. What it does is logged on stderr.\n\n" +
			"SIGTERM ends it after what is in flight, with exit code 0. SIGHUP has it read reconciler.yaml again. One daemon runs on a state folder; a second\n" +
			"one exits 6. With --once every cluster is brought as far as it comes now, and the exit code says how it went.",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r := &running{app: a, once: once, format: format}
			return r.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "one round over all clusters, then exit")
	cmd.Flags().StringVar(&format, "log-format", "text", "`FORMAT` of the log: text or json")
	return cmd
}

// running is one run of the daemon.
type running struct {
	*app
	once   bool
	format string

	here    host
	metrics *metrics.Metrics // of the daemon
	shown   *web.Board       // of the daemon
}

func (r *running) run(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	if err := r.here.ownState(); err != nil {
		return err
	}
	place, err := lease.Daemon(ctx, r.here.settings.State)
	var busy *lease.BusyError
	switch {
	case errors.As(err, &busy):
		return &exitError{code: report.Occupied, err: err, hint: "one daemon runs on a state folder: stop that one, or give this one another `state:`"}
	case err != nil:
		return err
	}
	defer place.Release()
	r.here.history = r.writes(r.here)
	defer r.here.history.Close()
	if r.once {
		return r.round(ctx)
	}
	return r.stand(ctx)
}

// check refuses what could only fail later, and reads reconciler.yaml.
func (r *running) check() error {
	switch {
	case r.fleet != "":
		return usage("write reconciler apply --fleet "+r.fleet, "run follows a repo, and --fleet names a folder")
	case r.node != "":
		return usage("choose clusters by --cluster; hold CLUSTER --node NODE keeps hands off a node", "--node cannot be run: waves are made for whole clusters")
	case r.format != "text" && r.format != "json":
		return usage("choose one of text, json", "--log-format cannot be %q", r.format)
	}
	if !r.once && r.output != "text" {
		return usage("write --log-format json", "the daemon prints no report, only a log, so -o %s changes nothing", r.output)
	}
	var err error
	if r.here, err = r.host(); err != nil {
		return err
	}
	r.here.log = r.log()
	_, err = r.followed(r.here)
	return err
}

// log is what an operator reads of a daemon: every change, and with -v every
// look and act; with -q only what is wrong.
func (r *running) log() *slog.Logger {
	level := slog.LevelInfo
	switch {
	case r.verbose:
		level = slog.LevelDebug
	case r.quiet:
		level = slog.LevelWarn
	}
	options := &slog.HandlerOptions{Level: level}
	if r.format == "json" {
		return slog.New(slog.NewJSONHandler(r.stderr, options))
	}
	return slog.New(slog.NewTextHandler(r.stderr, options))
}

// round brings every cluster as far as it comes now, as apply does.
func (r *running) round(ctx context.Context) error {
	w, err := newWorld(r.here)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.store.Writable(ctx); err != nil {
		return err
	}
	fleets, err := r.open(ctx, r.here)
	if err != nil {
		return err
	}
	r.here.judgeAll(fleets)
	chosen, err := r.chosen(ctx, r.here, fleets)
	if err != nil {
		return err
	}
	if err := r.letGo(ctx, w, fleets); err != nil {
		return err
	}
	all := &applying{app: r.app, yes: true, parallel: clustersAtOnceMost, command: "reconciler run --once"}
	return all.applyAll(ctx, w, chosen, nil)
}
