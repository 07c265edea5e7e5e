package review

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Contexts of the commit statuses.
const (
	planContext    = "reconciler/plan"
	rolloutContext = "reconciler/rollout"
)

// Change is what a pull request would make of the fleet's folder. Who got it closes it.
type Change struct {
	// After reads the fleet as the daemon does, with what this host allows of it.
	After   func() (desired.Fleet, error)
	Nothing bool // it touches no file of the folder
	Close   func() error
}

// RefusedError is why a pull request cannot be planned, which is its author's to
// mend.
type RefusedError struct {
	Why, Hint string
	Large     bool // it is so whatever it is merged into, and finding that out takes long
}

func (e *RefusedError) Error() string { return e.Why }

// ErrMoved says that a head is not there any more: there is another one.
var ErrMoved = errors.New("the pull request has another head by now")

// Ports are all that reviewing needs of the world.
type Ports struct {
	Forge forge.Client
	// InForce is the commit that is acted on, and its fleet; false: none is yet.
	InForce func() (commit string, fleet desired.Fleet, ok bool)
	// Propose reads what merging head into base gives: a [RefusedError], [ErrMoved],
	// or an error that the pull request has no part in.
	Propose func(ctx context.Context, base, head string) (Change, error)
	// Seen is what the last turn of a cluster saw; false: there was none.
	Seen func(cluster string) (Seen, bool)
	// Since are the commits that came after one, up to another.
	Since func(ctx context.Context, older, newer string) ([]string, error)
	// At is the fleet of an older commit; without a cluster where that is not known any
	// more. An error is of our clone.
	At func(ctx context.Context, commit string) (desired.Fleet, error)
	// Hold and Resume are the words of a person, as the commands of these names are.
	Hold, Resume func(ctx context.Context, cluster, by, reason string) error
	// Approve and Withdraw are an approval, and the end of one that somebody gave.
	Approve, Withdraw func(ctx context.Context, a Allowance) error
	Now               func() time.Time
	// Compared hears what became of every reading of a pull request; nil: nobody does.
	Compared func(Outcome)
}

// Outcome is what became of reading a pull request. Closed set.
type Outcome string

const (
	OutcomePlanned Outcome = "planned"
	OutcomeRefused Outcome = "refused" // its author has to mend something
	OutcomeFailed  Outcome = "failed"  // it has no part in that
)

// Options say which pull requests are reviewed, and how.
type Options struct {
	Branch   string // they are to be merged into it
	Identity string // of the fleet and of the clusters that are kept, for the marker
	Suffix   string // of the contexts of statuses, where a repo has several fleets
	Page     string // address where a rollout is shown as it goes; empty: there is none
	Forks    bool   // plan those from forks too
	Keeps    func(cluster string) bool
	// Operators are whose comments may resume a cluster.
	Operators func(cluster string) []string
	Most      int // bytes of a comment
	// File keeps what is followed of rollouts; its folder is there.
	File string
}

// Reviewer answers the pull requests of one fleet. It is used by one goroutine.
type Reviewer struct {
	Ports
	Options
	log   *slog.Logger
	pulls map[int]*known    // that were answered
	heads map[string]bool   // of what is open → it comes from the repository itself
	queue map[string]*known // by commit
	// unseen says that the token may not see a queue, which was told.
	unseen bool
	// followed are rollouts that are told.
	followed []*followed
	commit   string        // whose rollout was begun last
	fleet    desired.Fleet // of commit
	recalled bool          // File was read
	written  []byte        // that File holds
}

// known is what is remembered of an open pull request between turns.
type known struct {
	head, base string
	updated    time.Time
	diffs      Differences
	nothing    bool // it is merged already, or touches no file of the fleet
	refused    *RefusedError
	status     string // that was set last: commit, state and words
	body       string // of our comment, as it was written last
	id         int64  // of our comment; 0: none
	note       note
	read       bool      // our comment was looked for
	settled    bool      // it was looked at once more since the update
	heard      int64     // the last comment that was read for commands
	failures   int       // of reading what it changes, one after another
	again      time.Time // when that, or what was found too large, is read again
	failed     string    // head and base of the last failure
}

// New is a reviewer that has answered nothing yet: what it said before it reads
// from its own comments.
func New(p Ports, o Options, log *slog.Logger) *Reviewer {
	if o.Most == 0 {
		o.Most = 60_000
	}
	return &Reviewer{Ports: p, Options: o, log: log, pulls: map[int]*known{}}
}

// Turn answers every open pull request that has changed, or whose plan has, and
// tells how far the rollout of what was merged is. An error is of the forge as a
// whole; what is wrong with one pull request keeps nobody else from an answer.
func (r *Reviewer) Turn(ctx context.Context) error {
	base, fleet, ok := r.InForce()
	if !ok {
		return nil
	}
	me, err := r.Forge.Me(ctx)
	if err != nil {
		return fmt.Errorf("ask the forge who we are: %w", err)
	}
	open, err := r.Forge.Pulls(ctx, r.Branch)
	if err != nil {
		return fmt.Errorf("list the open pull requests: %w", err)
	}
	troubles := []error{r.answerQueue(ctx, base, fleet)} // first: a queue waits for it
	if isBusy(troubles[0]) {
		return troubles[0]
	}
	still := map[int]bool{}
	r.heads = map[string]bool{}
	for _, p := range open {
		r.heads[p.Head] = r.heads[p.Head] || !p.Fork
	}
	for _, p := range open {
		still[p.Number] = true
		if err := r.answer(ctx, me, p, base, fleet); err != nil && !errors.Is(err, ErrMoved) {
			troubles = append(troubles, fmt.Errorf("pull request %d: %w", p.Number, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if last := troubles[len(troubles)-1]; isBusy(last) {
			return last // nobody else is answered sooner
		}
	}
	for number := range r.pulls {
		if !still[number] {
			delete(r.pulls, number)
		}
	}
	if err := r.tell(ctx, me, base, fleet); err != nil {
		troubles = append(troubles, fmt.Errorf("tell the rollout: %w", err))
	}
	if err := errors.Join(troubles...); err != nil {
		return &PartialError{err}
	}
	return nil
}

// PartialError is of some pull requests, while the others were answered.
type PartialError struct{ Err error }

func (e *PartialError) Error() string { return e.Err.Error() }
func (e *PartialError) Unwrap() error { return e.Err }

func isBusy(err error) bool {
	_, yes := forge.Busy(err)
	return yes
}

// answer brings one pull request's comment and status up to date.
func (r *Reviewer) answer(ctx context.Context, me string, p forge.Pull, base string, fleet desired.Fleet) error {
	k := r.pulls[p.Number]
	if k == nil {
		k = &known{}
		r.pulls[p.Number] = k
	}
	if p.Fork && !r.Forks {
		if r.heads[p.Head] { // a status is of a commit, and of this one somebody else's
			return nil
		}
		return r.status(ctx, k, p.Head, forge.Success, "not planned: it comes from a fork")
	}
	if k.head != p.Head || k.base != base {
		if err := r.compare(ctx, k, base, p.Head, fleet); err != nil {
			return err
		}
		if k.head != p.Head || k.base != base {
			return nil
		}
	}
	proposal := r.propose(k, base, p.Head, fleet)
	if p.Draft {
		return r.status(ctx, k, p.Head, stateOf(proposal), proposal.Words())
	}
	// Forges tell the second of an update. What came later in that second is seen by
	// another look, which the next turn takes.
	fresh := !k.read || !k.updated.Equal(p.Updated)
	if fresh || !k.settled {
		k.settled = !fresh
		if err := r.look(ctx, k, me, p, proposal); err != nil {
			return err
		}
		if err := r.reviews(ctx, k, p, proposal); err != nil {
			return err
		}
	}
	if err := r.outgrown(ctx, k, p, proposal); err != nil {
		return err
	}
	if err := r.write(ctx, k, p, proposal); err != nil {
		return err
	}
	k.updated = p.Updated
	return r.status(ctx, k, p.Head, stateOf(proposal), proposal.Words())
}

// compare reads what a pull request changes.
func (r *Reviewer) compare(ctx context.Context, k *known, base, head string, fleet desired.Fleet) error {
	large := k.refused != nil && k.refused.Large && k.head == head
	if (k.failed == head+base || large) && r.Now().Before(k.again) {
		return nil // told already; what is proposed may be large, and is not fetched all the time
	}
	change, err := r.Propose(ctx, base, head)
	refused, _ := errors.AsType[*RefusedError](err)
	if err != nil && refused == nil {
		k.failures++
		k.failed, k.again = head+base, r.Now().Add(min(time.Minute<<min(k.failures-1, 10), time.Hour))
		if !errors.Is(err, ErrMoved) {
			r.compared(OutcomeFailed)
		}
		return err
	}
	k.failures, k.failed = 0, ""
	k.diffs, k.refused, k.nothing = Differences{}, refused, change.Nothing
	k.again = r.Now().Add(time.Hour)
	if refused == nil {
		defer change.Close()
		if !change.Nothing {
			after, err := change.After()
			if err != nil {
				r.compared(OutcomeFailed)
				return err
			}
			k.diffs = Between(r.kept(fleet), r.kept(after))
		}
	}
	k.head, k.base = head, base
	if refused != nil {
		r.compared(OutcomeRefused)
	} else {
		r.compared(OutcomePlanned)
	}
	return nil
}

func (r *Reviewer) compared(o Outcome) {
	if r.Compared != nil {
		r.Compared(o)
	}
}

// kept is a fleet without the clusters that another reconciler keeps.
func (r *Reviewer) kept(f desired.Fleet) desired.Fleet {
	if r.Keeps == nil {
		return f
	}
	f.Clusters = slices.DeleteFunc(slices.Clone(f.Clusters), func(c desired.Cluster) bool { return !r.Keeps(c.Name) })
	f.Broken = slices.DeleteFunc(slices.Clone(f.Broken), func(b desired.Broken) bool { return !r.Keeps(b.Name) })
	return f
}

func (r *Reviewer) propose(k *known, base, head string, fleet desired.Fleet) report.Proposal {
	p := k.diffs.Propose(r.Seen, r.Now())
	p.Source = report.Source{Fleet: fleet.Name, Branch: r.Branch, Commit: base}
	p.Head = head
	if k.refused != nil {
		p.Refused, p.Hint = k.refused.Why, k.refused.Hint
	}
	return p
}

func stateOf(p report.Proposal) forge.State {
	if p.Wrong() {
		return forge.Failure
	}
	return forge.Success
}

// look finds our comment and hears the commands that came since.
func (r *Reviewer) look(ctx context.Context, k *known, me string, p forge.Pull, proposal report.Proposal) error {
	comments, err := r.Forge.Comments(ctx, p.Number)
	if err != nil {
		return fmt.Errorf("read its comments: %w", err)
	}
	if ours, ok := find(comments, me, marker(r.Identity)); ok {
		k.id, k.body = ours.ID, ours.Body
		k.note, _ = read(ours.Body)
	} else {
		k.id, k.body, k.note = 0, "", note{}
	}
	k.read = true
	return r.hear(ctx, k, me, p, proposal, comments)
}

// write edits our comment where it says something else than it should, and makes
// it where there is something to say. A plan of a head that is not the pull
// request's any more is not written: the newer one is on its way.
func (r *Reviewer) write(ctx context.Context, k *known, p forge.Pull, proposal report.Proposal) error {
	if !proposal.Touches() && k.id == 0 && len(k.note.Answers) == 0 {
		return nil
	}
	if k.nothing && k.note.Head == p.Head {
		return nil // it was merged a moment ago, and the forge says so soon
	}
	plan := report.Comment(proposal, r.Most)
	n := k.note
	if print, base := printOf(plan), proposal.Source.Commit; n.Head != p.Head || n.Base != base || n.Print != print {
		n = n.supersede(p.Head, base, print, proposal.Words(), k.diffs.Digests())
	}
	if k.id != 0 && saysAll(k.body, n) {
		return nil
	}
	now, err := r.Forge.Pull(ctx, p.Number)
	if err != nil {
		return err
	}
	if now.Head != p.Head || !now.Open {
		return ErrMoved
	}
	below := report.Footer(proposal) + "\n" + answers(n.Answers)
	if k.unapproved(proposal) {
		below = asks(p.Head) + below
	}
	err = r.put(ctx, k, p.Number, compose(marker(r.Identity), n, "", plan, below+history(n.Earlier)), n)
	if long, ok := errors.AsType[*forge.TooLongError](err); ok { // with less of it
		plan = report.Comment(proposal, min(r.Most, long.MaxBody)/2)
		err = r.put(ctx, k, p.Number, compose(marker(r.Identity), n, "", plan, below), n)
	}
	return err
}

// saysAll says that a comment tells what a note does.
func saysAll(body string, n note) bool {
	told, _ := read(body)
	return told.Print == n.Print && told.Head == n.Head && told.Base == n.Base && told.Outgrown == n.Outgrown && slices.Equal(told.Answers, n.Answers)
}

// put writes a comment: ours is edited, and made where there is none.
func (r *Reviewer) put(ctx context.Context, k *known, number int, body string, n note) (err error) {
	var c forge.Comment
	if k.id != 0 {
		c, err = r.Forge.Edit(ctx, number, k.id, body)
	}
	if k.id == 0 || errors.Is(err, forge.ErrNotFound) { // or somebody deleted it
		c, err = r.Forge.Comment(ctx, number, body)
	}
	if err != nil {
		return fmt.Errorf("write the comment: %w", err)
	}
	k.id, k.body, k.note = c.ID, body, n
	r.log.Info("answered a pull request", "pull", number, "says", n.Words)
	return nil
}

// status sets a commit's status, unless it is the one that was set last.
func (r *Reviewer) status(ctx context.Context, k *known, commit string, state forge.State, words string) error {
	key := commit + " " + string(state) + " " + words
	if k.status == key {
		return nil
	}
	err := r.Forge.SetStatus(ctx, commit, forge.Status{Context: planContext + r.Suffix, State: state, Description: words})
	if err != nil {
		return fmt.Errorf("set the status %s: %w", planContext, err)
	}
	k.status = key
	return nil
}
