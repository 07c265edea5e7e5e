package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Markdown writes plans for a comment: the worst first, a table of clusters,
// and the changes folded away. Foreign text stands in fences or is escaped, so
// that it cannot mention anybody, close a fence, or look like a part of ours.
func Markdown(w io.Writer, source Source, clusters []Cluster) error {
	p := &page{w: w}
	clusters = sorted(clusters)
	p.line("### %s reconciler plan · %s", signOf(clusters), Escape(Summarize(clusters).words()))
	p.line("")
	p.line("| Cluster | Nodes | State | Order |")
	p.line("|---|---|---|---|")
	for _, c := range clusters {
		state, _ := headline(c)
		p.line("| **%s** | %d | %s | %s |", Escape(c.Name), c.size(), Escape(state), Escape(path(c)))
	}
	p.line("")
	for _, c := range clusters {
		if !c.settled() {
			p.section(c)
		}
	}
	p.line("<sub>%s</sub>", Escape(source.Words()))
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
	p.warnings(c)
	state, _ := headline(c)
	p.line("<details><summary><b>%s</b> — %s</summary>", Escape(c.Name), Escape(state))
	p.line("")
	p.fenced("diff", diffLines(c))
	p.stages(c)
	if c.Next != nil {
		state, _ := headline(*c.Next)
		p.line("<b>%s</b> %s", Escape(when(*c.Next)), Escape(state))
		p.line("")
		p.warnings(*c.Next)
		p.fenced("diff", diffLines(*c.Next))
		p.stages(*c.Next)
	}
	p.line("</details>")
	p.line("")
}

// warnings are what blocks a cluster, in the open; what blocks several nodes in
// the same words is said once.
func (p *page) warnings(c Cluster) {
	blocks := slices.Concat(c.urgent(), c.blocked(), c.later())
	for i, b := range blocks {
		same := func(x diff.Block) bool { return x.Reason == b.Reason && x.Detail == b.Detail && x.Lift == b.Lift }
		if slices.ContainsFunc(blocks[:i], same) {
			continue
		}
		var nodes []string
		for _, x := range blocks[i:] {
			if same(x) && x.Node != "" {
				nodes = append(nodes, x.Node)
			}
		}
		p.line("> [!WARNING]")
		p.line("> **%s** %s", Escape(c.Name), Escape(about(b.Reason, names(nodes, c.size()))+b.Detail))
		p.line("> Lift: %s", Escape(b.Lift))
		p.line("")
	}
}

// stages are the order of a plan.
func (p *page) stages(c Cluster) {
	stages := order(c)
	if len(stages) == 0 {
		return
	}
	p.line("| # | Order |")
	p.line("|---|---|")
	for _, s := range stages {
		p.line("| %s | %s |", s.number(), Escape(s.words))
	}
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
		lines = append(lines, diffLine(r, c.size()))
	}
	for _, w := range c.Plan.Waits {
		add("# waits: %s%s", about(w.Reason, w.Node), w.Detail)
	}
	for _, a := range approvals(c) {
		add("# approved %s", a)
	}
	for _, n := range noted(c) {
		add("# noted: %s   %s   %s   %s", whose(n.nodes, c.size()), n.what, n.value(), n.effect)
	}
	for _, b := range observed(c) {
		add("# observed: %s", b.Detail)
	}
	return lines
}

// diffLine is one change in a diff.
func diffLine(r row, size int) string {
	sign := r.symbol
	if sign == "~" {
		sign = "+" // forges know no colour for ~
	}
	return clean(fmt.Sprintf("%s %s   %s   %s   %s", sign, names(r.nodes, size), r.what, r.value(), r.effect))
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

// Escape makes foreign text plain in markdown, outside of fences: no markup, no
// mention, no issue number, no HTML.
func Escape(s string) string {
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
