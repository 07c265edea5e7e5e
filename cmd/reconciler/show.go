package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

func newShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "One event of the history in full: a plan, or a wave step by step",
		Long: "ID is what `reconciler history` lists (W-17), the ID of a step or of an operation, as the log and the\n" +
			"JSON of apply have it, the fingerprint of a plan, or the ID of a drift (D-1f0c22ab).",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.show(cmd.Context(), args[0]) },
	}
}

func (a *app) show(ctx context.Context, id string) error {
	if err := a.formats("text", "json"); err != nil {
		return err
	}
	if strings.HasPrefix(id, "D-") {
		return a.showDriftOf(ctx, id)
	}
	r, err := a.reads(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	e, plan, steps, err := r.Show(ctx, id)
	if err != nil {
		return err
	}
	d := report.NewShow(e, plan, steps)
	if a.output == "json" {
		err = report.JSON(a.stdout, d)
	} else {
		err = report.Show(a.stdout, a.layout(a.stdout), d)
	}
	if err != nil {
		return fmt.Errorf("write what is shown: %w", err)
	}
	return nil
}

// showDriftOf shows what is remembered of a drift.
func (a *app) showDriftOf(ctx context.Context, id string) error {
	h, err := a.host()
	if err != nil {
		return err
	}
	s, err := h.openStore()
	if err != nil {
		return err
	}
	clusters, err := s.Clusters()
	if err != nil {
		return err
	}
	for _, cluster := range clusters {
		m, _, err := s.Load(ctx, cluster)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(m.Drifts, func(e diff.Episode) bool { return e.ID == id })
		if i < 0 {
			continue
		}
		d := report.NewEpisode(cluster, m.Drifts[i])
		if a.output == "json" {
			return report.JSON(a.stdout, d)
		}
		return report.Episode(a.stdout, a.layout(a.stdout), d, time.Now())
	}
	return usage("reconciler drift lists those that are there; what has been gone for two weeks is not remembered", "no drift %q is remembered", id)
}
