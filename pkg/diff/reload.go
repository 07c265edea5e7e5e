package diff

import (
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// A reload counts once its effect was seen. systemd hears "ready" whatever became
// of it, so the node script listens to what Vault itself says after the signal,
// and the mark says what it took up. Of what it did not take up:
//   - Vault named what it cannot use. It goes on with what it had, and a restart
//     would take it down for good: a person has to act, and nobody else reloads.
//   - Nothing tells what became of it. Another reload would be seen no better, so
//     the change takes a restart. A certificate is told by its handshake.

// reloadState says what became of the last reload of ours. One that was not taken
// up counts as long as each file of it lies there as the spec wants it: another
// commit, or what a person mended, is another reload. Of a certificate the
// handshake tells more than the words that Vault did or did not say.
func reloadState(v view, want desired.Cluster, n actual.Node, inSpec func(path, digest string) string) string {
	mark := n.Process.Mark
	if mark == nil || mark.Untaken == nil {
		return "taken"
	}
	node, _ := want.Node(n.Name)
	wanted, handshake, served := false, true, false
	for _, p := range node.Puts {
		digest, ok := mark.Untaken.Files[p.Path]
		if !ok {
			continue
		}
		if inSpec(p.Path, digest) != p.Digest || !v.is(n.Name, keyFile+p.Path, value(p)) {
			return "taken"
		}
		wanted, handshake = true, handshake && p.TLS != ""
		served = served || p.TLS == "cert" && mark.Files[p.Path] != digest && n.Process.Served != nil && certState(n) == "current"
	}
	switch {
	case !wanted || handshake && (served || !mark.Untaken.Refused):
		return "taken"
	case mark.Untaken.Refused:
		return "refused"
	}
	return "unseen"
}

// untaken says that a reload brought this file and the process was not seen to
// take it up: whether it runs with it or with what it had is not known.
func untaken(n actual.Node, path string) bool {
	return n.Process != nil && n.Process.Mark != nil && n.Process.Mark.Untaken != nil && n.Process.Mark.Untaken.Files[path] != ""
}

// refused says that Vault named what it cannot use of what lies there, and
// blocks by it: it keeps what it had, and would not come back from a restart.
func (s *situation) refused(n desired.Node) bool {
	if !s.v.is(n.Name, keyReload, "refused") {
		return false
	}
	last := s.have[n.Name].Process.Mark.Untaken
	if s.retried(n.Name, s.reloaded(n.Name)) {
		return false
	}
	s.block(n.Name, ReasonRefused, "Vault on "+n.Name+" goes on with what it had, and would not start with what lies there now. "+last.Why,
		"commit what it can use, before anything restarts it; or mend what it names, then reconciler resume "+s.want.Name+" --node "+n.Name)
	return true
}

// renews says that a node serves a certificate that nobody trusts any more, and
// that a reload would bring certificates and nothing else. Each node has its own.
func (s *situation) renews(n desired.Node) bool {
	p := s.pending(n)
	return s.distrusted(n.Name) && p.effect() == EffectReload && len(certificates(n, p.reload)) == len(p.reload)
}

// distrusted says that a node serves a certificate that nobody trusts.
func (s *situation) distrusted(node string) bool {
	served, known := s.v.get(node, keyCert)
	return known && served != "current" && served != "stale"
}

// certificates are those of the items that are certificates and their keys.
func certificates(n desired.Node, items []item) []item {
	var out []item
	for _, i := range items {
		if slices.ContainsFunc(n.Puts, func(p desired.Put) bool { return p.Path == i.put.Path && p.TLS != "" }) {
			out = append(out, i)
		}
	}
	return out
}

// renewal brings certificates, and nothing else, to a Vault that serves nobody
// and shows one that nobody trusts: it could not even be unsealed. It is repair,
// and needs no gate.
func (s *situation) renewal(n desired.Node) (Step, bool) {
	if s.serves(n.Name) || !s.distrusted(n.Name) || !s.v.is(n.Name, keyService, "active") || !s.rooted(n.Name) {
		return Step{}, false
	}
	renewed := certificates(n, s.pending(n).reload)
	if len(renewed) == 0 || s.refused(n) {
		return Step{}, false
	}
	return s.reload(n, pending{reload: renewed}), true
}

// expired is the renewal of a Vault that serves and shows a certificate that nobody
// trusts: certificates and nothing else, one node at a time, so that it waits for
// nothing that the rest of the change waits for.
func (s *situation) expired() (Step, bool) {
	if s.forecast || s.unbuilt() || s.voters.lost(s.v) {
		return Step{}, false
	}
	for _, n := range s.byRole(s.nodes()) {
		if !s.serves(n.Name) || !s.distrusted(n.Name) || !s.v.is(n.Name, keyReload, "taken") || !s.rooted(n.Name) {
			continue
		}
		p := s.pending(n)
		renewed := certificates(n, p.reload)
		step := s.reload(n, pending{reload: renewed})
		if len(renewed) > 0 && s.mayTry(identify(s.want, step)) {
			return step, true
		}
	}
	return Step{}, false
}

// reloaded is when the last reload of a node was tried, by the clock that people's
// words are noted by: the node's may be another. The zero time where another
// state folder did it.
func (s *situation) reloaded(node string) (at time.Time) {
	for _, t := range s.memory.Tries {
		if t.Node == node && t.Action == ActionReload && t.At.After(at) {
			at = t.At
		}
	}
	return at
}

func (s *situation) reload(n desired.Node, p pending) Step {
	items := slices.Concat(p.quiet, p.reload)
	step := Step{Node: n.Name, Action: ActionReload, Effect: EffectReload, Puts: puts(items), Folders: p.folders,
		Why: "the change is one that Vault takes up on SIGHUP", Changes: p.changes(items),
		Needs: append(s.v.known(n.Name, keyService, keyBoot, keyHold), s.before(n, puts(items))...),
		Goal:  append(s.placed(n, puts(items)), s.live(n, puts(p.reload))...)}
	step.Goal = append(step.Goal, Fact{n.Name, keyService, "active"}, Fact{n.Name, keyUnitFresh, "fresh"}, Fact{n.Name, keyReload, "taken"})
	return step
}

// whyRestart is the reason of a restart, for people.
func (s *situation) whyRestart(node string) string {
	if s.v.is(node, keyReload, "unseen") {
		return "a reload was not seen to take effect: " + s.have[node].Process.Mark.Untaken.Why
	}
	return "the change takes a restart"
}
