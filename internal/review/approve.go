package review

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A cluster whose spec says rollout.approval waits for one after the merge. Who operates
// it may give it before, where the plan is read: by a comment that names the head, or,
// where the spec says `approval: review`, by a review of the very head. Either covers the
// spec that the merge gives and what the plan does to each node, as `reconciler approve`
// does on our own host, and nothing of another head. It gives no leave to anybody else's
// commit: what it covers is told by the digest of the spec.

// byReview is the rollout.approval that a review gives.
const byReview = "review"

// minHead is how much of a head a comment has to name.
const minHead = 7

// Allowance is an approval that a pull request was given.
type Allowance struct {
	Cluster string
	By      string
	Digest  string // of the spec that the merge gives
	Covers  []diff.Cover
}

// asking is a touched cluster that waits for an approval.
type asking struct {
	want desired.Cluster
	plan diff.Plan // of what is done after the merge
	told []diff.Leave
}

// asking are the clusters of a proposal whose specs ask for an approval of something.
func (k *known) asking(p report.Proposal) (all []asking) {
	for _, pair := range k.diffs.pairs {
		by := pair.new.Rollout.Approval
		i := slices.IndexFunc(p.Clusters, func(c report.Proposed) bool { return c.Name == pair.name })
		if by == "" || by == "none" || len(pair.broken) > 0 || i < 0 || p.Clusters[i].After == nil {
			continue
		}
		after := p.Clusters[i].After
		one := asking{want: pair.new, plan: after.Plan}
		for _, l := range after.Memory.Leaves {
			if l.Kind == diff.LeaveApproval && l.Digest == pair.new.Digest {
				one.told = append(one.told, l)
			}
		}
		if len(one.plan.Covers()) > 0 {
			all = append(all, one)
		}
	}
	return all
}

// beyond is what a plan does that no approval covers.
func (a asking) beyond() []diff.Cover {
	var covered []diff.Cover
	for _, l := range a.told {
		covered = append(covered, l.Covers...)
	}
	return a.plan.Beyond(covered)
}

// approve does the command of that name.
func (r *Reviewer) approve(ctx context.Context, k *known, p forge.Pull, proposal report.Proposal, who string, c command) (words string, did bool, err error) {
	head, cluster := c.cluster, strings.TrimSpace(c.reason)
	if len(head) < minHead || !strings.HasPrefix(p.Head, strings.ToLower(head)) {
		return fmt.Sprintf("name the head that you read: /reconciler approve %.12s", p.Head), false, nil
	}
	var given, refused []string
	for _, a := range k.asking(proposal) {
		if cluster != "" && cluster != a.want.Name {
			continue
		}
		may, why, err := r.operates(ctx, who, a.want.Name)
		if err != nil {
			return "", false, err
		}
		if !may {
			if !slices.Contains(refused, why) {
				refused = append(refused, why)
			}
			continue
		}
		if err := r.Approve(ctx, Allowance{a.want.Name, fmt.Sprintf("%s on pull request %d", who, p.Number), a.want.Digest, a.plan.Covers()}); err != nil {
			return "", false, err
		}
		given = append(given, a.want.Name)
	}
	switch {
	case len(given) > 0:
		done := fmt.Sprintf("approved for %s at %.12s", strings.Join(given, ", "), p.Head)
		return strings.Join(append([]string{done}, refused...), "; "), true, nil
	case len(refused) > 0:
		return strings.Join(refused, "; "), false, nil
	}
	return "nothing here waits for an approval", false, nil
}

// operates says whether somebody is of those who operate a cluster, and if not, why.
func (r *Reviewer) operates(ctx context.Context, who, cluster string) (bool, string, error) {
	teams := r.Operators(cluster)
	if len(teams) == 0 {
		return false, "reconciler.yaml names nobody who may do that to " + cluster + " by a comment (forge.operators)", nil
	}
	for _, team := range teams {
		in, err := r.Forge.InTeam(ctx, who, team)
		if errors.Is(err, forge.ErrForbidden) || errors.Is(err, forge.ErrNotFound) {
			return false, "the reconciler's account cannot see who is in " + team, nil
		}
		if err != nil || in {
			return in, "", err
		}
	}
	return false, "only " + strings.Join(teams, ", ") + " may do that to " + cluster, nil
}

// reviews gives the approvals that reviews of the very head stand for, and takes back
// those whose reviews do not stand any more.
func (r *Reviewer) reviews(ctx context.Context, k *known, p forge.Pull, proposal report.Proposal) error {
	ask := slices.DeleteFunc(k.asking(proposal), func(a asking) bool { return a.want.Rollout.Approval != byReview })
	if len(ask) == 0 {
		return nil
	}
	all, err := r.Forge.Reviews(ctx, p.Number)
	if err != nil {
		return fmt.Errorf("read its reviews: %w", err)
	}
	of := fmt.Sprintf("'s review of pull request %d", p.Number)
	for _, a := range ask {
		stands := map[string]bool{}
		for _, review := range all {
			if !review.Approved || review.Commit != p.Head || review.Author == p.Author {
				continue
			}
			may, _, err := r.operates(ctx, review.Author, a.want.Name)
			if err != nil {
				return err
			}
			if by := review.Author + of; may {
				stands[by] = true
				if len(a.told) == 0 {
					if err := r.Approve(ctx, Allowance{a.want.Name, by, a.want.Digest, a.plan.Covers()}); err != nil {
						return err
					}
					r.log.Info("a review approves a plan", "pull", p.Number, "by", review.Author, "cluster", a.want.Name)
					break
				}
			}
		}
		for _, l := range a.told {
			if strings.HasSuffix(l.By, of) && !stands[l.By] {
				if err := r.Withdraw(ctx, Allowance{Cluster: a.want.Name, By: l.By, Digest: l.Digest}); err != nil {
					return err
				}
				r.log.Info("a review approves a plan no more", "pull", p.Number, "by", l.By, "cluster", a.want.Name)
			}
		}
	}
	return nil
}

// outgrown says once, in a comment of its own because nobody hears of an edit, that a plan
// does more by now than was approved.
func (r *Reviewer) outgrown(ctx context.Context, k *known, p forge.Pull, proposal report.Proposal) error {
	var words []string
	for _, a := range k.asking(proposal) {
		if len(a.told) == 0 {
			continue
		}
		for _, c := range a.beyond() {
			words = append(words, fmt.Sprintf("%s: %s of %s, which %s did not approve", a.want.Name, c.Effect, c.Node, a.told[0].By))
		}
	}
	print := ""
	if len(words) > 0 {
		print = printOf(strings.Join(words, "\n"))
	}
	if print == k.note.Outgrown || print != "" && k.id == 0 {
		return nil
	}
	if print != "" {
		text := "The plan does more by now than was approved, and waits for another approval:\n\n"
		for _, w := range words {
			text += "- " + report.Escape(w) + "\n"
		}
		if _, err := r.Forge.Comment(ctx, p.Number, text+"\n"+asks(p.Head)); err != nil {
			return fmt.Errorf("say that the plan has outgrown its approval: %w", err)
		}
	}
	k.note.Outgrown = print
	return nil
}

// asks is how an approval is given.
func asks(head string) string {
	return fmt.Sprintf("<sub>Who operates the cluster approves what is planned by a comment: <code>/reconciler approve %.12s</code></sub>\n", head)
}

// unapproved says that something of a proposal waits for an approval.
func (k *known) unapproved(p report.Proposal) bool {
	return slices.ContainsFunc(k.asking(p), func(a asking) bool { return len(a.beyond()) > 0 })
}
