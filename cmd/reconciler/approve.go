package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// approving is one run of approve.
type approving struct {
	*app
	birthOnly bool
	withdraw  bool
	yes       bool
	reason    string
	until     string
}

func newApprove(a *app) *cobra.Command {
	p := &approving{app: a}
	cmd := &cobra.Command{
		Use:   "approve CLUSTER",
		Short: "Allow what the plan of a cluster says, or (--init) its birth",
		Long: "Look at a cluster whose spec says rollout.approval, show its plan, and allow it: this spec, and to each\n" +
			"node what the plan does to it, or less. Another commit, or a plan that asks for more, needs another\n" +
			"approval. It is used up once the cluster is what the spec says. --withdraw takes it back.\n\n" +
			"With --init a cluster that never existed is allowed to be initialised, once. It happens only if every\n" +
			"node is seen, and this reconciler itself found every data folder empty before it first started Vault there.",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.ContainsAny(args[0], `*?[\`) {
				return usage("name one cluster", "%q is a glob, and an approval is of one cluster", args[0])
			}
			a.cluster = args[0]
			switch {
			case p.birthOnly && p.withdraw:
				return usage("leave out one of them", "--init and --withdraw are two things")
			case p.birthOnly:
				return p.birth(cmd.Context())
			case p.withdraw:
				return p.takeBack(cmd.Context())
			}
			return p.plan(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&p.birthOnly, "init", false, "the cluster may be initialised")
	flags.BoolVar(&p.withdraw, "withdraw", false, "take the approval of a plan back; what is in flight goes on to its end")
	flags.BoolVar(&p.yes, "yes", false, "do not ask")
	flags.StringVar(&p.reason, "reason", "", "why, for whoever reads it later")
	flags.StringVar(&p.until, "until", "", "when the approval of a plan ends by itself: a `TIME` as 2026-11-23T22:00:00Z, or a duration as 2h")
	return cmd
}

// plan shows the plan of the cluster and allows it.
func (p *approving) plan(ctx context.Context) error {
	if !p.yes && !isTerminal(p.stdin) {
		return usage("add --yes", "nobody can be asked here: standard input is no terminal")
	}
	leave := diff.Leave{Kind: diff.LeaveApproval, By: who(), Reason: p.reason, At: time.Now().UTC()}
	var err error
	if leave.Until, err = end(p.until, leave.At); err != nil {
		return err
	}
	s, _, err := p.remembered(ctx, p.cluster, false)
	if err != nil {
		return err
	}
	defer s.history.Close()
	p.asked = true
	all, err := p.look(ctx, "")
	if err != nil {
		return err
	}
	c := all[0].clusters[0]
	if err := report.Text(p.stdout, p.layout(p.stdout), []report.Cluster{c}); err != nil {
		return err
	}
	switch covers := c.Plan.Covers(); {
	case c.Err != nil:
		return ended(report.Error)
	case len(covers) == 0:
		p.say("\nThere is nothing to approve: the plan of %s does nothing.", p.cluster)
		return nil
	default:
		leave.Digest, leave.Covers = c.Plan.Digest, covers
	}
	if !p.yes {
		fmt.Fprint(p.stdout, "\nApprove this? Only yes will do: ")
		answer, err := p.answer(ctx)
		if err != nil {
			return err
		}
		if answer != "yes" {
			p.say("Nothing was approved.")
			return nil
		}
	}
	if err := s.Grant(ctx, p.cluster, leave); err != nil {
		return err
	}
	p.say("\nApproved by %s for %s: %s. Take back: reconciler approve --withdraw %s", leave.By, p.cluster, coverWords(leave.Covers), p.cluster)
	return nil
}

// coverWords are what an approval allows, for people.
func coverWords(covers []diff.Cover) string {
	var words []string
	for _, c := range covers {
		effect := string(c.Effect)
		if c.Effect == diff.EffectNone {
			effect = "no restart"
		}
		words = append(words, c.Node+" "+effect)
	}
	return strings.Join(words, ", ")
}

// takeBack withdraws the approval of a plan.
func (p *approving) takeBack(ctx context.Context) error {
	s, _, err := p.remembered(ctx, p.cluster, false)
	if err != nil {
		return err
	}
	defer s.history.Close()
	err = s.Lift(ctx, p.cluster, diff.Leave{Kind: diff.LeaveApproval, By: who(), Reason: p.reason, At: time.Now().UTC()})
	switch {
	case errors.Is(err, store.ErrNoLeave):
		p.say("No plan of %s is approved.", p.cluster)
		return nil
	case err != nil:
		return err
	}
	p.say("The approval of %s is taken back.", p.cluster)
	return nil
}

// birth allows a cluster to be initialised.
func (p *approving) birth(ctx context.Context) error {
	cluster := p.cluster
	s, memory, err := p.remembered(ctx, cluster, true)
	if err != nil {
		return err
	}
	defer s.history.Close()
	if phase := memory.Birth.Phase; phase != diff.BirthNone || memory.Known {
		what := "its birth was begun, and is at " + string(phase)
		switch phase {
		case diff.BirthDone:
			what = "it was born here before"
		case diff.BirthNone:
			what = "its cluster_id is " + memory.ClusterID
		}
		return &exitError{code: exitFailed, err: fmt.Errorf("approve the birth of %s: the cluster exists: %s; a cluster is born once", cluster, what),
			hint: "reconciler why " + cluster + " says what it waits for"}
	}
	leave := diff.Leave{Kind: diff.LeaveInit, By: who(), Reason: p.reason, At: time.Now().UTC()}
	if err := s.Grant(ctx, cluster, leave); err != nil {
		return err
	}
	p.say("Approved by %s: %s may be initialised, once. Next: reconciler apply --cluster %s", leave.By, cluster, cluster)
	return nil
}
