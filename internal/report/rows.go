package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// The same change on many nodes is one row: what a person must read grows with
// the number of different changes and not with the number of nodes. Digests
// that differ by node (each node's own vault.hcl, its own certificate) do not
// make a change a different one.

// row is one change on the nodes that have it.
type row struct {
	symbol string // + added, - taken away, ~ changed, ! takes the process down
	nodes  []string
	what   string
	from   string
	to     string
	effect string
}

const absent = "absent"

// rows are the changes of the plan's steps, grouped, in the order in which
// they first come up.
func rows(c Cluster) []row {
	var out []row
	index := map[string]int{}
	for _, s := range c.steps() {
		for _, change := range changes(s) {
			r := row{symbol: symbol(s, change), what: change.What, from: change.From, to: change.To, effect: effect(s)}
			key := strings.Join([]string{r.symbol, r.what, undigested(r.from), undigested(r.to), r.effect}, "\x00")
			i, seen := index[key]
			if !seen {
				i = len(out)
				index[key] = i
				out = append(out, r)
			}
			out[i].from, out[i].to = both(out[i].from, r.from), both(out[i].to, r.to)
			if !slices.Contains(out[i].nodes, s.Node) {
				out[i].nodes = append(out[i].nodes, s.Node)
			}
		}
	}
	for i := range out {
		slices.Sort(out[i].nodes)
	}
	return out
}

// both is what two values of a group have in common.
func both(a, b string) string {
	if a == b {
		return a
	}
	return undigested(b)
}

// eachItsOwn stands for digests that differ by node.
const eachItsOwn = "(each its own)"

// undigested is a value with its digests replaced by what they have in common.
func undigested(value string) string {
	const mark = "sha256:"
	var b strings.Builder
	for {
		before, after, found := strings.Cut(value, mark)
		if !found {
			return b.String() + value
		}
		b.WriteString(strings.TrimSuffix(before, "age:") + eachItsOwn)
		value = strings.TrimLeft(after, "0123456789abcdef")
	}
}

// changes are what people read of a step; a step that changes no value is its
// own change.
func changes(s diff.Step) []diff.Change {
	if len(s.Changes) > 0 {
		return s.Changes
	}
	return []diff.Change{{What: string(s.Action)}}
}

func symbol(s diff.Step, c diff.Change) string {
	switch {
	case classOf(s.Effect, s.Action) >= classRestart:
		return "!"
	case c.From == absent:
		return "+"
	case c.To == absent:
		return "-"
	}
	return "~"
}

// effect is what the last column says: what the row does to whoever uses
// Vault, or why it is done where it does nothing to them.
func effect(s diff.Step) string {
	words := map[class]string{classReload: "reload", classRestart: "restart", classBirth: "one-way"}[classOf(s.Effect, s.Action)]
	if len(s.Changes) == 0 {
		return join(words, s.Why)
	}
	switch s.Cause {
	case diff.CauseDrift:
		words = join(words, "drift, put back")
	case diff.CauseRelease:
		words = join(words, "rendered anew by this release")
	case diff.CauseCommit:
	}
	return words
}

func join(words ...string) string {
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	return strings.Join(words, ", ")
}

// value is "from → to", as far as there is either.
func (r row) value() string {
	switch {
	case r.from == "" && r.to == "":
		return ""
	case r.from == absent:
		return r.to
	case r.to == absent:
		return r.from
	case r.from == r.to && strings.Contains(r.to, eachItsOwn):
		return "other content " + r.to
	}
	return r.from + " → " + r.to
}

// names is a list of nodes as people read it; all of a larger cluster are
// counted and not listed.
func names(nodes []string, size int) string {
	if len(nodes) == size && size > 4 {
		return fmt.Sprintf("all %d nodes", size)
	}
	return strings.Join(nodes, " ")
}

// whose is a list of nodes, or the cluster where there is none.
func whose(nodes []string, size int) string {
	if len(nodes) == 0 {
		return "the cluster"
	}
	return names(nodes, size)
}
