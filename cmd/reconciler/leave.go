package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/history"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A person's word to the reconciler is given on its own host and written to
// the store, so a running daemon hears it at its next turn.

func newHold(a *app) *cobra.Command {
	var reason, until string
	cmd := &cobra.Command{
		Use:   "hold CLUSTER",
		Short: "Keep hands off a cluster, or one of its nodes (--node)",
		Long: "Nothing is done to the cluster, or the node, until it is resumed: no change, no repair, no unseal.\n" +
			"What is in flight goes on to its end.",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.hold(cmd.Context(), args[0], reason, until)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever finds the cluster held")
	cmd.Flags().StringVar(&until, "until", "", "when the hold ends by itself: a `TIME` as 2026-11-23T22:00:00Z, or a duration as 2h")
	return cmd
}

func newResume(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "resume CLUSTER",
		Short: "Lift a hold, and try again what failed too often (--node: of one node)",
		Args:  arguments(1, 1),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.resume(cmd.Context(), args[0], reason) },
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever reads it later")
	return cmd
}

func (a *app) hold(ctx context.Context, cluster, reason, until string) error {
	if reason == "" {
		return usage(`add --reason "why"`, "a hold needs a reason: somebody will find the cluster held and not know")
	}
	leave := diff.Leave{Kind: diff.LeaveHold, Node: a.node, By: who(), Reason: reason, At: time.Now().UTC()}
	var err error
	if leave.Until, err = end(until, leave.At); err != nil {
		return err
	}
	s, _, err := a.remembered(ctx, cluster, false)
	if err != nil {
		return err
	}
	defer s.history.Close()
	if err := s.Grant(ctx, cluster, leave); err != nil {
		return err
	}
	ends := "until it is resumed"
	if !leave.Until.IsZero() {
		ends = "until " + leave.Until.Format(time.RFC3339)
	}
	a.say("Held by %s: %s, %s. Lift: %s", leave.By, place(cluster, a.node), ends, resumeCommand(cluster, a.node))
	return nil
}

func (a *app) resume(ctx context.Context, cluster, reason string) error {
	s, memory, err := a.remembered(ctx, cluster, false)
	if err != nil {
		return err
	}
	defer s.history.Close()
	now := time.Now().UTC()
	held, failed, err := lift(ctx, s, cluster, diff.Leave{Node: a.node, By: who(), Reason: reason, At: now})
	if err != nil {
		return err
	}
	switch {
	case held && failed > 0:
		a.say("Resumed: the hold of %s is lifted, and %s again.", place(cluster, a.node), triedAgain(failed))
	case held:
		a.say("Resumed: the hold of %s is lifted.", place(cluster, a.node))
	case failed > 0:
		a.say("Resumed: on %s, %s again.", place(cluster, a.node), triedAgain(failed))
	default:
		a.say("%s is not held, and no step failed there. What Vault refused there is tried again.", place(cluster, a.node))
	}
	for _, l := range memory.Leaves {
		if l.Kind == diff.LeaveHold && l.Node != a.node && (l.Until.IsZero() || now.Before(l.Until)) {
			a.say("Still held: %s. Lift: %s", place(cluster, l.Node), resumeCommand(cluster, l.Node))
		}
	}
	return nil
}

// lift ends a hold, and lets what failed be tried again. It says whether there was
// a hold, and how many steps had failed.
func lift(ctx context.Context, s spoken, cluster string, word diff.Leave) (held bool, failed int, err error) {
	memory, _, err := s.Load(ctx, cluster)
	if err != nil {
		return false, 0, err
	}
	word.Kind = diff.LeaveHold
	err = s.Lift(ctx, cluster, word)
	if held = err == nil; err != nil && !errors.Is(err, store.ErrNoLeave) {
		return held, 0, err
	}
	if failed = failures(memory, word.Node); failed > 0 || !held { // what Vault refused a node is not all remembered here
		word.Kind = diff.LeaveRetry
		return held, failed, s.Grant(ctx, cluster, word)
	}
	return held, failed, nil
}

func triedAgain(failed int) string {
	if failed == 1 {
		return "1 step that failed is tried"
	}
	return count(failed, "step") + " that failed are tried"
}

// failures counts the steps whose last attempt did not come to its goal.
func failures(m diff.Memory, node string) int {
	n := 0
	for _, t := range m.Tries {
		cut := t.Outcome == diff.OutcomeIntent && t.Cut > 0
		if (node == "" || t.Node == node) && (t.Outcome == diff.OutcomeFailed || t.Outcome == diff.OutcomeUnknown || cut) {
			n++
		}
	}
	return n
}

// spoken is where a person's word goes: into the store, where it counts, and then
// into the history.
type spoken struct {
	*store.Store
	history *history.History
}

func (s spoken) Grant(ctx context.Context, cluster string, l diff.Leave) error {
	err := s.Store.Grant(ctx, cluster, l)
	if err == nil {
		s.history.Said(cluster, report.VerbGranted, l)
	}
	return err
}

func (s spoken) Lift(ctx context.Context, cluster string, l diff.Leave) error {
	err := s.Store.Lift(ctx, cluster, l)
	if err == nil {
		s.history.Said(cluster, report.VerbLifted, l)
	}
	return err
}

// remembered opens the store for a cluster that there is. For a birth it must
// be one of the spec that was never pinned; otherwise one that is remembered is
// enough, so that a hold works while git is down.
func (a *app) remembered(ctx context.Context, cluster string, birth bool) (spoken, diff.Memory, error) {
	h, err := a.host()
	if err != nil {
		return spoken{}, diff.Memory{}, err
	}
	s, err := h.openStore()
	if err != nil {
		return spoken{}, diff.Memory{}, err
	}
	known, err := s.Clusters()
	if err != nil {
		return spoken{}, diff.Memory{}, err
	}
	if birth || !slices.Contains(known, cluster) || a.node != "" {
		if err := a.inSpec(ctx, h, cluster, birth, slices.Contains(known, cluster)); err != nil {
			return spoken{}, diff.Memory{}, err
		}
	}
	memory, _, err := s.Load(ctx, cluster)
	if err != nil {
		return spoken{}, diff.Memory{}, err
	}
	return spoken{s, a.writes(h)}, memory, nil
}

// inSpec says that the fleet has the cluster, and the node of --node.
func (a *app) inSpec(ctx context.Context, h host, cluster string, birth, known bool) error {
	fleets, err := a.open(ctx, h)
	if err != nil {
		if known && !birth {
			fmt.Fprintf(a.stderr, "reconciler: warning: %v; the cluster is remembered, so its spec is not asked\n", err)
			return nil
		}
		return err
	}
	fleet, _ := ofCluster(fleets, cluster)
	want, ok := fleet.Cluster(cluster)
	switch errs := fleetErrors(fleet.Fleet); {
	case len(clusterNames(fleet.Fleet)) == 0 && len(errs) > 0:
		return errs[0]
	case !ok && !slices.Contains(clusterNames(fleet.Fleet), cluster):
		return usage("there are: "+strings.Join(clusterNames(fleet.Fleet), ", "), "the fleet has no cluster %q", cluster)
	case birth && !ok:
		return &exitError{code: exitFailed, err: fmt.Errorf("the spec of %s is invalid", cluster), hint: "reconciler validate"}
	case birth && want.ClusterID != "":
		return &exitError{code: exitFailed, err: fmt.Errorf("the spec of %s pins cluster_id %s: it was born before, and a cluster is born once", cluster, want.ClusterID),
			hint: "take cluster_id out of the spec only if that cluster is gone for good"}
	}
	if _, there := want.Node(a.node); a.node != "" && ok && !there {
		return usage("name a node as the spec does", "%s has no node %q", cluster, a.node)
	}
	return nil
}

// end reads when a hold ends; zero for the empty text.
func end(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	until, err := time.Parse(time.RFC3339, text)
	if d, other := time.ParseDuration(text); other == nil {
		until, err = now.Add(d), nil
	}
	switch {
	case err != nil:
		return time.Time{}, usage("write it as 2026-11-23T22:00:00Z or 2h", "--until %q is no time and no duration", text)
	case !until.After(now):
		return time.Time{}, usage("name a time to come", "--until %q is over", text)
	}
	return until.UTC().Truncate(time.Second), nil
}

// who is the person at the keyboard, also behind sudo.
func who() string {
	for _, name := range []string{"SUDO_USER", "USER"} {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

func place(cluster, node string) string {
	if node == "" {
		return cluster
	}
	return node + " of " + cluster
}

func resumeCommand(cluster, node string) string {
	if node == "" {
		return "reconciler resume " + cluster
	}
	return "reconciler resume " + cluster + " --node " + node
}

func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stdout, format+"\n", args...)
	}
}
