package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

func newSpec(a *app) *cobra.Command {
	var withOrigin bool
	cmd := &cobra.Command{
		Use:   "spec CLUSTER",
		Short: "Print a cluster's spec as it holds after merging its layers",
		Long: "Print a cluster's spec as YAML: defaults, environment, cluster and nodes merged, what is derived written out.\n" +
			"With --origin each value is followed by the file and line that it was written at.",
		Args: arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return a.spec(args[0], withOrigin) },
	}
	cmd.Flags().BoolVar(&withOrigin, "origin", false, "say where each value was written")
	return cmd
}

func (a *app) spec(cluster string, withOrigin bool) error {
	if err := a.formats("text"); err != nil {
		return err
	}
	dir, fsys, err := a.checkout()
	if err != nil {
		return err
	}
	lines, problems := desired.Explain(fsys, loadOptions(), cluster)
	if lines == nil {
		return a.noSpec(cluster, dir, problems)
	}
	width := 0
	for _, line := range lines {
		if line.Origin != "" {
			width = max(width, min(len([]rune(line.Text)), 72))
		}
	}
	for _, line := range lines {
		text := line.Text
		if withOrigin && line.Origin != "" {
			text = fmt.Sprintf("%-*s  # %s", width, line.Text, line.Origin)
		}
		if _, err := fmt.Fprintln(a.stdout, text); err != nil {
			return fmt.Errorf("write the spec: %w", err)
		}
	}
	return nil
}

// noSpec says on standard error why there is nothing to print.
func (a *app) noSpec(cluster, dir string, problems []desired.Problem) error {
	var errs []desired.Problem
	for _, p := range problems {
		if p.Severity == desired.SeverityError {
			p.Place.File = shownPath(dir, p.Place.File)
			errs = append(errs, p)
		}
	}
	if len(errs) == 1 {
		return &exitError{code: exitFailed, err: fmt.Errorf("%s: %s", errs[0].Place, errs[0].Text), hint: errs[0].Hint}
	}
	for _, p := range errs {
		fmt.Fprintln(a.stderr, asFound(p).line(a.colored(a.stderr)))
	}
	return &exitError{code: exitFailed, err: fmt.Errorf("cluster %s has %s", cluster, count(len(errs), "error"))}
}
