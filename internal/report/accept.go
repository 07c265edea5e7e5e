package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A drift that somebody wants to keep is proposed to whoever reviews the fleet's
// commits: what it is, who is seen to have done it, and what merging does. What the
// nodes say is foreign text.

// Acceptance is a drift that is to be what the spec wants.
type Acceptance struct {
	Cluster  string
	Drift    diff.Drift
	Commit   string // in force
	File     string // that changes
	By       string // who proposes it
	Warnings []string
	Now      time.Time
}

// Title is one line, for a pull request and a commit; no text of a node is in it.
func (a Acceptance) Title() string {
	return "Accept drift " + a.Drift.ID + " of " + a.Cluster + ": " + clean(a.Drift.Path)
}

// marker is how the pull request of a drift is told, whatever people make of its text.
func (a Acceptance) marker() string { return "<!-- reconciler:accept " + a.Drift.ID + " -->" }

// Markdown writes the text of the pull request.
func (a Acceptance) Markdown(w io.Writer) error {
	p, d := &page{w: w}, a.Drift
	p.line("The nodes have what the spec does not want. Merged, this makes it what the spec wants: nothing is changed on them then.")
	p.line("Closed, the spec stays as it is.")
	p.line("")
	p.line("| | |")
	p.line("|---|---|")
	row := func(what, text string) { p.line("| %s | %s |", what, text) }
	row("What", code(d.Path)+" "+Escape(string(d.Kind))+", "+Escape(string(d.Severity)))
	row("On the nodes", code(d.Have))
	wanted := code(d.Want)
	if d.Place != "" {
		wanted += ", by " + Escape(d.Place)
	}
	row("In the spec", wanted)
	row("Where", "**"+Escape(a.Cluster)+"** "+Escape(strings.Join(d.Nodes, " ")))
	since := "seen just now for the first time"
	if !d.Since.IsZero() {
		since = d.Since.UTC().Format(time.RFC3339) + ", for " + lasting(a.Now.Sub(d.Since))
	}
	if d.Times > 1 {
		since += fmt.Sprintf(", %d times within a week", d.Times)
	}
	row("Since", since)
	for _, t := range d.Traces {
		row("Written", Escape(fmt.Sprintf("on %s: %s is %s's, written %s", t.Node, d.File, t.Owner, t.At.UTC().Format(time.RFC3339))))
	}
	p.line("")
	for _, text := range a.Warnings {
		p.line("⚠️ %s", Escape(text))
		p.line("")
	}
	p.line("Ask who changed it before you merge: what is accepted stays, and is no drift any more.")
	p.line("")
	p.line("<sub>%s</sub>", Escape(fmt.Sprintf("Proposed by %s with reconciler drift accept %s, on commit %s, which is in force. It changes %s and wants nothing else otherwise.", a.By, d.ID, shorter(a.Commit), a.File)))
	p.line("")
	p.line("%s", a.marker())
	return p.err
}
