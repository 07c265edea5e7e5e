package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Schema names what a document is. Within a major version of the format only
// keys are added; readers ignore what they do not know.
type Schema string

const (
	SchemaPlan   Schema = "reconciler/plan"
	SchemaApply  Schema = "reconciler/apply"
	SchemaStatus Schema = "reconciler/status"
	SchemaWhy    Schema = "reconciler/why"
	// SchemaComparison is of plan --offline.
	SchemaComparison Schema = "reconciler/comparison"

	formatVersion = "1.0"
)

// Source is where the specs came from: a folder, or a commit of a repo.
type Source struct {
	Fleet  string `json:"fleet,omitempty"`
	Folder string `json:"folder,omitempty"`
	Repo   string `json:"repo,omitempty"`
	Branch string `json:"branch,omitempty"`
	Commit string `json:"commit,omitempty"`
	// Seen says where the nodes' state came from, where that is not a look at
	// them.
	Seen string `json:"seen,omitempty"`
}

// Words are the first line of a report.
func (s Source) Words() string {
	words := "Fleet " + clean(s.Fleet)
	if s.Folder != "" {
		words += ", folder " + clean(s.Folder) + ", which is no trusted commit"
	} else {
		words += ", commit " + clean(shorter(s.Commit)) + " of " + clean(s.Branch) + " in " + clean(s.Repo)
	}
	if s.Seen != "" {
		words += "; nodes as told by " + clean(s.Seen) + ", none was contacted"
	}
	return words + "."
}

func shorter(commit string) string { return commit[:min(12, len(commit))] }

// Document is a report as data. Plans carry no time of their own, so the same
// plan is the same bytes.
type Document struct {
	Schema        Schema  `json:"schema"`
	FormatVersion string  `json:"formatVersion"`
	Source        Source  `json:"source"`
	Clusters      []Entry `json:"clusters"` // by name
	Summary       Summary `json:"summary"`
	Exit          Exit    `json:"exit"`
}

// Entry is one cluster of a document.
type Entry struct {
	Name        string    `json:"name"`
	Nodes       int       `json:"nodes"`
	State       string    `json:"state"`       // the headline, for people
	Fingerprint string    `json:"fingerprint"` // of the plan's steps
	Plan        diff.Plan `json:"plan"`
	Results     []Result  `json:"results,omitempty"`
	Problems    []Problem `json:"problems,omitempty"`
	Error       string    `json:"error,omitempty"`
	Busy        string    `json:"busy,omitempty"` // who acts on it
	Next        *Entry    `json:"next,omitempty"` // once the commit of its plan reaches the cluster, which waits for it
}

// Result is what became of one step.
type Result struct {
	Step     string       `json:"step"`
	Node     string       `json:"node"`
	Action   diff.Action  `json:"action"`
	Outcome  diff.Outcome `json:"outcome"`
	Evidence string       `json:"evidence,omitempty"`
	Seconds  float64      `json:"seconds"`
}

// Problem is one thing wrong with a spec.
type Problem struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Severity string `json:"severity"`
	Rule     string `json:"rule,omitempty"`
	Text     string `json:"text"`
	Hint     string `json:"hint,omitempty"`
}

// Exit is the exit code and what it means.
type Exit struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

// NewDocument puts clusters into a document.
func NewDocument(schema Schema, source Source, clusters []Cluster, code int) Document {
	d := Document{Schema: schema, FormatVersion: formatVersion, Source: source, Clusters: []Entry{},
		Summary: Summarize(clusters), Exit: Exit{code, reason(code)}}
	for _, c := range sorted(clusters) {
		d.Clusters = append(d.Clusters, entry(c))
	}
	return d
}

func entry(c Cluster) Entry {
	state, _ := headline(c)
	e := Entry{Name: c.Name, Nodes: c.size(), State: state, Plan: filled(c.Plan, c.Name), Fingerprint: c.Plan.Fingerprint()}
	for _, r := range c.Results {
		e.Results = append(e.Results, result(r))
	}
	for _, p := range c.Broken {
		e.Problems = append(e.Problems, problem(p))
	}
	if busy, ok := asBusy(c.Err); ok {
		e.Busy = busy.Busy()
	} else if c.Err != nil {
		e.Error = c.Err.Error()
	}
	if c.Next != nil {
		next := entry(*c.Next)
		e.Next = &next
	}
	return e
}

// filled is the plan with empty lists where there was none to make, so that
// readers find every key.
func filled(p diff.Plan, name string) diff.Plan {
	p.Cluster = cmp.Or(p.Cluster, name)
	p.Waves, p.Blocks, p.Waits = append([]diff.Wave{}, p.Waves...), append([]diff.Block{}, p.Blocks...), append([]diff.Wait{}, p.Waits...)
	p.Notes, p.Unseen = append([]diff.Note{}, p.Notes...), append([]diff.Unseen{}, p.Unseen...)
	return p
}

func result(r apply.Result) Result {
	return Result{Step: r.Step.ID, Node: r.Step.Node, Action: r.Step.Action, Outcome: r.Try.Outcome,
		Evidence: r.Try.Evidence, Seconds: float64(r.Took.Milliseconds()) / 1000}
}

func problem(p desired.Problem) Problem {
	return Problem{File: p.Place.File, Line: p.Place.Line, Column: p.Place.Column, Severity: string(p.Severity), Rule: p.Rule, Text: p.Text, Hint: p.Hint}
}

// reason is a code as a word.
func reason(code int) string {
	words := map[int]string{Done: "done", Error: "error", Changes: "changes", Unobserved: "unobserved", Stale: "stale",
		Blocked: "blocked", Occupied: "busy", Partway: "part-way", HumanNeeded: "human-needed", Interrupted: "interrupted"}
	if w, ok := words[code]; ok {
		return w
	}
	return fmt.Sprint(code)
}

// JSON writes any document, indented, with every character that a person
// cannot see as its escape.
func JSON(w io.Writer, document any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(document); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err := io.WriteString(w, visible(b.String()))
	return err
}

// visible escapes hidden characters of JSON. Those below 0x20 the encoder has
// escaped already; what is left of them are its own line ends.
func visible(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r >= 0x7F && hides(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x7F || !hides(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xD800+(r>>10), 0xDC00+(r&0x3FF))
		}
	}
	return b.String()
}
