package forge

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	gitlab "gitlab.com/gitlab-org/api/client-go/v2"
)

// A merge queue (GitHub) or a merge train (GitLab) makes commits of what it would merge,
// and waits for statuses of these.

const maxQueued = perPage

// queue is one as it was given last.
type queue struct {
	known
	commits []string
}

func (c *client) Queued(ctx context.Context, base string) ([]string, error) {
	c.mu.Lock()
	had := c.queues[base]
	c.mu.Unlock()
	now := queue{known: had.known}
	list, err := c.queued(withKnown(ctx, &now.known), base)
	switch {
	case errors.Is(err, errUnchanged):
		return had.commits, nil
	case err != nil:
		return nil, failed(err, c.rights().queue, "list the merge queue of %s", quoted(base))
	}
	for _, commit := range list {
		if isHash(commit) && !slices.Contains(now.commits, commit) && len(now.commits) < maxQueued {
			now.commits = append(now.commits, commit)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queues[base] = now
	return now.commits, nil
}

// queued are branches that nobody else may make ("Managing a merge queue":
// gh-readonly-queue/BASE/pr-NUMBER-COMMIT). A base may be the beginning of another.
func (g *gitHub) queued(ctx context.Context, base string) ([]string, error) {
	prefix := "refs/heads/gh-readonly-queue/" + base + "/"
	refs, _, err := g.api.Git.ListMatchingRefs(ctx, g.owner, g.name, prefix)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, ref := range refs {
		name, of := strings.CutPrefix(ref.GetRef(), prefix)
		if of && strings.HasPrefix(name, "pr-") && !strings.Contains(name, "/") && ref.GetObject().GetType() == "commit" {
			list = append(list, ref.GetObject().GetSHA())
		}
	}
	return list, nil
}

// queued are the commits of the train's pipelines, which are those of
// refs/merge-requests/NUMBER/train. Of a project without trains GitLab says 403, and 404
// where it is too old to have them.
func (g *gitLab) queued(ctx context.Context, base string) ([]string, error) {
	cars, _, err := g.api.MergeTrains.ListMergeRequestInMergeTrain(g.repo, base, &gitlab.ListMergeTrainsOptions{
		ListOptions: gitlab.ListOptions{PerPage: perPage}, Scope: new("active"), Sort: new("asc"),
	}, gitlab.WithContext(ctx))
	if refused(err, http.StatusForbidden) || refused(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []string
	for _, car := range cars {
		if car != nil && car.Pipeline != nil && car.TargetBranch == base && car.MergedAt == nil {
			list = append(list, car.Pipeline.SHA)
		}
	}
	return list, nil
}

// queued is nothing: Gitea and Forgejo have no queue.
func (g *gitea) queued(context.Context, string) ([]string, error) { return nil, nil }
