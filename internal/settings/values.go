package settings

import (
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// key is one key of a map and what reads its value.
type key struct {
	name string
	read func(n *yaml.Node)
}

// pairs calls each for every key of a map, in the order in which they are
// written. Duplicates and nulls are said here and not passed on.
func (r *reader) pairs(n *yaml.Node, where string, each func(k, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.at(n, "", "%s must be a map, not %s", name(where), kind(n))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			r.at(k, "write the keys out", "%s: %s is not allowed as a key", name(where), kind(k))
			continue
		}
		if line, twice := first[k.Value]; twice {
			r.at(k, "delete one of them", "key %q is already given on line %d", k.Value, line)
			continue
		}
		first[k.Value] = k.Line
		if v.Tag == "!!null" {
			r.at(v, "delete the key or give it a value", "%s is empty", join(where, k.Value))
			continue
		}
		each(k, v)
	}
}

// fields reads a map whose keys are known.
func (r *reader) fields(n *yaml.Node, where string, keys ...key) {
	r.pairs(n, where, func(k, v *yaml.Node) {
		path := join(where, k.Value)
		if meanwhile, found := unbuilt()[path]; found {
			r.at(k, "delete it; "+meanwhile, "%s is not built in this release", path)
			return
		}
		var names []string
		for _, known := range keys {
			if known.name == k.Value {
				known.read(v)
				return
			}
			names = append(names, known.name)
		}
		hint := "known are: " + strings.Join(names, ", ")
		if near := nearest(k.Value, names); near != "" {
			hint = "did you mean " + near + "?"
		}
		r.at(k, hint, "unknown key %q in %s", k.Value, name(where))
	})
}

// items calls each for every item of a list.
func (r *reader) items(n *yaml.Node, where string, each func(n *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		r.at(n, "write it as [a, b]", "%s must be a list, not %s", where, kind(n))
		return
	}
	for _, item := range n.Content {
		if item.Tag == "!!null" {
			r.at(item, "delete the item", "an item of %s is empty", where)
			continue
		}
		each(item)
	}
}

// text reads a string. A number or a truth value must be quoted: YAML has
// changed it already (1.20 is 1.2, no is false).
func (r *reader) text(n *yaml.Node, where string, to *string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		r.at(n, "put it in quotes", "%s must be a string, not %s", where, kind(n))
		return false
	}
	if n.Value == "" || strings.TrimSpace(n.Value) != n.Value || strings.ContainsAny(n.Value, "\n\r\t") {
		r.at(n, "", "%s is empty, or holds spaces at an end or a line break", where)
		return false
	}
	*to = n.Value
	return true
}

func (r *reader) boolean(n *yaml.Node, where string, to *bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		r.at(n, "write true or false", "%s must be true or false, not %s", where, kind(n))
		return
	}
	*to = strings.EqualFold(n.Value, "true")
}

// Bounds of an interval: below, we would be the repo's load; above, a typo.
const (
	minInterval = time.Second
	maxInterval = 24 * time.Hour
)

func (r *reader) interval(n *yaml.Node, where string, to *time.Duration) {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d < minInterval || d > maxInterval {
		r.at(n, "write it with its unit, as 60s", "%s must be a duration from %v to %v", where, minInterval, maxInterval)
		return
	}
	*to = d
}

// path reads the path of a file or folder of our own host; a relative one is
// taken from the folder of reconciler.yaml.
func (r *reader) path(n *yaml.Node, where string, to *string) bool {
	var s string
	if !r.text(n, where, &s) {
		return false
	}
	if strings.HasPrefix(s, "~") || strings.Contains(s, "$") {
		r.at(n, "write the path out", "%s: ~ and $VARIABLES are not expanded in %q", where, s)
		return false
	}
	if !filepath.IsAbs(s) {
		s = filepath.Join(filepath.Dir(r.file), s)
	}
	*to = filepath.Clean(s)
	return true
}

// paths reads a list of such paths.
func (r *reader) paths(n *yaml.Node, where string, to *[]string) {
	r.items(n, where, func(n *yaml.Node) {
		var s string
		if r.path(n, "an item of "+where, &s) {
			*to = append(*to, s)
		}
	})
}

func join(where, k string) string {
	if where == "" {
		return k
	}
	return where + "." + k
}

func name(where string) string {
	if where == "" {
		return "reconciler.yaml"
	}
	return where
}

// kind says what was written instead.
func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!str":
		return "a string"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "a number"
	case n.Tag == "!!bool":
		return "a truth value"
	case n.Tag == "!!merge":
		return "a merge key"
	case n.Tag == "!!null":
		return "nothing"
	}
	return "a " + strings.TrimPrefix(n.Tag, "!!")
}

// nearest is the candidate that a misspelt word most likely meant, or "".
func nearest(word string, candidates []string) string {
	best, least := "", 1+len(word)/3
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), c); d <= least {
			best, least = c, d-1 // the first of equals stays
		}
	}
	return best
}

// distance is Levenshtein's: insertions, deletions and substitutions.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		corner := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitute := corner
			if a[i-1] != b[j-1] {
				substitute++
			}
			corner = row[j]
			row[j] = min(substitute, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
