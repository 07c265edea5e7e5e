package diff

import (
	"path"
	"slices"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Simulate says which facts hold after a wave: the goals of its steps, and
// what these acts are known to bring with them (a restarted Shamir node comes
// back sealed, a stopped leader's followers elect another). The forecast of a
// plan is made of it, and the simulation checks it against the next look.
func Simulate(want desired.Cluster, have []actual.Node, m Memory, wave Wave) []Fact {
	s := newSituation(want, have, m, m.Good.Since)
	return s.simulate(wave).facts()
}

func (s *situation) simulate(wave Wave) view {
	v := s.v
	for _, step := range wave {
		v = v.lay(step.Goal)
		switch step.Action {
		case ActionPlace:
			s.afterPlace(v, step)
		case ActionStart, ActionRestart:
			s.afterStart(v, step)
		case ActionReload:
			s.afterReload(v, step)
		case ActionInit:
			v.put(step.Node, keyInit, yes)
			v.put("", keyKnown, yes)
			if s.v.is("", keyBirth, string(BirthNone)) {
				s.memory.Birth.Seed = step.Node
			}
		}
	}
	s.reach(v)
	s.elect(v)
	return v
}

// afterPlace is what new files and folders bring with them: a unit to start, and
// folders that audit files open in.
func (s *situation) afterPlace(v view, step Step) {
	if v.is(step.Node, keyService, absent) {
		v.put(step.Node, keyService, "inactive")
	}
	for _, a := range s.want.Audit {
		file := a.Options["file_path"]
		if a.Type == "file" && slices.ContainsFunc(step.Folders, func(f Folder) bool { return f.Path == path.Dir(file) }) {
			v.put(step.Node, keyOpens+file, yes)
		}
	}
}

// afterStart is what a new process of Vault brings with it.
func (s *situation) afterStart(v view, step Step) {
	n, _ := s.want.Node(step.Node)
	for _, p := range n.Puts {
		if onDisk, ok := v.get(n.Name, keyFile+p.Path); ok && onDisk == value(p) {
			v.put(n.Name, keyLoaded+p.Path, p.Digest)
			if p.TLS != "" {
				v.put(n.Name, keyCert, "current")
			}
		}
	}
	if digest, ok := v.get(n.Name, keyBinary); ok {
		v.put(n.Name, keyRuns, digest)
		v.put(n.Name, keyRunning, s.want.Vault.Version)
	}
	if v.is(n.Name, keyData, "empty") {
		v.put(n.Name, keyData, "used")
	}
	if _, ok := v.get(n.Name, keyInit); !ok {
		v.put(n.Name, keyInit, word(v.is(n.Name, keyMember, yes)))
	}
	v.put(n.Name, keySealed, word(s.want.Seal.Kind == "shamir" || v.is(n.Name, keyInit, no)))
	v.put(n.Name, keyRemoved, no)
	v.put(n.Name, keyReload, "taken")
	v.put(n.Name, keyServing, no)
	v.put(n.Name, keyRole, "none")
}

func (s *situation) afterReload(v view, step Step) {
	for _, p := range step.Puts {
		v.put(step.Node, keyLoaded+p.Path, p.Digest)
	}
}

// reach says that the nodes reach each other once every Vault answers.
func (s *situation) reach(v view) {
	for _, n := range s.want.Nodes {
		if !v.is(n.Name, keyAPI, "up") {
			return
		}
	}
	for _, n := range s.want.Nodes {
		v.put(n.Name, keyPeers, "open")
	}
}

// elect gives the unsealed voters a leader as soon as they are a quorum, lets
// them follow, and lets new nodes reach the cluster.
func (s *situation) elect(v view) {
	if !v.is("", keyKnown, yes) {
		return
	}
	voters := electorateOf(v, s.memory, s.want)
	var open []string
	leader := ""
	for _, n := range s.want.Nodes {
		if v.is(n.Name, keySealed, no) && !v.is(n.Name, keyRemoved, yes) && !v.is(n.Name, keyIdentity, "other") {
			open = append(open, n.Name)
			if v.is(n.Name, keyRole, "leader") {
				leader = n.Name
			}
		}
	}
	if len(open) == 0 || (leader == "" && len(open) < voters.quorum() && !s.birthing()) {
		return
	}
	if leader == "" {
		leader = open[0]
	}
	for _, name := range open {
		if !v.is(name, keyServing, yes) {
			v.put(name, keyCaughtUp, yes)
			v.put(name, keyHealthy, yes)
			v.put(name, keyVoter, yes)
			v.put(name, keyMember, yes)
		}
		v.put(name, keyServing, yes)
		v.put(name, keyRole, "follower")
		v.put(name, keyIdentity, "same")
	}
	v.put(leader, keyRole, "leader")
	if s.birthing() {
		v.put("", keyRaft, yes)
		v.put("", keyAuditRead, yes)
	}
	for _, n := range s.want.Nodes {
		if v.is(n.Name, keyInit, no) {
			v.put(n.Name, keyInit, yes)
		}
	}
}
