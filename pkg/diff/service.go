package diff

import (
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// account creates the user and the group that Vault runs as.
func (s *situation) account(n desired.Node) (Step, bool) {
	user, group := s.want.Service.User, s.want.Service.Group
	if !s.v.is(n.Name, keyUser+user, absent) && !s.v.is(n.Name, keyGroup+group, absent) {
		return Step{}, false
	}
	if !s.manages(n.Name, desired.ConcernService, "account "+user, absent, user+":"+group) || !s.rooted(n.Name) {
		return Step{}, false
	}
	return Step{Node: n.Name, Action: ActionAccount, Effect: EffectNone, Users: []string{user + ":" + group},
		Why:     "Vault's account is not on the node",
		Changes: []Change{{"account", absent, user + ":" + group}},
		Needs:   s.v.known(n.Name, keyUser+user, keyGroup+group),
		Goal:    []Fact{{n.Name, keyUser + user, "present"}, {n.Name, keyGroup + group, "present"}}}, true
}

// enable lets the unit start at boot.
func (s *situation) enable(n desired.Node) (Step, bool) {
	if !s.v.is(n.Name, keyBoot, "disabled") || s.v.is(n.Name, keyService, absent) {
		return Step{}, false
	}
	if !s.manages(n.Name, desired.ConcernService, s.want.Service.Name+" at boot", "disabled", "enabled") || !s.rooted(n.Name) || s.lacksData(n) {
		return Step{}, false
	}
	return Step{Node: n.Name, Action: ActionEnable, Effect: EffectNone,
		Why:     "the unit would not start at boot",
		Changes: []Change{{s.want.Service.Name + " at boot", "disabled", "enabled"}},
		Needs:   s.v.known(n.Name, keyBoot),
		Goal:    []Fact{{n.Name, keyBoot, "enabled"}}}, true
}

// start starts a service that is down, if its data is what it should be. It is
// repair: nothing gates it but the data folder and the birth.
func (s *situation) start(n desired.Node) (Step, bool) {
	state, known := s.v.get(n.Name, keyService)
	if !known || state == "active" || !s.manages(n.Name, desired.ConcernService, s.want.Service.Name, state, "active") {
		return Step{}, false
	}
	if state == "changing" {
		s.wait(n.Name, WaitBooting, s.want.Service.Name+" on "+n.Name+" is on its way up or down", time.Time{})
		return Step{}, false
	}
	if state == absent || s.v.is(n.Name, keyBinary, absent) || s.v.is(n.Name, keyFile+s.want.Service.ConfigPath, absent) {
		return Step{}, false // place comes first
	}
	if !s.dataAllows(n) || !s.rooted(n.Name) {
		return Step{}, false
	}
	step := Step{Node: n.Name, Action: ActionStart, Effect: EffectNone,
		Why:     "Vault is not running",
		Changes: []Change{{s.want.Service.Name, state, "active"}},
		Needs:   s.v.known(n.Name, keyService, keyData, keyPeersJSON, keyHold, keyBoot),
		Goal:    []Fact{{n.Name, keyService, "active"}, {n.Name, keyAPI, "up"}}}
	return step, true
}

// dataAllows says that starting Vault over this data folder can lose nothing: a
// known member has its data, a new one has none.
func (s *situation) dataAllows(n desired.Node) bool {
	data, known := s.v.get(n.Name, keyData)
	if !known {
		s.block(n.Name, ReasonUnknown, "the data folder "+s.want.Storage.Path+" on "+n.Name+" could not be read",
			"let the reconciler read it: the sudoers line of docs/operations.md")
		return false
	}
	if !s.v.is("", keyKnown, yes) {
		return s.mayBear()
	}
	if s.v.is(n.Name, keyRemoved, yes) {
		s.removed(n)
		return false
	}
	if s.lacksData(n) {
		return false
	}
	if !s.v.is(n.Name, keyMember, yes) && data != "empty" && !s.v.is(n.Name, keyEmptied, yes) {
		s.block(n.Name, ReasonDataNotEmpty, s.want.Storage.Path+" on "+n.Name+" holds data that this reconciler did not see made",
			"if it is of no value, a person empties it; otherwise correct the address in the spec")
		return false
	}
	return true
}

// lacksData says that a member's data is not where it was, and blocks by it.
// Vault would begin anew there, as a voter that knows nothing: so such a node
// is not started, not let start at boot, and not restarted either.
func (s *situation) lacksData(n desired.Node) bool {
	data, known := s.v.get(n.Name, keyData)
	if !known || data == "used" || !s.v.is(n.Name, keyMember, yes) {
		return false
	}
	s.block(n.Name, ReasonDataMissing, n.Name+" is a member of the cluster, and its data folder "+s.want.Storage.Path+" is "+map[string]string{"empty": "empty", "moved": "on another file system"}[data],
		"mount the right volume; if the data is gone for good, take the node out of raft first and give it a new node_id")
	return true
}

// change is the gated act on a node that runs: reload or restart. Held says
// that it is this node's turn, but not now.
func (s *situation) change(n desired.Node) (step Step, held bool) {
	if !s.v.is(n.Name, keyService, "active") {
		return Step{}, false
	}
	p := s.pending(n)
	missing := s.lacksData(n) // said also while nothing asks for a restart
	if s.immutable(n) || s.refused(n) {
		return Step{}, true
	}
	effect := p.effect()
	if effect == EffectReload && s.v.is(n.Name, keyReload, "unseen") {
		effect = EffectRestart // another reload would be seen no better
	}
	switch effect {
	case EffectReload:
		return s.reload(n, p), !s.rooted(n.Name)
	case EffectRestart:
		if missing {
			return Step{}, true
		}
		return s.restart(n, p)
	}
	return Step{}, false
}

func (s *situation) restart(n desired.Node, p pending) (step Step, held bool) {
	if !s.rooted(n.Name) || (p.binary != nil && (s.downgrades(n) || !s.stagedEverywhere())) || !s.canReturn(n) {
		return Step{}, true
	}
	if _, known := s.v.get(n.Name, keyServing); !known {
		s.block(n.Name, ReasonUnknown, "whether "+n.Name+" serves is not known, so it is not taken down", "make its API readable")
		return Step{}, true
	}
	if p.binary != nil && s.v.is(n.Name, keyRole, "leader") && s.laggards(n.Name) {
		return Step{}, true
	}
	needs, block, wait := s.voters.gate(s.v, n.Name, s.want.Rules)
	if block == nil {
		block = s.broken(n.Name)
	}
	if block != nil {
		s.block(block.Node, block.Reason, block.Detail, block.Lift)
		return Step{}, true
	}
	if wait == nil {
		wait = s.pausing(n.Name)
	}
	if wait != nil {
		s.wait(wait.Node, wait.Reason, wait.Detail, wait.Until)
		return Step{}, true
	}
	items := slices.Concat(p.quiet, p.reload, p.restart, p.ride)
	step = Step{Node: n.Name, Action: ActionRestart, Effect: s.restartEffect(n, p), Puts: puts(items), Folders: p.folders,
		Why: s.whyRestart(n.Name), Changes: p.changes(items),
		Needs: append(append(needs, s.v.known(n.Name, keyService, keyBoot, keyHold, keyPeersJSON, keyRole)...), s.before(n, puts(items))...),
		Goal:  append(s.placed(n, puts(items)), s.live(n, puts(slices.Concat(p.reload, p.restart, p.ride)))...)}
	step.Goal = append(step.Goal, Fact{n.Name, keyService, "active"}, Fact{n.Name, keyAPI, "up"}, Fact{n.Name, keyUnitFresh, "fresh"})
	if p.binary != nil {
		step.Changes = append(step.Changes, *p.binary)
		step.Version, step.Binary = s.want.Vault.Version, s.binaryOf(n.Name)
		step.Goal = append(step.Goal, Fact{n.Name, keyBinary, step.Binary}, Fact{n.Name, keyRuns, step.Binary})
	}
	return step, false
}

// broken is a block where we took another voter down and it did not come back:
// what keeps it down may be what this node would get as well. Quorum would allow
// one more, and a mistake needs no more than one. A person who holds that node knows.
func (s *situation) broken(node string) *Block {
	for _, t := range s.memory.Tries {
		failed := (t.Outcome == OutcomeFailed || t.Outcome == OutcomeUnknown) && !s.retried(t.Node, t.At)
		returns := t.Action == ActionRestart || t.Action == ActionStart || t.Action == ActionUnseal
		_, known := s.memory.leave(LeaveHold, t.Node, s.now) // a person has it in hand
		if known || t.Node == node || !failed || !returns || !slices.Contains(s.voters.voters, t.Node) || s.serves(t.Node) {
			continue
		}
		return &Block{Node: node, Reason: ReasonQuorum,
			Detail: t.Node + " did not come back (" + string(t.Action) + ": " + t.Evidence + "), so nobody else is taken down",
			Lift:   "commit what it can start with, or bring it back; if it is gone for good, reconciler hold " + s.want.Name + " --node " + t.Node}
	}
	return nil
}

// laggards says that a voter that is not on the wanted version could take over
// from the leader.
func (s *situation) laggards(leader string) bool {
	found := false
	for _, v := range s.voters.voters {
		if v != leader && !s.v.is(v, keyServing, no) && !s.v.is(v, keyRunning, s.want.Vault.Version) {
			s.block(v, ReasonNotStaged, v+" could take over from the leader and does not run "+s.want.Vault.Version+" yet", "let "+v+" be upgraded, or take it out of raft")
			found = true
		}
	}
	return found
}

// before are the facts of the files that a step replaces.
func (s *situation) before(n desired.Node, puts []Put) []Fact {
	var facts []Fact
	for _, put := range puts {
		facts = append(facts, s.v.known(n.Name, keyFile+put.Path)...)
	}
	return facts
}

// live are the facts of the process once it has taken up these files. Of a new
// certificate the handshake tells, and with it of its key; of a key alone it
// does not.
func (s *situation) live(n desired.Node, puts []Put) []Fact {
	var facts []Fact
	tls, certified := map[string]bool{}, false
	for _, p := range n.Puts {
		if p.TLS != "" && slices.ContainsFunc(puts, func(put Put) bool { return put.Path == p.Path }) {
			tls[p.Path], certified = true, certified || p.TLS == "cert"
		}
	}
	for _, put := range puts {
		if tls[put.Path] {
			facts = append(facts, Fact{n.Name, keyCert, "current"})
		}
		if !tls[put.Path] || !certified {
			facts = append(facts, Fact{n.Name, keyLoaded + put.Path, put.Digest})
		}
	}
	return facts
}

// restartEffect names the worst that a restart does.
func (s *situation) restartEffect(n desired.Node, p pending) Effect {
	leads := s.v.is(n.Name, keyRole, "leader")
	switch {
	case leads && p.binary != nil && newer(s.want.Vault.Version, s.runningVersion(n.Name)):
		return EffectOneWay
	case leads:
		return EffectLeaderMove
	case s.want.Seal.Kind == "shamir":
		return EffectRestartUnseal
	}
	return EffectRestart
}

// canReturn says that the node will be able to serve again: the shares are at
// hand, and every audit file opens there. A standby with an audit path that
// does not open is healthy until it must lead, and then nobody leads.
func (s *situation) canReturn(n desired.Node) bool {
	if s.want.Seal.Kind == "shamir" && !s.v.is(n.Name, keySealed, yes) && !(s.shares() && s.want.Manages(desired.ConcernSeal)) {
		s.block(n.Name, ReasonNoShares, n.Name+" would come back sealed, and this reconciler holds no shares of the cluster",
			"docs/operations.md, no-shares")
		return false
	}
	for _, other := range s.want.Nodes {
		if !slices.Contains(s.voters.serving(s.v), other.Name) {
			continue
		}
		for _, a := range s.want.Audit {
			if path := a.Options["file_path"]; a.Type == "file" && !s.v.is(other.Name, keyOpens+path, yes) {
				s.block(other.Name, ReasonAuditPath, "Vault's user cannot append to "+path+" on "+other.Name+", or it could not be tried, so that node might not lead",
					"make the folder writable for "+s.want.Service.User+", or free space on it")
				return false
			}
		}
	}
	return true
}

// pausing says that rollout.pause since the last restart is not over.
func (s *situation) pausing(node string) *Wait {
	if s.forecast || s.want.Rollout.Pause <= 0 {
		return nil
	}
	for _, t := range s.memory.Tries {
		until := t.At.Add(s.want.Rollout.Pause)
		if t.Action == ActionRestart && t.Outcome == OutcomeDone && t.Node != node && s.now.Before(until) {
			return &Wait{Node: node, Reason: WaitPause, Detail: "rollout.pause after the restart of " + t.Node, Until: until}
		}
	}
	return nil
}

// immutable says that the spec changes what a living node cannot change, and
// blocks by it.
func (s *situation) immutable(n desired.Node) bool {
	from := runningConfig(s.have[n.Name], s.want.Service.ConfigPath)
	if from == nil || !s.v.is(n.Name, keyMember, yes) {
		return false
	}
	blocked := false
	for _, key := range immutableKeys(from, n.Config) {
		s.block(n.Name, ReasonImmutable, key+" of a living node would change from "+readable(from[key])+" to "+readable(n.Config[key]),
			"put the old value back; docs/operations.md, immutable, has the runbook")
		blocked = true
	}
	return blocked
}
