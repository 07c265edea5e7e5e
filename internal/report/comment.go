package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// detail is how much of a proposal a comment shows. What is too long for a forge
// is shown with less detail and never cut: half a table is worse than none.
type detail struct {
	fold     bool // clusters are folded away
	sections bool // of each cluster
	rows     int  // changes of a cluster, at most
	clusters int  // at most
}

// details are the steps from everything to a headline and a table.
func details() []detail {
	const all = 1 << 20
	return []detail{
		{false, true, all, all},
		{true, true, all, all},
		{true, true, 20, all},
		{true, true, 5, 200},
		{true, false, 0, 200},
		{true, false, 0, 20},
	}
}

// Comment is a proposal as markdown of at most some bytes, for a pull request.
// Foreign text stands in fences or is escaped, as in [Markdown].
func Comment(p Proposal, most int) string {
	text := ""
	for i, d := range details() {
		if i == 0 && len(p.Clusters) > 1 {
			continue // more than one cluster is folded
		}
		var b strings.Builder
		(&comment{page: &page{w: &b}, p: p, d: d}).write()
		if text = b.String(); len(text) <= most {
			return text
		}
	}
	return text
}

// comment writes one proposal with some detail.
type comment struct {
	*page
	p Proposal
	d detail
}

func (c *comment) write() {
	c.line("### %s reconciler plan · %s", c.p.sign(), Escape(c.p.Words()))
	c.line("")
	if c.p.Refused != "" {
		c.line("> [!CAUTION]")
		c.line("> %s", Escape(c.p.Refused))
		if c.p.Hint != "" {
			c.line("> %s", Escape(c.p.Hint))
		}
		c.line("")
		return
	}
	c.problems("", c.p.Problems)
	shown := c.p.Clusters[:min(len(c.p.Clusters), c.d.clusters)]
	if len(shown) > 0 {
		c.table(shown)
	}
	if left := len(c.p.Clusters) - len(shown); left > 0 {
		c.line("%s more that it touches: `reconciler plan` shows them.", count(left, "cluster"))
		c.line("")
	}
	if c.p.Untouched > 0 {
		c.line("%s not touched.", count(c.p.Untouched, "other cluster"))
		c.line("")
	}
	for _, one := range shown {
		c.problems(one.Name, one.Commits.Broken)
		c.warn(one)
	}
	if c.d.sections {
		for _, one := range shown {
			c.section(one)
		}
	}
	c.unasked(shown)
}

func (c *comment) table(clusters []Proposed) {
	c.line("| Cluster | Nodes | It changes | After the merge | Order |")
	c.line("|---|---|---|---|---|")
	for _, one := range clusters {
		after := "not known: its nodes were never looked at"
		order := ""
		switch {
		case one.Fate == FateRemoved:
			after = "left alone"
		case len(one.Commits.Broken) > 0:
			after = "the spec that is in force stays"
		case one.After != nil:
			after, _ = headline(*one.After)
			order = path(*one.After)
		}
		sign := ""
		if one.Fate != FateRemoved {
			sign = signOf([]Cluster{one.expected()}) + " "
		}
		c.line("| %s**%s** | %d | %s | %s | %s |", sign, Escape(one.Name), one.Nodes, Escape(one.words(4)), Escape(after), Escape(order))
	}
	c.line("")
}

// problems are errors, each with its place.
func (c *comment) problems(cluster string, problems []desired.Problem) {
	if len(problems) == 0 {
		return
	}
	c.line("> [!CAUTION]")
	if cluster != "" {
		c.line("> **%s**", Escape(cluster))
	}
	for i, p := range problems {
		if i == 20 {
			c.line("> - %d more; `reconciler validate` shows them", len(problems)-i)
			break
		}
		c.line("> - %s", Escape(p.Error()))
	}
	c.line("")
}

// warn says in the open what a reader must not miss: what blocks, what cannot be
// taken back, and what was not looked at because a stranger might have written it.
func (c *comment) warn(one Proposed) {
	if one.Fate == FateRemoved || len(one.Commits.Broken) > 0 {
		return
	}
	c.warnings(one.expected())
	if one.expected().oneWay() {
		c.line("> [!WARNING]")
		c.line("> **%s** Reverting does not undo this: an older Vault does not read what a newer one has written.", Escape(one.Name))
		c.line("")
	}
	c.asked(one)
	if len(one.Strange) > 0 {
		c.line("> [!NOTE]")
		c.line("> **%s** Not looked at: %s. Where it is reached comes from this pull request, and nothing connects there before the merge.",
			Escape(one.Name), Escape(strings.Join(one.Strange, ", ")))
		c.line("")
	}
}

// asked says what was asked to be waited for before anything begins, and who allowed it.
func (c *comment) asked(one Proposed) {
	for _, w := range one.expected().Plan.Waits {
		if w.Reason != diff.WaitWindow && w.Reason != diff.WaitFreeze && w.Reason != diff.WaitApproval {
			continue
		}
		until := ""
		if !w.Until.IsZero() {
			until = ", until " + w.Until.UTC().Format("2006-01-02 15:04 UTC")
		}
		c.line("⏳ **%s** %s", Escape(one.Name), Escape(about(w.Reason, w.Node)+w.Detail+until))
		c.line("")
	}
	for _, a := range approvals(one.expected()) {
		c.line("✅ **%s** approved %s", Escape(one.Name), Escape(a))
		c.line("")
	}
}

func (c *comment) section(one Proposed) {
	lines := c.capped(rows(one.Commits), one.Commits.size())
	for _, n := range noted(one.Commits) {
		lines = append(lines, clean(fmt.Sprintf("# %s   %s   %s   %s", whose(n.nodes, one.Commits.size()), n.what, n.value(), n.effect)))
	}
	if len(lines) == 0 || len(one.Commits.Broken) > 0 {
		return
	}
	if c.d.fold {
		c.line("<details><summary><b>%s</b> — what it changes</summary>", Escape(one.Name))
		c.line("")
	} else {
		c.line("What it changes on **%s**:", Escape(one.Name))
		c.line("")
	}
	c.fenced("diff", lines)
	if one.After != nil {
		c.stages(*one.After)
	}
	if c.d.fold {
		c.line("</details>")
		c.line("")
	}
}

// capped are the rows that the detail allows, as lines of a diff.
func (c *comment) capped(rows []row, size int) []string {
	var lines []string
	for i, r := range rows {
		if i == c.d.rows {
			lines = append(lines, fmt.Sprintf("# %d more; reconciler plan shows them", len(rows)-i))
			break
		}
		lines = append(lines, diffLine(r, size))
	}
	return lines
}

// unasked is what the nodes differ in without the pull request.
func (c *comment) unasked(clusters []Proposed) {
	var lines []string
	n := 0
	for _, one := range clusters {
		if one.Anyway == nil {
			continue
		}
		found := rows(*one.Anyway)
		unseen := unseen(*one.Anyway)
		if len(found)+len(unseen) == 0 {
			continue
		}
		n += len(found) + len(unseen)
		lines = append(lines, "# "+clean(one.Name))
		for _, u := range unseen {
			lines = append(lines, clean(fmt.Sprintf("? %s   not seen (%s): %s", names(u.nodes, one.Anyway.size()), u.phase, u.why)))
		}
		lines = append(lines, c.capped(found, one.Anyway.size())...)
	}
	if n == 0 {
		return
	}
	c.line("<details><summary>🔎 On the nodes already, not from this pull request (%d)</summary>", n)
	c.line("")
	if c.d.sections {
		c.fenced("diff", lines)
	} else {
		c.line("`reconciler plan` shows it.")
		c.line("")
	}
	c.line("</details>")
	c.line("")
}

// Footer is the small print of a comment: of which commits it is, and how fresh.
func Footer(p Proposal) string {
	what := shorter(p.Head) + " merged into"
	if p.Source.Folder != "" {
		what = "folder " + p.Source.Folder + " against"
	}
	words := fmt.Sprintf("%s %s of %s", Escape(what), Escape(shorter(p.Source.Commit)), Escape(p.Source.Branch))
	var oldest time.Time
	for _, c := range p.Clusters {
		if c.After != nil && (oldest.IsZero() || c.Seen.Before(oldest)) {
			oldest = c.Seen
		}
	}
	if !oldest.IsZero() {
		words += " · nodes as seen at " + oldest.UTC().Format("15:04 UTC")
	}
	if p.Source.Folder == "" {
		words += " · made anew when a commit or a node changes"
	}
	return "<sub>" + words + "</sub>"
}

// Phase is how far the rollout of a commit is in a cluster. Closed set.
type Phase string

const (
	PhaseWaiting Phase = "waiting"
	PhaseRolling Phase = "rolling out"
	PhaseApplied Phase = "applied"
	PhaseStopped Phase = "stopped" // somebody must act
	PhaseGone    Phase = "overtaken"
	// PhaseObserved is of a cluster that nothing is done to.
	PhaseObserved Phase = "observed only"
)

// Rolling is how far a commit is in one cluster.
type Rolling struct {
	Cluster string
	Phase   Phase
	Words   string // why, or how far
	Lift    string // of PhaseStopped
	By      string // commit, of PhaseGone
}

// Rollout is how far a commit is.
type Rollout struct {
	Commit   string
	Clusters []Rolling
}

// Phase is that of all clusters: the worst that is not over, or applied.
func (r Rollout) Phase() Phase {
	for _, phase := range []Phase{PhaseStopped, PhaseRolling, PhaseWaiting} {
		if slices.ContainsFunc(r.Clusters, func(c Rolling) bool { return c.Phase == phase }) {
			return phase
		}
	}
	return PhaseApplied
}

// Stops are who is stopped and what would lift it: what a person has to be told once.
func (r Rollout) Stops() string {
	var lines []string
	for _, c := range r.Clusters {
		if c.Phase == PhaseStopped {
			lines = append(lines, c.Cluster+": "+c.Lift)
		}
	}
	return strings.Join(lines, "\n")
}

// Words are a rollout in a line.
func (r Rollout) Words() string {
	counts := map[Phase]int{}
	for _, c := range r.Clusters {
		counts[c.Phase]++
	}
	if len(r.Clusters) == 0 {
		return "no cluster was touched"
	}
	var parts []string
	for _, phase := range []Phase{PhaseStopped, PhaseRolling, PhaseWaiting, PhaseApplied, PhaseObserved, PhaseGone} {
		n := counts[phase]
		if n == 0 {
			continue
		}
		part := fmt.Sprintf("%s in %d of %s", phase, n, count(len(r.Clusters), "cluster"))
		if phase == PhaseGone {
			part = r.overtaken(part, n == len(r.Clusters))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// overtaken says by which commit a rollout is, if it is one.
func (r Rollout) overtaken(part string, everywhere bool) string {
	by := map[string]bool{}
	last := ""
	for _, c := range r.Clusters {
		if c.Phase == PhaseGone {
			by[c.By], last = true, c.By
		}
	}
	switch {
	case last == "":
		return part
	case len(by) > 1:
		return part + " by later commits"
	case everywhere:
		return fmt.Sprintf("%s by %s", PhaseGone, shorter(last))
	}
	return part + " by " + shorter(last)
}

// Markdown is a rollout for a comment.
func (r Rollout) Markdown() string {
	var b strings.Builder
	p := &page{w: &b}
	sign := map[Phase]string{PhaseStopped: "🔴", PhaseRolling: "⏳", PhaseWaiting: "⏳", PhaseApplied: "✅"}
	if !slices.ContainsFunc(r.Clusters, func(c Rolling) bool { return c.Phase != PhaseGone && c.Phase != PhaseObserved }) {
		sign[PhaseApplied] = "⚪"
	}
	p.line("### %s reconciler · %s", sign[r.Phase()], Escape(r.Words()))
	p.line("")
	if len(r.Clusters) > 0 {
		p.line("| Cluster | | |")
		p.line("|---|---|---|")
		for _, c := range r.Clusters {
			p.line("| **%s** | %s | %s |", Escape(c.Cluster), c.Phase, Escape(c.Words))
		}
		p.line("")
	}
	for _, c := range r.Clusters {
		if c.Phase == PhaseStopped {
			p.line("> [!WARNING]")
			p.line("> **%s** %s", Escape(c.Cluster), Escape(c.Words))
			p.line("> Lift: %s", Escape(c.Lift))
			p.line("")
		}
	}
	p.line("<sub>merged as %s</sub>", Escape(shorter(r.Commit)))
	return b.String()
}
