package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Markdown writes plans for a comment: the worst first, a table of clusters,
// and the changes folded away. Foreign text stands in fences or is escaped, so
// that it cannot mention anybody, close a fence, or look like a part of ours.
func Markdown(w io.Writer, source Source, clusters []Cluster) error {
	p := &page{w: w}
	clusters = sorted(clusters)
	sign, s := "🟢", Summarize(clusters)
	switch {
	case s.Urgent > 0 || s.Invalid > 0 || s.Failed > 0:
		sign = "🔴"
	case s.Restarting > 0 || s.Blocked > 0:
		sign = "🟠"
	case s.Changing > 0 || s.Unseen > 0:
		sign = "🟡"
	}
	p.line("### %s reconciler plan · %s", sign, escape(s.words()))
	p.line("")
	p.line("| Cluster | Nodes | State | Order |")
	p.line("|---|---|---|---|")
	for _, c := range clusters {
		state, _ := headline(c)
		p.line("| **%s** | %d | %s | %s |", escape(c.Name), c.size(), escape(state), escape(path(c)))
	}
	p.line("")
	for _, c := range clusters {
		if !c.settled() {
			p.section(c)
		}
	}
	p.line("<sub>%s</sub>", escape(source.Words()))
	return p.err
}

// path is the order of those that are taken down, in one cell.
func path(c Cluster) string {
	var parts []string
	for _, w := range c.Plan.Waves {
		for _, s := range w {
			if classOf(s.Effect, s.Action) == classRestart {
				parts = append(parts, called(s.Node, c.leader(), s))
			}
		}
	}
	return strings.Join(parts, " → ")
}

// section is one cluster: what blocks it in the open, the rest folded.
func (p *page) section(c Cluster) {
	blocks := slices.Concat(c.urgent(), c.blocked(), c.later())
	for _, b := range blocks {
		p.line("> [!WARNING]")
		p.line("> **%s** %s", escape(c.Name), escape(about(b.Reason, b.Node)+b.Detail))
		p.line("> Lift: %s", escape(b.Lift))
		p.line("")
	}
	state, _ := headline(c)
	p.line("<details><summary><b>%s</b> — %s</summary>", escape(c.Name), escape(state))
	p.line("")
	p.fenced("diff", diffLines(c))
	if stages := order(c); len(stages) > 0 {
		p.line("| # | Order |")
		p.line("|---|---|")
		for _, s := range stages {
			p.line("| %s | %s |", s.number(), escape(s.words))
		}
		p.line("")
	}
	p.line("</details>")
	p.line("")
}

// diffLines are the changes in the colours that forges give to a diff: a
// leading ! is orange.
func diffLines(c Cluster) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, clean(fmt.Sprintf(format, args...))) }
	for _, b := range c.Broken {
		add("- invalid: %s", b.Error())
	}
	if c.Err != nil {
		add("- error: %s", c.Err)
	}
	for _, u := range unseen(c) {
		add("? %s   not seen (%s): %s", names(u.nodes, c.size()), u.phase, u.why)
	}
	for _, r := range rows(c) {
		sign := r.symbol
		if sign == "~" {
			sign = "+" // forges know no colour for ~
		}
		add("%s %s   %s   %s   %s", sign, names(r.nodes, c.size()), r.what, r.value(), r.effect)
	}
	for _, w := range c.Plan.Waits {
		add("# waits: %s%s", about(w.Reason, w.Node), w.Detail)
	}
	for _, n := range noted(c) {
		add("# noted: %s   %s   %s   %s", names(n.nodes, c.size()), n.what, n.value(), n.effect)
	}
	for _, b := range observed(c) {
		add("# observed: %s", b.Detail)
	}
	return lines
}

// fenced writes lines behind a fence that nothing in them can close.
func (p *page) fenced(language string, lines []string) {
	if len(lines) == 0 {
		return
	}
	longest, run := 0, 0
	for _, r := range strings.Join(lines, "\n") {
		if r == '`' {
			run++
		} else {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", max(3, longest+1))
	p.line("%s%s", fence, language)
	for _, l := range lines {
		p.line("%s", l)
	}
	p.line("%s", fence)
	p.line("")
}

// escape makes foreign text plain in markdown, outside of fences: no markup, no
// mention, no issue number, no HTML.
func escape(s string) string {
	var b strings.Builder
	for _, r := range clean(s) {
		switch r {
		case '&', '<', '>', '@', '#', '|':
			fmt.Fprintf(&b, "&#%d;", r)
		case '\\', '`', '*', '_', '[', ']', '~', '!', '$':
			b.WriteRune('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.NewReplacer("://", ":&#47;&#47;", "www.", "www&#46;").Replace(b.String()) // and no link
}
