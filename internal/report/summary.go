package report

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// headline says how a cluster stands in one line, the worst first.
func headline(c Cluster) (string, style) {
	var parts []string
	s := plain
	say := func(words string, as style) {
		if len(parts) == 0 {
			s = as
		}
		parts = append(parts, words)
	}
	if len(c.urgent()) > 0 {
		say("A PERSON IS NEEDED NOW", red)
	}
	if c.Err != nil {
		if _, busy := asBusy(c.Err); busy {
			say("busy", yellow)
		} else {
			say("error", red)
		}
	}
	switch {
	case len(c.Broken) > 0 && c.Plan.Commit != "":
		say("its spec is invalid, that of commit "+shorter(clean(c.Plan.Commit))+" stays in force", red)
	case len(c.Broken) > 0:
		say("its spec is invalid, nothing was planned", red)
	}
	if n := len(c.blocked()); n > 0 {
		say(fmt.Sprintf("%d blocked", n), yellow)
	}
	if n := len(c.unseenNodes()); n > 0 {
		say(fmt.Sprintf("%d of %s not fully seen", n, count(c.size(), "node")), yellow)
	}
	if w := work(c); w != "" {
		say(w, yellow)
	}
	if len(c.Plan.Waits) > 0 {
		say("waits", cyan)
	}
	if n := len(c.Drift.Open()); n > 0 && c.Observes {
		say(fmt.Sprintf("%d drifted, only reported", n), yellow)
	}
	if len(parts) == 0 {
		return "in sync", green
	}
	if c.Plan.Mode == "observe" {
		say("observed only", faint)
	}
	return strings.Join(parts, ", "), s
}

// work is what the waves come to.
func work(c Cluster) string {
	birth, restart, reload := c.nodesWith(classBirth), c.nodesWith(classRestart), c.nodesWith(classReload)
	quiet := c.nodesWith(classQuiet)
	switch {
	case len(birth) > 0:
		return "birth of the cluster on " + birth[0]
	case len(restart) == 1:
		return "restart " + restart[0]
	case len(restart) > 0:
		return fmt.Sprintf("restart %d of %s, one at a time", len(restart), count(c.size(), "node"))
	case len(reload) > 0:
		return fmt.Sprintf("reload %s, one at a time", count(len(reload), "node"))
	case len(quiet) > 0:
		return fmt.Sprintf("change %s, no restart", count(len(quiet), "node"))
	}
	return ""
}

// Summary is the plan in numbers.
type Summary struct {
	Clusters   int `json:"clusters"`
	InSync     int `json:"inSync"`
	Nodes      int `json:"nodes"`
	Changing   int `json:"changing"`   // nodes with any step
	Restarting int `json:"restarting"` // nodes
	Reloading  int `json:"reloading"`  // nodes that only reload
	Steps      int `json:"steps"`
	Drift      int `json:"drift"` // steps that put drift back
	Blocked    int `json:"blocked"`
	Urgent     int `json:"urgent"`
	Waiting    int `json:"waiting"`
	Unseen     int `json:"unseen"`  // nodes
	Invalid    int `json:"invalid"` // clusters whose spec could not be read
	Failed     int `json:"failed"`  // clusters that an error stopped
	Done       int `json:"done"`    // attempts at steps that came to their goal
	Undone     int `json:"undone"`  // attempts that failed, or nobody knows
}

// Summarize counts.
func Summarize(clusters []Cluster) Summary {
	var s Summary
	for _, c := range clusters {
		s.Clusters++
		s.Nodes += c.size()
		if c.Err == nil && len(c.Broken) == 0 && c.Plan.Empty() {
			s.InSync++
		}
		restarting := len(c.nodesWith(classRestart))
		s.Changing += len(c.nodesWith(classQuiet, classReload, classRestart, classBirth))
		s.Restarting += restarting
		s.Reloading += len(c.nodesWith(classReload, classRestart)) - restarting
		for _, step := range c.steps() {
			s.Steps++
			if step.Cause == diff.CauseDrift {
				s.Drift++
			}
		}
		s.Blocked += len(c.blocked())
		s.Urgent += len(c.urgent())
		s.Waiting += len(c.Plan.Waits)
		s.Unseen += len(c.unseenNodes())
		for _, r := range c.Results {
			if r.Try.Outcome == diff.OutcomeDone {
				s.Done++
			} else if bad(r.Try.Outcome) {
				s.Undone++
			}
		}
		if len(c.Broken) > 0 {
			s.Invalid++
		}
		if c.Err != nil {
			s.Failed++
		}
	}
	return s
}

// words are the summary as a sentence.
func (s Summary) words() string {
	parts := []string{fmt.Sprintf("%d of %s to change", s.Changing, count(s.Nodes, "node"))}
	if s.Changing > 0 {
		parts = append(parts, fmt.Sprintf("%d restart, %d reload only", s.Restarting, s.Reloading))
	}
	if s.Drift > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s put drift back", s.Drift, count(s.Steps, "step")))
	}
	for _, x := range []struct {
		n    int
		noun string
	}{{s.Blocked, "blocked"}, {s.Waiting, "waiting"}, {s.Unseen, "not fully seen"}, {s.Invalid, "invalid"}, {s.Failed, "stopped by an error"}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.noun))
		}
	}
	return strings.Join(parts, "; ")
}

// summary ends a report: the numbers, and behind them, where a terminal ends
// and eyes begin, what a person must do now.
func (p *page) summary(clusters []Cluster) {
	s := Summarize(clusters)
	plan := "Plan: "
	if s.Done+s.Undone > 0 {
		p.line("Done: %s done, %d failed.", count(s.Done, "step"), s.Undone)
		plan = "Left: "
	}
	switch {
	case s.Clusters == 0:
		p.line("No cluster.")
	case s.InSync == s.Clusters:
		p.line("In sync: %s in %s.", count(s.Nodes, "node"), count(s.Clusters, "cluster"))
	default:
		p.wrapped(plan, bold, s.words()+".")
	}
	for _, c := range clusters {
		seen := map[string]bool{}
		for _, b := range c.urgent() {
			if !seen[b.Lift] {
				p.wrapped("Do now ", red, c.Name+", "+about(b.Reason, b.Node)+b.Lift)
			}
			seen[b.Lift] = true
		}
	}
}

func asBusy(err error) (Busy, bool) {
	var busy Busy
	ok := errors.As(err, &busy)
	return busy, ok
}

// Headline says how a cluster stands in one line, the worst first.
func Headline(c Cluster) string {
	words, _ := headline(c)
	return words
}
