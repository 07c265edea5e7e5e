package git

import (
	"errors"
	"fmt"
	"path/filepath"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Checkout reads a folder of a checkout on this machine as it was at a revision,
// such as "main", "origin/main" or "HEAD~1" (gitrevisions(7), as far as go-git knows
// it). Nothing is fetched. The commit is what the revision stands for.
func Checkout(folder, revision string) (t *Tree, commit string, err error) {
	t, commit, err = checkout(folder, revision)
	if err != nil {
		return nil, "", fmt.Errorf("read %s at %s: %w", folder, revision, err)
	}
	return t, commit, nil
}

func checkout(folder, revision string) (*Tree, string, error) {
	absolute, err := filepath.Abs(folder)
	if err == nil {
		absolute, err = filepath.EvalSymlinks(absolute)
	}
	if err != nil {
		return nil, "", err
	}
	repo, err := gogit.PlainOpenWithOptions(absolute, &gogit.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, gogit.ErrRepositoryNotExists) {
		return nil, "", errors.New("it is in no git repository")
	}
	if err != nil {
		return nil, "", err
	}
	own, ok := repo.Storer.(*filesystem.Storage)
	tree, err := repo.Worktree()
	if err != nil || !ok {
		return nil, "", fmt.Errorf("it is in no checkout: %w", err)
	}
	at, err := filepath.EvalSymlinks(tree.Filesystem.Root())
	if err != nil {
		return nil, "", err
	}
	inside, err := filepath.Rel(at, absolute)
	if err != nil {
		return nil, "", err
	}
	hash, err := repo.ResolveRevision(plumbing.Revision(revision))
	if err != nil {
		return nil, "", fmt.Errorf("there is no such revision here (%w); git fetch it first, a shallow clone has few", err)
	}
	limits := defaultLimits()
	objects := &objects{dir: own.Filesystem().Root(), s: own}
	body, err := objects.read(plumbing.CommitObject, *hash, maxCommit)
	if err != nil {
		return nil, "", err
	}
	c, err := decodeCommit(body)
	if err != nil {
		return nil, "", err
	}
	l := &loader{objects: objects, limits: limits}
	root, err := l.root(c.TreeHash, filepath.ToSlash(inside))
	if err != nil {
		return nil, "", err
	}
	return &Tree{root: root, time: c.Committer.When, objects: objects, limit: limits.File, damage: func(error) {}}, hash.String(), nil
}
