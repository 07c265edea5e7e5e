package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/review"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// maxComment is how long a comment may be, in bytes, for every forge.
const maxComment = 60_000

// offline plans what a folder changes against a revision of the repository that it
// lies in. No node is contacted and nothing is decrypted, so it may run anywhere,
// also on what strangers propose.
func (a *app) offline(f planFlags) error {
	if f.out != "" || f.have != "" {
		return usage("leave it out", "--offline compares two specs: --out and --have are of a plan for nodes")
	}
	if f.base == "" {
		return usage("write --base origin/main", "--offline compares with a revision, and --base names none")
	}
	a.fleet = cmp.Or(a.fleet, ".")
	before, commit, err := git.Checkout(a.fleet, f.base)
	if err != nil {
		return err
	}
	head, err := a.openCheckout()
	if err != nil {
		return err
	}
	base := desired.Load(before, loadOptions())
	if err := before.Err(); err != nil {
		return err
	}
	if h, there, err := a.hostIfAny(); err != nil {
		return err
	} else if there {
		base, head.Fleet = h.judged(base), h.judged(head.Fleet)
	}
	seen, now, err := observed(f.observed)
	if err != nil {
		return err
	}
	if len(head.Clusters)+len(head.Broken) == 0 {
		return a.noneChosen(head.Fleet)
	}
	proposal := review.Between(a.only(base), a.only(head.Fleet)).Propose(seen, now)
	proposal.Source = report.Source{Fleet: head.Name, Folder: a.fleet, Branch: f.base, Commit: commit}
	return a.printProposal(proposal, f)
}

// only is what --cluster leaves of a fleet.
func (a *app) only(f desired.Fleet) desired.Fleet {
	var whole []desired.Cluster
	for _, c := range f.Clusters {
		if a.matches(c.Name) && a.labelled(c) {
			whole = append(whole, c)
		}
	}
	var broken []desired.Broken
	for _, b := range f.Broken {
		if a.matches(b.Name) {
			broken = append(broken, b)
		}
	}
	f.Clusters, f.Broken = whole, broken
	return f
}

// observed is what a file of status --save says that was seen.
func observed(file string) (seen func(cluster string) (review.Seen, bool), now time.Time, err error) {
	if file == "" {
		return func(string) (review.Seen, bool) { return review.Seen{}, false }, time.Now(), nil
	}
	have, err := readHave(file)
	if err != nil {
		return nil, now, err
	}
	return func(cluster string) (review.Seen, bool) {
		nodes, ok := have.Nodes[cluster]
		return review.Seen{At: have.Now, Have: nodes, Memory: have.Memory[cluster]}, ok
	}, have.Now, nil
}

func (a *app) printProposal(p report.Proposal, f planFlags) error {
	code := report.Done
	switch {
	case p.Wrong():
		code = report.Error
	case f.detailed && p.Touches():
		code = report.Changes
	}
	var err error
	switch a.output {
	case "json":
		err = report.JSON(a.stdout, report.NewComparison(p, code))
	case "markdown":
		_, err = fmt.Fprintf(a.stdout, "%s%s\n", report.Comment(p, maxComment), report.Footer(p))
	default:
		err = report.WriteComparison(a.stdout, a.layout(a.stdout), p)
	}
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return ended(code)
}
