package forge

import (
	"context"
	"time"
)

// Client asks one repository's forge. Its methods may be called from several
// goroutines. Their errors are, where somebody may want to know: a [outbound.BusyError], a
// [*TooLongError], [ErrNotFound], [ErrForbidden].
type Client interface {
	// Me is the login of our account, asked for once.
	Me(ctx context.Context) (string, error)
	// Pulls are the open pull requests against a branch, by number: of more than 500
	// those that changed last. Where the forge can say that its list is the one that
	// it gave before, that one is returned.
	Pulls(ctx context.Context, base string) ([]Pull, error)
	// Pull is one, open or not.
	Pull(ctx context.Context, number int) (Pull, error)
	// PullsOf are those whose merge, squash or rebase brought a commit, onto whatever
	// branch (BaseRef says which); none is no error. Of a rebase Gitea knows only the
	// last commit.
	PullsOf(ctx context.Context, commit string) ([]Pull, error)
	// Queued are the commits that a merge queue or train would make of a branch; none
	// where the forge has no such thing.
	Queued(ctx context.Context, base string) ([]string, error)
	// Comments are all of a pull request's conversation, oldest first. More than
	// 2,000 are an error: a part of them would look like all.
	Comments(ctx context.Context, number int) ([]Comment, error)
	// Comment adds one.
	Comment(ctx context.Context, number int, body string) (Comment, error)
	// Edit replaces the text of one.
	Edit(ctx context.Context, number int, id int64, body string) (Comment, error)
	// React puts our sign below a comment; that it is there already is no error.
	React(ctx context.Context, number int, id int64, with Reaction) error
	// SetStatus says how a commit fares. GitLab keeps the earlier description of
	// a status that stays pending.
	SetStatus(ctx context.Context, commit string, s Status) error
	// Reviews are the last word of each reviewer, by name.
	Reviews(ctx context.Context, number int) ([]Review, error)
	// MayWrite says that a user may write to the repository, as the forge knows now;
	// false also for a user whom it does not know.
	MayWrite(ctx context.Context, user string) (bool, error)
	// InTeam says that a user belongs to a team: GitHub "org/slug"; Gitea "org/name";
	// GitLab a group's path, in which the user is at least a developer.
	InTeam(ctx context.Context, user, team string) (bool, error)
	// OurIssues are the issues that our account opened, by number: those that are open,
	// and those that were closed since a time. More than 1,000 of either are an error.
	OurIssues(ctx context.Context, since time.Time) ([]Issue, error)
	// OpenIssue opens one.
	OpenIssue(ctx context.Context, title, body string) (Issue, error)
	// EditIssue replaces the text of one, and has it open or closed. What is returned
	// is what the forge has now: not every one says that it did not take a text.
	EditIssue(ctx context.Context, was Issue, body string, open bool) (Issue, error)
	// CommentIssue adds a comment to one.
	CommentIssue(ctx context.Context, number int, body string) error
	// PullFrom is the open pull request against a branch from another one of the
	// repository itself; false: there is none, of those that Pulls tells of.
	PullFrom(ctx context.Context, base, branch string) (Pull, bool, error)
	// CommitFile makes a branch with one commit, in which one file is another. Errors
	// are, besides those of all methods, [ErrExists] for the branch, [ErrMoved] and
	// [ErrProtected].
	CommitFile(ctx context.Context, c Change) error
	// OpenPull opens a pull request; errors are as those of CommitFile.
	OpenPull(ctx context.Context, r Request) (Pull, error)
	// PullRef is the ref that git fetches a pull request's head from.
	PullRef(number int) string
}

// Pull is a pull request, or a merge request. Title, Author and the names of
// branches are foreign text.
type Pull struct {
	Number       int // above 0
	Title        string
	Author       string // login
	URL          string // of its page
	Head         string // commit, 40 or 64 lower-case hex digits
	HeadRef      string // branch that it comes from, in whosever repository
	Base         string // commit that it was compared with, as far as the forge told: GitLab does not in lists
	BaseRef      string // branch that it goes to
	MergedCommit string // that its merge made, or the last that it brought; empty until then
	Fork         bool   // it comes from another repository
	Draft        bool
	Open         bool
	Merged       bool
	Updated      time.Time
}

// Comment is one in the conversation of a pull request. Author and Body are foreign
// text.
type Comment struct {
	ID      int64 // above 0
	Author  string
	Body    string
	URL     string // of it on its page
	Created time.Time
	Edited  bool // its text, or something of it, was changed later
	Bot     bool // the forge says that no person wrote it; GitLab says so by the name alone
}

// Reaction is a sign below a comment.
type Reaction string

// The signs that every forge has.
const (
	Eyes   Reaction = "eyes"   // seen
	Rocket Reaction = "rocket" // done
	Down   Reaction = "-1"     // refused
)

// State is how a commit fares.
type State string

// The states of GitHub, whose words are used here. GitLab has no error, and shows
// it as failed.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure"
	Error   State = "error"
)

// Status is a line below a commit, one per Context.
type Status struct {
	Context     string // "reconciler/plan"
	State       State
	Description string // cut to 140 characters, which is GitHub's limit
	URL         string // of more about it; may be empty
}

// Review is what a reviewer said last.
type Review struct {
	Author   string
	Commit   string // head that was looked at; empty where the forge does not tell
	Approved bool
}
