package diff

import (
	"fmt"
	"strings"

	goversion "github.com/hashicorp/go-version"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// A version goes into a folder of its own on every node before the first node
// is restarted; the link at vault.path moves in the step that restarts. Once a
// newer version was active there is no way back below it: Vault may have
// changed its storage (reference: Vault upgrade guide, rollback).

// binaryOf is the wanted digest of the binary on a node's platform, or "".
func (s *situation) binaryOf(node string) string {
	platform, _ := s.v.get(node, keyPlatform)
	return s.want.Artefacts[platform].Binary
}

// pendingBinary says whether the link or the process is of another binary.
func (s *situation) pendingBinary(p *pending, n desired.Node) {
	digest := s.binaryOf(n.Name)
	if digest == "" {
		return
	}
	have, known := s.v.get(n.Name, keyBinary)
	onDisk := known && have == digest
	runs := !s.v.is(n.Name, keyService, "active") || !s.v.differs(n.Name, keyRuns, digest)
	if !known || (onDisk && runs) || have != absent && s.waived(s.want.Vault.Path, n.Name) || !s.manages(n.Name, desired.ConcernBinary, s.want.Vault.Path, have, digest) {
		return
	}
	from, _ := s.v.get(n.Name, keyRunning)
	if from == "" || from == s.want.Vault.Version {
		from = short(have)
	}
	p.binary = &Change{"vault", from, s.want.Vault.Version}
}

// install puts the wanted version into its folder, unless it already lies at
// vault.path: an adopted file stays until its next version.
func (s *situation) install(n desired.Node) (Step, bool) {
	digest := s.binaryOf(n.Name)
	version := s.want.Vault.Version
	if s.v.is(n.Name, keyBinary, digest) || !s.want.Manages(desired.ConcernBinary) {
		return Step{}, false
	}
	have, known := s.v.get(n.Name, keyVersion+version)
	if !known || (digest != "" && have == digest) {
		return Step{}, false
	}
	if digest == "" {
		platform, _ := s.v.get(n.Name, keyPlatform)
		s.block(n.Name, ReasonNoLock, "vault.lock has no entry for "+version+" on "+platform,
			"in a checkout: reconciler lock "+version+" --platform "+platform+", and commit vault.lock")
		return Step{}, false
	}
	if !s.rooted(n.Name) || s.downgrades(n) {
		return Step{}, false
	}
	return Step{Node: n.Name, Action: ActionInstall, Effect: EffectNone, Version: version, Binary: digest,
		Why:     "the version is not on the node yet",
		Changes: []Change{{desired.BinaryPath(version), short(have), version}},
		Needs:   s.v.known(n.Name, keyVersion+version),
		Goal:    []Fact{{n.Name, keyVersion + version, digest}}}, true
}

// installed says that the wanted binary is on the node, in its folder or at
// vault.path.
func (s *situation) installed(n desired.Node) bool {
	digest := s.binaryOf(n.Name)
	return digest != "" && (s.v.is(n.Name, keyVersion+s.want.Vault.Version, digest) || s.v.is(n.Name, keyBinary, digest))
}

// downgrades says that the wanted version is below one that was active, and
// blocks by it.
func (s *situation) downgrades(n desired.Node) bool {
	if !newer(s.memory.Newest, s.want.Vault.Version) {
		return false
	}
	s.block(n.Name, ReasonDowngrade, "the spec wants "+s.want.Vault.Version+", and "+s.memory.Newest+" was active in this cluster",
		"commit "+s.memory.Newest+" or newer; going back means restoring a snapshot, docs/operations.md, downgrade")
	return true
}

// stagedEverywhere says that every node of the spec has the wanted binary, so
// that a rollout that begins can end.
func (s *situation) stagedEverywhere() bool {
	all := true
	for _, n := range s.want.Nodes {
		if n.Absent || s.installed(n) {
			continue
		}
		all = false
		s.block(n.Name, ReasonNotStaged, "version "+s.want.Vault.Version+" is not on "+n.Name+", so no node is restarted into it",
			"make the node reachable, or mend what its install failed with")
	}
	return all
}

// raises notes what a person wants to know before the cluster's version goes up:
// nothing of ours makes a way back yet, and what a minor changed stands in its
// upgrade notes alone.
func (s *situation) raises() {
	from, to := s.memory.Newest, s.want.Vault.Version
	if from == "" || !newer(to, from) || !s.want.Manages(desired.ConcernBinary) {
		return
	}
	change := Change{"vault", from, to}
	if s.want.Storage.Kind == "raft" {
		s.note("", EffectOneWay, change, "no snapshot is taken and no way back is prepared by this release, that comes later; before you apply, with a token of your own: vault operator raft snapshot save FILE (docs/operations.md, Upgrade)")
	}
	if read := minors(from, to); len(read) > 1 {
		s.note("", EffectOneWay, change, "skips "+strings.Join(read[:len(read)-1], ", ")+"; read the upgrade notes of each, and of "+read[len(read)-1])
	}
}

// minors are those after that of one version up to that of another, as "1.20".
func minors(from, to string) []string {
	a, err := goversion.NewVersion(from)
	b, err2 := goversion.NewVersion(to)
	if err != nil || err2 != nil {
		return nil
	}
	last := map[int]int{1: 21} // of a major that is over; 2 followed 1.21
	major, minor, end := a.Segments()[0], a.Segments()[1], b.Segments()
	var list []string
	for ; major < end[0]; major, minor = major+1, -1 {
		for minor++; minor <= last[major]; minor++ {
			list = append(list, fmt.Sprintf("%d.%d", major, minor))
		}
		if last[major] == 0 {
			list = append(list, fmt.Sprintf("each later %d.x", major))
		}
	}
	for minor++; minor <= end[1]; minor++ {
		list = append(list, fmt.Sprintf("%d.%d", major, minor))
	}
	return list
}
