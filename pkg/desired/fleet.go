package desired

import (
	"fmt"
	"time"
)

// Fleet is one commit's opinion of all clusters. Clusters are sorted by name
// and free of errors; what could not be understood is in Broken.
type Fleet struct {
	Name     string
	Render   int // version of the rendering of our own files; 1 is the only one
	Releases Releases
	Rings    []Ring
	Clusters []Cluster
	Broken   []Broken
	Lock     Lock
	// Problems are all errors and warnings of all files, sorted by place.
	Problems []Problem
}

// Broken is a cluster whose files have errors. It is not absent: its last good
// spec stays in force.
type Broken struct {
	Name     string
	Problems []Problem
}

// Releases says where Vault's releases come from: an https:// mirror laid out
// like releases.hashicorp.com, or a file:// folder of that layout.
type Releases struct {
	Source string
}

// Ring is a stage of the fleet's rollout; the first ring that matches a
// cluster takes it.
type Ring struct {
	Cluster     string // glob, or empty
	Environment string // name, or empty
	Soak        time.Duration
	AtOnce      int
}

// Cluster finds a whole cluster by name.
func (f Fleet) Cluster(name string) (Cluster, bool) {
	for _, c := range f.Clusters {
		if c.Name == name {
			return c, true
		}
	}
	return Cluster{}, false
}

// Errors are the problems that are errors.
func (f Fleet) Errors() []Problem {
	var errs []Problem
	for _, p := range f.Problems {
		if p.Severity == SeverityError {
			errs = append(errs, p)
		}
	}
	return errs
}

// Place is a position in a file of the repo. Line and Column count from 1;
// Column is 0 where the parser does not tell it.
type Place struct {
	File   string
	Line   int
	Column int
}

func (p Place) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Severity of a problem. Only errors take a cluster out.
type Severity string

const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is one thing that is wrong with the repo, said so that a person can
// mend it: where, what, and what would be right.
type Problem struct {
	Place    Place
	Severity Severity
	Rule     string // name of the production rule, or empty
	Cluster  string // the cluster that it takes out; empty: the fleet
	Text     string
	Hint     string // what would be right, or empty
}

func (p Problem) Error() string {
	s := p.Place.String() + ": " + p.Text
	if p.Rule != "" {
		s += " (rule " + p.Rule + ")"
	}
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// Lock is vault.lock: version → platform ("linux_amd64") → what the release's
// checked signature said.
type Lock map[string]map[string]Artefact

// Artefact is a release archive and the vault binary in it, each by its
// "sha256:HEX".
type Artefact struct {
	Archive string
	Binary  string
}
