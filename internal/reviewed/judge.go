package reviewed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/signature"
)

// Judge judges the commits of one branch. Its fields are not changed later.
type Judge struct {
	Forge     forge.Client
	Branch    string
	Reviews   int      // approvals that a pull request needs
	Reviewers []string // whose count: users, and teams as forge.Client has them, by the / in their names
	// Signed says why a commit object is not signed by the forge, or nil.
	Signed func(object []byte) error
	// Ref is what a ref stands at, as the git server says.
	Ref func(ctx context.Context, ref string) (commit string, err error)
	// Merge says by nil that a commit is what merging a head into a base gives: a
	// [RefusedError], or an error of the world.
	Merge func(ctx context.Context, commit, base, head string) error
	Now   func() time.Time

	mu       sync.Mutex
	accepted map[string]bool // commits: a verdict does not change
	busy     error           // what the forge said last
	until    time.Time       // that it asked to be left alone
}

// Verify says why a commit, given with its object, is not the merge of a reviewed pull
// request, or nil. The error is a [RefusedError] or a [SilentError].
func (j *Judge) Verify(ctx context.Context, commit string, object []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.accepted[commit] {
		return nil
	}
	if err := j.Signed(object); err != nil {
		return refuse(mergeIt, "the forge did not make it: %v", err)
	}
	parents, err := signature.Parents(object)
	switch {
	case err != nil:
		return refuse(mergeIt, "%v", err)
	case len(parents) != 1 && len(parents) != 2:
		return refuse(mergeIt, "it has %d parents, and a pull request is merged with one or two", len(parents))
	case j.Now().Before(j.until):
		return &SilentError{j.busy}
	}
	err = j.judge(ctx, commit, parents)
	if err == nil {
		if j.accepted == nil {
			j.accepted = map[string]bool{}
		}
		j.accepted[commit] = true
		return nil
	}
	if errors.As(err, new(*RefusedError)) {
		return err
	}
	if after, busy := forge.Busy(err); busy {
		j.busy, j.until = err, j.Now().Add(after)
	}
	return &SilentError{err}
}

// judge asks about the pull requests that a commit may be the merge of.
func (j *Judge) judge(ctx context.Context, commit string, parents []string) error {
	pulls, err := j.Forge.PullsOf(ctx, commit)
	if err != nil {
		return err
	}
	var first error
	for _, p := range pulls[:min(len(pulls), maxPulls)] {
		err := j.merged(ctx, commit, parents, p)
		if err == nil {
			return nil
		}
		first = cmp.Or(first, err)
	}
	if first != nil {
		return first
	}
	return refuse("if the forge merged it a moment ago, it says so at the next poll; otherwise "+mergeIt, "no pull request is known whose merge it is: it was pushed, made in the forge's editor, or is one of several that a rebase made")
}

// maxPulls caps how many pull requests of one commit are asked about.
const maxPulls = 10

// merged says why a commit is not the merge of one pull request into the branch.
func (j *Judge) merged(ctx context.Context, commit string, parents []string, listed forge.Pull) error {
	p, err := j.Forge.Pull(ctx, listed.Number)
	if err != nil {
		return err
	}
	switch {
	case p.Head != listed.Head || p.MergedCommit != listed.MergedCommit:
		return refuse(mergeIt, "the forge says two things of pull request %d", p.Number)
	case !p.Merged || p.Open:
		return refuse(mergeIt, "pull request %d is not merged", p.Number)
	case p.Author == "": // an account that is gone
		return refuse(mergeIt, "who wrote pull request %d is not known any more, nor so which approval is not the author's own", p.Number)
	case p.BaseRef != j.Branch:
		return refuse(mergeIt, "it is the merge of pull request %d, which was not to go into %s", p.Number, j.Branch)
	case p.MergedCommit != commit:
		return refuse(squashIt, "it is not the commit that pull request %d was merged as: that is %.12s", p.Number, p.MergedCommit)
	}
	if err := j.brought(ctx, parents, p); err != nil {
		return err
	}
	if err := j.approved(ctx, p); err != nil {
		return err
	}
	return j.Merge(ctx, commit, parents[0], p.Head)
}

// brought says why the head of a pull request is not what a commit brings. A merge has
// it as its second parent. A squash does not name it: there the ref of the pull request
// says it, which the forge keeps and nobody can push to.
func (j *Judge) brought(ctx context.Context, parents []string, p forge.Pull) error {
	if len(parents) == 2 {
		if parents[1] != p.Head {
			return refuse(squashIt, "it merges %.12s, and the head of pull request %d is %.12s", parents[1], p.Number, p.Head)
		}
		return nil
	}
	ref := j.Forge.PullRef(p.Number)
	at, err := j.Ref(ctx, ref)
	if err != nil {
		return err
	}
	if at != p.Head {
		return refuse(mergeIt, "the head of pull request %d is %.12s to the forge, and %s stands at %.12s", p.Number, p.Head, ref, at)
	}
	return nil
}

// approved says why too few of the reviewers approved the head of a pull request.
func (j *Judge) approved(ctx context.Context, p forge.Pull) error {
	reviews, err := j.Forge.Reviews(ctx, p.Number)
	if err != nil {
		return err
	}
	count, others := 0, 0
	seen := map[string]bool{strings.ToLower(p.Author): true} // whose own word does not count
	for _, r := range reviews {
		who := strings.ToLower(r.Author)
		if !r.Approved || r.Commit != p.Head || seen[who] {
			continue
		}
		seen[who] = true
		may, err := j.isReviewer(ctx, r.Author)
		if err != nil {
			return err
		}
		if !may {
			others++
			continue
		}
		if count++; count >= j.Reviews {
			return nil
		}
	}
	why := "pull request %d was approved at %.12s, which was merged, by %d of those who may, and %d have to"
	if others > 0 {
		why += fmt.Sprintf("; %d others approved it", others)
	}
	return refuse(approveIt, why, p.Number, p.Head, count, j.Reviews)
}

// isReviewer says that a user's approval counts.
func (j *Judge) isReviewer(ctx context.Context, user string) (bool, error) {
	for _, r := range j.Reviewers {
		if !strings.Contains(r, "/") && strings.EqualFold(r, user) {
			return true, nil
		}
	}
	for _, r := range j.Reviewers {
		if !strings.Contains(r, "/") {
			continue
		}
		if in, err := j.Forge.InTeam(ctx, user, r); in || err != nil {
			return in, err
		}
	}
	return false, nil
}
