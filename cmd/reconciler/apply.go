package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
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
	fleet, err := r.open(ctx, h)
	if err != nil {
		return err
	}
	fleet.Fleet = h.judged(fleet.Fleet)
	whole, broken, err := r.chosen(fleet.Fleet)
	if err != nil {
		return err
	}
	w, err := newWorld(h, fleet.Fleet)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.store.Writable(ctx); err != nil {
		return err
	}
	return r.apply(ctx, w, fleet.source, whole, broken, limits)
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

func (r *applying) apply(ctx context.Context, w *world, source report.Source, whole []desired.Cluster, broken []desired.Broken, limits *report.Document) error {
	if r.output == "text" {
		r.preamble(source)
	}
	if !r.yes {
		agreed, err := r.ask(ctx, w, source, whole, broken, limits)
		if err != nil || !agreed {
			return err
		}
	}
	stop := r.watch(ctx)
	clusters := r.converge(ctx, w, source.Commit, whole, limits)
	stop()
	clusters = append(clusters, brokenClusters(broken)...)
	code := report.Code(clusters, report.Asked{Acted: true})
	if stale(clusters) {
		code = report.Worst(code, report.Stale)
	}
	if left := ctx.Err() != nil && unfinished(clusters); left {
		code = report.Interrupted
	}
	if err := r.tell(source, clusters, code); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return ended(code)
}

// ask shows the plan and asks for a yes. False: there is nothing to do, or the
// answer was no.
func (r *applying) ask(ctx context.Context, w *world, source report.Source, whole []desired.Cluster, broken []desired.Broken, limits *report.Document) (bool, error) {
	clusters := make([]report.Cluster, len(whole))
	clustersAtOnce(len(whole), func(i int) { clusters[i] = w.look(ctx, whole[i], source.Commit) })
	if err := ctx.Err(); err != nil {
		return false, err
	}
	work := false
	for i, c := range clusters {
		_, next := c.Plan.Next()
		work = work || next
		if limits != nil && c.Err == nil {
			clusters[i].Err = limits.Covers(c.Plan)
		}
	}
	if stale(clusters) {
		work = false
	}
	clusters = append(clusters, brokenClusters(broken)...)
	if err := report.Text(r.stdout, r.layout(r.stdout), clusters); err != nil {
		return false, err
	}
	if !work {
		code := report.Code(clusters, report.Asked{Acted: true})
		if stale(clusters) {
			code = report.Worst(code, report.Stale)
		}
		return false, ended(code)
	}
	fmt.Fprint(r.stdout, "\nDo this? Only yes will do: ")
	return r.agreed(ctx)
}

// agreed reads the answer; an interrupt is no answer.
func (r *applying) agreed(ctx context.Context) (bool, error) {
	answer := make(chan string, 1)
	go func() { // ends with the answer, or with the program
		line, _ := bufio.NewReader(r.stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case text := <-answer:
		if text != "yes" {
			fmt.Fprintln(r.stdout, "Nothing was done.")
			return false, nil
		}
		return true, nil
	}
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
				signal.Reset(os.Interrupt, syscall.SIGTERM) // the next one ends us at once
				r.progress.Tell(time.Now(), "", "Stopping after the wave in flight. Once more ends at once; the next run then finds out what was done.")
			}
		}
	})
	return func() {
		close(done)
		over.Wait()
		r.progress.Close()
	}
}

// converge brings the clusters to their specs, some at a time, and returns
// what became of each.
func (r *applying) converge(ctx context.Context, w *world, commit string, whole []desired.Cluster, limits *report.Document) []report.Cluster {
	out := make([]report.Cluster, len(whole))
	atOnce(r.parallel, len(whole), func(i int) {
		out[i] = r.one(ctx, w, whole[i], commit, limits)
	})
	return out
}

func (r *applying) one(ctx context.Context, w *world, want desired.Cluster, commit string, limits *report.Document) report.Cluster {
	ports, spec, err := w.cluster(ctx, want, commit)
	if err != nil {
		return report.Cluster{Name: want.Name, Nodes: len(want.Nodes), Err: err}
	}
	if !r.quiet {
		ports.Watch = r.progress.Watch(want.Name)
	}
	if limits != nil {
		ports.Leave = limits.Covers
	}
	var all report.Cluster
	last := loop.Converge(ctx, ports, spec, func(t loop.Turned) {
		all.Results = append(all.Results, t.Results...)
		if !r.quiet {
			r.progress.Tell(time.Now(), want.Name, waiting(t.Plan))
		}
	})
	done := told(want, last)
	done.Results = all.Results
	return done
}

// waiting is what a cluster waits for, in one line.
func waiting(p diff.Plan) string {
	var parts []string
	for _, w := range p.Waits {
		parts = append(parts, string(w.Reason)+": "+w.Detail)
	}
	if len(p.Waves) > 0 || len(parts) == 0 {
		return ""
	}
	return "waits: " + strings.Join(parts, "; ")
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
