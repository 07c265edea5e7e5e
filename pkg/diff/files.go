package diff

import (
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// pending is what a node lacks, by what making it so would ask of the running
// Vault.
type pending struct {
	quiet   []item // asks nothing
	folders []Folder
	reload  []item
	restart []item
	ride    []item   // asks nothing, and goes along with the next restart
	binary  *Change  // the link or the process is of another binary
	stale   bool     // systemd has not loaded the unit that lies on disk
	moved   []Change // of the folders
}

// item is one file that differs, and how.
type item struct {
	put     Put
	changes []Change
}

// changes are those of a step that deals with these items.
func (p pending) changes(items []item) []Change {
	changes := slices.Clone(p.moved)
	for _, i := range items {
		changes = append(changes, i.changes...)
	}
	return changes
}

func puts(items []item) []Put {
	var out []Put
	for _, i := range items {
		out = append(out, i.put)
	}
	return out
}

// effect is what the pending changes ask of the running Vault.
func (p pending) effect() Effect {
	switch {
	case len(p.restart) > 0 || p.binary != nil:
		return EffectRestart
	case len(p.reload) > 0:
		return EffectReload
	}
	return EffectNone
}

func (p pending) nothing() bool {
	return p.effect() == EffectNone && len(p.quiet) == 0 && len(p.folders) == 0 && !p.stale
}

// value is a put as a fact tells it.
func value(p desired.Put) string {
	return p.Digest + " " + p.Owner + ":" + p.Group + ":" + p.Mode
}

func (s *situation) pending(n desired.Node) pending {
	var p pending
	for _, f := range n.Folders {
		wanted := f.Owner + ":" + f.Group + ":" + f.Mode
		have, known := s.v.get(n.Name, keyFolder+f.Path)
		if !known || have == wanted || have != absent && s.waived(f.Path, n.Name) || !s.manages(n.Name, desired.ConcernFiles, f.Path, have, wanted) {
			continue
		}
		p.folders = append(p.folders, Folder(f))
		p.moved = append(p.moved, Change{f.Path, have, wanted})
	}
	for _, put := range n.Puts {
		s.pendingPut(&p, n, put)
	}
	if s.v.is(n.Name, keyUnitFresh, "stale") && s.want.Manages(desired.ConcernService) {
		p.stale = true
	}
	s.pendingBinary(&p, n)
	return p
}

// pendingPut sorts one file by what changing it asks of the running Vault.
func (s *situation) pendingPut(p *pending, n desired.Node, put desired.Put) {
	have, known := s.v.get(n.Name, keyFile+put.Path)
	if !known {
		return // Unknown: nothing is planned on it
	}
	wanted := value(put)
	onDisk := have == wanted
	if have != absent && s.waived(put.Path, n.Name) {
		return
	}
	if state, known := s.v.get(n.Name, keyService); !known || state == "changing" {
		return // what it would do to Vault is not known now
	}
	class, changes, told := s.classify(n, put)
	if onDisk && class == desired.OnChangeNone {
		return
	}
	if !onDisk && !s.manages(n.Name, concernOf(put.Role), put.Path, have, wanted) {
		return
	}
	if class == desired.OnChangeNone && s.mayHaveTaken(n, put) {
		class = desired.OnChangeReload
	}
	if told == toldDeferred {
		for _, c := range changes {
			s.note(n.Name, EffectDeferred, c, "rides the next restart")
		}
		p.ride = append(p.ride, item{diffPut(put), changes})
		return
	}
	if told == toldNothing && onDisk {
		s.block(n.Name, ReasonUnproven, "nothing tells what "+put.Path+" was when Vault on "+n.Name+" was started or last reloaded",
			"restart or reload Vault on the node once by hand, one node at a time, leader last")
		return
	}
	if len(changes) == 0 {
		changes = []Change{{put.Path, short(have), short(wanted)}}
	}
	it := item{diffPut(put), changes}
	switch class {
	case desired.OnChangeRestart:
		p.restart = append(p.restart, it)
	case desired.OnChangeReload:
		p.reload = append(p.reload, it)
	default:
		p.quiet = append(p.quiet, it)
	}
}

// waived says that somebody answers for a path as it is. So it is for a commit as well:
// the one that waives it is the first.
func (s *situation) waived(path, node string) bool {
	_, waived := s.want.Waived(path, node, s.now)
	return waived
}

func diffPut(p desired.Put) Put {
	return Put{Path: p.Path, Owner: p.Owner, Group: p.Group, Mode: p.Mode, Digest: p.Digest, Role: string(p.Role)}
}

func concernOf(role desired.Role) desired.Concern {
	switch role {
	case desired.RoleUnit:
		return desired.ConcernService
	case desired.RoleConfig, desired.RoleEnvironment:
		return desired.ConcernConfig
	}
	return desired.ConcernFiles
}

// OnlyObserved begins the reason of a note on what the spec does not let us write.
const OnlyObserved = "only observed: "

// manages says that the spec lets us write this concern; where it does not, the
// difference is only noted.
func (s *situation) manages(node string, concern desired.Concern, what, from, to string) bool {
	if s.want.Manages(concern) {
		return true
	}
	s.note(node, EffectNone, Change{what, short(from), short(to)}, OnlyObserved+string(concern)+" is not in manage")
	return false
}

// short cuts the digest in a value down to what people compare by eye.
func short(value string) string {
	digest, rights, _ := strings.Cut(value, " ")
	if i := strings.LastIndex(digest, ":"); i >= 0 && len(digest) > i+13 {
		digest = digest[:i+13]
	}
	return strings.TrimSpace(digest + " " + rights)
}

// place puts folders and files that ask nothing of the running Vault: on a
// node that is down these are all of them, and the link to the binary too.
func (s *situation) place(n desired.Node) (Step, bool) {
	p := s.pending(n)
	if p.nothing() {
		return Step{}, false
	}
	down := s.v.is(n.Name, keyService, "inactive") || s.v.is(n.Name, keyService, "failed") || s.v.is(n.Name, keyService, absent)
	items, link := p.quiet, false
	if down {
		items = slices.Concat(p.quiet, p.reload, p.restart)
		link = p.binary != nil
	}
	if len(items) == 0 && len(p.folders) == 0 && !p.stale && !link {
		return Step{}, false
	}
	if link && !s.installed(n) {
		return Step{}, false
	}
	if !s.rooted(n.Name) || (link && s.downgrades(n)) {
		return Step{}, false
	}
	if down && s.immutable(n) {
		return Step{}, false
	}
	step := Step{Node: n.Name, Action: ActionPlace, Effect: EffectNone, Puts: puts(items), Folders: p.folders,
		Why: "what lies on the node is not what the spec says", Changes: p.changes(items)}
	for _, f := range p.folders {
		step.Goal = append(step.Goal, Fact{n.Name, keyFolder + f.Path, f.Owner + ":" + f.Group + ":" + f.Mode})
		step.Needs = append(step.Needs, s.v.known(n.Name, keyFolder+f.Path)...)
	}
	step.Goal = append(step.Goal, s.placed(n, step.Puts)...)
	step.Goal = append(step.Goal, Fact{n.Name, keyUnitFresh, "fresh"})
	step.Needs = append(step.Needs, s.before(n, step.Puts)...)
	if down {
		step.Needs = append(step.Needs, s.v.known(n.Name, keyService)...)
	}
	if link {
		step.Changes = append(step.Changes, *p.binary)
		step.Version, step.Binary = s.want.Vault.Version, s.binaryOf(n.Name)
		step.Goal = append(step.Goal, Fact{n.Name, keyBinary, step.Binary})
	}
	return step, true
}

// placed are the facts that hold once these puts lie on the node.
func (s *situation) placed(n desired.Node, puts []Put) []Fact {
	var facts []Fact
	for _, put := range puts {
		for _, want := range n.Puts {
			if want.Path == put.Path {
				facts = append(facts, Fact{n.Name, keyFile + put.Path, value(want)})
			}
		}
	}
	return facts
}

// rooted says that the look had root's eyes, without which nothing is placed.
func (s *situation) rooted(node string) bool {
	if s.v.is(node, keyRoot, no) {
		s.block(node, ReasonNoRoot, "the reconciler has no root on "+node+", so nothing can be placed there",
			"add the sudoers line of docs/operations.md to the node")
		return false
	}
	return true
}
