package review

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// After the merge the comment follows the rollout, and the merged commit has a
// status. A stop is a comment of its own as well: nobody is told of an edit.

// lateMerge is for how long a forge may not know whose merge a commit is.
const lateMerge = 2 * time.Minute

const maxFollowed = 50 // commits, and commits of one step forward that are asked about

// followed is a commit whose rollout is told, as it is kept beside the clone.
type followed struct {
	Commit    string            `json:"commit"`
	Digests   map[string]string `json:"digests"` // touched cluster → digest of the spec of commit; nil: not known
	Began     time.Time         `json:"began"`
	Status    string            `json:"status,omitempty"`    // that was set last: state and words
	Overtaken map[string]string `json:"overtaken,omitempty"` // cluster → commit that wants something else of it
	Left      bool              `json:"left,omitempty"`      // too many others came since

	pulls []*merged // whose merge it is
	asked bool      // the forge was asked for pulls
}

// merged is a pull request whose rollout is told.
type merged struct {
	number int
	known
}

// tell brings statuses and comments of what was merged up to date.
func (r *Reviewer) tell(ctx context.Context, me, commit string, fleet desired.Fleet) error {
	if err := r.recall(ctx); err != nil {
		return err
	}
	if commit != r.commit {
		if err := r.begin(ctx, commit, fleet); err != nil {
			return err
		}
	}
	unkept := r.keep() // before anybody is told that it is followed
	var troubles []error
	for _, f := range r.followed {
		if err := r.follow(ctx, me, f, fleet); err != nil {
			troubles = append(troubles, err)
			if isBusy(err) {
				break
			}
		}
	}
	r.followed = slices.DeleteFunc(r.followed, func(f *followed) bool { return f.over() })
	if unkept == nil && ctx.Err() == nil { // otherwise another reviewer may have begun
		unkept = r.keep()
	}
	return errors.Join(append(troubles, unkept)...)
}

// begin follows the commits that came since the last.
func (r *Reviewer) begin(ctx context.Context, commit string, fleet desired.Fleet) error {
	commits := []string{commit}
	if r.commit != "" {
		since, err := r.Since(ctx, r.commit, commit)
		if err != nil {
			return err
		}
		commits = since[:min(len(since), maxFollowed)]
	}
	for _, c := range slices.Backward(commits) { // the oldest first, as they are left
		f := &followed{Commit: c, Began: r.Now()}
		if c == commit && r.commit != "" {
			f.Digests = Between(r.kept(r.fleet), r.kept(fleet)).Digests()
		}
		before := slices.IndexFunc(r.followed, func(f *followed) bool { return f.Commit == c })
		switch {
		case before < 0:
			r.followed = append(r.followed, f)
		case f.Digests != nil: // the branch went back to it
			r.followed = append(slices.Delete(r.followed, before, before+1), f)
		}
	}
	r.followed = r.followed[max(0, len(r.followed)-2*maxFollowed):]
	for _, f := range r.followed[:max(0, len(r.followed)-maxFollowed)] {
		f.Left = true
	}
	r.commit, r.fleet = commit, fleet
	return nil
}

// over says that nothing more will be told of a commit.
func (f *followed) over() bool {
	if f.Left {
		return f.Status == "" || strings.HasPrefix(f.Status, string(forge.Error))
	}
	if !f.asked || slices.ContainsFunc(f.pulls, func(m *merged) bool { return !m.note.Over }) {
		return false
	}
	return len(f.Digests) == 0 || strings.HasPrefix(f.Status, string(forge.Success))
}

func (r *Reviewer) follow(ctx context.Context, me string, f *followed, fleet desired.Fleet) error {
	if f.Left {
		if f.Status == "" {
			return nil
		}
		return r.say(ctx, f, forge.Error, fmt.Sprintf("not followed any more: more than %d later commits are", maxFollowed))
	}
	if !f.asked {
		if err := r.pullsOf(ctx, me, f); err != nil {
			return err
		}
	}
	if len(f.Digests) == 0 && len(f.pulls) == 0 {
		return nil // it touched nothing, or it was in force before we began
	}
	rollout := r.rollout(f, fleet)
	if err := r.rolled(ctx, f, rollout); err != nil {
		return err
	}
	for _, m := range f.pulls {
		if err := r.update(ctx, m, rollout); err != nil {
			return fmt.Errorf("pull request %d: %w", m.number, err)
		}
	}
	return nil
}

// pullsOf finds the pull requests whose merge a commit is, and what of them was
// told before.
func (r *Reviewer) pullsOf(ctx context.Context, me string, f *followed) error {
	pulls, err := r.Forge.PullsOf(ctx, f.Commit)
	if err != nil && !errors.Is(err, forge.ErrNotFound) {
		return err
	}
	for _, p := range pulls {
		if !p.Merged || p.BaseRef != r.Branch || p.MergedCommit != "" && p.MergedCommit != f.Commit {
			continue
		}
		comments, err := r.Forge.Comments(ctx, p.Number)
		if err != nil {
			return err
		}
		ours, ok := find(comments, me, marker(r.Identity))
		if !ok {
			continue
		}
		m := &merged{number: p.Number}
		m.id, m.body = ours.ID, ours.Body
		m.note, _ = read(ours.Body)
		if m.note.Over || m.note.Merged != "" && m.note.Merged != f.Commit {
			continue
		}
		if f.Digests == nil {
			f.Digests = m.note.Clusters
		}
		if len(f.Digests) == 0 {
			continue // what it touches is not known any more, and nothing is claimed
		}
		f.pulls = append(f.pulls, m)
	}
	// A forge may know of a merge a little later than git does.
	f.asked = len(f.pulls) > 0 || r.Now().Sub(f.Began) > lateMerge
	return nil
}

// rollout notes by which commits this one was overtaken, and says how far it is, as the
// last turns saw it.
func (r *Reviewer) rollout(f *followed, fleet desired.Fleet) report.Rollout {
	out := report.Rollout{Commit: f.Commit}
	for _, name := range slices.Sorted(maps.Keys(f.Digests)) {
		one := report.Rolling{Cluster: name}
		want, ok := fleet.Cluster(name)
		seen, looked := r.Seen(name)
		switch {
		case slices.ContainsFunc(fleet.Broken, func(b desired.Broken) bool { return b.Name == name }):
			want, ok = desired.Cluster{Digest: f.Digests[name], Nodes: make([]desired.Node, len(seen.Have))}, true // kept at the spec accepted last
		case ok && f.Commit == r.commit:
			f.Digests[name] = want.Digest // another release of ours may count otherwise
		}
		f.overtake(name, r.commit, ok && want.Digest == f.Digests[name])
		switch by, gone := f.Overtaken[name]; {
		case gone:
			one.Phase, one.By, one.Words = report.PhaseGone, by, fmt.Sprintf("commit %.12s wants something else of it", by)
		case looked && ringed(seen.Plan) != "":
			one.Phase, one.Words = report.PhaseWaiting, ringed(seen.Plan)
		case !looked || seen.Plan.Digest != want.Digest:
			one.Phase, one.Words = report.PhaseWaiting, "its next turn takes it up"
		default:
			one = rolling(name, seen, len(want.Nodes))
		}
		out.Clusters = append(out.Clusters, one)
	}
	return out
}

// overtake notes by which commit a cluster is wanted otherwise. That stays so, also
// when a later commit wants again what this one did.
func (f *followed) overtake(cluster, by string, stands bool) {
	if _, gone := f.Overtaken[cluster]; gone || stands {
		return
	}
	if f.Overtaken == nil {
		f.Overtaken = map[string]string{}
	}
	f.Overtaken[cluster] = by
}

// ringed is why a commit has not reached a cluster; "" where it has.
func ringed(p diff.Plan) string {
	i := slices.IndexFunc(p.Waits, func(w diff.Wait) bool { return w.Reason == diff.WaitRing })
	if i < 0 {
		return ""
	}
	return p.Waits[i].Detail
}

// rolling puts a turn into words.
func rolling(name string, seen Seen, nodes int) report.Rolling {
	one := report.Rolling{Cluster: name, Phase: report.PhaseRolling}
	c := report.Cluster{Name: name, Nodes: nodes, Have: seen.Have, Plan: seen.Plan, Err: seen.Err}
	one.Words = report.Headline(c)
	stop := slices.IndexFunc(seen.Plan.Blocks, func(b diff.Block) bool { return !b.Later })
	switch {
	case seen.Plan.Empty() && seen.Err == nil:
		one.Phase = report.PhaseApplied
	case seen.Plan.Mode == string(desired.ModeObserve):
		one.Phase = report.PhaseObserved
	case stop >= 0:
		b := seen.Plan.Blocks[stop]
		one.Phase, one.Words, one.Lift = report.PhaseStopped, one.Words+": "+b.Detail, b.Lift
	case len(seen.Plan.Waves) == 0 && len(seen.Plan.Waits) > 0:
		one.Phase, one.Words = report.PhaseWaiting, seen.Plan.Waits[0].Detail
	}
	return one
}

// rolled sets the status of a commit.
func (r *Reviewer) rolled(ctx context.Context, f *followed, rollout report.Rollout) error {
	state := map[report.Phase]forge.State{report.PhaseApplied: forge.Success, report.PhaseStopped: forge.Failure}[rollout.Phase()]
	if state == "" {
		state = forge.Pending
	}
	return r.say(ctx, f, state, rollout.Words())
}

func (r *Reviewer) say(ctx context.Context, f *followed, state forge.State, words string) error {
	key := strings.TrimSpace(string(state) + " " + words + " " + r.Page)
	if f.Status == key {
		return nil
	}
	if err := r.Forge.SetStatus(ctx, f.Commit, forge.Status{Context: rolloutContext + r.Suffix, State: state, Description: words, URL: r.Page}); err != nil {
		return fmt.Errorf("set the status %s: %w", rolloutContext, err)
	}
	f.Status = key
	return nil
}

// update lets a comment follow the rollout; the plan that was merged is folded.
func (r *Reviewer) update(ctx context.Context, m *merged, rollout report.Rollout) error {
	n := m.note
	n.Merged = rollout.Commit
	if n.Began.IsZero() {
		n.Began = r.Now().UTC().Truncate(time.Second)
	}
	n.Over = rollout.Phase() == report.PhaseApplied
	text := rollout.Markdown()
	if n.Over {
		text += fmt.Sprintf("\n<sub>from %s to %s</sub>\n", n.Began.Format("15:04"), r.Now().UTC().Format("15:04 UTC"))
	}
	print := printOf(rollout.Markdown())
	if m.note.Over || m.note.Merged == n.Merged && m.note.Print == print {
		return nil
	}
	if stops := printOf(rollout.Stops()); rollout.Phase() == report.PhaseStopped && n.Told != stops {
		if _, err := r.Forge.Comment(ctx, m.number, marker("stopped "+r.Identity)+"\n"+text); err != nil {
			return err
		}
		n.Told, m.note.Told = stops, stops
	}
	_, plan := read(m.body)
	n.Print = print
	body := compose(marker(r.Identity), n, text+"\n<details><summary>The plan as it was merged</summary>\n\n", plan, "\n</details>\n"+history(n.Earlier))
	return r.put(ctx, &m.known, m.number, body, n)
}
