package settings

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Bounds of how long the history is kept: below, it could not tell what happened
// last night; above, a typo.
const (
	minKeep     = 24 * time.Hour
	maxKeep     = 3660 * 24 * time.Hour
	defaultKeep = 400 * 24 * time.Hour // a year can be held against the one before
)

// history reads how long it is remembered what was done.
func (r *reader) history(n *yaml.Node, to *History) {
	r.fields(n, "history", key{"keep", func(n *yaml.Node) {
		keep, err := Duration(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || keep < minKeep || keep > maxKeep {
			r.at(n, "write it with its unit, as 400d", "history.keep must be a duration from 1d to %dd", maxKeep/(24*time.Hour))
			return
		}
		to.Keep = keep
	}})
}

// Duration reads a duration as people write one: as Go does, or in days (400d).
func Duration(text string) (time.Duration, error) {
	days, ok := strings.CutSuffix(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is no number of days", text)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}
