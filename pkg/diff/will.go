package diff

import (
	"slices"
	"strconv"
	"time"
)

// A human's will is respected until a human lifts it. A node that a person
// sealed, stopped, masked, holds or recovers by hand is not acted on at all,
// not even to repair it; the others go on, with that node counted as not
// serving.

// willed says that a person wants this node left alone, and blocks by what the
// person did.
func (s *situation) willed(node string) bool {
	before := s.stops
	if s.v.is(node, keyWill, string(WillSealed)) && !s.v.is(node, keySealed, no) {
		s.block(node, ReasonSealedByHand, "somebody sealed "+node+" while its process went on",
			"vault operator unseal on the node; the reconciler does not undo a seal")
	}
	if s.v.is(node, keyWill, string(WillStopped)) && !s.v.is(node, keyService, "active") {
		s.block(node, ReasonStoppedByHand, "somebody stopped "+s.want.Service.Name+" on "+node+" cleanly",
			"systemctl start "+s.want.Service.Name+" on the node, or a reboot")
	}
	if s.v.is(node, keyIdentity, "other") {
		s.block(node, ReasonForeign, "Vault on "+node+" belongs to another cluster", "correct its address in the spec")
	}
	state, known := s.v.get(node, keyService)
	api, asked := s.v.get(node, keyAPI)
	// The API is read beside the probe. In a restart of ours that outlived who asked
	// for it, it may have answered just before Vault stopped, or just not yet. What
	// does not answer yet may still be repaired.
	last := s.memory.lastAct(node)
	outlived := last.Outcome == OutcomeIntent && s.now.Sub(last.At) < outlives
	strange := known && state != "active" && state != "changing" && api == "up"
	switch {
	case state == "active" && !asked && outlived:
		s.wait(node, WaitBooting, "Vault on "+node+" does not answer yet, after a restart of ours", time.Time{})
	case strange && outlived:
		s.wait(node, WaitBooting, s.want.Service.Name+" on "+node+" stopped while it was looked at, in a restart of ours", time.Time{})
		return true
	case strange:
		s.block(node, ReasonStranger, "Vault answers on "+node+", and not as the unit "+s.want.Service.Name+", which is "+state,
			"name the unit that runs it in service.name, or stop it")
	}
	if s.v.is(node, keyBoot, "masked") {
		s.block(node, ReasonMasked, "the unit "+s.want.Service.Name+" is masked on "+node,
			"systemctl unmask "+s.want.Service.Name+" on the node")
	}
	if s.v.is(node, keyPeersJSON, yes) {
		s.block(node, ReasonPeers, "a peers.json lies in "+s.want.Storage.Path+"/raft on "+node+": somebody recovers the cluster by hand",
			"finish the recovery and take the file away")
	}
	if s.v.is(node, keyHold, yes) {
		s.block(node, ReasonHoldFile, "hold file on "+node+s.holdText(node), "rm /etc/reconciler-node/hold on the node")
	}
	if hold, ok := s.memory.leave(LeaveHold, node, s.now); ok && hold.Node == node {
		s.block(node, ReasonHeld, "held by "+hold.By+": "+hold.Reason, "reconciler resume "+s.want.Name+" --node "+node)
	}
	return s.stops > before
}

func (s *situation) holdText(node string) string {
	if m := s.have[node].Machine; m != nil && m.Hold != nil && m.Hold.Text != "" {
		return ": " + m.Hold.Text
	}
	return ""
}

// A failed step is tried again after a while, at most maxTries times; then a
// person looks at it. A try that found its needs gone counts for nothing. One
// that a crash of ours cut short is no failure, unless it is what kills us.
const (
	maxTries   = 3
	maxCut     = 8
	outlives   = 15 * time.Minute // that a restart goes on without whoever asked for it
	firstRetry = 15 * time.Second
)

// mayTry says that a step has not failed too often or too recently.
func (s *situation) mayTry(step Step) bool {
	if !s.heals(step) {
		return false
	}
	last, ok := s.memory.try(step.ID)
	if ok && !s.forecast && last.Outcome == OutcomeIntent && last.Cut+1 >= maxCut && !s.retried(step.Node, last.At) {
		s.block(step.Node, ReasonFailed, string(step.Action)+" was begun "+count(last.Cut+1)+" in a row, and reconciler did not live to see the end",
			"find out what ends it (its log, the host's memory), then reconciler resume "+s.want.Name+" --node "+step.Node)
		return false
	}
	if !ok || s.forecast || (last.Outcome != OutcomeFailed && last.Outcome != OutcomeUnknown) {
		return true
	}
	if s.retried(step.Node, last.At) {
		return true
	}
	if last.Count >= maxTries {
		s.block(step.Node, ReasonFailed, string(step.Action)+" failed "+count(last.Count)+", last: "+last.Evidence,
			"mend the cause, then reconciler resume "+s.want.Name+" --node "+step.Node+"; or commit another spec")
		return false
	}
	if until := last.At.Add(firstRetry << (max(last.Count, 1) - 1)); s.now.Before(until) && !last.At.After(s.now) {
		s.wait(step.Node, WaitRetry, string(step.Action)+" failed: "+last.Evidence, until)
		return false
	}
	return true
}

// retried says that a person let what failed at that time on a node try again.
func (s *situation) retried(node string, failed time.Time) bool {
	return slices.ContainsFunc(s.memory.Leaves, func(l Leave) bool {
		return l.Kind == LeaveRetry && (l.Node == "" || l.Node == node) && failed.Before(l.At)
	})
}

func count(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}
