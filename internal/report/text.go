package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Text writes plans as people read them on a terminal: a section for each
// cluster that has something to say, one line for all that have not, and a
// summary that ends with what to do.
func Text(w io.Writer, o Options, clusters []Cluster) error {
	p := &page{w: w, o: o}
	clusters = sorted(clusters)
	var settled []string
	quiet := 0
	for _, c := range clusters {
		if c.settled() {
			settled = append(settled, clean(c.Name))
			quiet += c.size()
			continue
		}
		p.cluster(c)
		p.line("")
	}
	if len(settled) > 0 {
		p.wrapped("", plain, fmt.Sprintf("%s   %s   in sync", strings.Join(settled, ", "), count(quiet, "node")))
		p.line("")
	}
	p.summary(clusters)
	return p.err
}

// cluster writes what is wrong first, then what will happen, then what is
// waited for, then what is only worth knowing.
func (p *page) cluster(c Cluster) {
	state, s := headline(c)
	p.heading(c, state, s)
	p.body(c)
	if c.Next != nil {
		state, s := headline(*c.Next)
		p.line("  %s %s", when(*c.Next), p.paint(s, state))
		p.body(*c.Next)
	}
}

// when begins what is said of the plan of a commit that has not come.
func when(next Cluster) string {
	return "when commit " + clean(shorter(next.Plan.Commit)) + " reaches it:"
}

func (p *page) body(c Cluster) {
	for _, b := range c.Broken {
		p.wrapped("  invalid  ", red, b.Error())
	}
	if c.Err != nil {
		p.trouble(c.Err)
	}
	p.blocks(c.urgent(), red)
	p.blocks(c.blocked(), yellow)
	p.blocks(c.later(), faint)
	p.unseen(c)
	p.rows(c)
	p.order(c)
	p.waits(c.Plan.Waits)
	p.approvals(c)
	p.notes(c)
	p.blocks(observed(c), faint)
	p.results(c)
}

func (p *page) heading(c Cluster, state string, s style) {
	size := ""
	if c.size() > 0 {
		size = count(c.size(), "node") + "   "
	}
	p.line("%s   %s%s", p.paint(bold, clean(c.Name)), size, p.paint(s, state))
}

func (p *page) trouble(err error) {
	if _, busy := asBusy(err); busy {
		p.wrapped("  busy     ", yellow, trouble(err))
		return
	}
	p.wrapped("  error    ", red, trouble(err))
}

// trouble is what kept a look or the waves from going on.
func trouble(err error) string {
	if busy, ok := asBusy(err); ok {
		return "another one acts here: " + busy.Busy()
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func observed(c Cluster) []diff.Block {
	return slices.DeleteFunc(slices.Clone(c.Plan.Blocks), func(b diff.Block) bool { return b.Reason != diff.ReasonObserve })
}

// blocks writes each refusal with what lifts it; those that one act lifts
// share it.
func (p *page) blocks(blocks []diff.Block, s style) {
	for i, b := range blocks {
		p.wrapped("  "+pad(blockWord(b), 9), s, about(b.Reason, b.Node)+b.Detail)
		if i+1 < len(blocks) && blocks[i+1].Reason == b.Reason && blocks[i+1].Lift == b.Lift {
			continue
		}
		p.wrapped("    lift:  ", cyan, b.Lift)
	}
}

func blockWord(b diff.Block) string {
	switch {
	case b.Urgent():
		return "URGENT"
	case b.Reason == diff.ReasonObserve:
		return "observed"
	case b.Reason == diff.ReasonUnapproved:
		return "approve"
	case b.Later:
		return "later"
	}
	return "blocked"
}

func about(r diff.Reason, node string) string {
	if node == "" {
		return string(r) + ": "
	}
	return string(r) + " on " + node + ": "
}

// unseen writes what could not be read; the same on many nodes is one line.
func (p *page) unseen(c Cluster) {
	for _, u := range unseen(c) {
		p.wrapped("  ? ", yellow, u.words(c.size()))
	}
}

type blind struct {
	nodes      []string
	phase, why string
}

func (b blind) words(size int) string {
	return fmt.Sprintf("%s   not seen (%s): %s", names(b.nodes, size), b.phase, b.why)
}

func unseen(c Cluster) []blind {
	var out []blind
	for _, u := range c.Plan.Unseen {
		why := strings.TrimPrefix(u.Error, u.Phase+": ")
		i := slices.IndexFunc(out, func(b blind) bool { return b.phase == u.Phase && b.why == why })
		if i < 0 {
			out = append(out, blind{phase: u.Phase, why: why})
			i = len(out) - 1
		}
		out[i].nodes = append(out[i].nodes, u.Node)
	}
	return out
}

func (p *page) rows(c Cluster) {
	var cells [][]string
	var styles []style
	for _, r := range rows(c) {
		cells = append(cells, []string{r.symbol + " " + names(r.nodes, c.size()), r.what, r.value(), r.effect})
		styles = append(styles, map[string]style{"!": yellow, "+": green, "-": red}[r.symbol])
	}
	p.table("  ", cells, styles)
}

// order writes the waves. All but the first are a forecast, which is said only
// where there is more than one.
func (p *page) order(c Cluster) {
	label := "  order    "
	stages := order(c)
	for _, s := range stages {
		p.wrapped(label+pad(s.number(), len(stages[len(stages)-1].number()))+"  ", faint, s.words)
		label = "           "
	}
	if c.oneWay() {
		p.wrapped("  !        ", yellow, "no way back: reverting the commit does not undo this")
	}
}

func (p *page) waits(waits []diff.Wait) {
	for _, w := range waits {
		p.wrapped("  waits    ", cyan, waitWords(w))
	}
}

// approvals are who allowed what of the plan.
func (p *page) approvals(c Cluster) {
	for _, a := range approvals(c) {
		p.wrapped("  approved ", green, a)
	}
}

// approvals are the approvals that are in force for the spec of a plan, in words.
func approvals(c Cluster) (words []string) {
	for _, l := range c.Memory.Leaves {
		if l.Kind != diff.LeaveApproval || l.Digest != c.Plan.Digest {
			continue
		}
		text := "by " + l.By + " at " + l.At.UTC().Format(time.RFC3339)
		if !l.Until.IsZero() {
			text += ", until " + l.Until.UTC().Format(time.RFC3339)
		}
		if l.Reason != "" {
			text += ": " + l.Reason
		}
		words = append(words, text)
	}
	return words
}

func waitWords(w diff.Wait) string {
	words := about(w.Reason, w.Node) + w.Detail
	if !w.Until.IsZero() {
		words += " (until " + w.Until.UTC().Format(time.RFC3339) + ")"
	}
	return words
}

// notes writes what is only worth knowing, the same on many nodes once.
func (p *page) notes(c Cluster) {
	for _, n := range noted(c) {
		p.wrapped("  noted    ", faint, fmt.Sprintf("%s   %s   %s   %s", whose(n.nodes, c.size()), n.what, n.value(), n.effect))
	}
}

func noted(c Cluster) []row {
	var out []row
	for _, n := range c.Plan.Notes {
		i := slices.IndexFunc(out, func(r row) bool {
			return r.what == n.Change.What && r.from == n.Change.From && r.to == n.Change.To && r.effect == n.Why
		})
		if i < 0 {
			out = append(out, row{what: n.Change.What, from: n.Change.From, to: n.Change.To, effect: n.Why})
			i = len(out) - 1
		}
		if n.Node != "" {
			out[i].nodes = append(out[i].nodes, n.Node)
		}
	}
	return out
}

// bad says that a step did not come to its goal, or that nobody knows.
func bad(o diff.Outcome) bool {
	return o == diff.OutcomeFailed || o == diff.OutcomeUnknown || o == diff.OutcomeIntent
}
