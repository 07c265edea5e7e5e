package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/report"
)

func newShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "One event of the history in full: a plan, or a wave step by step",
		Long: "ID is what `reconciler history` lists (W-17), the ID of a step or of an operation, as the log and the\n" +
			"JSON of apply have it, or the fingerprint of a plan.",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.show(cmd.Context(), args[0]) },
	}
}

func (a *app) show(ctx context.Context, id string) error {
	if err := a.formats("text", "json"); err != nil {
		return err
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
