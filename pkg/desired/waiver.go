package desired

import (
	"path"
	"slices"
	"time"
)

// Waiver is an item of ignore: a rule that is not held against the cluster, or a
// file on its nodes whose drift is left alone. Expired, it counts no more.
type Waiver struct {
	Rule   string    // name of a production rule; empty: it is of Path
	Path   string    // of a file on the nodes; empty: it is of Rule
	Nodes  []string  // globs of node names; none: all of them
	Reason string    // why
	Owner  string    // who answers for it
	Until  time.Time // the end of its last day, UTC
}

// counts says that the waiver has not expired.
func (w Waiver) counts(now time.Time) bool { return now.Before(w.Until) }

func (w Waiver) covers(node string) bool {
	for _, glob := range w.Nodes {
		if ok, err := path.Match(glob, node); err == nil && ok {
			return true
		}
	}
	return len(w.Nodes) == 0
}

// Waived finds the waiver of a file on a node that counts now.
func (c Cluster) Waived(file, node string, now time.Time) (Waiver, bool) {
	for _, w := range c.Waivers {
		if w.Path != "" && w.Path == file && w.counts(now) && w.covers(node) {
			return w, true
		}
	}
	return Waiver{}, false
}

// waivable says that a rule may be waived by a commit: not one that keeps commits
// themselves in check, nor what no Vault could start with.
func waivable(rule string) bool {
	return slices.ContainsFunc(productionRules(), func(r productionRule) bool { return r.name == rule && r.broken != nil })
}

// waived says that a rule is not held against the cluster now.
func (b *builder) waived(rule string) bool {
	return slices.ContainsFunc(b.draft.cluster.Waivers, func(w Waiver) bool { return w.Rule == rule && w.counts(b.l.opts.Now) })
}

// buildWaivers fills those of ignore.
func (b *builder) buildWaivers() {
	for _, item := range b.spec.list("ignore") {
		day, err := time.Parse(time.DateOnly, item.str("until"))
		if err != nil {
			continue // told already
		}
		b.draft.cluster.Waivers = append(b.draft.cluster.Waivers, Waiver{
			Rule: item.str("rule"), Path: item.str("path"), Nodes: item.names("nodes"),
			Reason: item.str("reason"), Owner: item.str("owner"), Until: day.AddDate(0, 0, 1),
		})
	}
}
