package diff

import (
	"path"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// difference is one want that does not hold on one node.
type difference struct {
	node   string // empty: of the cluster
	kind   DriftKind
	path   string
	file   string
	want   string
	have   string
	effect Effect
	put    desired.Put // where it is of one
	rides  bool        // the next restart brings it, and nothing is done for it before
}

// wanted is the path of the value of the spec that wants it otherwise.
func (d difference) wanted() string {
	switch {
	case strings.HasPrefix(d.path, "config_folder["):
		return "config_path"
	case strings.HasPrefix(d.path, "service.drop_in["), d.path == "service.enabled", d.path == "service.unit":
		return "service"
	case strings.HasPrefix(d.path, "folder["):
		return "storage"
	case d.path == "vault":
		return "vault.version"
	case strings.HasPrefix(d.path, "raft.peers["):
		return "nodes"
	}
	return d.path
}

// differences are all of them, node by node. What is Unknown differs from nothing.
func (s *situation) differences() []difference {
	var found []difference
	for _, n := range s.want.Nodes {
		if n.Absent || !s.v.is(n.Name, keyReach, yes) {
			continue
		}
		found = append(found, s.filesDiffer(n)...)
		found = append(found, s.foldersDiffer(n)...)
		found = append(found, s.serviceDiffers(n)...)
		found = append(found, s.binaryDiffers(n)...)
	}
	found = append(found, s.auditDiffers()...)
	found = append(found, s.peersDiffer()...)
	return s.mixed(found)
}

// compare notes that a want was held against what is there, and says whether it is
// known and another.
func (s *situation) compare(node, key, want string) (have string, differs bool) {
	have, known := s.v.get(node, key)
	if known {
		s.compared++
	}
	return have, known && have != want
}

func (s *situation) filesDiffer(n desired.Node) (found []difference) {
	for _, put := range n.Puts {
		d := difference{node: n.Name, file: put.Path, path: pathOf(put), put: put}
		have, differs := s.compare(n.Name, keyFile+put.Path, value(put))
		if have == "" {
			continue // it could not be read, and what a process made of it cannot be told
		}
		class, changes, told := s.classify(n, put)
		d.effect = map[desired.OnChange]Effect{desired.OnChangeReload: EffectReload, desired.OnChangeRestart: EffectRestart}[class]
		if d.effect == "" {
			d.effect = EffectNone
		}
		switch {
		case differs:
			found = append(found, s.fileDiffers(d, have)...)
		case class == desired.OnChangeNone || told != toldAll:
		case put.Role == desired.RoleConfig && len(changes) > 0:
			for _, c := range changes {
				one := d
				one.kind, one.path, one.want, one.have = DriftLatent, configKey(c.What), c.To, c.From
				found = append(found, one)
			}
		default:
			d.kind, d.want, d.have = DriftLatent, "in force", "not taken up by the process that runs"
			found = append(found, d)
		}
	}
	return found
}

// fileDiffers is what is another of a file: its content, key by key where that can be
// told, its owner, its mode.
func (s *situation) fileDiffers(d difference, have string) (found []difference) {
	if have == absent {
		d.kind, d.want, d.have = DriftMissing, "present", absent
		return []difference{d}
	}
	d.kind = DriftChanged
	digest, rights, _ := strings.Cut(have, " ")
	if digest != d.put.Digest && s.knows(d.put) {
		found = append(found, s.contentDiffers(d, digest)...)
	}
	owner, mode := cutMode(rights)
	if wanted := d.put.Owner + ":" + d.put.Group; owner != wanted {
		one := d
		one.path, one.want, one.have = d.path+".owner", wanted, owner
		found = append(found, one)
	}
	if mode != d.put.Mode {
		one := d
		one.path, one.want, one.have = d.path+".mode", d.put.Mode, mode
		found = append(found, one)
	}
	return found
}

// knows says that it is known what a file is to say: of what is encrypted that is so
// once it was placed.
func (s *situation) knows(put desired.Put) bool {
	return !encrypted(put) || s.memory.Secrets[put.Digest] != ""
}

func encrypted(put desired.Put) bool {
	return strings.HasPrefix(put.Digest, "age:") || strings.HasPrefix(put.Digest, "secret:")
}

// contentDiffers is what is another of the content of a file.
func (s *situation) contentDiffers(d difference, digest string) (found []difference) {
	on := s.have[d.node].Files[d.file]
	node, _ := s.want.Node(d.node)
	if d.put.Role != desired.RoleConfig || on.Config == nil {
		d.want, d.have = short(d.put.Digest), short(digest)
		return []difference{d}
	}
	class, keys := desired.ChangeOf(on.Config, node.Config, s.runningVersion(d.node))
	for _, key := range keys {
		one := d
		one.path, one.want, one.have = configKey(key), readable(node.Config[key]), readable(on.Config[key])
		if one.rides = desired.Deferred(key); one.rides {
			one.effect = EffectDeferred
		}
		switch {
		case one.have == absent:
			one.kind = DriftMissing
		case one.want == absent:
			one.kind = DriftExtra
		}
		found = append(found, one)
	}
	if class == desired.ChangeNone {
		d.want, d.have = asRendered, "other bytes that say the same"
		found = append(found, d)
	}
	return found
}

func (s *situation) foldersDiffer(n desired.Node) (found []difference) {
	for _, f := range n.Folders {
		wanted := f.Owner + ":" + f.Group + ":" + f.Mode
		have, differs := s.compare(n.Name, keyFolder+f.Path, wanted)
		if !differs {
			continue
		}
		d := difference{node: n.Name, kind: DriftChanged, path: "folder[" + f.Path + "]", file: f.Path, want: wanted, have: have, effect: EffectNone}
		if have == absent {
			d.kind = DriftMissing
		}
		found = append(found, d)
	}
	return found
}

// serviceDiffers is what is another of the unit and of what it runs as. That it is
// down is no drift.
func (s *situation) serviceDiffers(n desired.Node) (found []difference) {
	add := func(kind DriftKind, path, file, want, have string, effect Effect) {
		found = append(found, difference{node: n.Name, kind: kind, path: path, file: file, want: want, have: have, effect: effect})
	}
	unit := s.want.Service.UnitPath
	if boot, differs := s.compare(n.Name, keyBoot, "enabled"); differs && boot != "other" && !s.v.is(n.Name, keyService, absent) {
		add(DriftChanged, "service.enabled", "", "enabled", boot, EffectNone)
	}
	if fresh, differs := s.compare(n.Name, keyUnitFresh, "fresh"); differs {
		add(DriftLatent, "service.unit", unit, "loaded by systemd", fresh, EffectNone)
	}
	if user, differs := s.compare(n.Name, keyUser+s.want.Service.User, "present"); differs {
		add(DriftMissing, "service.user", "", s.want.Service.User, user, EffectNone)
	}
	have := s.have[n.Name]
	if have.Service != nil {
		own := "/" + s.want.Service.Name + ".service.d/"
		for _, dropIn := range strings.Fields(have.Service.DropIns) {
			if strings.Contains(dropIn, own) {
				add(DriftExtra, "service.drop_in["+dropIn+"]", dropIn, absent, "in force", EffectRestart)
			}
		}
	}
	for _, file := range have.Beside {
		if s.managed(n, file) {
			continue
		}
		add(DriftExtra, "config_folder["+file+"]", file, absent, "lies beside "+path.Base(s.want.Service.ConfigPath), EffectNone)
	}
	return found
}

// managed says that a file on a node is one of ours.
func (s *situation) managed(n desired.Node, file string) bool {
	return slices.ContainsFunc(n.Puts, func(p desired.Put) bool { return p.Path == file })
}

// binaryDiffers is what is another of the program. One that says it is of the wanted
// version, and is not the one that was there before, was tampered with; where the
// wanted one was never there it only is not pinned: a package's own build, say.
func (s *situation) binaryDiffers(n desired.Node) []difference {
	digest := s.binaryOf(n.Name)
	if digest == "" {
		return nil // no lock entry: nobody says what it should be
	}
	d := difference{node: n.Name, path: "vault", file: s.want.Vault.Path, want: s.want.Vault.Version, effect: EffectRestart}
	have, differs := s.compare(n.Name, keyBinary, digest)
	running, _ := s.v.get(n.Name, keyRunning)
	switch {
	case have == absent:
		d.kind, d.have = DriftMissing, absent
	case differs && s.versionAt(n.Name) == "":
		d.kind, d.have = DriftChanged, "a program of no version that is locked, "+short(have)
		if e, ok := s.programCalled(n.Name, short(have)); ok {
			d.kind, d.path, d.have = e.Kind, e.Path, e.Have
			if d.path == "vault.binary" {
				d.want = short(digest)
			}
		}
	case differs && s.versionAt(n.Name) != s.want.Vault.Version:
		d.kind, d.have = DriftChanged, s.versionAt(n.Name)
	case differs && s.memory.Member(n.Name).Pinned == digest:
		d.kind, d.want, d.have = DriftTampered, s.want.Vault.Version+" "+short(digest), s.want.Vault.Version+" "+short(have)
	case differs:
		d.kind, d.path, d.want, d.have = DriftChanged, "vault.binary", short(digest), "unpinned, "+short(have)
	case s.v.is(n.Name, keyService, "active") && s.v.differs(n.Name, keyRuns, digest):
		d.kind, d.have = DriftLatent, running+", started before the program was replaced"
	default:
		return nil
	}
	return []difference{d}
}

// programCalled is how the program of a node was called while it ran and told its
// version: that it is down now is no drift.
func (s *situation) programCalled(node, digest string) (Episode, bool) {
	i := slices.IndexFunc(s.memory.Drifts, func(e Episode) bool {
		version := e.Path == "vault" && (e.Kind == DriftChanged || e.Kind == DriftMixed)
		return e.Open() && slices.Contains(e.Nodes, node) && (version || e.Path == "vault.binary" && strings.HasSuffix(e.Have, digest))
	})
	if i < 0 {
		return Episode{}, false
	}
	return s.memory.Drifts[i], true
}

// versionAt is the version of what lies at vault.path: as the folder says that it
// leads to, else as the process says that runs it; "" where nobody tells.
func (s *situation) versionAt(node string) string {
	b := s.have[node].Binary
	if b == nil {
		return ""
	}
	if rest, ok := strings.CutPrefix(b.Target, desired.VersionsFolder+"/"); ok {
		version, _, _ := strings.Cut(rest, "/")
		return version
	}
	if p := s.have[node].Process; p == nil || p.PID == 0 || p.Binary == b.Digest || s.v.is(node, keyRuns, s.binaryOf(node)) {
		running, _ := s.v.get(node, keyRunning)
		return running
	}
	return ""
}

// auditDiffers is what is another of the audit devices, which are the cluster's.
func (s *situation) auditDiffers() (found []difference) {
	if !s.v.is("", keyAuditRead, yes) {
		return nil
	}
	named := map[string]bool{}
	for _, a := range s.want.Audit {
		named[keyAudit+a.Path] = true
		s.compared++
		d := difference{path: "audit[" + a.Path + "]", want: deviceValue(a.Type, a.Options), effect: EffectNone}
		have, there := s.v.get("", keyAudit+a.Path)
		switch {
		case !there:
			d.kind, d.have = DriftMissing, absent
		case have != d.want:
			d.kind, d.have = DriftChanged, have
		default:
			continue
		}
		found = append(found, d)
	}
	for _, key := range sortedKeys(s.v[""]) {
		if strings.HasPrefix(key, keyAudit) && !named[key] {
			found = append(found, difference{kind: DriftExtra, path: "audit[" + strings.TrimPrefix(key, keyAudit) + "]", want: absent, have: s.v[""][key], effect: EffectNone})
		}
	}
	return found
}

// peersDiffer is who is in raft and not in the spec, and the other way round.
func (s *situation) peersDiffer() (found []difference) {
	raft := membership(s.nodesSeen())
	if raft == nil {
		return nil
	}
	in := map[string]bool{}
	for _, server := range raft.Servers {
		in[server.ID] = true
		s.compared++
		if !slices.ContainsFunc(s.want.Nodes, func(n desired.Node) bool { return n.ID == server.ID }) {
			role := map[bool]string{true: "voter", false: "not a voter"}[server.Voter]
			found = append(found, difference{kind: DriftExtra, path: "raft.peers[" + server.ID + "]", want: absent, have: role + " at " + server.Address, effect: EffectNone})
		}
	}
	for _, n := range s.want.Nodes {
		if !n.Absent && !in[n.ID] && s.memory.Member(n.Name).Joined {
			found = append(found, difference{node: n.Name, kind: DriftMissing, path: "raft.peers[" + n.ID + "]", want: "a member", have: "removed", effect: EffectNone})
		}
	}
	return found
}

// nodesSeen are the looks in the order of names.
func (s *situation) nodesSeen() []actual.Node {
	var seen []actual.Node
	for _, name := range sortedKeys(s.have) {
		seen = append(seen, s.have[name])
	}
	return seen
}

// mixed says of versions that differ within the cluster that they do: a roll that
// never ended, or one node that somebody upgraded.
func (s *situation) mixed(found []difference) []difference {
	behind := map[string]bool{}
	for _, d := range found {
		if (d.kind == DriftChanged || d.kind == DriftMixed) && d.path == "vault" {
			behind[d.node] = true
		}
	}
	other := slices.ContainsFunc(s.want.Nodes, func(n desired.Node) bool { // that was seen, and is not behind
		_, seen := s.v.get(n.Name, keyBinary)
		return !n.Absent && seen && !behind[n.Name]
	})
	for i, d := range found {
		if behind[d.node] && d.path == "vault" {
			found[i].kind = map[bool]DriftKind{true: DriftMixed, false: DriftChanged}[other]
		}
	}
	return found
}

// pathOf is what the spec calls a file.
func pathOf(p desired.Put) string {
	switch p.Role {
	case desired.RoleConfig:
		return "config"
	case desired.RoleEnvironment:
		return "environment_file"
	case desired.RoleUnit:
		return "service.unit"
	case desired.RoleFile:
	}
	return "files[" + p.Path + "]"
}

// configKey is what the spec calls a key of vault.hcl.
func configKey(key string) string {
	if ownKey(key) {
		return key
	}
	return "config." + key
}

// ownKey says that a key of vault.hcl has a name of its own in the spec.
func ownKey(key string) bool {
	own := func(prefix string) bool { return strings.HasPrefix(key, prefix) }
	return key == "api_addr" || key == "cluster_addr" || slices.ContainsFunc([]string{"storage.", "seal.", "listener."}, own)
}

// cutMode cuts OWNER:GROUP:MODE into owner and mode.
func cutMode(rights string) (owner, mode string) {
	i := strings.LastIndexByte(rights, ':')
	if i < 0 {
		return rights, ""
	}
	return rights[:i], rights[i+1:]
}
