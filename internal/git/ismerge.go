package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// DiffersError says that a commit is not what merging gives.
type DiffersError struct {
	Files []string // below the fleet's folder, sorted
}

func (e *DiffersError) Error() string {
	shown := e.Files
	if len(shown) > maxFaults {
		shown = append(slices.Clone(shown[:maxFaults]), "…")
	}
	return "it differs from the merge in " + strings.Join(shown, ", ")
}

// IsMerge says by nil that the fleet's folder of a commit is what merging a head into a
// base gives, as [Repo.Merge] does it. Commit and base are in the clone; what is not of
// the head is fetched beside it. An error is [ErrGone], a [ConflictError], an
// [UnfitError], a [DiffersError], or of the world.
func (r *Repo) IsMerge(ctx context.Context, commit, base, head string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, proposedWithin, fmt.Errorf("it took longer than %v", proposedWithin))
	defer cancel()
	is, err := parseHash(commit)
	if err != nil {
		return err
	}
	end, err := r.merging(ctx, base, head, func(g *merger, root, _ plumbing.Hash) error { return g.is(is, root, r.remote.folder()) })
	if err != nil {
		return fmt.Errorf("hold %.12s against merging %.12s into %.12s: %w", commit, head, base, err)
	}
	return end()
}

// is says whether a commit's folder is a tree.
func (g *merger) is(commit, root plumbing.Hash, folder string) error {
	l := &loader{objects: g.objects, limits: g.limits}
	body, _, err := g.read(commit)
	if err != nil {
		return err
	}
	c, err := decodeCommit(body)
	if err != nil {
		return err
	}
	found, err := l.descend(c.TreeHash, folder)
	if errors.Is(err, errNoFolder) {
		found, err = g.write(nil), nil
	}
	if err != nil || found == root {
		return err
	}
	var sides [2]*node
	for i, h := range []plumbing.Hash{root, found} {
		l := &loader{objects: g.objects, limits: g.limits}
		if sides[i], err = l.root(h, "."); err != nil {
			return unfit(err)
		}
	}
	return &DiffersError{differing(sides[0], sides[1], "")}
}

// Ref is what a ref of the remote, such as refs/pull/7/head, stands at now.
func (r *Repo) Ref(ctx context.Context, ref string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, proposedWithin, fmt.Errorf("it took longer than %v", proposedWithin))
	defer cancel()
	h, err := r.up.ref(ctx, plumbing.ReferenceName(ref))
	if err != nil {
		return "", fmt.Errorf("ask for %.80q of the fleet repo: %w", ref, err)
	}
	return h.String(), nil
}
