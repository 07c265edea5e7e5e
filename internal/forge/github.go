package forge

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v88/github"
)

// gitHub speaks to github.com and to GitHub Enterprise.
type gitHub struct {
	api         *github.Client
	app         *installed // who we are, or nil
	owner, name string
}

func newGitHub(d *door, o Options) (*gitHub, error) {
	owner, name, _ := strings.Cut(o.Repo, "/")
	g := &gitHub{owner: owner, name: name}
	if o.App != nil {
		var err error
		if g.app, err = install(d, *o.App, owner, name); err != nil {
			return nil, err
		}
	}
	var err error
	g.api, err = gitHubAPI(d)
	return g, err
}

func gitHubAPI(d *door) (*github.Client, error) {
	at := d.host.String() + "/"
	return github.NewClient(github.WithHTTPClient(d.client()), github.WithURLs(&at, &at),
		github.WithDisableRateLimitCheck()) // who asks decides when to ask again
}

func (g *gitHub) rights() rights {
	return rights{
		me:         "a token that has not been taken back",
		read:       "Pull requests: read (of a classic token: repo)",
		queue:      "Contents: read (of a classic token: repo)",
		comment:    "Pull requests: write (of a classic token: repo)",
		status:     "Commit statuses: write (of a classic token: repo:status)",
		permission: "Metadata: read, and an account that may push to the repository (of a classic token: repo)",
		team:       "Members: read, of the organization (of a classic token: read:org)",
		issue:      "Issues: write (of a classic token: repo)",
		propose:    "Contents: write and Pull requests: write (of a classic token: repo)",
	}
}

func (g *gitHub) me(ctx context.Context) (string, error) {
	if g.app != nil {
		return g.app.login(ctx)
	}
	u, _, err := g.api.Users.Get(ctx, "")
	return u.GetLogin(), err
}

func (g *gitHub) pulls(ctx context.Context, base string, page int) ([]Pull, int, error) {
	items, answer, err := g.api.PullRequests.List(ctx, g.owner, g.name, &github.PullRequestListOptions{
		State: "open", Base: base, Sort: "updated", Direction: "desc", ListOptions: github.ListOptions{Page: page, PerPage: perPage},
	})
	if err != nil {
		return nil, 0, err
	}
	return each(items, gitHubPull), answer.NextPage, nil
}

func (g *gitHub) pull(ctx context.Context, number int) (Pull, error) {
	item, _, err := g.api.PullRequests.Get(ctx, g.owner, g.name, number)
	return gitHubPull(item), err
}

// pullsOf is what GitHub tells, which may also be pull requests that have the commit
// and are not merged; who asks leaves those out. It says 422 to a commit that it
// does not have.
func (g *gitHub) pullsOf(ctx context.Context, commit string) ([]Pull, error) {
	items, _, err := g.api.PullRequests.ListPullRequestsWithCommit(ctx, g.owner, g.name, commit, &github.ListOptions{PerPage: perPage})
	if refused(err, http.StatusUnprocessableEntity) {
		return nil, nil
	}
	return each(items, gitHubPull), err
}

func (g *gitHub) visible(ctx context.Context) error {
	_, _, err := g.api.Repositories.Get(ctx, g.owner, g.name)
	return err
}

func (g *gitHub) comments(ctx context.Context, number, page, _ int) ([]note, int, error) {
	items, answer, err := g.api.Issues.ListComments(ctx, g.owner, g.name, number, &github.IssueListCommentsOptions{
		ListOptions: github.ListOptions{Page: page, PerPage: perPage},
	})
	if err != nil {
		return nil, 0, err
	}
	return each(items, gitHubNote), answer.NextPage, nil
}

func (g *gitHub) comment(ctx context.Context, number int, body string) (note, error) {
	item, _, err := g.api.Issues.CreateComment(ctx, g.owner, g.name, number, &github.IssueComment{Body: &body})
	return gitHubNote(item), err
}

func (g *gitHub) edit(ctx context.Context, _ int, id int64, body string) (note, error) {
	item, _, err := g.api.Issues.EditComment(ctx, g.owner, g.name, id, &github.IssueComment{Body: &body})
	return gitHubNote(item), err
}

func (g *gitHub) react(ctx context.Context, _ int, id int64, with Reaction) error {
	_, _, err := g.api.Reactions.CreateIssueCommentReaction(ctx, g.owner, g.name, id, string(with))
	return err
}

func (g *gitHub) setStatus(ctx context.Context, commit string, s Status) error {
	status := github.RepoStatus{State: (*string)(&s.State), Description: &s.Description, Context: &s.Context}
	if s.URL != "" {
		status.TargetURL = &s.URL
	}
	_, _, err := g.api.Repositories.CreateStatus(ctx, g.owner, g.name, commit, status)
	return err
}

func (g *gitHub) reviews(ctx context.Context, number int) ([]said, error) {
	return allReviews(func(page int) ([]said, int, error) {
		items, answer, err := g.api.PullRequests.ListReviews(ctx, g.owner, g.name, number, &github.ListOptions{Page: page, PerPage: perPage})
		if err != nil {
			return nil, 0, err
		}
		return each(items, gitHubReview), answer.NextPage, nil
	})
}

// mayWrite asks for what GitHub makes of all roles: it tells maintain as write, and
// triage as read.
func (g *gitHub) mayWrite(ctx context.Context, user string) (bool, error) {
	may, _, err := g.api.Repositories.GetPermissionLevel(ctx, g.owner, g.name, user)
	if err != nil {
		return false, err
	}
	return may.GetPermission() == "write" || may.GetPermission() == "admin", nil
}

func (g *gitHub) inTeam(ctx context.Context, user, team string) (bool, error) {
	org, slug, ok := strings.Cut(team, "/")
	if !ok || !isName(slug) {
		return false, fmt.Errorf("%s is no team of GitHub; give it as org/slug, where the slug is what the address of its page ends with", quoted(team))
	}
	member, _, err := g.api.Teams.GetTeamMembershipBySlug(ctx, org, slug, user)
	if refused(err, http.StatusNotFound) {
		_, _, err = g.api.Teams.GetTeamBySlug(ctx, org, slug) // is it the user who is not there, or the team?
		return false, err
	}
	return member.GetState() == "active", err // not one who was only invited
}

// issues are asked for by who opened them; as an app they are not, since GitHub does
// not say how its name has to be written there.
func (g *gitHub) issues(ctx context.Context, me string, open bool, since time.Time, page, _ int) ([]Issue, int, error) {
	o := &github.IssueListByRepoOptions{State: "open", ListOptions: github.ListOptions{Page: page, PerPage: perPage}}
	if g.app == nil {
		o.Creator = me
	}
	if !open {
		o.State, o.Since = "closed", since // it changed since then, at least by being closed
	}
	items, answer, err := g.api.Issues.ListByRepo(ctx, g.owner, g.name, o)
	if err != nil {
		return nil, 0, err
	}
	return each(items, gitHubIssue), answer.NextPage, nil
}

func (g *gitHub) openIssue(ctx context.Context, title, body string) (Issue, error) {
	item, _, err := g.api.Issues.Create(ctx, g.owner, g.name, &github.IssueRequest{Title: &title, Body: &body})
	return gitHubIssue(item), err
}

func (g *gitHub) editIssue(ctx context.Context, number int, body string, to move) (Issue, error) {
	item, _, err := g.api.Issues.Edit(ctx, g.owner, g.name, number, &github.IssueRequest{Body: &body, State: to.state()})
	return gitHubIssue(item), err
}

func (g *gitHub) commentIssue(ctx context.Context, number int, body string) (note, error) {
	return g.comment(ctx, number, body) // a pull request is an issue there
}

// commitFile makes tree, commit and branch one after the other: the branch is there
// with its commit, or not at all.
func (g *gitHub) commitFile(ctx context.Context, c Change) error {
	base, _, err := g.api.Git.GetCommit(ctx, g.owner, g.name, c.Base)
	if err != nil {
		return err
	}
	tree, _, err := g.api.Git.CreateTree(ctx, g.owner, g.name, base.GetTree().GetSHA(), []*github.TreeEntry{
		{Path: &c.Path, Mode: new("100644"), Type: new("blob"), Content: new(string(c.Is))},
	})
	if err != nil {
		return err
	}
	made, _, err := g.api.Git.CreateCommit(ctx, g.owner, g.name, github.Commit{
		Message: &c.Message, Tree: &github.Tree{SHA: tree.SHA}, Parents: []*github.Commit{{SHA: &c.Base}},
	}, nil)
	if err == nil && !isHash(made.GetSHA()) {
		err = fmt.Errorf("it made %s, which is no commit", quoted(made.GetSHA()))
	}
	if err != nil {
		return err
	}
	_, _, err = g.api.Git.CreateRef(ctx, g.owner, g.name, github.CreateRef{Ref: "refs/heads/" + c.Branch, SHA: made.GetSHA()})
	return err
}

func (g *gitHub) openPull(ctx context.Context, r Request) (Pull, error) {
	item, _, err := g.api.PullRequests.Create(ctx, g.owner, g.name, &github.NewPullRequest{Title: &r.Title, Body: &r.Body, Head: &r.Branch, Base: &r.Base})
	return gitHubPull(item), err
}

func (g *gitHub) pullRef(number int) string { return fmt.Sprintf("refs/pull/%d/head", number) }

// gitHubPull is a pull request in our words. What is not there at all has no number,
// and is found out by that.
func gitHubPull(item *github.PullRequest) Pull {
	head, base := item.GetHead(), item.GetBase()
	p := Pull{
		Number: item.GetNumber(), Title: item.GetTitle(), Author: gitHubLogin(item.GetUser()), URL: item.GetHTMLURL(),
		Head: head.GetSHA(), HeadRef: head.GetRef(), Base: base.GetSHA(), BaseRef: base.GetRef(),
		Draft: item.GetDraft(), Open: item.GetState() == "open", Merged: item.GetMerged() || !item.GetMergedAt().IsZero(),
		Updated: item.GetUpdatedAt().Time,
		Fork:    isFork(head.GetRepo().GetID(), base.GetRepo().GetID()),
	}
	if p.Merged {
		p.MergedCommit = item.GetMergeCommitSHA() // until then it is one that was made to see whether it can be merged
	}
	return p
}

func gitHubNote(item *github.IssueComment) note {
	return note{Comment: Comment{
		ID: item.GetID(), Author: gitHubLogin(item.GetUser()), Body: item.GetBody(), URL: item.GetHTMLURL(),
		Created: item.GetCreatedAt().Time, Edited: item.GetUpdatedAt().After(item.GetCreatedAt().Time),
		Bot: item.GetUser().GetType() == "Bot",
	}}
}

func gitHubIssue(item *github.Issue) Issue {
	return Issue{
		Number: item.GetNumber(), Title: item.GetTitle(), Author: gitHubLogin(item.GetUser()), Body: item.GetBody(), URL: item.GetHTMLURL(),
		Open: item.GetState() == "open", Locked: item.GetLocked(), Closed: item.GetClosedAt().Time, pull: item.GetPullRequestLinks() != nil,
	}
}

func gitHubReview(item *github.PullRequestReview) said {
	r := said{id: item.GetID(), Review: Review{Author: gitHubLogin(item.GetUser()), Commit: item.GetCommitID()}}
	switch item.GetState() {
	case "APPROVED":
		r.opinion, r.Approved = true, true
	case "CHANGES_REQUESTED", "DISMISSED":
		r.opinion = true
	}
	return r
}

// gitHubLogin has the names of bots as GitHub shows them, so that no person can have
// the same.
func gitHubLogin(u *github.User) string {
	login := u.GetLogin()
	if u.GetType() == "Bot" && login != "" && !strings.HasSuffix(login, "[bot]") {
		login += "[bot]"
	}
	return login
}
