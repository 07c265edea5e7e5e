package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/report"
)

func newStatus(a *app) *cobra.Command {
	var have, save string
	var failOn []string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show clusters and nodes as they are now",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.status(cmd.Context(), have, save, failOn)
		},
	}
	cmd.Flags().StringVar(&have, "have", "", "take the nodes' state from `FILE` instead of looking at them")
	cmd.Flags().StringVar(&save, "save", "", "write what was seen to `FILE`, to plan with later: plan --have, plan --offline --observed")
	cmd.Flags().StringSliceVar(&failOn, "fail-on", nil, "exit 3 on `unobserved` nodes")
	return cmd
}

func (a *app) status(ctx context.Context, have, save string, failOn []string) error {
	if err := a.formats("text", "json"); err != nil {
		return err
	}
	asked, err := asked(planFlags{failOn: failOn})
	if err != nil {
		return err
	}
	all, err := a.look(ctx, have)
	if err != nil {
		return err
	}
	if save != "" {
		if err := saveHave(save, all); err != nil {
			return err
		}
	}
	return a.each(all, func(l looked) error { return a.showStatus(l, asked) })
}

func (a *app) showStatus(l looked, asked report.Asked) error {
	clusters := a.narrowed(l.clusters)
	code := report.Code(clusters, asked)
	status := report.NewStatus(l.source, clusters, l.now, code)
	var err error
	if a.output == "json" {
		err = report.JSON(a.stdout, status)
	} else {
		a.preamble(l.source)
		err = report.Status(a.stdout, a.layout(a.stdout), status)
	}
	if err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	return ended(code)
}

func newWhy(a *app) *cobra.Command {
	var have string
	cmd := &cobra.Command{
		Use:   "why CLUSTER",
		Short: "Say why a cluster is not converged, and what would lift it",
		Args:  arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.why(cmd.Context(), args[0], have)
		},
	}
	cmd.Flags().StringVar(&have, "have", "", "take the nodes' state from `FILE` instead of looking at them")
	return cmd
}

func (a *app) why(ctx context.Context, cluster, have string) error {
	if err := a.formats("text", "json"); err != nil {
		return err
	}
	if strings.ContainsAny(cluster, `*?[\`) {
		return usage("name one cluster", "%q is a glob, and why is asked of one cluster", cluster)
	}
	a.cluster = cluster
	all, err := a.look(ctx, have)
	if err != nil {
		return err
	}
	return a.each(all, a.showWhy)
}

func (a *app) showWhy(l looked) error {
	code := report.Code(l.clusters, report.Asked{})
	var err error
	if a.output == "json" {
		err = report.JSON(a.stdout, report.NewDocument(report.SchemaWhy, l.source, l.clusters, code))
	} else {
		a.preamble(l.source)
		err = report.Why(a.stdout, a.layout(a.stdout), l.clusters[0])
	}
	if err != nil {
		return fmt.Errorf("write why: %w", err)
	}
	return ended(code)
}
