package report

import (
	"fmt"
	"io"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// History writes events as a table, the newest first.
func History(w io.Writer, o Options, d HistoryDocument) error {
	p := &page{w: w, o: o}
	if len(d.Events) == 0 {
		p.line("Nothing is written down.")
		return p.err
	}
	cells, styles := [][]string{{"WHEN", "ID", "CLUSTER", "COMMIT", "OUTCOME", "WHAT"}}, []style{faint}
	for _, e := range d.Events {
		cells = append(cells, e.cells())
		styles = append(styles, e.style())
	}
	p.table("", cells, styles)
	if d.Before != "" {
		p.line("")
		p.line("There is more: --before %s", d.Before)
	}
	return p.err
}

func (e Event) cells() []string {
	return []string{stamp(e.At), e.ID, e.Cluster, shorter(e.Commit), e.Outcome, e.Words()}
}

func (e Event) style() style {
	switch {
	case e.Kind == EventGap, bad(diff.Outcome(e.Outcome)), e.After != nil && e.After.Seal == "sealed":
		return red
	case e.Drift != nil && e.Drift.Severity == diff.SeverityCritical && e.Outcome != DriftClosed:
		return red
	case e.Drift != nil && e.Outcome != DriftClosed, e.Outcome == PlanBlocked, e.After != nil && len(e.After.Unseen) > 0:
		return yellow
	}
	return plain
}

// HistoryMarkdown writes events as a table for a comment or a wiki.
func HistoryMarkdown(w io.Writer, d HistoryDocument) error {
	p := &page{w: w}
	p.line("| When | ID | Cluster | Commit | Outcome | What |")
	p.line("|---|---|---|---|---|---|")
	for _, e := range d.Events {
		cells := e.cells()
		p.line("| %s | %s | %s | %s | %s | %s |", Escape(cells[0]), Escape(cells[1]), Escape(cells[2]), Escape(cells[3]), Escape(cells[4]), Escape(cells[5]))
	}
	return p.err
}

// Show writes one event in full.
func Show(w io.Writer, o Options, d ShowDocument) error {
	p := &page{w: w, o: o}
	e := d.Event
	p.line("%s   %s   %s", p.paint(bold, clean(e.ID)), stamp(e.At), clean(e.Cluster))
	p.wrapped("  ", plain, e.Words())
	p.fact("fleet", e.Fleet)
	p.fact("commit", e.Commit)
	p.fact("digest", e.Digest)
	p.fact("outcome", e.Outcome)
	if e.After != nil {
		p.fact("before", e.Before.line())
		p.fact("after", e.After.line())
	}
	for _, s := range d.Steps {
		p.line("")
		p.step(s)
	}
	if d.Plan != nil {
		p.line("")
		p.cluster(Cluster{Name: e.Cluster, Nodes: e.Size, Plan: *d.Plan})
	}
	return p.err
}

// fact writes a name and its value, where there is one.
func (p *page) fact(name, value string) {
	if value != "" {
		p.wrapped(fmt.Sprintf("  %-8s ", name), plain, value)
	}
}

func (c *NodeClass) line() string {
	if c == nil {
		return "never seen"
	}
	return c.since(nil)
}

func (p *page) step(s StepDone) {
	mark, color := "✔", green
	if bad(s.Outcome) {
		mark, color = "✘", red
	} else if s.Outcome != diff.OutcomeDone {
		mark, color = "·", faint
	}
	words := fmt.Sprintf("%s   %s %s", whoseOne(s.Node), s.Action, s.Outcome)
	if d := took(s); d > 0 {
		words += " in " + d.String()
	}
	p.wrapped("  "+mark+" ", color, words)
	p.detail("op", s.Op)
	p.detail("step", s.Step)
	p.detail("when", stamp(s.Started)+" to "+stamp(s.Ended))
	p.detail("effect", string(s.Effect))
	p.detail("cause", string(s.Cause))
	p.detail("why", s.Why)
	for _, c := range s.Changes {
		p.detail("change", spaced(c.What, row{from: c.From, to: c.To}.value()))
	}
	p.detail("evidence", s.Evidence)
}

func (p *page) detail(name, value string) {
	if value != "" {
		p.wrapped(fmt.Sprintf("      %-9s ", name), faint, value)
	}
}

func whoseOne(node string) string {
	if node == "" {
		return "the cluster"
	}
	return node
}

// took is how long a step was under way.
func took(s StepDone) time.Duration {
	d := s.Ended.Sub(s.Started)
	if d >= 10*time.Second {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}
