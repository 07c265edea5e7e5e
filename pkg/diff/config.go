package diff

import (
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Which part of a change is live is told by what the process was started or
// last reloaded with, not by the file: somebody may have put the file back, or
// edited it without a reload. Which keys reload is version data; what is not
// proven to reload restarts.

// told says how much is known of what the process runs with.
type told string

const (
	toldAll      told = "all"
	toldDeferred told = "deferred" // differs only where it rides the next restart
	toldNothing  told = "nothing"  // Vault runs, and nothing tells with what
)

// classify says what making a file right asks of the running Vault, and which
// changes people should read.
func (s *situation) classify(n desired.Node, put desired.Put) (desired.OnChange, []Change, told) {
	if !s.v.is(n.Name, keyService, "active") {
		return desired.OnChangeNone, nil, toldAll
	}
	if put.Role == desired.RoleFile && put.OnChange != desired.OnChangeReload && put.OnChange != desired.OnChangeRestart {
		return desired.OnChangeNone, nil, toldAll
	}
	have, known := s.v.get(n.Name, keyLoaded+put.Path)
	if put.TLS == "cert" && s.v.is(n.Name, keyCert, "stale") && s.v.is(n.Name, keyFile+put.Path, value(put)) {
		return desired.OnChangeReload, []Change{{put.Path, "not served", "served"}}, toldAll // a reload that Vault refused, for instance
	}
	if known && have == put.Digest {
		return desired.OnChangeNone, nil, toldAll
	}
	if put.TLS != "" && s.servesWanted(n, put) {
		return desired.OnChangeNone, nil, toldAll
	}
	if !known && s.unmarked(n.Name) {
		if s.v.is(n.Name, keyFile+put.Path, value(put)) {
			return desired.OnChangeRestart, nil, toldNothing
		}
		return desired.OnChangeRestart, nil, toldAll
	}
	switch put.Role {
	case desired.RoleFile:
		return put.OnChange, nil, toldAll
	case desired.RoleConfig:
		return s.configChange(n)
	}
	return desired.OnChangeRestart, nil, toldAll
}

// servesWanted says that the listener serves the certificate that lies on disk,
// and that this is the wanted one: the handshake tells more than any mark. It
// tells it of the key as well, since Vault serves no mismatched pair; not where
// it served this certificate before, with another key.
func (s *situation) servesWanted(n desired.Node, put desired.Put) bool {
	if !s.v.is(n.Name, keyCert, "current") {
		return false
	}
	for _, p := range n.Puts {
		if p.Path != put.Path && p.Path != put.Pair {
			continue
		}
		if !s.v.is(n.Name, keyFile+p.Path, value(p)) || p.TLS == "cert" && s.v.is(n.Name, keyLoaded+p.Path, p.Digest) {
			return false
		}
	}
	return true
}

// unmarked says that nothing of ours tells what the process was started with.
func (s *situation) unmarked(node string) bool {
	p := s.have[node].Process
	return p != nil && p.PID != 0 && p.Mark == nil
}

// configChange compares the configuration that runs with the wanted one, key by
// key.
func (s *situation) configChange(n desired.Node) (desired.OnChange, []Change, told) {
	from := runningConfig(s.have[n.Name], s.want.Service.ConfigPath)
	if from == nil {
		return desired.OnChangeRestart, nil, toldAll
	}
	class, keys := desired.ChangeOf(from, n.Config, s.runningVersion(n.Name))
	var changes []Change
	for _, k := range keys {
		changes = append(changes, Change{k, readable(from[k]), readable(n.Config[k])})
	}
	switch {
	case untaken(s.have[n.Name], s.want.Service.ConfigPath):
		// Which of both it runs with is not known, and a reload brings all that reloads
		// into force again; so it does for a Vault that can be heard, and refuses what
		// a restart would not survive.
		if s.have[n.Name].Process.Mark.Untaken.Refused && class != desired.ChangeRestart {
			return desired.OnChangeReload, changes, toldAll
		}
		return desired.OnChangeRestart, changes, toldAll
	case class == desired.ChangeNone:
		return desired.OnChangeNone, changes, toldAll
	case class == desired.ChangeDeferred:
		return desired.OnChangeNone, changes, toldDeferred
	case class == desired.ChangeReload:
		return desired.OnChangeReload, changes, toldAll
	}
	return desired.OnChangeRestart, changes, toldAll
}

// mayHaveTaken says that a Vault whose mark is right may run with what lies there
// instead: who wrote it may have reloaded Vault, and only our own reloads move the
// mark. A certificate is told by its handshake.
func (s *situation) mayHaveTaken(n desired.Node, put desired.Put) bool {
	lies, there := s.have[n.Name].Files[put.Path]
	if !there || lies.Kind != actual.KindFile || lies.Digest == put.Digest || !s.v.is(n.Name, keyService, "active") {
		return false
	}
	if put.Role == desired.RoleConfig {
		return lies.Config != nil && desired.TakesUp(lies.Config, n.Config, s.runningVersion(n.Name))
	}
	return put.Role == desired.RoleFile && put.OnChange == desired.OnChangeReload && put.TLS == ""
}

// runningConfig is the flattened configuration that the process runs with; nil
// means Unknown.
func runningConfig(n actual.Node, path string) map[string]string {
	if n.Process != nil && n.Process.Mark != nil {
		return n.Process.Mark.Config
	}
	return n.Files[path].Config
}

func (s *situation) runningVersion(node string) string {
	if version, ok := s.v.get(node, keyRunning); ok && version != "" {
		return version
	}
	return s.want.Vault.Version
}

// readable takes the JSON quotes off a plain value.
func readable(value string) string {
	if value == "" {
		return absent
	}
	if len(value) > 1 && strings.HasPrefix(value, `"sha256:`) {
		return sensitive
	}
	return value
}

// immutableKeys are the keys of a configuration that cannot change under a
// living node, as far as they differ.
func immutableKeys(from, to map[string]string) []string {
	var keys []string
	for _, m := range []map[string]string{from, to} {
		for k := range m {
			if immutableKey(k) && from[k] != to[k] && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// immutableKey says that a key names the storage, its path, the node's raft ID
// or the kind of seal.
func immutableKey(key string) bool {
	switch key {
	case "storage.raft.path", "storage.raft.node_id", "storage.file.path", "storage.consul.path":
		return true
	}
	return len(key) > len("seal.") && key[:len("seal.")] == "seal."
}
