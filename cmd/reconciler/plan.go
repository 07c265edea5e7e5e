package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// planFlags are what plan alone is told.
type planFlags struct {
	have     string
	out      string
	offline  bool
	base     string
	observed string
	detailed bool
	failOn   []string
}

func newPlan(a *app) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would be changed, in what order, and what would not and why",
		Long: "Look at the nodes and print what would be changed on them, in what order and why, and what is\n" +
			"left alone and what would lift that. Nothing is changed on any node.\n\n" +
			"With --have FILE no node is contacted: the file tells what the nodes are, as\n" +
			`{"now": RFC 3339, "memory": {CLUSTER: …}, "nodes": {CLUSTER: […]}}, which status --save writes.` + "\n\n" +
			"With --offline --base REV the folder of --fleet (default: this one) is compared with a revision of its\n" +
			"repository: what the specs alone change. It needs no reconciler.yaml and no access, so it fits a CI job\n" +
			"on a pull request; -o markdown prints a comment. --observed FILE adds what would be done to the nodes as\n" +
			"a file of status --save has them.",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.offline {
				return a.offline(f)
			}
			if f.base != "" || f.observed != "" {
				return usage("add --offline", "--base and --observed are of a comparison")
			}
			return a.plan(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.have, "have", "", "take the nodes' state from `FILE` instead of looking at them")
	flags.StringVar(&f.out, "out", "", "save the plan to `FILE`, to apply exactly what was read")
	flags.BoolVar(&f.offline, "offline", false, "compare two specs, and contact no node")
	flags.StringVar(&f.base, "base", "", "with --offline: the `REVISION` to compare with, as origin/main")
	flags.StringVar(&f.observed, "observed", "", "with --offline: plan for the nodes as `FILE` of status --save has them, too")
	flags.BoolVar(&f.detailed, "detailed-exitcode", false, "exit 2 when there are changes")
	flags.StringSliceVar(&f.failOn, "fail-on", nil, "exit 3 on `unobserved` nodes")
	return cmd
}

func (a *app) plan(ctx context.Context, f planFlags) error {
	if err := a.formats("text", "json", "markdown"); err != nil {
		return err
	}
	a.asked = true // as apply would do it
	asked, err := asked(f)
	if err != nil {
		return err
	}
	if f.out != "" && a.node != "" {
		return usage("leave out one of them", "a plan of some nodes only cannot be saved: waves are made for whole clusters")
	}
	all, err := a.look(ctx, f.have)
	if err != nil {
		return err
	}
	if f.out != "" && len(all) > 1 {
		return usage("choose clusters of one fleet by --cluster", "a plan of %d fleets cannot be saved: a plan is of one commit", len(all))
	}
	return a.each(all, func(l looked) error { return a.showPlan(l, f.out, asked) })
}

func (a *app) showPlan(l looked, out string, asked report.Asked) error {
	clusters := a.narrowed(l.clusters)
	code := report.Code(clusters, asked)
	if out != "" {
		if err := save(out, report.NewDocument(report.SchemaPlan, l.source, clusters, code)); err != nil {
			return err
		}
	}
	if err := a.printPlan(report.SchemaPlan, l.source, clusters, code); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if out != "" && a.output == "text" && !a.quiet {
		fmt.Fprintf(a.stdout, "\nSaved %s. Apply exactly this with: reconciler apply %s\n", out, out)
	}
	return ended(code)
}

func asked(f planFlags) (report.Asked, error) {
	asked := report.Asked{Detailed: f.detailed}
	for _, what := range f.failOn {
		if what != "unobserved" {
			return asked, usage("write --fail-on unobserved", "--fail-on cannot be %q", what)
		}
		asked.Unobserved = true
	}
	return asked, nil
}

// printPlan prints plans, and what was done of them, in the format asked for.
func (a *app) printPlan(schema report.Schema, source report.Source, clusters []report.Cluster, code int) error {
	switch a.output {
	case "json":
		return report.JSON(a.stdout, report.NewDocument(schema, source, clusters, code))
	case "markdown":
		return report.Markdown(a.stdout, source, clusters)
	}
	a.preamble(source)
	return report.Text(a.stdout, a.layout(a.stdout), clusters)
}

// save writes a document whole or not at all.
func save(path string, document any) error {
	var b bytes.Buffer
	if err := report.JSON(&b, document); err != nil {
		return err
	}
	absolute, err := filepath.Abs(path)
	if err == nil {
		err = durable.WriteFile(absolute, b.Bytes(), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
