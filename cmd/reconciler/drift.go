package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// driftFlags are what drift alone is told.
type driftFlags struct {
	have     string
	since    time.Duration
	detailed bool
	failOn   []string
}

func newDrift(a *app) *cobra.Command {
	var f driftFlags
	cmd := &cobra.Command{
		Use:   "drift",
		Short: "Report what on the nodes no longer matches the spec",
		Long: "Look at the nodes and report what somebody changed there: what it is, since when, which line of the\n" +
			"spec wants it otherwise, what the node tells of who did it, and what becomes of it. What a merged commit\n" +
			"is about to bring is no drift, and neither is what a waiver of `ignore:` leaves alone. Nothing is changed\n" +
			"on any node.",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.drift(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.have, "have", "", "take the nodes' state from `FILE` instead of looking at them")
	flags.DurationVar(&f.since, "since", 0, "tell also what was there within this time and is gone, at most 336h: `DURATION`")
	flags.BoolVar(&f.detailed, "detailed-exitcode", false, "exit 2 when there is drift")
	flags.StringSliceVar(&f.failOn, "fail-on", nil, "exit 3 on `unobserved` nodes")
	cmd.AddCommand(newDriftAccept(a))
	return cmd
}

func (a *app) drift(ctx context.Context, f driftFlags) error {
	if err := a.formats("text", "json", "markdown", "html"); err != nil {
		return err
	}
	if f.since < 0 || f.since > diff.KeepsGone {
		return usage("write how far back to tell, as --since 168h, at most 336h", "--since cannot be %v", f.since)
	}
	asked, err := asked(planFlags{detailed: f.detailed, failOn: f.failOn})
	if err != nil {
		return err
	}
	all, err := a.look(ctx, f.have)
	if err != nil {
		return err
	}
	return a.each(all, func(l looked) error { return a.showDrift(l, f, asked) })
}

func (a *app) showDrift(l looked, f driftFlags, asked report.Asked) error {
	clusters := a.narrowed(l.clusters)
	since := time.Time{}
	if f.since > 0 {
		since = l.now.Add(-f.since)
	}
	d := report.NewDrift(l.source, clusters, l.now, since)
	d = d.Ended(report.Worst(d.Codes(asked)...))
	var err error
	switch a.output {
	case "json":
		err = report.JSON(a.stdout, d)
	case "markdown":
		err = report.DriftMarkdown(a.stdout, d)
	case "html":
		err = report.DriftHTML(a.stdout, d)
	default:
		a.preamble(l.source)
		err = report.Drift(a.stdout, a.layout(a.stdout), d)
	}
	if err != nil {
		return fmt.Errorf("write the drift report: %w", err)
	}
	return ended(d.Exit.Code)
}

// driftOf leaves what is on the nodes that match.
func driftOf(d diff.Drifted, matches func(string) bool) diff.Drifted {
	var rows []diff.Drift
	for _, row := range d.Rows {
		on := slices.DeleteFunc(slices.Clone(row.Nodes), func(n string) bool { return !matches(n) })
		if len(row.Nodes) == 0 || len(on) > 0 {
			row.Nodes = on
			row.Traces = keep(row.Traces, func(t diff.Trace) string { return t.Node }, matches)
			rows = append(rows, row)
		}
	}
	d.Rows = rows
	d.Unobserved = keep(d.Unobserved, func(u diff.Unseen) string { return u.Node }, matches)
	return d
}
