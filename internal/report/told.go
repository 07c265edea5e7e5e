package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Told is what the reports say of one cluster, line by line, for whoever lays it out
// by other means than a terminal or markdown. The texts are foreign ones: see [Clean].
type Told struct {
	ClusterStatus
	Grade   Grade
	Nodes   []ToldNode // as in ClusterStatus
	Error   string     // in words; also who else acts on it
	Invalid []string
	Blocks  []ToldBlock
	Unseen  []ToldUnseen
	Rows    []ToldRow
	Order   []ToldStage
	OneWay  bool // reverting the commit does not undo it
	Waits   []string
	Notes   []ToldRow
	Tried   []string // what did not come to its goal
	Said    []string // by people
	Since   string   // when it was last in sync
	Drift   int      // rows that are open
}

// Grade is how soon a person should look at something. Closed set.
type Grade string

const (
	GradeUrgent  Grade = "urgent" // a person is needed now
	GradeBad     Grade = "bad"
	GradeWarn    Grade = "warn"
	GradeWaiting Grade = "waiting"
	GradeGood    Grade = "good"
)

// Grades are all of them, the worst first.
func Grades() []Grade { return []Grade{GradeUrgent, GradeBad, GradeWarn, GradeWaiting, GradeGood} }

// ToldNode is a node in a row.
type ToldNode struct {
	NodeStatus
	Grade  Grade
	Drift  int    // rows that are open and name it
	Unseen string // phases of the look
}

// ToldBlock is a block: a word, what it is, and the way out.
type ToldBlock struct {
	Word, Text, Lift string
	Urgent           bool
}

// ToldUnseen is what could not be read, and what to do about it.
type ToldUnseen struct{ Text, Lift string }

// ToldRow is one change on the nodes that have it.
type ToldRow struct{ Symbol, Nodes, What, Value, Effect string }

// ToldStage are waves that people read as one line.
type ToldStage struct{ Number, Words string }

// Tell puts one cluster into words; now is what certificates are counted from.
func Tell(c Cluster, now time.Time) Told {
	t := Told{ClusterStatus: clusterStatus(c, now), Grade: grade(c), OneWay: c.oneWay(), Since: standing(c), Drift: len(c.Drift.Open()), Error: trouble(c.Err)}
	for _, n := range t.ClusterStatus.Nodes {
		t.Nodes = append(t.Nodes, toldNode(c, n))
	}
	for _, p := range c.Broken {
		t.Invalid = append(t.Invalid, p.Error())
	}
	for _, some := range [][]diff.Block{c.urgent(), c.blocked(), c.later(), observed(c)} {
		for _, b := range some {
			t.Blocks = append(t.Blocks, ToldBlock{blockWord(b), about(b.Reason, b.Node) + b.Detail, b.Lift, b.Urgent()})
		}
	}
	for _, u := range unseen(c) {
		t.Unseen = append(t.Unseen, ToldUnseen{u.words(c.size()), Mend(actual.Phase(u.phase), c.Name)})
	}
	for _, r := range rows(c) {
		t.Rows = append(t.Rows, ToldRow{r.symbol, names(r.nodes, c.size()), r.what, r.value(), r.effect})
	}
	for _, s := range order(c) {
		t.Order = append(t.Order, ToldStage{s.number(), s.words})
	}
	for _, w := range c.Plan.Waits {
		t.Waits = append(t.Waits, waitWords(w))
	}
	for _, n := range noted(c) {
		t.Notes = append(t.Notes, ToldRow{Nodes: whose(n.nodes, c.size()), What: n.what, Value: n.value(), Effect: n.effect})
	}
	t.Tried, t.Said = tried(c.Memory), said(c.Memory)
	return t
}

func toldNode(c Cluster, n NodeStatus) ToldNode {
	t := ToldNode{NodeStatus: n, Grade: gradeOf(nodeStyle(n)), Unseen: phases(n)}
	for _, d := range c.Drift.Open() {
		if slices.Contains(d.Nodes, n.Name) {
			t.Drift++
		}
	}
	return t
}

func grade(c Cluster) Grade {
	if len(c.urgent()) > 0 {
		return GradeUrgent
	}
	_, s := headline(c)
	return gradeOf(s)
}

// gradeOf is what the colours of a terminal stand for.
func gradeOf(s style) Grade {
	switch s {
	case red:
		return GradeBad
	case yellow:
		return GradeWarn
	case cyan:
		return GradeWaiting
	}
	return GradeGood
}

// Clean makes foreign text harmless on one line: control characters and what hides or
// reorders text are made visible, and what is very long is cut.
func Clean(s string) string { return clean(s) }

// ToldStep is a step in flight, or one that has ended.
type ToldStep struct {
	Node, Act, Why string
	Outcome        diff.Outcome // empty: in flight
	Bad            bool         // it did not come to its goal, or nobody knows
	Detail         string
	Began, At      time.Time // At: of the last event
}

// TellStep puts an event into words, as news of the step that it was before; the zero
// one where it was not heard of.
func TellStep(before ToldStep, e apply.Event) ToldStep {
	s := ToldStep{Node: e.Step.Node, Act: act(e.Step), Why: e.Step.Why, Detail: e.Detail, Began: before.Began, At: e.At}
	if s.Began.IsZero() {
		s.Began = e.At
	}
	if e.Kind == apply.EventEnded {
		s.Outcome, s.Bad = e.Outcome, bad(e.Outcome)
	}
	return s
}

// Took is how long a step took.
func (s ToldStep) Took() string { return lasting(s.At.Sub(s.Began)) }

// DriftTold is a drift report in words, line by line.
type DriftTold struct {
	DriftDocument
	Title, Words string
	Open         []DriftRow
	Past         []string // what is gone
	Blind, Aside []string // what was not read, and what is no drift
}

// DriftRow is an item that is drift, in words.
type DriftRow struct {
	DriftItem
	Path, Have, Want, Where, Age, Remedy string
	Evidence                             []string
}

// TellDrift puts a drift report into words. They can be shown as they are.
func TellDrift(d DriftDocument) DriftTold {
	t := DriftTold{DriftDocument: d, Title: d.Title(), Words: d.Source.Words()}
	for _, i := range d.open() {
		row := DriftRow{DriftItem: i, Path: clean(i.Path), Have: clean(i.Have), Want: clean(i.Want), Where: clean(i.where()), Age: i.age(d.At), Remedy: clean(i.Remedy)}
		for _, line := range i.evidence() {
			row.Evidence = append(row.Evidence, clean(line))
		}
		t.Open = append(t.Open, row)
	}
	for _, g := range d.Gone {
		t.Past = append(t.Past, clean(fmt.Sprintf("%s %s %s %s, %s", g.ID, g.Cluster, strings.Join(g.Nodes, " "), g.Path, g.Gone.UTC().Format(time.RFC3339))))
	}
	for _, e := range d.Errors {
		t.Blind = append(t.Blind, clean(e.Cluster+": "+e.Error))
	}
	for _, u := range unobserved(d) {
		t.Blind = append(t.Blind, clean(fmt.Sprintf("%s %s (%s): %s", u.cluster, strings.Join(u.nodes, " "), u.phase, u.why)))
	}
	for _, i := range d.Items {
		if i.State == stateWaived || i.State == statePending {
			t.Aside = append(t.Aside, clean(i.Cluster+" "+i.where()+" "+i.Path+": "+i.Remedy))
		}
	}
	return t
}

// Compare orders clusters: the worst first, then by name.
func (t Told) Compare(other Told) int {
	return cmp.Or(t.Grade.compare(other.Grade), cmp.Compare(other.Drift, t.Drift), cmp.Compare(t.Name, other.Name))
}

// Compare orders nodes: the worst first, and of those that are as bad the ones that
// were not wholly seen.
func (n ToldNode) Compare(other ToldNode) int {
	return cmp.Or(n.Grade.compare(other.Grade), cmp.Compare(len(other.Unknown), len(n.Unknown)), cmp.Compare(other.Drift, n.Drift))
}

func (g Grade) compare(other Grade) int {
	return cmp.Compare(slices.Index(Grades(), g), slices.Index(Grades(), other))
}
