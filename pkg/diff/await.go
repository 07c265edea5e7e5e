package diff

import (
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// A plan says what there is to do; whether it may begin now is another question, and
// only of its first wave:
//   - An approval covers a spec and the worst that it was said to do to each node, and
//     whatever is less than that. What asks for more needs another.
//   - A window is when what people notice may begin: a reload, a restart. It has to
//     end before the window does, unless it takes longer than any. A rollout of a
//     version that has begun is brought to its end all the same: two versions side by
//     side are worse than being late.
//   - A freeze wins over a window.
//   - What somebody changed by hand is left alone for drift.after.
//
// Repair waits for none of them, and neither does a certificate that nobody trusts.

// Cover is the worst that an approval allows to be done to a node.
type Cover struct {
	Node   string `json:"node"`
	Effect Effect `json:"effect"` // none, reload, restart or one-way
}

// Covers are what an approval of a plan allows.
func (p Plan) Covers() []Cover {
	worst := map[string]Effect{}
	for _, wave := range p.Waves {
		for _, s := range wave {
			if e := class(s.Effect); rank(e) >= rank(worst[s.Node]) {
				worst[s.Node] = e
			}
		}
	}
	var covers []Cover
	for _, node := range sortedKeys(worst) {
		covers = append(covers, Cover{node, worst[node]})
	}
	return covers
}

// Beyond is what a plan does to nodes that these do not cover.
func (p Plan) Beyond(covered []Cover) []Cover {
	return slices.DeleteFunc(p.Covers(), func(c Cover) bool {
		return slices.ContainsFunc(covered, func(x Cover) bool { return x.Node == c.Node && rank(c.Effect) <= rank(x.Effect) })
	})
}

// class is an effect without what depends on who happens to lead.
func class(e Effect) Effect {
	switch e {
	case EffectRestartUnseal, EffectLeaderMove:
		return EffectRestart
	case EffectDeferred:
		return EffectNone
	case EffectNone, EffectReload, EffectRestart, EffectOneWay:
	}
	return e
}

// rank orders classes by how bad they are; "" is below all.
func rank(e Effect) int {
	return slices.Index([]Effect{EffectNone, EffectReload, EffectRestart, EffectOneWay}, e)
}

// How long a step is expected to take, for whether a rollout still fits into a
// window. Measured on three nodes: a restart takes 3 to 9 s; what is expected leaves
// room for a large raft log.
const (
	restartTakes = 2 * time.Minute
	reloadTakes  = 30 * time.Second
)

// keepsApproval is how long an approval counts of which nothing came: of a pull request
// that was never merged, for example.
const keepsApproval = 30 * 24 * time.Hour

// takes is how long all of a plan is expected to take.
func (p Plan) takes(pause time.Duration) (all time.Duration) {
	for _, wave := range p.Waves {
		switch worst := slices.MaxFunc(wave, func(a, b Step) int { return rank(class(a.Effect)) - rank(class(b.Effect)) }); rank(class(worst.Effect)) {
		case rank(EffectReload):
			all += reloadTakes
		case rank(EffectRestart), rank(EffectOneWay):
			all += restartTakes + pause
		}
	}
	return all
}

// attend marks the steps of the first wave that may not begin now, and says what they
// wait for. It is of the situation that the first wave was planned in.
func (s *situation) attend(plan Plan) Plan {
	if len(plan.Waves) == 0 {
		return plan
	}
	need := plan.takes(s.want.Rollout.Pause)
	first := slices.Clone(plan.Waves[0])
	for i, step := range first {
		wait := s.awaits(step, need)
		if wait == nil {
			continue
		}
		first[i].Await = wait.Reason
		if !slices.Contains(plan.Waits, *wait) {
			plan.Waits = append(plan.Waits, *wait)
		}
	}
	plan.Waves[0] = first
	plan.Waits = sortWaits(plan.Waits)
	return plan
}

// awaits is what a step waits for; nil: it may begin.
func (s *situation) awaits(step Step, need time.Duration) *Wait {
	if s.repairs(step) {
		return nil
	}
	if wait := s.byHand(step); wait != nil {
		return wait
	}
	if rank(class(step.Effect)) >= rank(EffectReload) && !s.underWay(step) {
		if wait := s.windowed(need); wait != nil {
			return wait
		}
	}
	if by := s.want.Rollout.Approval; by != "" && by != "none" && !s.approved(step) {
		return &Wait{Reason: WaitApproval, Detail: by + " has not approved this plan: reconciler approve " + s.want.Name}
	}
	return nil
}

// repairs says that a step brings back what is down, or what nobody trusts. A birth was
// allowed by a word of its own, and is not left half-way.
func (s *situation) repairs(step Step) bool {
	down := s.v.is(step.Node, keyService, "inactive") || s.v.is(step.Node, keyService, "failed")
	born := s.v.is("", keyKnown, yes) && !s.birthing()
	switch step.Action {
	case ActionPlace, ActionReload, ActionRestart:
		return down || !born && s.v.is(step.Node, keyService, absent) || s.renewsAlone(step)
	case ActionAccount, ActionInstall, ActionEnable:
		return down || !born
	case ActionAudit:
		return !born
	case ActionStart, ActionUnseal, ActionInit, ActionCredential, ActionRevoke:
	}
	return true
}

// renewsAlone says that a step brings certificates, and nothing else, to a node that
// serves one that nobody trusts.
func (s *situation) renewsAlone(step Step) bool {
	n, _ := s.want.Node(step.Node)
	foreign := func(p Put) bool {
		return !slices.ContainsFunc(n.Puts, func(w desired.Put) bool { return w.Path == p.Path && w.TLS != "" })
	}
	return s.distrusted(step.Node) && len(step.Puts) > 0 && !slices.ContainsFunc(step.Puts, foreign)
}

// windowed is what a change waits for that people notice.
func (s *situation) windowed(need time.Duration) *Wait {
	calendar := s.want.Rollout.Calendar
	if freeze, frozen := calendar.Frozen(s.now); frozen {
		return &Wait{Reason: WaitFreeze, Detail: "nothing begins in the freeze: " + freeze.Reason, Until: freeze.Until}
	}
	until, open := calendar.Open(s.now)
	if !open {
		return &Wait{Reason: WaitWindow, Detail: "rollout.window is closed", Until: calendar.NextOpen(s.now)}
	}
	if _, fits := calendar.LastSafeStart(s.now, need); fits || calendar.Window != nil && need > calendar.Window.Length() {
		return nil
	}
	return &Wait{Reason: WaitWindow, Detail: "what is left of rollout.window is too short for a rollout of about " + need.String(), Until: calendar.NextOpen(until)}
}

// underWay says that a step goes on with a rollout of a version that has begun. One node
// that somebody took back to an older one is no rollout.
func (s *situation) underWay(step Step) bool {
	return step.Binary != "" && s.cause != CauseDrift && slices.ContainsFunc(s.want.Nodes, func(n desired.Node) bool {
		return n.Name != step.Node && s.v.is(n.Name, keyRuns, s.binaryOf(n.Name)) && s.memory.rolled(n.Name)
	}) && newer(s.want.Vault.Version, s.runningVersion(step.Node))
}

// rolled says that what a node runs came to it by a restart of ours: not by a repair of
// one that was down, by its first start, or by hand.
func (m Memory) rolled(node string) bool {
	var restarted, placed time.Time
	for _, t := range m.Tries {
		switch {
		case t.Node != node:
		case t.Action == ActionRestart && t.At.After(restarted):
			restarted = t.At
		case t.Action == ActionPlace && t.At.After(placed):
			placed = t.At
		}
	}
	return restarted.After(placed)
}

// approved says that an approval covers a step.
func (s *situation) approved(step Step) bool {
	return slices.ContainsFunc(s.memory.Leaves, func(l Leave) bool {
		return l.Kind == LeaveApproval && l.Digest == s.want.Digest && (l.Until.IsZero() || s.now.Before(l.Until)) &&
			slices.ContainsFunc(l.Covers, func(c Cover) bool {
				return c.Node == step.Node && rank(class(step.Effect)) <= rank(c.Effect)
			})
	})
}
