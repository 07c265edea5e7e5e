package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/history"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

func newApply(a *app) *cobra.Command {
	var yes bool
	var parallel int
	cmd := &cobra.Command{
		Use:   "apply [PLAN]",
		Short: "Change the nodes until they are what the spec says",
		Long: "Look, plan, do one wave, look again, until each cluster is in sync, blocked, waiting or failed.\n" +
			"On a terminal the plan is shown and a yes is asked for; elsewhere --yes is needed.\n\n" +
			"With PLAN (of `plan --out`) nothing is done that is not in it, but starting and unsealing what went\n" +
			"down meanwhile. Ctrl-C stops after the wave in flight.",
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &applying{app: a, yes: yes, parallel: parallel}
			if len(args) == 1 {
				r.saved = args[0]
			}
			return r.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().IntVar(&parallel, "parallel", 1, "how many clusters at a time; nodes of one cluster are not in parallel")
	return cmd
}

// applying is one run of apply.
type applying struct {
	*app
	yes      bool
	parallel int
	saved    string // file of a saved plan; empty: none

	history  *history.History // nil: what is done is not written down
	named    string           // the fleet, in it
	progress *report.Progress
	command  string // that goes on where this one stopped
}

func (r *applying) run(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	limits, err := r.limits()
	if err != nil {
		return err
	}
	h, err := r.host()
	if err != nil {
		return err
	}
	if r.fleet != "" {
		if err := h.policy.Folders(); err != nil {
			return fmt.Errorf("apply the folder %s: %w", r.fleet, err)
		}
	}
	fleets, err := r.open(ctx, h)
	if err != nil {
		return err
	}
	h.judgeAll(fleets)
	chosen, err := r.chosen(ctx, h, fleets)
	if err != nil {
		return err
	}
	if limits != nil {
		chosen = slices.DeleteFunc(chosen, func(c choice) bool { return len(chosen) > 1 && !ofPlan(c.source, limits.Source) })
	}
	w, err := newWorld(h)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.store.Writable(ctx); err != nil {
		return err
	}
	w.history = r.writes(h)
	defer w.history.Close()
	if err := r.letGo(ctx, w, fleets); err != nil {
		return err
	}
	if len(chosen) == 0 {
		return usage("make it anew: reconciler plan --out "+r.saved, "%s is of fleet %s in %s, which reconciler.yaml does not follow", r.saved, limits.Source.Fleet, limits.Source.Repo)
	}
	return r.applyAll(ctx, w, chosen, limits)
}

// ofPlan says that a saved plan is of a fleet.
func ofPlan(fleet, plan report.Source) bool {
	return fleet.Fleet == plan.Fleet && fleet.Repo == plan.Repo && fleet.Branch == plan.Branch
}

// applyAll goes from fleet to fleet: one report each.
func (r *applying) applyAll(ctx context.Context, w *world, chosen []choice, limits *report.Document) error {
	ends := make([]error, len(chosen))
	for i, c := range chosen {
		if i > 0 && r.output != "json" {
			fmt.Fprintln(r.stdout)
		}
		r.history, r.named = w.history, fleetOf(c.opened)
		if ends[i] = r.apply(ctx, w, c.source, c.whole, c.broken, limits); ctx.Err() != nil {
			break
		}
	}
	return gravest(ends)
}

// check refuses what could only fail later.
func (r *applying) check() error {
	switch {
	case r.node != "":
		return usage("choose clusters by --cluster; hold NODE keeps hands off a node", "--node cannot be applied: waves are made for whole clusters")
	case r.parallel < 1:
		return usage("write --parallel 1 or more", "--parallel cannot be %d", r.parallel)
	case !r.yes && !isTerminal(r.stdin):
		return usage("add --yes, once you have read reconciler plan", "nobody can be asked: standard input is no terminal")
	case !r.yes && r.output != "text":
		return usage("add --yes, once you have read reconciler plan", "a question cannot be asked in %s", r.output)
	}
	r.command = "reconciler apply"
	if r.fleet != "" {
		r.command += " --fleet " + r.fleet
	}
	if r.cluster != "" {
		r.command += " --cluster '" + r.cluster + "'"
	}
	return nil
}

// limits is the saved plan; nil where there is none.
func (r *applying) limits() (*report.Document, error) {
	if r.saved == "" {
		return nil, nil
	}
	f, err := os.Open(r.saved)
	if err != nil {
		return nil, fmt.Errorf("open the saved plan: %w", err)
	}
	defer f.Close()
	document, err := report.Read(f)
	if err != nil {
		return nil, err
	}
	return &document, nil
}

func (r *applying) apply(ctx context.Context, w *world, source report.Source, whole []wanted, broken []desired.Broken, limits *report.Document) error {
	if r.output == "text" {
		r.preamble(source)
	}
	if !r.yes {
		agreed, err := r.ask(ctx, w, whole, broken, limits)
		if err != nil || !agreed {
			return err
		}
	}
	stop := r.watch(ctx)
	clusters := r.converge(ctx, w, whole, limits)
	stop()
	clusters = append(clusters, brokenClusters(broken)...)
	code := acted(clusters)
	if ctx.Err() != nil && unfinished(clusters) {
		code = report.Interrupted
	}
	if err := r.tell(source, clusters, code); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return ended(code)
}

// watch shows progress while work is under way, and tells what an interrupt
// does. The result ends it.
func (r *applying) watch(ctx context.Context) (stop func()) {
	r.progress = report.NewProgress(r.stderr, r.layout(r.stderr), isTerminal(r.stderr))
	done := make(chan struct{})
	var over sync.WaitGroup
	over.Go(func() {
		beat := time.NewTicker(time.Second)
		defer beat.Stop()
		interrupted := ctx.Done()
		for {
			select {
			case <-done:
				return
			case now := <-beat.C:
				r.progress.Beat(now)
			case <-interrupted:
				interrupted = nil
				words := "Stopping after the wave in flight."
				if r.letSignals() {
					words += " Once more ends at once; the next run then finds out what was done."
				}
				r.progress.Tell(time.Now(), "", words)
			}
		}
	})
	return func() {
		close(done)
		over.Wait()
		r.progress.Close()
	}
}

// acted is the exit code of a command that does things.
func acted(clusters []report.Cluster) int {
	code := report.Code(clusters, report.Asked{Acted: true})
	if stale(clusters) {
		code = report.Worst(code, report.Stale)
	}
	return code
}

// stale says that a saved plan did not cover what would have been done.
func stale(clusters []report.Cluster) bool {
	return slices.ContainsFunc(clusters, func(c report.Cluster) bool { return report.IsStale(c.Err) })
}

// unfinished says that something was left when the run was interrupted.
func unfinished(clusters []report.Cluster) bool {
	return slices.ContainsFunc(clusters, func(c report.Cluster) bool {
		_, next := c.Plan.Next()
		return next || c.Err != nil || len(c.Plan.Waits) > 0
	})
}

// tell ends the run: what was done, what is left, how to go on.
func (r *applying) tell(source report.Source, clusters []report.Cluster, code int) error {
	switch r.output {
	case "json":
		return report.JSON(r.stdout, report.NewDocument(report.SchemaApply, source, clusters, code))
	case "markdown":
		return report.Markdown(r.stdout, source, clusters)
	}
	if err := report.Text(r.stdout, r.layout(r.stdout), clusters); err != nil {
		return err
	}
	if code == report.Interrupted || code == report.Partway {
		r.say("Stopped part-way; nothing is half-done that the next run does not finish. Continue: %s", r.command)
	}
	return nil
}
