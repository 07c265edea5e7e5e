package report

import (
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

const (
	SchemaHistory Schema = "reconciler/history"
	SchemaShow    Schema = "reconciler/show"
)

// EventKind says what a line of the history is about. Closed set.
type EventKind string

const (
	EventCommit EventKind = "commit" // another spec came into force
	EventPlan   EventKind = "plan"   // something else is to be done, or nothing any more
	EventWave   EventKind = "wave"   // something was done
	EventNode   EventKind = "node"   // a node was seen to be otherwise than before
	EventWord   EventKind = "word"   // a person's: approve, hold, resume, takeover, approve-rewind
	EventDrift  EventKind = "drift"  // something was found otherwise than the spec wants it, or is so no more
	EventGap    EventKind = "gap"    // turns that could not be written down
)

// Outcomes of an event of the kind plan; those of a wave are the [diff.Outcome]
// of its steps, and those of a word are a [Verb].
const (
	PlanInSync  = "in-sync"
	PlanSteps   = "planned"
	PlanBlocked = "blocked" // and nothing else is to be done
)

// Outcomes of an event of the kind drift.
const (
	DriftOpened = "opened" // seen twice, so it is sure
	DriftSpread = "spread" // to another node
	DriftClosed = "closed"
)

// Event is one line of the history. What is not of its kind is left out.
type Event struct {
	ID      string    `json:"id"` // the letter of its kind and a number: W-17
	At      time.Time `json:"at"`
	Kind    EventKind `json:"kind"`
	Fleet   string    `json:"fleet,omitempty"` // repo and branch; empty: a folder, or not known
	Cluster string    `json:"cluster"`         // empty: all of them
	Commit  string    `json:"commit,omitempty"`
	Outcome string    `json:"outcome,omitempty"`
	EventDetail
}

// EventDetail is what an event says beyond where, when and how it went.
type EventDetail struct {
	Nodes  []string   `json:"nodes,omitempty"`
	Digest string     `json:"digest,omitempty"` // commit: of the spec
	Deeds  []Deed     `json:"deeds,omitempty"`  // wave, plan: in order
	Blocks []string   `json:"blocks,omitempty"` // plan: reasons
	Size   int        `json:"size,omitempty"`   // plan: how many nodes were looked at
	Before *NodeClass `json:"before,omitempty"` // node; nil: it was never seen before
	After  *NodeClass `json:"after,omitempty"`
	Word   *Word      `json:"word,omitempty"`
	Drift  *DriftID   `json:"drift,omitempty"`
	Gap    *Gap       `json:"gap,omitempty"`
}

// DriftID says which drift, and of what.
type DriftID struct {
	ID       string         `json:"id"` // D-1f0c22ab
	Kind     diff.DriftKind `json:"kind"`
	Severity diff.Severity  `json:"severity"`
	Path     string         `json:"path"`
}

// Deed is one action on the nodes that have it.
type Deed struct {
	Action diff.Action `json:"action"`
	Nodes  []string    `json:"nodes"`
}

// NodeClass is what a person would first say of a node. An empty text is Unknown.
type NodeClass struct {
	Version string   `json:"version,omitempty"`
	Seal    string   `json:"seal,omitempty"`    // sealed unsealed uninitialized
	Role    string   `json:"role,omitempty"`    // leader follower none
	Service string   `json:"service,omitempty"` // as systemd says
	Unseen  []string `json:"unseen,omitempty"`  // phases of the look
}

// Verb is what became of a person's word.
type Verb string

const (
	VerbGranted Verb = "granted"
	VerbLifted  Verb = "lifted"
	VerbEnded   Verb = "ended" // its time was up
)

// Kinds of words that are no leave of a cluster's.
const (
	WordTakeover diff.LeaveKind = "takeover" // its nodes obey this installation
	WordRewind   diff.LeaveKind = "rewind"   // the branch of a fleet may go back to a commit
)

// Word is what a person said, of the cluster or of one node.
type Word struct {
	Verb   Verb           `json:"verb"`
	Kind   diff.LeaveKind `json:"kind"`
	By     string         `json:"by,omitempty"`
	Reason string         `json:"reason,omitempty"`
	Until  time.Time      `json:"until,omitzero"`
}

// Gap is what the history does not know.
type Gap struct {
	Turns int       `json:"turns"`
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// StepDone is one step of a wave, as it was done.
type StepDone struct {
	Op       string        `json:"op"` // of this attempt
	Step     string        `json:"step"`
	Node     string        `json:"node,omitempty"`
	Action   diff.Action   `json:"action"`
	Effect   diff.Effect   `json:"effect"`
	Cause    diff.Cause    `json:"cause"`
	Why      string        `json:"why,omitempty"`
	Changes  []diff.Change `json:"changes,omitempty"`
	Outcome  diff.Outcome  `json:"outcome"`
	Evidence string        `json:"evidence,omitempty"`
	Started  time.Time     `json:"started"`
	Ended    time.Time     `json:"ended"`
}

// HistoryDocument is the JSON of history.
type HistoryDocument struct {
	Schema        Schema  `json:"schema"`
	FormatVersion string  `json:"formatVersion"`
	Events        []Event `json:"events"` // newest first
	// Before is what to ask for the next older ones with (--before); empty: there
	// are none.
	Before string `json:"before,omitempty"`
	Exit   Exit   `json:"exit"`
}

// NewHistory puts events into a document.
func NewHistory(events []Event, before string) HistoryDocument {
	return HistoryDocument{Schema: SchemaHistory, FormatVersion: formatVersion, Events: append([]Event{}, events...),
		Before: before, Exit: Exit{Done, reason(Done)}}
}

// ShowDocument is the JSON of show: one event in full.
type ShowDocument struct {
	Schema        Schema     `json:"schema"`
	FormatVersion string     `json:"formatVersion"`
	Event         Event      `json:"event"`
	Plan          *diff.Plan `json:"plan,omitempty"`  // of a plan
	Steps         []StepDone `json:"steps,omitempty"` // of a wave; one where a step was asked for
	Exit          Exit       `json:"exit"`
}

// NewShow puts one event into a document.
func NewShow(e Event, plan *diff.Plan, steps []StepDone) ShowDocument {
	if plan != nil {
		whole := filled(*plan, e.Cluster)
		plan = &whole
	}
	return ShowDocument{Schema: SchemaShow, FormatVersion: formatVersion, Event: e, Plan: plan, Steps: steps, Exit: Exit{Done, reason(Done)}}
}

// Words say what happened, in one line.
func (e Event) Words() string {
	switch e.Kind {
	case EventCommit:
		return "the spec of " + from(e.Commit) + " is in force"
	case EventPlan:
		return e.plan()
	case EventWave:
		return acts(e.Deeds)
	case EventNode:
		return strings.Join(e.Nodes, " ") + ": " + e.After.since(e.Before)
	case EventWord:
		return e.Word.words(e.Nodes)
	case EventDrift:
		return e.Drift.words(e.Nodes)
	case EventGap:
		return count(e.Gap.Turns, "turn") + " since " + stamp(e.Gap.Since) + " not written down: " + e.Gap.Why
	}
	return string(e.Kind)
}

func from(commit string) string {
	if commit == "" {
		return "a folder"
	}
	return "commit " + shorter(commit)
}

func (e Event) plan() string {
	blocked := "blocked: " + strings.Join(e.Blocks, ", ")
	switch {
	case e.Outcome == PlanInSync:
		return "in sync"
	case len(e.Deeds) == 0:
		return blocked
	case len(e.Blocks) == 0:
		return "to do: " + acts(e.Deeds)
	}
	return "to do: " + acts(e.Deeds) + "; " + blocked
}

// Deeds are the actions of steps, each with its nodes, in the order in which they
// first come up.
func Deeds(steps []diff.Step) []Deed {
	var out []Deed
	for _, s := range steps {
		i := slices.IndexFunc(out, func(d Deed) bool { return d.Action == s.Action })
		if i < 0 {
			i = len(out)
			out = append(out, Deed{Action: s.Action, Nodes: []string{}})
		}
		if s.Node != "" && !slices.Contains(out[i].Nodes, s.Node) {
			out[i].Nodes = append(out[i].Nodes, s.Node)
		}
	}
	return out
}

func acts(all []Deed) string {
	var parts []string
	for _, d := range all {
		parts = append(parts, spaced(string(d.Action), strings.Join(d.Nodes, " ")))
	}
	return strings.Join(parts, ", ")
}

func spaced(a, b string) string { return strings.TrimSpace(a + " " + b) }

// since says how a node is, or what of it is otherwise than before.
func (c *NodeClass) since(before *NodeClass) string {
	if before == nil {
		before = &NodeClass{}
	}
	var parts []string
	silent := before.Seal != "" && c.Seal == "" && len(c.Unseen) == 0
	if silent {
		parts = append(parts, "Vault does not answer")
	}
	for _, x := range []struct{ what, was, is string }{
		{"version", before.Version, c.Version},
		{"", before.Seal, c.Seal},
		{"role", before.Role, c.Role},
		{"service", before.Service, c.Service},
	} {
		switch {
		case x.was == x.is:
		case x.was == "":
			parts = append(parts, spaced(x.what, x.is))
		case x.is != "":
			parts = append(parts, spaced(x.what, x.was+" → "+x.is))
		case len(c.Unseen) == 0 && !silent:
			parts = append(parts, spaced(x.what, x.was+" → "+unknown))
		}
	}
	switch {
	case slices.Equal(before.Unseen, c.Unseen):
	case len(c.Unseen) == 0:
		parts = append(parts, "seen again")
	default:
		parts = append(parts, "not seen: "+strings.Join(c.Unseen, " "))
	}
	if len(parts) == 0 {
		return "nothing of it could be read"
	}
	return strings.Join(parts, ", ")
}

func (w *Word) words(nodes []string) string {
	of := "the cluster"
	if len(nodes) > 0 {
		of = strings.Join(nodes, " ")
	}
	var words string
	switch {
	case w.Kind == diff.LeaveHold && w.Verb == VerbGranted:
		words = "held: " + of
	case w.Kind == diff.LeaveHold && w.Verb == VerbLifted:
		words = "resumed: " + of
	case w.Kind == diff.LeaveHold:
		words = "the hold has ended: " + of
	case w.Kind == diff.LeaveRetry:
		words = "resumed, to be tried again: " + of
	case w.Kind == diff.LeaveInit && w.Verb == VerbGranted:
		words = "approved: " + of + " may be initialised"
	case w.Kind == WordTakeover:
		words = "taken over: " + of
	case w.Kind == WordRewind:
		words = "approved: the branch may go back"
	default:
		words = string(w.Verb) + " " + string(w.Kind) + ": " + of
	}
	if w.By != "" {
		words += ", by " + w.By
	}
	if !w.Until.IsZero() && w.Verb == VerbGranted {
		words += ", until " + stamp(w.Until)
	}
	if w.Reason != "" {
		words += ": " + w.Reason
	}
	return words
}

func (d *DriftID) words(nodes []string) string {
	words := "drift " + d.ID + ", " + string(d.Severity) + ": " + d.Path + " " + string(d.Kind)
	if len(nodes) > 0 {
		words += " on " + strings.Join(nodes, " ")
	}
	return words
}

// stamp is a time as people read it in a list. The zone is always the same, so
// that two hosts say the same of one moment.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
