package diff

import (
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// What somebody changed by hand is put back, but not by surprise:
//   - Not where the spec says that it is only reported.
//   - Not before drift.after is over since it was seen: who mends something at three in
//     the morning is not undone within the minute. Who asks for it now need not wait.
//   - Not when it comes again and again: then somebody, or something, wants it
//     otherwise, and a person has to say who is right.
//
// What is down is brought back all the same, and a certificate that nobody trusts is
// renewed. What a commit wants is no drift.

// heals says that a step may put back what somebody changed now.
func (s *situation) heals(step Step) bool {
	if s.cause != CauseDrift || !s.changesByHand(step) {
		return true
	}
	if s.want.Drift.Report {
		if !s.forecast {
			for _, c := range step.Changes {
				s.note(step.Node, EffectNone, c, "drift, only reported: drift.policy is report")
			}
		}
		return false
	}
	if s.forecast {
		return true
	}
	last := time.Time{}
	for _, e := range s.memory.Drifts {
		if !e.Open() || !touches(step, e) {
			continue
		}
		if e.times(s.now) >= fightTimes && !s.retried(step.Node, e.last()) {
			s.block(step.Node, ReasonFight, e.Path+" on "+step.Node+" was put back "+count(e.times(s.now)-1)+" within a week and is another again"+s.lastWriter(step.Node, e.File),
				"find who changes it, and commit what is right or stop them; then reconciler resume "+s.want.Name+" --node "+step.Node)
			return false
		}
		if e.last().After(last) {
			last = e.last()
		}
	}
	_, asked := s.memory.leave(LeaveHeal, step.Node, s.now)
	if until := last.Add(s.want.Drift.After); !asked && !last.IsZero() && s.now.Before(until) {
		s.wait(step.Node, WaitByHand, "somebody changed it; drift.after is not over", until)
		return false
	}
	return true
}

// changesByHand says that a step puts back what a person may have changed on a node
// that runs.
func (s *situation) changesByHand(step Step) bool {
	switch step.Action {
	case ActionPlace, ActionReload, ActionRestart:
		n, _ := s.want.Node(step.Node)
		renews := s.distrusted(step.Node) && len(step.Puts) > 0 && !slices.ContainsFunc(step.Puts, func(p Put) bool {
			return !slices.ContainsFunc(n.Puts, func(w desired.Put) bool { return w.Path == p.Path && w.TLS != "" })
		})
		return s.v.is(step.Node, keyService, "active") && !renews
	case ActionAccount, ActionEnable, ActionAudit, ActionInstall:
		return s.v.is(step.Node, keyService, "active")
	case ActionStart, ActionUnseal, ActionInit, ActionCredential, ActionRevoke:
	}
	return false
}

// touches says that a step puts a drift back.
func touches(step Step, e Episode) bool {
	if len(e.Nodes) > 0 && !slices.Contains(e.Nodes, step.Node) {
		return false
	}
	switch step.Action {
	case ActionAudit:
		return step.Device != nil && e.Path == "audit["+step.Device.Path+"]"
	case ActionEnable:
		return e.Path == "service.enabled"
	case ActionAccount:
		return e.Path == "service.user"
	case ActionInstall:
		return e.Path == "vault"
	}
	return step.Binary != "" && e.Path == "vault" ||
		slices.ContainsFunc(step.Puts, func(p Put) bool { return p.Path == e.File }) ||
		slices.ContainsFunc(step.Folders, func(f Folder) bool { return f.Path == e.File })
}

// lastWriter is what a node tells of who wrote a file last.
func (s *situation) lastWriter(node, file string) string {
	f, ok := s.have[node].Files[file]
	if !ok || f.Mtime.IsZero() {
		return ""
	}
	return "; its file is " + f.Owner + "'s, written " + f.Mtime.UTC().Format(time.RFC3339)
}
