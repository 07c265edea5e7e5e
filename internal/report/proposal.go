package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Proposal is what merging a pull request would make of a fleet. Two questions
// are answered apart: what the commits change, on nodes that are as the tracked
// branch wants them, and what would be done to the nodes as they were seen last.
type Proposal struct {
	Source  Source // of the tracked branch; Commit is the one that was merged into
	Head    string // commit of the pull request
	Refused string // why no plan was made, in a sentence; "" when one was
	Hint    string // what makes it not refused
	// Problems are the errors that belong to no cluster.
	Problems  []desired.Problem
	Clusters  []Proposed // that it touches
	Untouched int        // clusters that it does not touch
}

// Fate is what becomes of a cluster. Closed set.
type Fate string

const (
	FateChanged Fate = "changed"
	FateAdded   Fate = "added"
	FateRemoved Fate = "removed" // nothing is done to it any more
	FateMended  Fate = "mended"  // the branch's own spec cannot be read
)

// Proposed is one cluster of a proposal.
type Proposed struct {
	Name  string
	Nodes int // after the merge
	Fate  Fate
	// Commits is what the commits change; Broken of it, why they cannot be in force.
	Commits Cluster
	// After is what would be done to the nodes as they were seen last; nil: they
	// never were.
	After *Cluster
	// Anyway is what is done to them without the pull request as well.
	Anyway *Cluster
	Seen   time.Time // when the nodes of After were looked at
	// Strange are nodes that were not looked at, because their address is the pull
	// request's.
	Strange []string
}

// expected is what will happen: to the nodes as they were seen, or, where they
// never were, to nodes that are as the branch wants them.
func (c Proposed) expected() Cluster {
	if c.After != nil {
		return *c.After
	}
	return c.Commits
}

func (p Proposal) expected() []Cluster {
	var all []Cluster
	for _, c := range p.Clusters {
		if c.Fate != FateRemoved {
			all = append(all, c.expected())
		}
	}
	return all
}

// Wrong says that the pull request would not be in force as it is.
func (p Proposal) Wrong() bool {
	return p.Refused != "" || len(p.Problems) > 0 ||
		slices.ContainsFunc(p.Clusters, func(c Proposed) bool { return len(c.Commits.Broken) > 0 })
}

// Touches says that there is anything to read.
func (p Proposal) Touches() bool { return p.Wrong() || len(p.Clusters) > 0 }

// Words are the proposal in a line.
func (p Proposal) Words() string {
	switch {
	case p.Refused != "":
		return "not planned: " + clean(p.Refused)
	case p.Wrong():
		return count(p.errors(), "error") + " in the fleet's files"
	case len(p.Clusters) == 0:
		return "no cluster is touched"
	}
	s := Summarize(p.expected())
	words := "no node changes"
	if s.Changing > 0 {
		words = s.words()
	}
	var parts []string
	for _, x := range []struct {
		fate Fate
		word string
	}{{FateAdded, "new"}, {FateRemoved, "removed"}} {
		if n := p.count(x.fate); n > 0 {
			parts = append(parts, count(n, "cluster")+" "+x.word)
		}
	}
	return strings.Join(append(parts, words), "; ")
}

func (p Proposal) count(fate Fate) (n int) {
	for _, c := range p.Clusters {
		if c.Fate == fate {
			n++
		}
	}
	return n
}

func (p Proposal) errors() int {
	n := len(p.Problems)
	for _, c := range p.Clusters {
		n += len(c.Commits.Broken)
	}
	return n
}

// sign says the worst first.
func (p Proposal) sign() string {
	if p.Wrong() {
		return "🔴"
	}
	return signOf(p.expected())
}

func signOf(clusters []Cluster) string {
	s := Summarize(clusters)
	switch {
	case s.Urgent > 0 || s.Invalid > 0 || s.Failed > 0:
		return "🔴"
	case s.Restarting > 0 || s.Blocked > 0:
		return "🟠"
	case s.Changing > 0 || s.Unseen > 0:
		return "🟡"
	}
	return "🟢"
}

// words are what the commits change, in a cell.
func (c Proposed) words(most int) string {
	switch {
	case c.Fate == FateRemoved:
		return "gone from the repo: nothing is done to it any more"
	case len(c.Commits.Broken) > 0:
		return count(len(c.Commits.Broken), "error") + ", so its spec stays as it is"
	}
	var parts []string
	for _, r := range append(rows(c.Commits), noted(c.Commits)...) {
		if r.value() != "" && !slices.Contains(parts, r.what) { // what only follows has no value
			parts = append(parts, r.what)
		}
	}
	more := len(parts) - most
	if more > 0 {
		parts = append(parts[:most], fmt.Sprintf("%d more", more))
	}
	switch {
	case c.Fate == FateAdded:
		return "a new cluster"
	case c.Fate == FateMended:
		return "its spec can be read again"
	case len(parts) == 0:
		return "nothing on its nodes"
	}
	return strings.Join(parts, ", ")
}

// Comparison is a proposal as data.
type Comparison struct {
	Schema        Schema     `json:"schema"`
	FormatVersion string     `json:"formatVersion"`
	Source        Source     `json:"source"` // Commit is what was compared with
	Clusters      []Compared `json:"clusters"`
	Problems      []Problem  `json:"problems,omitempty"` // that belong to no cluster
	Untouched     int        `json:"untouched"`
	Exit          Exit       `json:"exit"`
}

// Compared is one touched cluster of a comparison.
type Compared struct {
	Name    string `json:"name"`
	Fate    Fate   `json:"fate"`
	Commits Entry  `json:"commits"`          // what the specs alone change
	After   *Entry `json:"after,omitempty"`  // what would be done to the nodes as they were seen
	Anyway  *Entry `json:"anyway,omitempty"` // what is done to them as it is
}

// NewComparison puts a proposal into a document.
func NewComparison(p Proposal, code int) Comparison {
	d := Comparison{Schema: SchemaComparison, FormatVersion: formatVersion, Source: p.Source, Clusters: []Compared{}, Untouched: p.Untouched, Exit: Exit{code, reason(code)}}
	for _, x := range p.Problems {
		d.Problems = append(d.Problems, problem(x))
	}
	for _, c := range p.Clusters {
		one := Compared{Name: c.Name, Fate: c.Fate, Commits: entry(c.Commits)}
		for _, x := range []struct {
			from *Cluster
			to   **Entry
		}{{c.After, &one.After}, {c.Anyway, &one.Anyway}} {
			if x.from != nil {
				e := entry(*x.from)
				*x.to = &e
			}
		}
		d.Clusters = append(d.Clusters, one)
	}
	return d
}

// WriteComparison writes a proposal as people read it on a terminal.
func WriteComparison(w io.Writer, o Options, p Proposal) error {
	g := &page{w: w, o: o}
	g.line("Fleet %s, folder %s, against %s (commit %s). No node was contacted.", clean(p.Source.Fleet), clean(p.Source.Folder), clean(p.Source.Branch), clean(shorter(p.Source.Commit)))
	g.line("")
	for _, x := range p.Problems {
		g.wrapped("invalid  ", red, x.Error())
	}
	for _, c := range p.Clusters {
		switch c.Fate {
		case FateRemoved:
			g.line("%s   %s", g.paint(bold, clean(c.Name)), c.words(1))
		case FateAdded, FateChanged, FateMended:
			g.cluster(c.Commits)
			if c.After != nil {
				g.line("  on its nodes as they were seen:")
				g.cluster(*c.After)
			}
		}
		g.line("")
	}
	if p.Untouched > 0 {
		g.line("%s not touched.", count(p.Untouched, "cluster"))
	}
	g.wrapped("Plan: ", bold, p.Words()+".")
	return g.err
}
