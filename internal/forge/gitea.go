package forge

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"
)

// gitea speaks to Gitea and to Forgejo.
type gitea struct {
	door        *door
	owner, name string
}

func newGitea(d *door, repo string) *gitea {
	owner, name, _ := strings.Cut(repo, "/")
	return &gitea{d, owner, name}
}

func (g *gitea) rights() rights {
	return rights{
		me:         "the scope read:user",
		read:       "the scopes read:repository and read:issue, and an account that may read the repository",
		comment:    "the scope write:issue, and an account that may read the repository",
		status:     "the scope write:repository, and an account that may write to the repository",
		permission: "the scope read:repository, and an account that is an administrator of the repository",
		team:       "the scope read:organization, and an account in the organization",
		issue:      "the scope write:issue, and an account that may read the repository",
		propose:    "the scopes write:repository and write:issue, and an account that may write to the repository",
	}
}

// api is the client for one request, since it holds its context.
func (g *gitea) api(ctx context.Context) *sdk.Client {
	c, err := sdk.NewClient(g.door.host.String(), sdk.SetHTTPClient(g.door.client()), sdk.SetContext(ctx),
		sdk.SetGiteaVersion("")) // it would ask for the version first
	if err != nil {
		panic(fmt.Sprintf("a client of gitea that asks nothing: %v", err))
	}
	return c
}

func (g *gitea) me(ctx context.Context) (string, error) {
	u, _, err := g.api(ctx).GetMyUserInfo()
	return giteaLogin(u), err
}

func (g *gitea) pulls(ctx context.Context, _ string, page int) ([]Pull, int, error) {
	items, answer, err := g.api(ctx).ListRepoPullRequests(g.owner, g.name, sdk.ListPullRequestsOptions{
		ListOptions: sdk.ListOptions{Page: page, PageSize: perPage}, State: sdk.StateOpen, Sort: "recentupdate",
	})
	if err != nil {
		return nil, 0, err
	}
	return each(items, giteaPull), answer.NextPage, nil
}

func (g *gitea) pull(ctx context.Context, number int) (Pull, error) {
	item, _, err := g.api(ctx).GetPullRequest(g.owner, g.name, int64(number))
	return giteaPull(item), err
}

// pullsOf is at most one: Gitea looks for the pull request whose merge ended with
// this commit.
func (g *gitea) pullsOf(ctx context.Context, commit string) ([]Pull, error) {
	item, _, err := g.api(ctx).GetCommitPullRequest(g.owner, g.name, commit)
	if err != nil {
		return nil, err
	}
	return []Pull{giteaPull(item)}, nil
}

func (g *gitea) visible(ctx context.Context) error {
	_, _, err := g.api(ctx).GetRepo(g.owner, g.name)
	return err
}

func (g *gitea) comments(ctx context.Context, number, page, got int) ([]note, int, error) {
	items, answer, err := g.api(ctx).ListIssueComments(g.owner, g.name, int64(number),
		sdk.ListIssueCommentOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: perPage}})
	if err != nil {
		return nil, 0, err
	}
	return each(items, giteaNote), giteaNext(answer, page, len(items), got+len(items)), nil
}

// giteaNext is the page after this one. Of comments Gitea gives all at once,
// whichever page is asked for, or pages without links, by its version. How many
// there are in all stands in a header.
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

func (g *gitea) comment(ctx context.Context, number int, body string) (note, error) {
	item, _, err := g.api(ctx).CreateIssueComment(g.owner, g.name, int64(number), sdk.CreateIssueCommentOption{Body: body})
	return giteaNote(item), err
}

func (g *gitea) edit(ctx context.Context, _ int, id int64, body string) (note, error) {
	item, _, err := g.api(ctx).EditIssueComment(g.owner, g.name, id, sdk.EditIssueCommentOption{Body: body})
	return giteaNote(item), err
}

func (g *gitea) react(ctx context.Context, _ int, id int64, with Reaction) error {
	_, _, err := g.api(ctx).PostIssueCommentReaction(g.owner, g.name, id, string(with))
	return err
}

func (g *gitea) setStatus(ctx context.Context, commit string, s Status) error {
	_, _, err := g.api(ctx).CreateStatus(g.owner, g.name, commit, sdk.CreateStatusOption{
		State: sdk.StatusState(s.State), TargetURL: s.URL, Description: s.Description, Context: s.Context,
	})
	return err
}

func (g *gitea) reviews(ctx context.Context, number int) ([]said, error) {
	return allReviews(func(page int) ([]said, int, error) {
		items, answer, err := g.api(ctx).ListPullReviews(g.owner, g.name, int64(number),
			sdk.ListPullReviewsOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: perPage}})
		if err != nil {
			return nil, 0, err
		}
		return each(items, giteaReview), answer.NextPage, nil
	})
}

func (g *gitea) mayWrite(ctx context.Context, user string) (bool, error) {
	may, _, err := g.api(ctx).CollaboratorPermission(g.owner, g.name, user)
	if err != nil || may == nil {
		return false, err
	}
	switch may.Permission {
	case sdk.AccessModeWrite, sdk.AccessModeAdmin, sdk.AccessModeOwner:
		return true, nil
	}
	return false, nil
}

func (g *gitea) inTeam(ctx context.Context, user, team string) (bool, error) {
	org, name, ok := strings.Cut(team, "/")
	if !ok || strings.Contains(name, "/") {
		return false, fmt.Errorf("%s is no team of %s; give it as org/team", quoted(team), g.door.host.Host)
	}
	id, err := g.team(ctx, org, name)
	if err != nil {
		return false, err
	}
	_, _, err = g.api(ctx).GetTeamMember(id, user)
	if refused(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

// team is the number of a team, which its members are asked by.
func (g *gitea) team(ctx context.Context, org, name string) (int64, error) {
	type numbered struct {
		id   int64
		name string
	}
	teams, _, err := all(maxTeams, func(t numbered) int64 { return t.id }, func(page int) ([]numbered, int, error) {
		items, answer, err := g.api(ctx).SearchOrgTeams(org, &sdk.SearchTeamsOptions{
			ListOptions: sdk.ListOptions{Page: page, PageSize: perPage}, Query: name,
		})
		if err != nil {
			return nil, 0, err
		}
		return each(items, func(t *sdk.Team) numbered {
			if t == nil {
				return numbered{}
			}
			return numbered{t.ID, t.Name}
		}), answer.NextPage, nil
	})
	if err != nil {
		return 0, err
	}
	for _, t := range teams {
		if strings.EqualFold(t.name, name) {
			return t.id, nil
		}
	}
	return 0, fmt.Errorf("%w: the organization %s has no such team", ErrNotFound, org)
}

func (g *gitea) issues(ctx context.Context, me string, open bool, since time.Time, page, got int) ([]Issue, int, error) {
	o := sdk.ListIssueOption{ListOptions: sdk.ListOptions{Page: page, PageSize: perPage}, State: sdk.StateOpen, Type: sdk.IssueTypeIssue, CreatedBy: me}
	if !open {
		o.State, o.Since = sdk.StateClosed, since // it changed since then, at least by being closed
	}
	items, answer, err := g.api(ctx).ListRepoIssues(g.owner, g.name, o)
	if err != nil {
		return nil, 0, err
	}
	return each(items, giteaIssue), giteaNext(answer, page, len(items), got+len(items)), nil
}

func (g *gitea) openIssue(ctx context.Context, title, body string) (Issue, error) {
	item, _, err := g.api(ctx).CreateIssue(g.owner, g.name, sdk.CreateIssueOption{Title: title, Body: body})
	return giteaIssue(item), err
}

func (g *gitea) editIssue(ctx context.Context, number int, body string, to move) (Issue, error) {
	item, _, err := g.api(ctx).EditIssue(g.owner, g.name, int64(number), sdk.EditIssueOption{Body: &body, State: (*sdk.StateType)(to.state())})
	return giteaIssue(item), err
}

func (g *gitea) commentIssue(ctx context.Context, number int, body string) (note, error) {
	return g.comment(ctx, number, body) // a pull request is an issue there
}

// commitFile makes the branch where it has to begin, and then the commit, which says
// which bytes it replaces. A branch without its commit is taken away again.
func (g *gitea) commitFile(ctx context.Context, c Change) error {
	at, err := g.branch(ctx, c)
	if err != nil {
		return err
	}
	if at != c.Base {
		err = fmt.Errorf("it makes the branch at %s, and not at %s as it was asked to; is it an old release?", quoted(at), c.Base)
	} else {
		_, _, err = g.api(ctx).UpdateFile(g.owner, g.name, c.Path, sdk.UpdateFileOptions{
			FileOptions: sdk.FileOptions{Message: c.Message, BranchName: c.Branch},
			SHA:         blobID(c), Content: base64.StdEncoding.EncodeToString(c.Is),
		})
	}
	if err == nil {
		return nil
	}
	if _, _, left := g.api(context.WithoutCancel(ctx)).DeleteRepoBranch(g.owner, g.name, c.Branch); left != nil {
		return fmt.Errorf("%w; the branch %s is left behind", err, c.Branch)
	}
	return err
}

// branch makes a branch at a commit, and tells where it stands. The SDK can make one
// of a branch alone.
func (g *gitea) branch(ctx context.Context, c Change) (string, error) {
	body, err := json.Marshal(map[string]string{"new_branch_name": c.Branch, "old_ref_name": c.Base})
	if err != nil {
		return "", err
	}
	at := g.door.host.JoinPath("api/v1/repos", g.owner, g.name, "branches")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := g.door.client().Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var made sdk.Branch
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil {
		return "", err
	}
	if made.Commit == nil {
		return "", errEmpty
	}
	return made.Commit.ID, nil
}

// blobID is how git names the bytes that a change replaces, in a repository whose
// commits are named like its base.
func blobID(c Change) string {
	h := sha1.New()
	if len(c.Base) == 64 {
		h = sha256.New()
	}
	fmt.Fprintf(h, "blob %d\x00", len(c.Was))
	h.Write(c.Was)
	return hex.EncodeToString(h.Sum(nil))
}

func (g *gitea) openPull(ctx context.Context, r Request) (Pull, error) {
	item, _, err := g.api(ctx).CreatePullRequest(g.owner, g.name, sdk.CreatePullRequestOption{Title: r.Title, Body: r.Body, Head: r.Branch, Base: r.Base})
	if err != nil {
		return Pull{}, err
	}
	return giteaPull(item), nil
}

func (g *gitea) pullRef(number int) string { return fmt.Sprintf("refs/pull/%d/head", number) }

// giteaPull is a pull request in our words. What is not there at all has no number,
// and is found out by that.
func giteaPull(item *sdk.PullRequest) Pull {
	if item == nil {
		return Pull{}
	}
	p := Pull{
		Number: int(item.Index), Title: item.Title, Author: giteaLogin(item.Poster), URL: item.HTMLURL,
		Draft: item.Draft, Open: item.State == sdk.StateOpen, Merged: item.HasMerged, Updated: at(item.Updated),
		Fork: item.Head == nil || item.Base == nil || isFork(item.Head.RepoID, item.Base.RepoID),
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
	return p
}

func giteaNote(item *sdk.Comment) note {
	if item == nil {
		return note{}
	}
	return note{Comment: Comment{
		ID: item.ID, Author: giteaLogin(item.Poster), Body: item.Body, URL: item.HTMLURL,
		Created: item.Created, Edited: item.Updated.After(item.Created),
		Bot: item.Poster != nil && item.Poster.ID < 0, // those of Gitea itself, as that of its Actions
	}}
}

func giteaIssue(item *sdk.Issue) Issue {
	if item == nil {
		return Issue{}
	}
	return Issue{
		Number: int(item.Index), Title: item.Title, Author: giteaLogin(item.Poster), Body: item.Body, URL: item.HTMLURL,
		Open: item.State == sdk.StateOpen, Locked: item.IsLocked, Closed: at(item.Closed), pull: item.PullRequest != nil,
	}
}

func giteaReview(item *sdk.PullReview) said {
	if item == nil {
		return said{}
	}
	return said{
		id:      item.ID,
		opinion: item.State == sdk.ReviewStateApproved || item.State == sdk.ReviewStateRequestChanges,
		Review: Review{
			Author: giteaLogin(item.Reviewer), Commit: item.CommitID,
			Approved: item.State == sdk.ReviewStateApproved && !item.Dismissed,
		},
	}
}

func giteaLogin(u *sdk.User) string {
	if u == nil {
		return ""
	}
	return u.UserName
}
