package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/reviewed"
	"github.com/vaultfleet/reconciler/internal/settings"
)

// judgeOf asks a fleet's forge whether the commits of its branch are the merges of
// reviewed pull requests. Nothing is asked yet.
func judgeOf(repo *git.Repo, followed settings.Fleet) (*reviewed.Judge, error) {
	client, err := forgeOf(followed.Forge)
	if err != nil {
		return nil, &exitError{code: exitFailed, err: fmt.Errorf("ask who reviewed: %w", err), hint: "correct fleets[].forge in reconciler.yaml"}
	}
	s := followed.Signatures
	return &reviewed.Judge{
		Forge: client, Branch: followed.Branch, Reviews: int(s.Reviews), Reviewers: s.Reviewers,
		Signed: signedBy(s),
		Ref:    repo.Ref,
		Merge: func(ctx context.Context, commit, base, head string) error {
			return whyNoMerge(repo.IsMerge(ctx, commit, base, head))
		},
		Now: time.Now,
	}, nil
}

// whyNoMerge tells what is wrong with a commit from what is wrong with the world.
func whyNoMerge(err error) error {
	const anew = "merge the branch into the pull request, have that approved, and merge it: then there is nothing left to be merged in several ways"
	differs, _ := errors.AsType[*git.DiffersError](err)
	conflict, _ := errors.AsType[*git.ConflictError](err)
	unfit, _ := errors.AsType[*git.UnfitError](err)
	switch {
	case differs != nil:
		return &reviewed.RefusedError{Why: differs.Error() + ": it holds what nobody reviewed, or the forge followed a rename", What: "look at it; if it is as it should be: " + anew}
	case conflict != nil:
		return &reviewed.RefusedError{Why: "what it merges cannot be verified: both sides changed " + strings.Join(conflict.Files, ", "), What: anew}
	case unfit != nil:
		return &reviewed.RefusedError{Why: "what it merges cannot be a fleet: " + unfit.Error(), What: anew}
	}
	return err
}
