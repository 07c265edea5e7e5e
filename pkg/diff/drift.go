package diff

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Drift is what people and packages changed on machines between commits. Only what
// the spec has an opinion on is drift. Who is sealed, who leads, what restarted, what
// expires are health, and change without anybody's doing. What a commit wants and no
// turn has brought yet is pending, and what could not be read is not known: neither is
// drift, and neither is "clean".

// DriftKind is what sort of difference it is. Closed set.
type DriftKind string

const (
	DriftChanged  DriftKind = "changed"  // it is there, and is another
	DriftMissing  DriftKind = "missing"  // it is not there
	DriftExtra    DriftKind = "extra"    // it is there, and nobody asked for it
	DriftLatent   DriftKind = "latent"   // what lies there is not what runs
	DriftMixed    DriftKind = "mixed"    // some nodes of the cluster have it, others do not
	DriftTampered DriftKind = "tampered" // it says that it is the wanted one, and is not
)

// Severity is how soon a person should look. Closed set.
type Severity string

const (
	SeverityCritical Severity = "critical"
	SeverityHigh     Severity = "high"
	SeverityMedium   Severity = "medium"
	SeverityLow      Severity = "low"
)

// Severities are all of them, the worst first.
func Severities() []Severity {
	return []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow}
}

// Compare orders severities, the worst first.
func (s Severity) Compare(other Severity) int {
	return cmp.Compare(slices.Index(Severities(), s), slices.Index(Severities(), other))
}

// Drift is one difference: what it is, what it is instead, and on which nodes. The
// same on many nodes is one.
type Drift struct {
	ID       string    `json:"id"` // the same for as long as it is the same difference
	Kind     DriftKind `json:"kind"`
	Severity Severity  `json:"severity"`
	Path     string    `json:"path"`            // as the spec names it: "config.log_level", "files[/etc/x].mode"
	File     string    `json:"file,omitempty"`  // on the nodes, that waivers are told by
	Nodes    []string  `json:"nodes,omitempty"` // none: it is the cluster's
	Want     string    `json:"want"`
	Have     string    `json:"have"`
	Effect   Effect    `json:"effect"` // of putting it back
	// Pending says that a commit wants it otherwise and that no turn has brought it
	// yet, or that the next restart brings it along: it is no drift.
	Pending bool      `json:"pending,omitempty"`
	Waived  *Waived   `json:"waived,omitempty"`
	Place   string    `json:"place,omitempty"`    // "file:line" that wants it otherwise
	Traces  []Trace   `json:"traces,omitempty"`   // by node
	Since   time.Time `json:"since,omitzero"`     // when it was first seen
	Sure    time.Time `json:"confirmed,omitzero"` // when it was seen for the second time
	Times   int       `json:"times,omitempty"`    // how often it came within the last week, this time included
}

// Waived is who answers for leaving a drift alone.
type Waived struct {
	Reason string    `json:"reason"`
	Owner  string    `json:"owner"`
	Until  time.Time `json:"until"`
}

// Trace is what a node tells of who changed something.
type Trace struct {
	Node  string    `json:"node"`
	Owner string    `json:"owner,omitempty"` // of the file
	At    time.Time `json:"at,omitzero"`     // mtime of the file, by the node's clock
}

// Open says that it is drift, and that nobody waived it.
func (d Drift) Open() bool { return !d.Pending && d.Waived == nil }

// Drifted is what a look at one cluster says of drift.
type Drifted struct {
	Rows       []Drift  `json:"rows"`       // sorted: the worst first
	Unobserved []Unseen `json:"unobserved"` // of the nodes of which something could not be read
	Compared   int      `json:"compared"`   // how many wants were held against what is there
}

// Open are the rows that are drift, and that nobody waived.
func (d Drifted) Open() []Drift {
	return slices.DeleteFunc(slices.Clone(d.Rows), func(x Drift) bool { return !x.Open() })
}

// FindDrift holds one look against the spec. Old is the spec that the cluster was last
// brought to, where it is another than the wanted one and can still be had: what
// differs from the wanted one alone is pending. Without it all that differs is
// pending while a commit is on its way to a cluster that may be acted on.
func FindDrift(want desired.Cluster, old *desired.Cluster, have []actual.Node, m Memory, now time.Time) Drifted {
	s := newSituation(want, have, m, now)
	found := s.differences()
	pending := func(difference) bool { return false }
	if s.cause == CauseCommit && want.Mode == desired.ModeEnforce {
		pending = func(difference) bool { return true }
		if old != nil {
			type place struct{ node, path, have string }
			before := map[place]bool{}
			for _, d := range newSituation(*old, Asked(have, want, *old), m, now).differences() {
				before[place{d.node, d.path, d.have}] = true
			}
			pending = func(d difference) bool { return !before[place{d.node, d.path, d.have}] }
		}
	}
	out := Drifted{Rows: s.grouped(found, pending), Unobserved: unseen(have), Compared: s.compared}
	return m.Tell(out, now)
}

// grouped makes one row of the same difference on many nodes.
func (s *situation) grouped(found []difference, pending func(difference) bool) []Drift {
	var rows []Drift
	index := map[string]int{}
	for _, d := range found {
		waiver, waived := s.want.Waived(d.file, d.node, s.now)
		row := Drift{Kind: d.kind, Path: d.path, File: d.file, Want: d.want, Have: d.have, Effect: d.effect,
			Severity: severityOf(d), Pending: d.rides || pending(d), Place: line(s.want.PlaceOf(d.node, d.wanted()))}
		if waived {
			row.Waived = &Waived{waiver.Reason, waiver.Owner, waiver.Until}
		}
		row.ID = s.idOf(row)
		key := row.ID + map[bool]string{true: " pending"}[row.Pending] + map[bool]string{true: " waived"}[waived]
		i, seen := index[key]
		if !seen {
			i = len(rows)
			index[key] = i
			rows = append(rows, row)
		}
		if rows[i].Want != d.want {
			rows[i].Want = eachItsOwn
		}
		if d.node != "" {
			rows[i].Nodes = append(rows[i].Nodes, d.node)
		}
		if f, ok := s.have[d.node].Files[d.file]; ok && !f.Mtime.IsZero() {
			rows[i].Traces = append(rows[i].Traces, Trace{Node: d.node, Owner: f.Owner, At: f.Mtime})
		}
	}
	slices.SortStableFunc(rows, func(a, b Drift) int {
		return cmp.Or(a.Severity.Compare(b.Severity), cmp.Compare(a.Path, b.Path), cmp.Compare(a.ID, b.ID))
	})
	return rows
}

// line is a place without its column; "" where there is none.
func line(p desired.Place) string {
	p.Column = 0
	if p.Line == 0 {
		return ""
	}
	return p.String()
}

// eachItsOwn stands for what every node is to have otherwise.
const eachItsOwn = "(each its own)"

// asRendered stands for a configuration that says what the spec says, in other bytes.
const asRendered = "as rendered"

// idOf names a difference by what it is, and not by when or where: it keeps its name
// through restarts, as it spreads, and whatever the others are.
func (s *situation) idOf(d Drift) string {
	kind := d.Kind
	if kind == DriftMixed {
		kind = DriftChanged
	}
	sum := sha256.Sum256([]byte(s.want.Name + "\x00" + string(kind) + "\x00" + d.Path + "\x00" + d.Have))
	return "D-" + hex.EncodeToString(sum[:4])
}
