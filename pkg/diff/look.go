package diff

import (
	"encoding/json"
	"maps"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Facts re-arranges a look into facts. A digest of a plaintext that was placed
// for an encrypted file becomes the digest that the spec names, so both sides
// compare without decrypting anything.
func Facts(want desired.Cluster, have []actual.Node, m Memory) []Fact {
	return viewOf(want, have, m).facts()
}

// viewOf is a look as a view of its facts.
func viewOf(want desired.Cluster, have []actual.Node, m Memory) view {
	v := view{}
	v.put("", keyBirth, string(m.Birth.Phase))
	for _, n := range have {
		machineFacts(v, want, n)
		binaryFacts(v, n)
		fileFacts(v, want, n, m)
		serviceFacts(v, n, m)
		dataFacts(v, n, m)
		sealFacts(v, n, m)
		auditFacts(v, n)
	}
	raftFacts(v, have, m)
	return v
}

func machineFacts(v view, want desired.Cluster, n actual.Node) {
	if n.Machine == nil {
		return
	}
	v.put(n.Name, keyReach, yes)
	v.put(n.Name, keyRoot, word(n.Machine.Root))
	v.put(n.Name, keyPlatform, n.Machine.Platform)
	v.put(n.Name, keyHold, word(n.Machine.Hold != nil))
	if len(n.Machine.PeersReach) > 0 {
		v.put(n.Name, keyPeers, peersState(want, n.Machine.PeersReach))
	}
	for name, there := range n.Users {
		value := absent
		if there {
			value = "present"
		}
		if group, ok := cutGroup(name); ok {
			v.put(n.Name, keyGroup+group, value)
		} else {
			v.put(n.Name, keyUser+name, value)
		}
	}
}

// peersState is open when every other node's API port answers, and its cluster
// port does or refuses at once: Vault opens that one only when it is unsealed.
func peersState(want desired.Cluster, reach map[string]string) string {
	refusable := map[string]bool{}
	for _, n := range want.Nodes {
		refusable[clusterAddress(n)] = true
	}
	for address, answer := range reach {
		if answer != "open" && !(answer == "refused" && refusable[address]) {
			return "silent"
		}
	}
	return "open"
}

func cutGroup(name string) (string, bool) {
	const prefix = "group:"
	if len(name) > len(prefix) && name[:len(prefix)] == prefix {
		return name[len(prefix):], true
	}
	return name, false
}

func binaryFacts(v view, n actual.Node) {
	if n.Binary == nil {
		return
	}
	v.put(n.Name, keyBinary, orAbsent(n.Binary.Digest))
	for version, digest := range n.Binary.Versions {
		v.put(n.Name, keyVersion+version, orAbsent(digest))
	}
}

func orAbsent(s string) string {
	if s == "" {
		return absent
	}
	return s
}

// fileFacts tells what lies on disk and what of it the process has loaded.
func fileFacts(v view, want desired.Cluster, n actual.Node, m Memory) {
	wanted := map[string]string{} // path → digest in the spec's words
	var inputs []string           // what the process reads
	if node, ok := want.Node(n.Name); ok {
		for _, p := range node.Puts {
			wanted[p.Path] = p.Digest
			if p.Role != desired.RoleFile || p.OnChange == desired.OnChangeReload || p.OnChange == desired.OnChangeRestart {
				inputs = append(inputs, p.Path)
			}
		}
	}
	inSpec := func(path, digest string) string {
		ref := wanted[path]
		if digest != "" && m.Secrets[ref] == digest {
			return ref
		}
		return digest
	}
	for path, f := range n.Files {
		rights := f.Owner + ":" + f.Group + ":" + f.Mode
		key, file := keyFolder, false
		if _, file = wanted[path]; file {
			key = keyFile
		}
		switch {
		case f.Kind == actual.KindAbsent:
			v.put(n.Name, key+path, absent)
		case file && f.Kind == actual.KindFile && f.Digest != "":
			v.put(n.Name, key+path, inSpec(path, f.Digest)+" "+rights)
		case !file && f.Kind == actual.KindFolder:
			v.put(n.Name, key+path, rights)
		case f.Kind != actual.KindFile:
			v.put(n.Name, key+path, string(f.Kind)+" "+rights) // something else lies in its place
		case !file:
			v.put(n.Name, key+path, "file "+rights)
		}
	}
	for path, digest := range loaded(n, inputs) {
		v.put(n.Name, keyLoaded+path, inSpec(path, digest))
	}
	if n.Process != nil && n.Process.PID != 0 {
		v.put(n.Name, keyReload, reloadState(v, want, n, inSpec))
	}
}

// loaded is what the process was started or last reloaded with: as the mark
// says, but for what a reload brought that was not taken up; or, where nothing of
// ours marked it, what is on disk if every input is older than the process.
func loaded(n actual.Node, inputs []string) map[string]string {
	if n.Process == nil || n.Process.PID == 0 {
		return nil
	}
	if mark := n.Process.Mark; mark != nil {
		files := maps.Clone(mark.Files)
		if n.Service != nil && n.Service.FragmentPath != "" && mark.Unit != "" && files != nil {
			files[n.Service.FragmentPath] = mark.Unit
		}
		maps.DeleteFunc(files, func(path, _ string) bool { return untaken(n, path) })
		return files
	}
	inferred := map[string]string{}
	for _, path := range inputs {
		f := n.Files[path]
		if f.Kind != actual.KindFile || f.Digest == "" {
			continue
		}
		if f.Mtime.IsZero() || !f.Mtime.Before(n.Process.Started) {
			return nil
		}
		inferred[path] = f.Digest
	}
	return inferred
}

func serviceFacts(v view, n actual.Node, m Memory) {
	if n.Service != nil {
		v.put(n.Name, keyUnitFresh, freshness(n.Service.NeedDaemonReload))
		v.put(n.Name, keyBoot, bootState(*n.Service))
		v.put(n.Name, keyService, serviceState(*n.Service))
	}
	if n.Process != nil && n.Process.Binary != "" {
		v.put(n.Name, keyRuns, n.Process.Binary)
	}
	if n.Process != nil && n.Process.Served != nil {
		v.put(n.Name, keyCert, certState(n))
	}
	v.put(n.Name, keyWill, willOf(n, m))
}

func freshness(needReload bool) string {
	if needReload {
		return "stale"
	}
	return "fresh"
}

func bootState(s actual.Service) string {
	switch {
	case s.LoadState == "masked" || s.UnitFileState == "masked" || s.UnitFileState == "masked-runtime":
		return "masked"
	case s.UnitFileState == "enabled" || s.UnitFileState == "enabled-runtime" || s.UnitFileState == "alias":
		return "enabled"
	case s.UnitFileState == "disabled" || s.LoadState == "not-found":
		return "disabled"
	}
	return "other" // static, linked, generated: enabling would not change it
}

func serviceState(s actual.Service) string {
	switch {
	case s.ActiveState == "active" || s.ActiveState == "reloading":
		return "active"
	case s.ActiveState == "failed" || s.SubState == "auto-restart":
		return "failed" // auto-restart: it crashed, and systemd will try again
	case s.ActiveState == "activating" || s.ActiveState == "deactivating":
		return "changing"
	case s.LoadState == "not-found":
		return absent
	}
	return "inactive"
}

// certState compares the served leaf with the certificate file.
func certState(n actual.Node) string {
	served := n.Process.Served
	if served.Problem != "" {
		return served.Problem
	}
	for _, f := range n.Files {
		if f.Certificate != nil && f.Certificate.Digest == served.Digest {
			return "current"
		}
	}
	return "stale"
}

func willOf(n actual.Node, m Memory) string {
	x := m.Member(n.Name)
	if x.Will == WillNone && x.Shut != "" {
		return string(WillSealed) // seen once: not sure enough to remember, sure enough to wait
	}
	if x.Will != WillNone {
		return string(x.Will)
	}
	return "none"
}

func dataFacts(v view, n actual.Node, m Memory) {
	member := m.Member(n.Name)
	v.put(n.Name, keyEmptied, word(member.Empty))
	if n.Data == nil {
		return
	}
	v.put(n.Name, keyPeersJSON, word(n.Data.Peers))
	switch {
	case n.Data.State == actual.DataUsed && member.Device != "" && n.Data.Device != "" && member.Device != n.Data.Device:
		v.put(n.Name, keyData, "moved")
	case n.Data.State == actual.DataUsed:
		v.put(n.Name, keyData, "used")
	default:
		v.put(n.Name, keyData, "empty")
	}
}

func sealFacts(v view, n actual.Node, m Memory) {
	if n.Vault == nil {
		if n.Process != nil && n.Process.PID == 0 {
			v.put(n.Name, keyAPI, "silent") // nothing runs that could answer
		}
		return
	}
	v.put(n.Name, keyAPI, "up")
	v.put(n.Name, keyInit, word(n.Vault.Initialized))
	v.put(n.Name, keySealed, word(n.Vault.Sealed))
	v.put(n.Name, keyRemoved, word(n.Vault.Removed))
	v.put(n.Name, keyRunning, n.Vault.Version)
	if n.Vault.ClusterID != "" && m.ClusterID != "" {
		v.put(n.Name, keyIdentity, map[bool]string{true: "same", false: "other"}[n.Vault.ClusterID == m.ClusterID])
	}
}

func auditFacts(v view, n actual.Node) {
	if n.Audit == nil {
		return
	}
	for path, opens := range n.Audit.Opens {
		v.put(n.Name, keyOpens+path, word(opens))
	}
	if n.Audit.Devices == nil {
		return
	}
	for path, d := range n.Audit.Devices {
		v.put("", keyAudit+path, deviceValue(d.Type, d.Options))
	}
	v.put("", keyAuditRead, yes)
}

// deviceValue is an audit device as one comparable string.
func deviceValue(kind string, options map[string]string) string {
	b, _ := json.Marshal(options) // a map of strings always marshals, sorted
	if len(options) == 0 {
		b = nil
	}
	return kind + string(b)
}
