package diff

import "github.com/vaultfleet/reconciler/pkg/desired"

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
	if !known || (onDisk && runs) || !s.manages(n.Name, desired.ConcernBinary, s.want.Vault.Path, have, digest) {
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
