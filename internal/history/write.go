package history

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Several processes write: a daemon, an apply, a hold. So a turn is compared with
// what the file has, in the transaction that writes it, and a turn may come late:
// what it saw is then older than what another process has written down since. That
// is never an hour; an older mark is a clock that went wrong.
const lateMost = time.Hour

// settled is how old a word has to be before a turn that does not know it says
// that it is gone: the turn may have loaded its memory just before.
const settled = time.Minute

// transact writes one thing down, whole or not at all.
func (h *History) transact(ctx context.Context, what any) error {
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w := page{ctx: ctx, tx: tx, zips: &h.zips}
	h.mu.Lock()
	lost := h.lost
	h.mu.Unlock()
	if lost.Turns > 0 {
		w.event("", "", report.Event{At: time.Now(), Kind: report.EventGap, EventDetail: report.EventDetail{Gap: &lost}})
	}
	switch x := what.(type) {
	case record:
		w.turn(x)
	case said:
		w.said(x)
	case did:
		w.event(cmp.Or(x.fleet, w.fleetOf(x.event.Cluster)), x.event.Cluster, x.event)
	case Episode:
		w.episode(x)
	}
	if w.err == nil {
		w.err = tx.Commit()
	}
	if w.err != nil {
		return w.err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost.Turns -= lost.Turns; h.lost.Turns == 0 {
		h.lost = report.Gap{}
	}
	if r, ok := what.(record); ok && len(r.stands) > 0 && !w.late {
		h.sums[r.cluster] = r.sum
	}
	return nil
}

// page is one transaction. The first error is kept, and nothing is done after it.
type page struct {
	ctx  context.Context
	tx   *sql.Tx
	err  error
	late bool // something of the turn was left out: it is asked again at the next
	zips *sync.Pool
}

func (w *page) exec(query string, args ...any) (id int64) {
	if w.err != nil {
		return 0
	}
	result, err := w.tx.ExecContext(w.ctx, query, args...)
	if err != nil {
		w.err = err
		return 0
	}
	id, w.err = result.LastInsertId()
	return id
}

// mark is what was written down last of one thing.
type mark struct {
	value string
	at    time.Time
}

func (w *page) marks(cluster string) map[string]mark {
	marks := map[string]mark{}
	if w.err != nil {
		return marks
	}
	rows, err := w.tx.QueryContext(w.ctx, "SELECT what, value, at FROM last WHERE cluster = ?", cluster)
	if err != nil {
		w.err = err
		return marks
	}
	defer rows.Close()
	for rows.Next() && w.err == nil {
		var what, value string
		var at int64
		w.err = rows.Scan(&what, &value, &at)
		marks[what] = mark{value, time.UnixMilli(at)}
	}
	w.err = cmp.Or(w.err, rows.Err())
	return marks
}

func (w *page) mark(cluster, what, value string, at time.Time) {
	w.exec("INSERT INTO last (cluster, what, value, at) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, at = excluded.at",
		cluster, what, value, at.UnixMilli())
}

func (w *page) unmark(cluster, what string) {
	w.exec("DELETE FROM last WHERE cluster = ? AND what = ?", cluster, what)
}

// turn writes what is news in a turn.
func (w *page) turn(r record) {
	marks := w.marks(r.cluster)
	for _, what := range slices.Sorted(maps.Keys(r.stands)) {
		last, value := marks[what], r.stands[what]
		if last.value == value {
			continue
		}
		if ahead := last.at.Sub(r.at); ahead > 0 && ahead < lateMost {
			w.late = true
			continue
		}
		if w.changed(r, what, last.value, value) {
			w.mark(r.cluster, what, value, r.at)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(marks)) {
		if _, there := r.stands[what]; !there && len(r.stands) > 0 {
			w.vanished(r, what, marks[what])
		}
	}
	w.wave(r)
}

// changed writes one thing that is otherwise than it was, and says whether it is to
// be remembered so.
func (w *page) changed(r record, what, last, value string) bool {
	e := report.Event{At: r.at}
	switch {
	case what == whatCommit:
		var was, is spec
		w.read(value, &is)
		w.read(last, &was)
		if was.Digest == is.Digest {
			return false
		}
		e.Kind, e.Commit, e.Digest = report.EventCommit, is.Commit, is.Digest
	case what == whatPlan:
		var was, is asks
		w.read(value, &is)
		w.read(last, &was)
		if is.news(was) {
			w.plan(r, is.Outcome)
		}
		return true
	case strings.HasPrefix(what, whatNode):
		e.Kind, e.Nodes, e.After = report.EventNode, []string{strings.TrimPrefix(what, whatNode)}, &report.NodeClass{}
		w.read(value, e.After)
		if last != "" {
			e.Before = &report.NodeClass{}
			w.read(last, e.Before)
		}
	case strings.HasPrefix(what, whatLeave):
		var was, is leave
		w.read(value, &is)
		w.read(last, &was)
		if !is.At.After(was.At) {
			return false // that word was lifted since
		}
		e = worded(report.VerbGranted, is.Leave)
	}
	w.event(r.fleet, r.cluster, e)
	return true
}

// vanished is what was there, and is no more.
func (w *page) vanished(r record, what string, last mark) {
	if strings.HasPrefix(what, whatNode) {
		w.unmark(r.cluster, what)
		return
	}
	if !strings.HasPrefix(what, whatLeave) {
		return // nobody knows what the plan asks for
	}
	var was leave
	w.read(last.value, &was)
	switch {
	case was.Gone:
	case r.at.Sub(was.At) < settled:
		w.late = true
	default:
		verb := report.VerbLifted
		if !was.Until.IsZero() && !r.at.Before(was.Until) {
			verb = report.VerbEnded
		}
		if was.Kind != diff.LeaveInit { // that one was used: the birth tells of itself
			e := worded(verb, diff.Leave{Kind: was.Kind, Node: was.Node, At: r.at})
			w.event(r.fleet, r.cluster, e)
		}
		w.goneAt(r.cluster, was.Leave, r.at)
	}
}

// goneAt remembers that a word was lifted, so that a turn that began before does
// not bring it back.
func (w *page) goneAt(cluster string, l diff.Leave, at time.Time) {
	l.At = at
	w.markLeave(cluster, leave{Leave: l, Gone: true})
}

func (w *page) markLeave(cluster string, l leave) {
	b, _ := json.Marshal(l) // plain data always marshals
	w.mark(cluster, leaveKey(l.Leave), string(b), l.At)
}

// said writes a person's word before any turn has heard it.
func (w *page) said(x said) {
	w.event(w.fleetOf(x.cluster), x.cluster, worded(x.verb, x.leave))
	if x.verb != report.VerbGranted {
		w.goneAt(x.cluster, x.leave, x.leave.At)
		return
	}
	w.markLeave(x.cluster, leave{Leave: x.leave})
}

func worded(verb report.Verb, l diff.Leave) report.Event {
	e := report.Event{At: l.At, Kind: report.EventWord, Outcome: string(verb)}
	e.Word = &report.Word{Verb: verb, Kind: l.Kind, By: l.By, Reason: l.Reason, Until: l.Until}
	if l.Node != "" {
		e.Nodes = []string{l.Node}
	}
	return e
}

// plan writes a plan that is news.
func (w *page) plan(r record, outcome string) {
	p := r.planned.plan
	e := report.Event{At: r.at, Kind: report.EventPlan, Commit: p.Commit, Outcome: outcome}
	steps := slices.Concat(p.Waves...)
	e.Deeds, e.Size = report.Deeds(steps), r.planned.size
	for _, s := range steps {
		e.Nodes = append(e.Nodes, s.Node)
	}
	for _, b := range p.Blocks {
		e.Nodes = append(e.Nodes, b.Node)
		if !slices.Contains(e.Blocks, string(b.Reason)) {
			e.Blocks = append(e.Blocks, string(b.Reason))
		}
	}
	zipped, err := zip(w.zips, p)
	w.err = cmp.Or(w.err, err)
	w.exec("INSERT INTO plan (event, fingerprint, zipped) VALUES (?, ?, ?)", w.event(r.fleet, r.cluster, e), p.Fingerprint(), zipped)
}

// zip is the JSON of a plan, compressed. A writer of that is large, so one serves
// many plans.
func zip(writers *sync.Pool, p diff.Plan) ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := writers.Get().(*gzip.Writer)
	defer writers.Put(z)
	z.Reset(&b)
	_, err = z.Write(text)
	err = cmp.Or(err, z.Close())
	return b.Bytes(), err
}

// wave writes what was done.
func (w *page) wave(r record) {
	if len(r.steps) == 0 {
		return
	}
	e := report.Event{Kind: report.EventWave, Commit: r.commit, Outcome: string(worst(r.steps))}
	var did []diff.Step
	for _, s := range r.steps {
		did = append(did, diff.Step{Action: s.Action, Node: s.Node})
		e.Nodes = append(e.Nodes, s.Node)
		if s.Ended.After(e.At) {
			e.At = s.Ended
		}
	}
	e.Deeds = report.Deeds(did)
	id := w.event(r.fleet, r.cluster, e)
	for _, s := range r.steps {
		changes, _ := json.Marshal(s.Changes) // plain data always marshals
		w.exec("INSERT INTO step (op, event, step, node, action, effect, cause, why, changes, outcome, evidence, started, ended) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			s.Op, id, s.Step, s.Node, s.Action, s.Effect, s.Cause, s.Why, string(changes), s.Outcome, s.Evidence, s.Started.UnixMilli(), s.Ended.UnixMilli())
	}
}

// worst is the outcome of a wave: that of the step that went least well.
func worst(steps []report.StepDone) diff.Outcome {
	for _, o := range []diff.Outcome{diff.OutcomeUnknown, diff.OutcomeFailed, diff.OutcomeIntent, diff.OutcomeStale} {
		if slices.ContainsFunc(steps, func(s report.StepDone) bool { return s.Outcome == o }) {
			return o
		}
	}
	return diff.OutcomeDone
}

// event writes one line, and leads every place to it that it is about.
func (w *page) event(fleet, cluster string, e report.Event) int64 {
	e.Nodes = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(e.Nodes))), func(node string) bool { return node == "" })
	detail, _ := json.Marshal(e.EventDetail) // plain data always marshals
	at, of := e.At.UnixMilli(), w.place(fleet, cluster, "")
	id := w.exec("INSERT INTO event (at, place, kind, revision, outcome, detail) VALUES (?, ?, ?, ?, ?, ?)", at, of, e.Kind, e.Commit, e.Outcome, string(detail))
	touches := func(place int64) { w.exec("INSERT INTO touched (place, at, event) VALUES (?, ?, ?)", place, at, id) }
	touches(of)
	for _, node := range e.Nodes {
		touches(w.place(fleet, cluster, node))
	}
	return id
}

func (w *page) place(fleet, cluster, node string) (id int64) {
	if w.err != nil {
		return 0
	}
	err := w.tx.QueryRowContext(w.ctx, "SELECT id FROM place WHERE fleet = ? AND cluster = ? AND node = ?", fleet, cluster, node).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return w.exec("INSERT INTO place (fleet, cluster, node) VALUES (?, ?, ?)", fleet, cluster, node)
	}
	w.err = err
	return id
}

// fleetOf is whose a cluster was last, as far as it is known.
func (w *page) fleetOf(cluster string) (fleet string) {
	if w.err != nil {
		return ""
	}
	err := w.tx.QueryRowContext(w.ctx, "SELECT fleet FROM place WHERE cluster = ? AND node = '' ORDER BY id DESC LIMIT 1", cluster).Scan(&fleet)
	if !errors.Is(err, sql.ErrNoRows) {
		w.err = err
	}
	return fleet
}

// read takes a value of ours apart; the empty one is none.
func (w *page) read(value string, into any) {
	if value == "" || w.err != nil {
		return
	}
	if err := json.Unmarshal([]byte(value), into); err != nil {
		w.err = fmt.Errorf("read what was written down last: %w", err)
	}
}
