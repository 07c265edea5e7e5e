package review

import (
	"context"
	"errors"
	"fmt"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// What a merge queue or train would make of the branch has a commit of its own, and the
// forge waits for its status. It gets that, and nobody is written a comment: what is in
// it was planned as pull requests already.

// answerQueue sets the status of every commit that is queued.
func (r *Reviewer) answerQueue(ctx context.Context, base string, fleet desired.Fleet) error {
	commits, err := r.Forge.Queued(ctx, r.Branch)
	unseen := errors.Is(err, forge.ErrForbidden) || errors.Is(err, forge.ErrNotFound)
	if unseen && !r.unseen {
		r.log.Info("a merge queue would not be seen", "error", err)
	}
	if r.unseen = unseen; err != nil && !unseen {
		return err
	}
	still := map[string]*known{}
	for _, commit := range commits {
		if still[commit] = r.queue[commit]; still[commit] == nil {
			still[commit] = &known{}
		}
	}
	r.queue = still
	var troubles []error
	for _, commit := range commits {
		if err := r.answerQueued(ctx, still[commit], commit, base, fleet); err != nil && !errors.Is(err, ErrMoved) {
			troubles = append(troubles, fmt.Errorf("commit %.12s of the merge queue: %w", commit, err))
			if isBusy(err) {
				break
			}
		}
	}
	return errors.Join(troubles...)
}

func (r *Reviewer) answerQueued(ctx context.Context, k *known, commit, base string, fleet desired.Fleet) error {
	if k.head != commit || k.base != base {
		if err := r.compare(ctx, k, base, commit, fleet); err != nil {
			return err
		}
	}
	if k.base != base || k.nothing && k.status != "" { // it was merged a moment ago
		return nil
	}
	proposal := r.propose(k, base, commit, fleet)
	return r.status(ctx, k, commit, stateOf(proposal), proposal.Words())
}
