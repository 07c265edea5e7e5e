package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/history"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/settings"
)

func newHistory(a *app) *cobra.Command {
	l := &looksBack{app: a}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "What was done, when, and by which commit",
		Long: "Commits that came into force, plans, what was done on which nodes and how it went, what was seen to be\n" +
			"otherwise, drift from its beginning to its end, and what people said; the newest first. No node and no\n" +
			"repo is contacted, and a daemon may run beside it. `reconciler show ID` tells one of them in full.",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&l.since, "since", "", "only from then on: a duration as 7d or 12h, or a `DATE` as 2026-11-23")
	cmd.Flags().StringVar(&l.before, "before", "", "only what is older than the event `ID`")
	cmd.Flags().IntVar(&l.limit, "limit", 50, "at most so many")
	return cmd
}

// looksBack is one run of history.
type looksBack struct {
	*app
	since, before string
	limit         int
}

func (l *looksBack) run(ctx context.Context) error {
	filter := history.Filter{Cluster: l.cluster, Node: l.node, Before: l.before, Limit: l.limit}
	var err error
	if filter.Since, err = begin(l.since, time.Now()); err != nil {
		return err
	}
	const most = 10_000
	if l.limit < 1 || l.limit > most {
		return usage("page with --before", "--limit must be from 1 to %d", most)
	}
	r, err := l.reads(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	events, before, err := r.Recent(ctx, filter)
	if err != nil {
		return err
	}
	d := report.NewHistory(events, before)
	switch l.output {
	case "json":
		err = report.JSON(l.stdout, d)
	case "markdown":
		err = report.HistoryMarkdown(l.stdout, d)
	default:
		err = report.History(l.stdout, l.layout(l.stdout), d)
	}
	if err != nil {
		return fmt.Errorf("write the history: %w", err)
	}
	return nil
}

// reads opens the history to ask it. It is of a state folder, so it is asked nothing
// that a spec would have to answer.
func (a *app) reads(ctx context.Context) (*history.Reader, error) {
	switch {
	case a.fleet != "":
		return nil, usage("leave out --fleet", "the history is of the state folder, and of all fleets in it")
	case len(a.labels) > 0:
		return nil, usage("choose by --cluster and --node", "the history knows no labels")
	}
	h, err := a.host()
	if err != nil {
		return nil, err
	}
	if err := h.ownState(); err != nil {
		return nil, err
	}
	return history.Read(ctx, h.settings.State)
}

// begin reads when a history begins; zero for the empty text. A date is of the zone
// of this machine.
func begin(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := settings.Duration(text); err == nil {
		return now.Add(-ago), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	at, err := time.ParseInLocation(time.DateOnly, text, now.Location())
	if err != nil {
		return at, usage("write it as 7d, 12h, 2026-11-23 or 2026-11-23T22:00:00Z", "--since %q is no duration and no date", text)
	}
	return at, nil
}
