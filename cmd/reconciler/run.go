package main

import (
	"context"
	"errors"
	"log/slog"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/lease"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

func newRun(a *app) *cobra.Command {
	var once bool
	var format string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Follow the repo and keep every cluster as it says, until stopped",
		Long: "Poll the repo, and keep every cluster at its newest commit: change what a commit changes, repair what\n" +
			"breaks, and leave alone what a person did on purpose. What it does is logged on stderr.\n\n" +
			"SIGTERM ends it after what is in flight, with exit code 0. One daemon runs on a state folder; a second\n" +
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

	here  host
	world *world
	began bool // a commit was read
	known *desired.Known
}

func (r *running) run(ctx context.Context) error {
	followed, err := r.check()
	if err != nil {
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
	if r.world, err = newWorld(r.here); err != nil {
		return err
	}
	defer r.world.close()
	if err := r.world.store.Writable(ctx); err != nil {
		return err
	}
	if r.once {
		return r.round(ctx)
	}
	return r.keep(ctx, followed)
}

// check refuses what could only fail later, and reads reconciler.yaml.
func (r *running) check() (settings.Fleet, error) {
	switch {
	case r.fleet != "":
		return settings.Fleet{}, usage("write reconciler apply --fleet "+r.fleet, "run follows a repo, and --fleet names a folder")
	case r.node != "":
		return settings.Fleet{}, usage("choose clusters by --cluster; hold CLUSTER --node NODE keeps hands off a node", "--node cannot be run: waves are made for whole clusters")
	case r.format != "text" && r.format != "json":
		return settings.Fleet{}, usage("choose one of text, json", "--log-format cannot be %q", r.format)
	}
	if !r.once && r.output != "text" {
		return settings.Fleet{}, usage("write --log-format json", "the daemon prints no report, only a log, so -o %s changes nothing", r.output)
	}
	var err error
	if r.here, err = r.host(); err != nil {
		return settings.Fleet{}, err
	}
	r.here.log = r.log()
	return r.followed(r.here)
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

// keep runs until the process is told to end.
func (r *running) keep(ctx context.Context, followed settings.Fleet) error {
	r.known = desired.NewKnown()
	b, err := r.openBranch(ctx, r.here, followed)
	if err != nil {
		return err
	}
	answered, silent, err := r.answer(ctx, b, followed)
	if err != nil {
		return err
	}
	heard, err := r.listen(ctx, followed, answered.poke)
	if err != nil {
		return err
	}
	log := r.here.log
	log.Info("started", "version", version(), "repo", followed.Repo, "branch", followed.Branch, "interval", followed.Interval, "state", r.here.settings.State)
	told := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(told)
		words := "ending after what is in flight"
		if r.letSignals() {
			words += "; a second signal ends at once"
		}
		log.Info(words, daemon.KeyReason, context.Cause(ctx))
	})
	daemon.Run(ctx, daemon.Ports{
		Poll: b.poll,
		Last: b.last,
		Read: func(ctx context.Context, commit string) (daemon.Wants, error) {
			return r.read(ctx, b.Repo, followed, commit, answered)
		},
		Release: func(cluster string) error { return r.world.letGo(context.WithoutCancel(ctx), cluster) },
		Wait:    daemon.Wait,
		News:    heard.news,
		Seen:    answered.saw,
	}, followed.Interval, log)
	<-told
	heard.wait()
	<-silent
	log.Info("ended")
	var by *signalled
	if errors.As(context.Cause(ctx), &by) && by.signal == syscall.SIGTERM {
		return nil
	}
	return context.Cause(ctx)
}

// read is what a commit has every cluster be kept at, and says in the log what
// of it is not in force. That no cluster is chosen is a mistake at the start, and
// later on what the commit wants.
func (r *running) read(ctx context.Context, repo *git.Repo, followed settings.Fleet, commit string, answered *pulls) (daemon.Wants, error) {
	fleet, err := openCommit(repo, followed, commit, r.known)
	if err != nil {
		return daemon.Wants{}, err
	}
	fleet.Fleet = r.here.judged(fleet.Fleet)
	choose := r.choose
	if !r.began {
		choose = r.chosen
	}
	whole, broken, err := choose(ctx, r.here, fleet)
	if err != nil {
		return daemon.Wants{}, err
	}
	r.began = true
	answered.follow(commit, fleet.Fleet)
	r.refused(commit, fleetErrors(fleet.Fleet), whole, broken)
	wants := daemon.Wants{Gone: gone(ctx, r.world.store, fleet.Fleet)}
	ctx = context.WithoutCancel(ctx) // a turn of the end needs its spec as well
	for _, w := range whole {
		wants.Kept = append(wants.Kept, daemon.Kept{Name: w.Name, Digest: w.Digest + " " + string(w.Mode),
			Order: func() (loop.Ports, loop.Spec, error) { return r.world.cluster(ctx, w) }})
	}
	return wants, nil
}

// refused says what is wrong with a commit, each thing once, and which clusters
// are kept at an older one for it.
func (r *running) refused(commit string, problems []desired.Problem, whole []wanted, broken []desired.Broken) {
	log, said := r.here.log.With(daemon.KeyCommit, commit), map[string]bool{}
	say := func(problems []desired.Problem) {
		for _, p := range problems {
			if text := p.Error(); !said[text] {
				said[text] = true
				log.Error("the commit is not in force as it is", daemon.KeyCluster, p.Cluster, daemon.KeyError, text)
			}
		}
	}
	say(problems)
	for _, w := range whole {
		if len(w.broken) > 0 {
			say(w.broken)
			log.Warn("the spec that was accepted last stays in force", daemon.KeyCluster, w.Name, "in_force", w.commit)
		}
	}
	for _, b := range broken {
		say(errorsOf(b.Problems))
		log.Error("no accepted spec of the cluster can be had: it is left alone", daemon.KeyCluster, b.Name)
	}
}

// round brings every cluster as far as it comes now, as apply does.
func (r *running) round(ctx context.Context) error {
	fleet, err := r.open(ctx, r.here)
	if err != nil {
		return err
	}
	fleet.Fleet = r.here.judged(fleet.Fleet)
	whole, broken, err := r.chosen(ctx, r.here, fleet)
	if err != nil {
		return err
	}
	if err := r.letGo(ctx, r.world.store, fleet.Fleet); err != nil {
		return err
	}
	all := &applying{app: r.app, yes: true, parallel: clustersAtOnceMost, command: "reconciler run --once"}
	return all.apply(ctx, r.world, fleet.source, whole, broken, nil)
}
