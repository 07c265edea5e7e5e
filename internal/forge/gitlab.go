package forge

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go/v2"
)

// gitLab speaks to GitLab, where a pull request is a merge request and a comment is
// a note.
type gitLab struct {
	api  *gitlab.Client
	host *url.URL
	repo string // its path, which is asked by
}

func newGitLab(d *door, repo string) (*gitLab, error) {
	api, err := gitlab.NewAuthSourceClient(gitlab.Unauthenticated{}, // the door signs
		gitlab.WithBaseURL(d.host.String()), gitlab.WithHTTPClient(d.client()), gitlab.WithoutRetries())
	if err != nil {
		return nil, fmt.Errorf("the forge's URL: %w", err)
	}
	return &gitLab{api, d.host, repo}, nil
}

func (g *gitLab) rights() rights {
	return rights{
		me:         "the scope api or read_user",
		read:       "the scope api, and the role Reporter in the project",
		queue:      "the scope api, and the role Developer in the project",
		comment:    "the scope api, and the role Reporter in the project",
		status:     "the scope api, and the role Developer in the project",
		permission: "the scope api, and the role Reporter in the project",
		team:       "the scope api, and an account that may see the group's members",
		issue:      "the scope api, and the role Reporter in the project",
		propose:    "the scope api, and the role Developer in the project",
	}
}

func (g *gitLab) me(ctx context.Context) (string, error) {
	u, _, err := g.api.Users.CurrentUser(gitlab.WithContext(ctx))
	if err != nil || u == nil {
		return "", err
	}
	return u.Username, nil
}

func (g *gitLab) pulls(ctx context.Context, base string, page int) ([]Pull, int, error) {
	items, answer, err := g.api.MergeRequests.ListProjectMergeRequests(g.repo, &gitlab.ListProjectMergeRequestsOptions{
		ListOptions: gitlab.ListOptions{Page: int64(page), PerPage: perPage},
		State:       new("opened"), TargetBranch: &base, OrderBy: new("updated_at"), Sort: new("desc"),
	}, gitlab.WithContext(ctx))
	if err != nil {
		return nil, 0, err
	}
	return each(items, gitLabPull), int(answer.NextPage), nil
}

func (g *gitLab) pull(ctx context.Context, number int) (Pull, error) {
	item, _, err := g.api.MergeRequests.GetMergeRequest(g.repo, int64(number), nil, gitlab.WithContext(ctx))
	if err != nil || item == nil {
		return Pull{}, err
	}
	p := gitLabPull(&item.BasicMergeRequest)
	p.Base = item.DiffRefs.BaseSha
	return p, nil
}

// pullsOf is what GitLab tells: those whose merge or squash made the commit, and
// those that have it.
func (g *gitLab) pullsOf(ctx context.Context, commit string) ([]Pull, error) {
	items, _, err := g.api.Commits.ListMergeRequestsByCommit(g.repo, commit, gitlab.WithContext(ctx))
	return each(items, gitLabPull), err
}

func (g *gitLab) visible(ctx context.Context) error {
	_, _, err := g.api.Projects.GetProject(g.repo, nil, gitlab.WithContext(ctx))
	return err
}

func (g *gitLab) comments(ctx context.Context, number, page, _ int) ([]note, int, error) {
	items, answer, err := g.api.Notes.ListMergeRequestNotes(g.repo, int64(number), &gitlab.ListMergeRequestNotesOptions{
		ListOptions: gitlab.ListOptions{Page: int64(page), PerPage: perPage}, OrderBy: new("created_at"), Sort: new("asc"),
	}, gitlab.WithContext(ctx))
	if err != nil {
		return nil, 0, err
	}
	return each(items, func(n *gitlab.Note) note { return g.note(number, n) }), int(answer.NextPage), nil
}

func (g *gitLab) comment(ctx context.Context, number int, body string) (note, error) {
	item, _, err := g.api.Notes.CreateMergeRequestNote(g.repo, int64(number), &gitlab.CreateMergeRequestNoteOptions{Body: &body}, gitlab.WithContext(ctx))
	return g.note(number, item), err
}

func (g *gitLab) edit(ctx context.Context, number int, id int64, body string) (note, error) {
	item, _, err := g.api.Notes.UpdateMergeRequestNote(g.repo, int64(number), id, &gitlab.UpdateMergeRequestNoteOptions{Body: &body}, gitlab.WithContext(ctx))
	return g.note(number, item), err
}

// react gives an award, of which each may give one of a kind: GitLab answers the
// second with 404 and "has already been taken".
func (g *gitLab) react(ctx context.Context, number int, id int64, with Reaction) error {
	name := string(with)
	if with == Down {
		name = "thumbsdown"
	}
	_, _, err := g.api.AwardEmoji.CreateMergeRequestAwardEmojiOnNote(g.repo, int64(number), id, &gitlab.CreateAwardEmojiOptions{Name: name}, gitlab.WithContext(ctx))
	if refused(err, http.StatusNotFound) && strings.Contains(err.Error(), "already been taken") {
		return nil
	}
	return err
}

// setStatus moves a status from state to state, which GitLab refuses where it is in
// that state already. It keeps statuses of commits that are on a branch or have a
// pipeline: of a fork's it may say 404.
func (g *gitLab) setStatus(ctx context.Context, commit string, s Status) error {
	state := gitLabState(s.State)
	o := &gitlab.SetCommitStatusOptions{State: state, Name: &s.Context, Description: &s.Description}
	if s.URL != "" {
		o.TargetURL = &s.URL
	}
	_, _, err := g.api.Commits.SetCommitStatus(g.repo, commit, o, gitlab.WithContext(ctx))
	if !refused(err, http.StatusBadRequest) || !strings.Contains(err.Error(), "Cannot transition") {
		return err
	}
	now, found := g.status(ctx, commit, s.Context)
	if found != nil {
		return fmt.Errorf("%w; and what it is now is not known: %w", err, found)
	}
	if now != string(state) {
		return err
	}
	return nil
}

// status is the state that a commit's status is in.
func (g *gitLab) status(ctx context.Context, commit, name string) (string, error) {
	items, _, err := g.api.Commits.GetCommitStatuses(g.repo, commit, &gitlab.GetCommitStatusesOptions{
		ListOptions: gitlab.ListOptions{PerPage: perPage}, Name: &name,
	}, gitlab.WithContext(ctx))
	if err != nil {
		return "", err
	}
	latest := &gitlab.CommitStatus{}
	for _, item := range items {
		if item != nil && item.Name == name && item.ID > latest.ID {
			latest = item
		}
	}
	return latest.Status, nil
}

func gitLabState(s State) gitlab.BuildStateValue {
	switch s {
	case Pending:
		return gitlab.Pending
	case Success:
		return gitlab.Success
	}
	return gitlab.Failed
}

// reviews are the approvals that stand. GitLab says when each was given and not for
// what: that is what had been pushed by then.
func (g *gitLab) reviews(ctx context.Context, number int) ([]said, error) {
	approvals, _, err := g.api.MergeRequestApprovals.GetConfiguration(g.repo, int64(number), gitlab.WithContext(ctx))
	if err != nil || approvals == nil || len(approvals.ApprovedBy) == 0 {
		return nil, err
	}
	versions, err := g.versions(ctx, number)
	if err != nil {
		return nil, err
	}
	var list []said
	for _, by := range approvals.ApprovedBy {
		if by != nil && by.User != nil {
			list = append(list, said{opinion: true, Review: Review{
				Author: by.User.Username, Commit: headAt(versions, by.ApprovedAt), Approved: true,
			}})
		}
	}
	return list, nil
}

// version is what was pushed to a merge request, and when.
type version struct {
	id   int64
	head string
	when time.Time
}

func (g *gitLab) versions(ctx context.Context, number int) ([]version, error) {
	list, more, err := all(maxReviews, func(v version) int64 { return v.id }, func(page int) ([]version, int, error) {
		items, answer, err := g.api.MergeRequests.GetMergeRequestDiffVersions(g.repo, int64(number), &gitlab.GetMergeRequestDiffVersionsOptions{
			ListOptions: gitlab.ListOptions{Page: int64(page), PerPage: perPage},
		}, gitlab.WithContext(ctx))
		if err != nil {
			return nil, 0, err
		}
		return each(items, func(v *gitlab.MergeRequestDiffVersion) version {
			if v == nil {
				return version{}
			}
			return version{v.ID, v.HeadCommitSHA, at(v.CreatedAt)}
		}), int(answer.NextPage), nil
	})
	if err == nil && more {
		err = fmt.Errorf("it was pushed to more than %d times; open another one with the same commits", maxReviews)
	}
	slices.SortFunc(list, func(a, b version) int { return a.when.Compare(b.when) })
	return list, err
}

// headAt is the head that stood at a time; empty where that is not known.
func headAt(versions []version, when *time.Time) string {
	head := ""
	for _, v := range versions {
		if when != nil && !v.when.IsZero() && v.when.Before(*when) {
			head = v.head
		}
	}
	return head
}

func (g *gitLab) mayWrite(ctx context.Context, user string) (bool, error) {
	id, err := g.user(ctx, user)
	if err != nil || id == 0 {
		return false, err
	}
	m, _, err := g.api.ProjectMembers.GetInheritedProjectMember(g.repo, id, gitlab.WithContext(ctx))
	if err != nil || m == nil {
		return false, err
	}
	return m.State == "active" && m.AccessLevel >= gitlab.DeveloperPermissions, nil
}

func (g *gitLab) inTeam(ctx context.Context, user, group string) (bool, error) {
	id, err := g.user(ctx, user)
	if err != nil || id == 0 {
		return false, err
	}
	m, _, err := g.api.GroupMembers.GetInheritedGroupMember(group, id, gitlab.WithContext(ctx))
	if refused(err, http.StatusNotFound) {
		_, _, err = g.api.Groups.GetGroup(group, nil, gitlab.WithContext(ctx)) // is it the user who is not there, or the group?
		return false, err
	}
	if err != nil || m == nil {
		return false, err
	}
	return m.State == "active" && m.AccessLevel >= gitlab.DeveloperPermissions, nil
}

// user is the number of a user, which members are asked by; 0 where there is none.
func (g *gitLab) user(ctx context.Context, name string) (int64, error) {
	users, _, err := g.api.Users.ListUsers(&gitlab.ListUsersOptions{Username: &name}, gitlab.WithContext(ctx))
	if err != nil {
		return 0, err
	}
	for _, u := range users {
		if u != nil && strings.EqualFold(u.Username, name) {
			return u.ID, nil
		}
	}
	return 0, nil
}

func (g *gitLab) issues(ctx context.Context, me string, open bool, since time.Time, page, _ int) ([]Issue, int, error) {
	o := &gitlab.ListProjectIssuesOptions{ListOptions: gitlab.ListOptions{Page: int64(page), PerPage: perPage}, State: new("opened"), AuthorUsername: &me}
	if !open {
		o.State, o.UpdatedAfter = new("closed"), &since // it changed since then, at least by being closed
	}
	items, answer, err := g.api.Issues.ListProjectIssues(g.repo, o, gitlab.WithContext(ctx))
	if err != nil {
		return nil, 0, err
	}
	return each(items, gitLabIssue), int(answer.NextPage), nil
}

func (g *gitLab) openIssue(ctx context.Context, title, body string) (Issue, error) {
	item, _, err := g.api.Issues.CreateIssue(g.repo, &gitlab.CreateIssueOptions{Title: &title, Description: &body}, gitlab.WithContext(ctx))
	return gitLabIssue(item), err
}

func (g *gitLab) editIssue(ctx context.Context, number int, body string, to move) (Issue, error) {
	o := &gitlab.UpdateIssueOptions{Description: &body}
	if to != stay {
		o.StateEvent = (*string)(&to)
	}
	item, _, err := g.api.Issues.UpdateIssue(g.repo, int64(number), o, gitlab.WithContext(ctx))
	return gitLabIssue(item), err
}

func (g *gitLab) commentIssue(ctx context.Context, number int, body string) (note, error) {
	item, _, err := g.api.Notes.CreateIssueNote(g.repo, int64(number), &gitlab.CreateIssueNoteOptions{Body: &body}, gitlab.WithContext(ctx))
	return g.note(number, item), err
}

func (g *gitLab) commitFile(ctx context.Context, c Change) error {
	made, _, err := g.api.Commits.CreateCommit(g.repo, &gitlab.CreateCommitOptions{
		Branch: &c.Branch, StartSHA: &c.Base, CommitMessage: &c.Message,
		Actions: []*gitlab.CommitActionOptions{{
			Action: new(gitlab.FileUpdate), FilePath: &c.Path, Encoding: new("base64"), Content: new(base64.StdEncoding.EncodeToString(c.Is)),
		}},
	}, gitlab.WithContext(ctx))
	if err == nil && (made == nil || !isHash(made.ID)) {
		err = errEmpty
	}
	return err
}

func (g *gitLab) openPull(ctx context.Context, r Request) (Pull, error) {
	item, _, err := g.api.MergeRequests.CreateMergeRequest(g.repo, &gitlab.CreateMergeRequestOptions{
		Title: &r.Title, Description: &r.Body, SourceBranch: &r.Branch, TargetBranch: &r.Base, RemoveSourceBranch: new(true),
	}, gitlab.WithContext(ctx))
	if err != nil || item == nil {
		return Pull{}, err
	}
	return gitLabPull(&item.BasicMergeRequest), nil
}

func (g *gitLab) pullRef(number int) string {
	return fmt.Sprintf("refs/merge-requests/%d/head", number)
}

// gitLabPull is a merge request in our words. What is not there at all has no
// number, and is found out by that.
func gitLabPull(item *gitlab.BasicMergeRequest) Pull {
	if item == nil {
		return Pull{}
	}
	p := Pull{
		Number: int(item.IID), Title: item.Title, URL: item.WebURL, Head: item.SHA, HeadRef: item.SourceBranch, BaseRef: item.TargetBranch,
		Draft: item.Draft, Open: item.State == "opened" || item.State == "locked", // locked: it is being merged
		Merged: item.State == "merged", Fork: isFork(item.SourceProjectID, item.TargetProjectID), Updated: at(item.UpdatedAt),
	}
	if item.Author != nil {
		p.Author = item.Author.Username
	}
	if p.Merged {
		p.MergedCommit = firstOf(item.MergeCommitSHA, item.SquashCommitSHA, item.SHA) // the last: it was fast-forwarded to
	}
	return p
}

func gitLabIssue(item *gitlab.Issue) Issue {
	if item == nil {
		return Issue{}
	}
	i := Issue{
		Number: int(item.IID), Title: item.Title, Body: item.Description, URL: item.WebURL,
		Open: item.State == "opened", Locked: item.DiscussionLocked, Closed: at(item.ClosedAt),
	}
	if item.Author != nil {
		i.Author = item.Author.Username
	}
	return i
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func (g *gitLab) note(number int, item *gitlab.Note) note {
	if item == nil {
		return note{}
	}
	return note{system: item.System, Comment: Comment{
		ID: item.ID, Author: item.Author.Username, Body: item.Body,
		URL:     fmt.Sprintf("%s/%s/-/merge_requests/%d#note_%d", g.host, g.repo, number, item.ID),
		Created: at(item.CreatedAt), Edited: at(item.UpdatedAt).After(at(item.CreatedAt)),
		Bot: bots.MatchString(item.Author.Username),
	}}
}

// bots are the names that GitLab gives to the users of access tokens and to service
// accounts, and lets nobody else take ("Project access tokens: Bot users").
var bots = regexp.MustCompile(`^(project|group)_[0-9]+_bot|^service_account_`)
