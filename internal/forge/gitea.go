package forge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"
)

// What a token of Gitea or Forgejo has to be allowed.
const (
	giteaRead       = "the scope read:repository, and an account that may read the repository"
	giteaComment    = "the scope write:issue, and an account that may read the repository"
	giteaStatus     = "the scope write:repository, and an account that may write to the repository"
	giteaPermission = "the scope read:repository, and an account that is an administrator of the repository"
	giteaTeam       = "the scope read:organization, and an account in the organization"
	giteaMe         = "the scope read:user"
)

// giteaClient speaks to Gitea and to Forgejo.
type giteaClient struct {
	*core
	owner, name string
}

func newGitea(c *core, repo string) Client {
	owner, name, _ := strings.Cut(repo, "/")
	return &giteaClient{c, owner, name}
}

// api is the client for one request: this one holds its context.
func (g *giteaClient) api(ctx context.Context) *sdk.Client {
	c, err := sdk.NewClient(g.url, sdk.SetHTTPClient(g.http), sdk.SetContext(ctx), sdk.SetGiteaVersion("")) // it does not ask for the version then
	if err != nil {
		panic(fmt.Sprintf("a client of gitea that asks nothing: %v", err))
	}
	return c
}

func (g *giteaClient) Me(ctx context.Context) (string, error) {
	return g.whoami(func() (string, error) {
		u, _, err := g.api(ctx).GetMyUserInfo()
		if err != nil {
			return "", failed(err, giteaMe, "ask who we are")
		}
		return u.UserName, nil
	})
}

func (g *giteaClient) Pulls(ctx context.Context, base string) ([]Pull, error) {
	list, err := g.pulls(ctx, base, func(ctx context.Context, page int) ([]Pull, int, error) {
		items, answer, err := g.api(ctx).ListRepoPullRequests(g.owner, g.name, sdk.ListPullRequestsOptions{
			ListOptions: sdk.ListOptions{Page: page, PageSize: perPage}, State: sdk.StateOpen, Sort: "recentupdate",
		})
		if err != nil {
			return nil, 0, err
		}
		list, err := headed(items, giteaPull)
		return list, answer.NextPage, err
	})
	return list, failed(err, giteaRead, "list pull requests of %s/%s", g.owner, g.name)
}

func (g *giteaClient) Pull(ctx context.Context, number int) (Pull, error) {
	if err := checkNumber(number); err != nil {
		return Pull{}, err
	}
	item, _, err := g.api(ctx).GetPullRequest(g.owner, g.name, int64(number))
	var p Pull
	if err == nil {
		p, err = giteaPull(item).valid()
	}
	return p, failed(err, giteaRead, "read pull request %d", number)
}

// PullsOf is at most one: Gitea looks for the pull request whose merge ended with
// this commit.
func (g *giteaClient) PullsOf(ctx context.Context, commit string) ([]Pull, error) {
	if err := checkCommit(commit); err != nil {
		return nil, err
	}
	item, _, err := g.api(ctx).GetCommitPullRequest(g.owner, g.name, commit)
	if refused(err, http.StatusNotFound) {
		return nil, g.visible(ctx, "look for the pull request of "+commit)
	}
	if err != nil {
		return nil, failed(err, giteaRead, "look for the pull request of %s", commit)
	}
	p, err := giteaPull(item).valid()
	if err != nil || !p.Merged {
		return nil, failed(err, giteaRead, "look for the pull request of %s", commit)
	}
	return []Pull{p}, nil
}

// visible tells what is not there from a repository that we may not see.
func (g *giteaClient) visible(ctx context.Context, doing string) error {
	_, _, err := g.api(ctx).GetRepo(g.owner, g.name)
	return failed(err, giteaRead, "%s", doing)
}

func (g *giteaClient) Comments(ctx context.Context, number int) ([]Comment, error) {
	if err := checkNumber(number); err != nil {
		return nil, err
	}
	got := 0
	list, err := comments(func(page int) ([]Comment, int, error) {
		items, answer, err := g.api(ctx).ListIssueComments(g.owner, g.name, int64(number),
			sdk.ListIssueCommentOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: perPage}})
		if err != nil {
			return nil, 0, err
		}
		list := make([]Comment, len(items))
		for i, item := range items {
			if list[i], err = giteaRemark(item); err != nil {
				return nil, 0, err
			}
		}
		got += len(items)
		return list, giteaNext(answer, page, len(items), got), nil
	})
	return list, failed(err, giteaRead, "read the comments of pull request %d", number)
}

// giteaNext is the page after this one. Of comments Gitea gives all at once and
// whichever page is asked for, or pages without links, by its version; the total
// stands in a header.
func giteaNext(answer *sdk.Response, page, here, got int) int {
	if answer.NextPage > 0 {
		return answer.NextPage
	}
	total, err := strconv.Atoi(answer.Header.Get("X-Total-Count"))
	if err == nil && got < total || err != nil && here >= perPage {
		return page + 1
	}
	return 0
}

func (g *giteaClient) Comment(ctx context.Context, number int, body string) (Comment, error) {
	if err := checkNumber(number); err != nil {
		return Comment{}, err
	}
	var c Comment
	body, err := g.body(body)
	if err == nil {
		var item *sdk.Comment
		if item, _, err = g.api(ctx).CreateIssueComment(g.owner, g.name, int64(number), sdk.CreateIssueCommentOption{Body: body}); err == nil {
			c, err = giteaRemark(item)
		}
	}
	return c, failed(err, giteaComment, "comment on pull request %d", number)
}

func (g *giteaClient) Edit(ctx context.Context, number int, id int64, body string) (Comment, error) {
	if err := checkComment(number, id); err != nil {
		return Comment{}, err
	}
	var c Comment
	body, err := g.body(body)
	if err == nil {
		var item *sdk.Comment
		if item, _, err = g.api(ctx).EditIssueComment(g.owner, g.name, id, sdk.EditIssueCommentOption{Body: body}); err == nil {
			c, err = giteaRemark(item)
		}
	}
	return c, failed(err, giteaComment, "edit comment %d of pull request %d", id, number)
}

func (g *giteaClient) React(ctx context.Context, number int, id int64, with Reaction) error {
	if err := cmp.Or(checkComment(number, id), checkReaction(with)); err != nil {
		return err
	}
	_, _, err := g.api(ctx).PostIssueCommentReaction(g.owner, g.name, id, string(with))
	return failed(err, giteaComment, "react to comment %d of pull request %d", id, number)
}

func (g *giteaClient) SetStatus(ctx context.Context, commit string, s Status) error {
	if err := checkCommit(commit); err != nil {
		return err
	}
	s, err := s.valid()
	if err == nil {
		_, _, err = g.api(ctx).CreateStatus(g.owner, g.name, commit, sdk.CreateStatusOption{
			State: sdk.StatusState(s.State), TargetURL: s.URL, Description: s.Description, Context: s.Context,
		})
	}
	return failed(err, giteaStatus, "set status %s of %s", s.Context, commit)
}

func (g *giteaClient) Reviews(ctx context.Context, number int) ([]Review, error) {
	if err := checkNumber(number); err != nil {
		return nil, err
	}
	list, more, err := all(maxReviews, func(r said) int64 { return r.id }, func(page int) ([]said, int, error) {
		items, answer, err := g.api(ctx).ListPullReviews(g.owner, g.name, int64(number),
			sdk.ListPullReviewsOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: perPage}})
		if err != nil {
			return nil, 0, err
		}
		var list []said
		for _, item := range items {
			if item != nil {
				list = append(list, giteaReview(item))
			}
		}
		return list, answer.NextPage, nil
	})
	if err == nil && more {
		err = errTooManyReviews
	}
	return lastWords(list), failed(err, giteaRead, "read the reviews of pull request %d", number)
}

var errTooManyReviews = fmt.Errorf("it has more than %d reviews; open another one with the same commits", maxReviews)

func (g *giteaClient) MayWrite(ctx context.Context, user string) (bool, error) {
	if err := checkUser(user); err != nil {
		return false, err
	}
	may, _, err := g.api(ctx).CollaboratorPermission(g.owner, g.name, user)
	if refused(err, http.StatusNotFound) {
		return false, g.visible(ctx, "ask what "+user+" may do")
	}
	if err == nil && may == nil {
		err = errEmpty
	}
	if err != nil {
		return false, failed(err, giteaPermission, "ask what %s may do", user)
	}
	switch may.Permission {
	case sdk.AccessModeWrite, sdk.AccessModeAdmin, sdk.AccessModeOwner:
		return true, nil
	}
	return false, nil
}

func (g *giteaClient) InTeam(ctx context.Context, user, team string) (bool, error) {
	if err := checkUser(user); err != nil {
		return false, err
	}
	org, name, err := checkTeam(team)
	if err != nil {
		return false, err
	}
	id, err := g.team(ctx, org, name)
	if err != nil {
		return false, failed(err, giteaTeam, "look for team %s", team)
	}
	_, _, err = g.api(ctx).GetTeamMember(id, user)
	if refused(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, failed(err, giteaTeam, "ask whether %s is in team %s", user, team)
}

// team is the number of a team, which its members are asked by.
func (g *giteaClient) team(ctx context.Context, org, name string) (int64, error) {
	teams, _, err := all(maxPulls, func(t *sdk.Team) int64 { return t.ID }, func(page int) ([]*sdk.Team, int, error) {
		teams, answer, err := g.api(ctx).SearchOrgTeams(org, &sdk.SearchTeamsOptions{
			ListOptions: sdk.ListOptions{Page: page, PageSize: perPage}, Query: name,
		})
		if err != nil {
			return nil, 0, err
		}
		return withoutNil(teams), answer.NextPage, nil
	})
	if err != nil {
		return 0, err
	}
	for _, t := range teams {
		if strings.EqualFold(t.Name, name) {
			return t.ID, nil
		}
	}
	return 0, fmt.Errorf("%w: the organization %s has no such team", ErrNotFound, org)
}

func (g *giteaClient) PullRef(number int) string { return fmt.Sprintf("refs/pull/%d/head", number) }

func withoutNil[T any](list []*T) []*T {
	var kept []*T
	for _, item := range list {
		if item != nil {
			kept = append(kept, item)
		}
	}
	return kept
}

// giteaPull is a pull request in our words.
func giteaPull(item *sdk.PullRequest) Pull {
	if item == nil {
		return Pull{}
	}
	p := Pull{
		Number: int(item.Index), Title: item.Title, Author: giteaLogin(item.Poster), URL: item.HTMLURL,
		Draft: item.Draft, Open: item.State == sdk.StateOpen, Merged: item.HasMerged,
		Fork: item.Head == nil || item.Base == nil || item.Head.RepoID != item.Base.RepoID || item.Head.RepoID == 0,
	}
	if item.Head != nil {
		p.Head, p.HeadRef = item.Head.Sha, item.Head.Ref
	}
	if item.Base != nil {
		p.Base, p.BaseRef = item.Base.Sha, item.Base.Ref
	}
	if item.HasMerged && item.MergedCommitID != nil {
		p.MergedCommit = *item.MergedCommitID
	}
	p.Updated = at(item.Updated)
	return p
}

func giteaRemark(item *sdk.Comment) (Comment, error) {
	if item == nil {
		return Comment{}, errEmpty
	}
	return Comment{
		ID: item.ID, Author: giteaLogin(item.Poster), Body: item.Body, URL: item.HTMLURL,
		Created: item.Created, Edited: item.Updated.After(item.Created),
		Bot: item.Poster != nil && item.Poster.ID < 0, // those of Gitea itself, as that of its Actions
	}.valid()
}

func giteaReview(item *sdk.PullReview) said {
	return said{
		id:      item.ID,
		opinion: item.State == sdk.ReviewStateApproved || item.State == sdk.ReviewStateRequestChanges,
		Review: Review{
			Author:   giteaLogin(item.Reviewer),
			Commit:   hashOr(item.CommitID),
			Approved: item.State == sdk.ReviewStateApproved && !item.Dismissed,
		},
	}
}

// hashOr is a commit, or nothing where it is none: what was looked at is unknown then.
func hashOr(text string) string {
	if isHash(text) {
		return text
	}
	return ""
}

func giteaLogin(u *sdk.User) string {
	if u == nil {
		return ""
	}
	return clean(u.UserName)
}

func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
