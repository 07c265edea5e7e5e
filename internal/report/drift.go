package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A drift report says what no longer matches, the worst first, one row for the same
// difference on many nodes; what is done about it, or what a person can do; and how
// much was held against the spec, so that "nothing" can be told from "nothing was
// looked at". What a commit is about to bring, and what could not be read, stand apart.

// SchemaDrift is of drift.
const SchemaDrift Schema = "reconciler/drift"

// DriftStatus says in a word how a fleet stands. Closed set.
type DriftStatus string

const (
	InSync     DriftStatus = "in_sync"
	Drifting   DriftStatus = "drifted"
	Incomplete DriftStatus = "incomplete" // not everything could be read, and what was does not drift
)

// DriftItem is one row.
type DriftItem struct {
	diff.Drift
	Cluster string `json:"cluster"`
	Commit  string `json:"commit,omitempty"` // that wants it otherwise
	State   string `json:"state"`            // new open pending waived
	Remedy  string `json:"remedy"`
}

// DriftPast is a drift that is gone.
type DriftPast struct {
	Cluster string    `json:"cluster"`
	ID      string    `json:"id"`
	Path    string    `json:"path"`
	Nodes   []string  `json:"nodes,omitempty"`
	Since   time.Time `json:"since"`
	Gone    time.Time `json:"gone"`
}

// DriftUnseen is what could not be read of a node.
type DriftUnseen struct {
	Cluster string `json:"cluster"`
	diff.Unseen
}

// DriftSummary is a report in numbers.
type DriftSummary struct {
	Status     DriftStatus           `json:"status"`
	Clusters   int                   `json:"clusters"`
	Nodes      int                   `json:"nodes"`
	Observed   int                   `json:"observed"` // nodes that could be read in whole
	Compared   int                   `json:"compared"` // wants that were held against what is there
	Open       int                   `json:"open"`
	New        int                   `json:"new"` // of them: not seen twice yet
	Pending    int                   `json:"pending"`
	Waived     int                   `json:"waived"`
	Came       int                   `json:"came"` // since then, however often, what was seen once included
	Gone       int                   `json:"gone"` // since then
	BySeverity map[diff.Severity]int `json:"bySeverity"`
}

// DriftDocument is a drift report.
type DriftDocument struct {
	Schema        Schema        `json:"schema"`
	FormatVersion string        `json:"formatVersion"`
	Source        Source        `json:"source"`
	At            time.Time     `json:"at"`
	Since         time.Time     `json:"since,omitzero"` // from when on what is gone is told
	Summary       DriftSummary  `json:"summary"`
	Items         []DriftItem   `json:"items"`
	Gone          []DriftPast   `json:"gone"`
	Unobserved    []DriftUnseen `json:"unobserved"`
	Errors        []DriftError  `json:"errors"`
	Exit          Exit          `json:"exit"`
}

// DriftError is a cluster that could not be looked at at all.
type DriftError struct {
	Cluster string `json:"cluster"`
	Error   string `json:"error"`
}

// NewDrift puts looks into a report. What is gone is told from since on; the zero
// time: not at all.
func NewDrift(source Source, clusters []Cluster, now, since time.Time) DriftDocument {
	d := DriftDocument{Schema: SchemaDrift, FormatVersion: formatVersion, Source: source, At: now.UTC().Truncate(time.Second), Since: since,
		Items: []DriftItem{}, Gone: []DriftPast{}, Unobserved: []DriftUnseen{}, Errors: []DriftError{}, Exit: Exit{Done, reason(Done)}}
	d.Summary.BySeverity = map[diff.Severity]int{}
	for _, c := range sorted(clusters) {
		d.add(c)
	}
	slices.SortStableFunc(d.Items, func(a, b DriftItem) int {
		return cmp.Or(cmp.Compare(place(a.State), place(b.State)), a.Severity.Compare(b.Severity))
	})
	s := &d.Summary
	s.Gone = len(d.Gone)
	switch {
	case s.Open > 0:
		s.Status = Drifting
	case s.Observed < s.Nodes || len(d.Errors) > 0:
		s.Status = Incomplete
	default:
		s.Status = InSync
	}
	return d
}

// place is where an item of a state is told; new ones and those that are open stand
// together.
func place(state string) int {
	return slices.Index([]string{statePending, stateWaived}, state)
}

const (
	stateNew     = "new"
	stateOpen    = "open"
	statePending = "pending"
	stateWaived  = "waived"
)

func (d *DriftDocument) add(c Cluster) {
	s := &d.Summary
	s.Clusters++
	s.Nodes += c.size()
	if c.Err != nil {
		d.Errors = append(d.Errors, DriftError{c.Name, c.Err.Error()})
		return
	}
	for _, p := range c.Broken {
		d.Errors = append(d.Errors, DriftError{c.Name, p.Error()})
	}
	s.Compared += c.Drift.Compared
	blind := map[string]bool{}
	for _, u := range c.Drift.Unobserved {
		blind[u.Node] = true
		d.Unobserved = append(d.Unobserved, DriftUnseen{c.Name, u})
	}
	s.Observed += len(c.Have) - len(blind)
	for _, row := range c.Drift.Rows {
		item := DriftItem{Drift: row, Cluster: c.Name, Commit: c.Plan.Commit, State: stateOpen, Remedy: remedy(c, row)}
		switch {
		case row.Waived != nil:
			item.State = stateWaived
			s.Waived++
		case row.Pending:
			item.State = statePending
			s.Pending++
		default:
			s.Open++
			s.BySeverity[row.Severity]++
			if row.Sure.IsZero() {
				item.State = stateNew
				s.New++
			}
		}
		d.Items = append(d.Items, item)
	}
	if d.Since.IsZero() {
		return
	}
	for _, e := range c.Memory.Drifts {
		for _, at := range e.Opened {
			if !at.Before(d.Since) {
				s.Came++
			}
		}
		if !e.Open() && !e.Gone.Before(d.Since) {
			d.Gone = append(d.Gone, DriftPast{c.Name, e.ID, e.Path, e.Nodes, e.Last(), e.Gone})
		}
	}
}

// remedy is what becomes of a drift, or what a person can do about it.
func remedy(c Cluster, d diff.Drift) string {
	switch {
	case d.Waived != nil:
		return "left alone until " + d.Waived.Until.AddDate(0, 0, -1).Format(time.DateOnly) + ": " + d.Waived.Reason + " (" + d.Waived.Owner + ")"
	case d.Pending && d.Effect == diff.EffectDeferred:
		return "no drift: rides the next restart"
	case d.Pending:
		return "no drift: comes with the commit"
	}
	if by := byHand(c, d); by != "" {
		return by
	}
	at := ""
	if d.Place != "" {
		at = ", or commit what is right at " + d.Place
	}
	if why, _ := d.Unacceptable(); why == "" {
		at = ", or make it what the spec wants: reconciler drift accept " + d.ID
	}
	switch {
	case c.Plan.Mode == "observe":
		return "this cluster is only observed: put it back by hand" + at
	case c.Observes:
		return "drift.policy is report: put it back by hand" + at
	}
	if held := heldUp(c, d); held != "" {
		return held + at
	}
	return "is put back" + at
}

// heldUp is why a drift is not put back now; "" where nothing is in its way.
func heldUp(c Cluster, d diff.Drift) string {
	on := func(node string) bool { return len(d.Nodes) == 0 || slices.Contains(d.Nodes, node) }
	if len(c.Plan.Waves) > 0 {
		for _, step := range c.Plan.Waves[0] {
			if on(step.Node) {
				return awaits(c, step)
			}
		}
	}
	for _, b := range c.Plan.Blocks {
		if !b.Later && (b.Node == "" || on(b.Node)) {
			return "is not put back: " + b.Detail + "; " + b.Lift
		}
	}
	for _, n := range c.Plan.Notes {
		if on(n.Node) && n.Change.What == d.File && strings.HasPrefix(n.Why, diff.OnlyObserved) {
			return n.Why + ": put it back by hand"
		}
	}
	return ""
}

// awaits is what a step waits for; "" where it may begin.
func awaits(c Cluster, step diff.Step) string {
	i := slices.IndexFunc(c.Plan.Waits, func(w diff.Wait) bool { return w.Reason == step.Await && (w.Node == "" || w.Node == step.Node) })
	switch {
	case step.Await == "" || i < 0:
		return ""
	case c.Plan.Waits[i].Until.IsZero():
		return "is put back, and waits: " + c.Plan.Waits[i].Detail
	}
	return "is put back, not before " + c.Plan.Waits[i].Until.UTC().Format(time.RFC3339) + ": " + c.Plan.Waits[i].Detail
}

// byHand is what only a person does: what is there and was not asked for is never
// taken away by us.
func byHand(c Cluster, d diff.Drift) string {
	name := strings.TrimSuffix(d.Path[strings.IndexByte(d.Path, '[')+1:], "]")
	switch {
	case d.Kind == diff.DriftTampered:
		return "find out who replaced the program, before anything else; reconciler apply --cluster " + c.Name + " puts the locked one back"
	case strings.HasPrefix(d.Path, "service.drop_in["):
		return "rm " + name + " && systemctl daemon-reload, or put its settings into the spec"
	case strings.HasPrefix(d.Path, "config_folder["):
		return "rm " + name
	case d.Kind == diff.DriftExtra && strings.HasPrefix(d.Path, "audit["):
		return "vault audit disable " + name + ", or add it to audit in the spec"
	case d.Kind == diff.DriftChanged && strings.HasPrefix(d.Path, "audit["):
		return "vault audit disable " + name + "; the reconciler enables it anew"
	case d.Kind == diff.DriftExtra && strings.HasPrefix(d.Path, "raft.peers["):
		return "vault operator raft remove-peer " + name + ", or add the node to the spec"
	}
	return ""
}

// words are a report in one line.
func (s DriftSummary) words() string {
	parts := []string{map[DriftStatus]string{InSync: "nothing drifts", Incomplete: "not everything could be read", Drifting: fmt.Sprintf("%d open", s.Open)}[s.Status]}
	for _, severity := range diff.Severities() {
		if n := s.BySeverity[severity]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, severity))
		}
	}
	for _, n := range []struct {
		n     int
		words string
	}{{s.New, "new"}, {s.Gone, "gone"}, {s.Pending, "pending"}, {s.Waived, "waived"}} {
		if n.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.n, n.words))
		}
	}
	return strings.Join(append(parts, fmt.Sprintf("%d of %s read, %s compared", s.Observed, count(s.Nodes, "node"), count(s.Compared, "want"))), " · ")
}

// Title is the report in one line, for a subject or a headline.
func (d DriftDocument) Title() string {
	return "Drift in " + clean(cmp.Or(d.Source.Fleet, "the fleet")) + ": " + d.Summary.words()
}

// Drift writes the report for a terminal.
func Drift(w io.Writer, o Options, d DriftDocument) error {
	p := &page{w: w, o: o}
	for _, e := range d.Errors {
		p.wrapped("  error  ", red, e.Cluster+": "+e.Error)
	}
	for _, item := range d.Items {
		p.driftItem(item, d.At)
	}
	for _, g := range d.Gone {
		p.wrapped("  gone     ", green, fmt.Sprintf("%s  %s %s  %s, was there for %s", g.ID, g.Cluster, strings.Join(g.Nodes, " "), g.Path, lasting(g.Gone.Sub(g.Since))))
	}
	for _, u := range unobserved(d) {
		p.wrapped("  ? ", yellow, fmt.Sprintf("%s %s   not read (%s): %s", u.cluster, strings.Join(u.nodes, " "), u.phase, u.why))
	}
	if len(d.Items)+len(d.Gone)+len(d.Unobserved)+len(d.Errors) > 0 {
		p.line("")
	}
	if !d.Since.IsZero() {
		p.line("Since %s: %d came, %d went.", d.Since.UTC().Format(time.RFC3339), d.Summary.Came, d.Summary.Gone)
	}
	p.wrapped("", plain, "Drift: "+d.Summary.words()+".")
	return p.err
}

func (p *page) driftItem(item DriftItem, now time.Time) {
	word, s := string(item.Severity), map[diff.Severity]style{diff.SeverityCritical: red, diff.SeverityHigh: red, diff.SeverityMedium: yellow, diff.SeverityLow: plain}[item.Severity]
	if item.State == statePending || item.State == stateWaived {
		word, s = item.State, faint
	}
	p.wrapped("  "+pad(word, 10), s, fmt.Sprintf("%s %s   %s %s: %s, not %s   %s", item.Cluster, item.where(), item.Path, item.Kind, item.Have, item.Want, item.age(now)))
	for _, line := range item.evidence() {
		p.wrapped("            ", faint, line)
	}
	p.wrapped("    do:     ", cyan, item.Remedy)
}

// where are the nodes of an item, or the cluster.
func (i DriftItem) where() string {
	if len(i.Nodes) == 0 {
		return "(the cluster)"
	}
	return strings.Join(i.Nodes, " ")
}

// age is since when an item is known.
func (i DriftItem) age(now time.Time) string {
	if i.State == stateWaived || i.State == statePending {
		return ""
	}
	age := i.ID + ", new"
	if !i.Since.IsZero() && now.Sub(i.Since) >= time.Minute {
		age = i.ID + ", for " + lasting(now.Sub(i.Since))
	}
	if i.Times > 1 {
		age += fmt.Sprintf(", %d times within a week", i.Times)
	}
	return age
}

// evidence is who wants it otherwise, and what the nodes tell of who changed it.
func (i DriftItem) evidence() (lines []string) {
	if i.Place != "" {
		at := i.Place
		if i.Commit != "" {
			at += "@" + shorter(i.Commit)
		}
		lines = append(lines, "wanted by "+at)
	}
	for _, t := range i.Traces {
		lines = append(lines, fmt.Sprintf("on %s: %s is %s's, written %s", t.Node, i.File, t.Owner, t.At.UTC().Format(time.RFC3339)))
		if len(lines) == 4 && len(i.Traces) > 3 {
			return append(lines, fmt.Sprintf("and on %d more", len(i.Traces)-3))
		}
	}
	return lines
}

// lasting is a duration as people say it.
func lasting(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return count(int(d.Seconds()), "second")
}

// blindSpot is the same trouble on many nodes of a cluster.
type blindSpot struct {
	cluster string
	blind
}

func unobserved(d DriftDocument) []blindSpot {
	var out []blindSpot
	for _, u := range d.Unobserved {
		why := strings.TrimPrefix(u.Error, u.Phase+": ")
		i := slices.IndexFunc(out, func(b blindSpot) bool { return b.cluster == u.Cluster && b.phase == u.Phase && b.why == why })
		if i < 0 {
			out = append(out, blindSpot{u.Cluster, blind{phase: u.Phase, why: why}})
			i = len(out) - 1
		}
		out[i].nodes = append(out[i].nodes, u.Node)
	}
	return out
}

// DriftMarkdown writes the report for an issue or a chat.
func DriftMarkdown(w io.Writer, d DriftDocument) error {
	p := &page{w: w}
	sign := map[DriftStatus]string{InSync: "🟢", Incomplete: "⚪", Drifting: "🟠"}[d.Summary.Status]
	if d.Summary.BySeverity[diff.SeverityCritical] > 0 {
		sign = "🔴"
	}
	p.line("### %s %s", sign, Escape(d.Title()))
	p.line("")
	if open := d.open(); len(open) > 0 {
		p.line("| | What | Where | Since | Do |")
		p.line("|---|---|---|---|---|")
		for _, i := range open {
			wanted := ""
			for _, line := range i.evidence() {
				wanted += "<br><sub>" + Escape(line) + "</sub>"
			}
			p.line("| %s %s | %s %s: %s, not %s%s | **%s** %s | %s | %s |", severitySign(i.Severity), i.Severity, code(i.Path), i.Kind, code(i.Have), code(i.Want), wanted,
				Escape(i.Cluster), Escape(i.where()), Escape(i.age(d.At)), Escape(i.Remedy))
		}
		p.line("")
	}
	p.driftAside("✅ gone", d.Gone, func(g DriftPast) string {
		return fmt.Sprintf("%s %s on %s %s", g.ID, g.Path, g.Cluster, strings.Join(g.Nodes, " "))
	})
	for _, e := range d.Errors {
		p.line("❌ %s: %s", Escape(e.Cluster), Escape(e.Error))
		p.line("")
	}
	for _, u := range unobserved(d) {
		p.line("❔ not read: %s %s (%s): %s", Escape(u.cluster), Escape(strings.Join(u.nodes, " ")), Escape(u.phase), Escape(u.why))
		p.line("")
	}
	if n := d.Summary.Pending; n > 0 {
		p.line("⏳ %s with a commit or the next restart, and no drift", Escape(count(n, "difference")+" to come"))
		p.line("")
	}
	for _, i := range d.Items {
		if i.State == stateWaived {
			p.line("🔕 %s: %s", Escape(i.Cluster+" "+i.where()+" "+i.Path), Escape(i.Remedy))
			p.line("")
		}
	}
	p.line("<sub>%s · %s</sub>", Escape(d.Source.Words()), d.At.Format(time.RFC3339))
	return p.err
}

// driftAside writes a short list in one line.
func (p *page) driftAside(label string, gone []DriftPast, words func(DriftPast) string) {
	if len(gone) == 0 {
		return
	}
	var all []string
	for _, g := range gone {
		all = append(all, words(g))
	}
	p.line("%s: %s", label, Escape(strings.Join(all, "; ")))
	p.line("")
}

// open are the items that are drift.
func (d DriftDocument) open() []DriftItem {
	return slices.DeleteFunc(slices.Clone(d.Items), func(i DriftItem) bool { return i.State == statePending || i.State == stateWaived })
}

func severitySign(s diff.Severity) string {
	return map[diff.Severity]string{diff.SeverityCritical: "🔴", diff.SeverityHigh: "🟠", diff.SeverityMedium: "🟡", diff.SeverityLow: "⚪"}[s]
}

// code is foreign text in a cell of a table, set as code where it can be.
func code(s string) string {
	if s = clean(s); strings.ContainsAny(s, "`|<>\n") {
		return Escape(s)
	}
	return "`" + s + "`"
}

// Codes are the exit codes that the report gives cause for.
func (d DriftDocument) Codes(asked Asked) []int {
	var codes []int
	if len(d.Errors) > 0 {
		codes = append(codes, Error)
	}
	if asked.Unobserved && len(d.Unobserved) > 0 {
		codes = append(codes, Unobserved)
	}
	if asked.Detailed && d.Summary.Open > 0 {
		codes = append(codes, Changes)
	}
	return codes
}

// Ended is the report with the exit code that it was ended by.
func (d DriftDocument) Ended(code int) DriftDocument {
	d.Exit = Exit{code, reason(code)}
	return d
}

// Only leaves the rows of some drifts, and what is gone of them.
func (d DriftDocument) Only(ids []string) DriftDocument {
	d.Items = slices.DeleteFunc(slices.Clone(d.Items), func(i DriftItem) bool { return !slices.Contains(ids, i.ID) })
	d.Gone = slices.DeleteFunc(slices.Clone(d.Gone), func(g DriftPast) bool { return !slices.Contains(ids, g.ID) })
	return d
}

// Worst is the worst severity of what is open.
func (d DriftDocument) Worst() diff.Severity {
	worst := diff.SeverityLow
	for _, i := range d.open() {
		if i.Severity.Compare(worst) < 0 {
			worst = i.Severity
		}
	}
	return worst
}
