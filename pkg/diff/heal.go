package diff

import (
	"slices"
	"time"
)

// What somebody changed by hand is put back, but not by surprise:
//   - Not where the spec says that it is only reported.
//   - Not before drift.after is over since it was seen: who mends something at three in
//     the morning is not undone within the minute. Who asks for it now need not wait.
//   - Not when it comes again and again: then somebody, or something, wants it
//     otherwise, and a person has to say who is right.

// heals says that a step may put back what somebody changed.
func (s *situation) heals(step Step) bool {
	starts := step.Action != ActionEnable // a unit that is not enabled starts as well
	if s.cause != CauseDrift || starts && s.repairs(step) {
		return true
	}
	if s.want.Drift.Report {
		for _, c := range step.Changes {
			s.note(step.Node, EffectNone, c, "drift, only reported: drift.policy is report")
		}
		return false
	}
	for _, e := range s.memory.Drifts {
		if !e.Open() || !touches(step, e) || s.retried(step.Node, e.Last()) {
			continue
		}
		times := s.memory.timesOf(e.Path, step.Node, s.now)
		if times < fightTimes {
			continue
		}
		s.block(step.Node, ReasonFight, e.Path+" on "+step.Node+" is another again: within a week it drifted "+count(times)+", here or on another node"+s.lastWriter(step.Node, e.File),
			"find who changes it, and commit what is right or stop them; then reconciler resume "+s.want.Name+" --node "+step.Node)
		return false
	}
	return true
}

// byHand is the wait for drift.after; nil: it is over, or nobody changed anything.
func (s *situation) byHand(step Step) *Wait {
	if _, asked := s.memory.leave(LeaveHeal, step.Node, s.now); asked || s.cause != CauseDrift {
		return nil
	}
	last := time.Time{}
	for _, e := range s.memory.Drifts {
		if e.Open() && touches(step, e) && e.latest().After(last) {
			last = e.latest()
		}
	}
	if until := last.Add(s.want.Drift.After); !last.IsZero() && s.now.Before(until) {
		return &Wait{Node: step.Node, Reason: WaitByHand, Detail: "somebody changed it by hand, and drift.after is not over", Until: until}
	}
	return nil
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
		return e.Path == "vault" || e.Path == "vault.binary"
	case ActionPlace, ActionReload, ActionRestart, ActionStart, ActionUnseal, ActionInit, ActionCredential, ActionRevoke:
	}
	return step.Binary != "" && (e.Path == "vault" || e.Path == "vault.binary") ||
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
