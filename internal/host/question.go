package host

import (
	"path"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// questions are the arguments of the probe for a target. Those whose bodies we
// have are named, so that a node that has not changed sends none.
func questions(t actual.Target, have []string) []string {
	var q []string
	ask := func(key, value string) {
		if value != "" {
			q = append(q, key+"="+value)
		}
	}
	ask("service", t.Service)
	ask("config", t.ConfigPath)
	ask("certificate", t.Certificate)
	for _, p := range sortedKeys(t.Files) {
		if p != t.ConfigPath && p != t.Certificate {
			ask("file", p)
		}
	}
	ask("binary", t.BinaryPath)
	for _, v := range t.Versions {
		if v != "" {
			ask("binary", desired.BinaryPath(v))
		}
	}
	for _, u := range t.Users {
		ask("user", u)
	}
	for _, g := range t.Groups {
		ask("group", g)
	}
	ask("data", t.DataPath)
	if t.AuditUser != "" && len(t.AuditFiles) > 0 {
		ask("auditor", t.AuditUser)
		for _, f := range t.AuditFiles {
			ask("audit", f)
		}
	}
	for _, p := range t.Peers {
		ask("peer", p)
	}
	for _, f := range folders(t) {
		ask("free", f)
	}
	for _, d := range have {
		ask("have", strings.TrimPrefix(d, "sha256:"))
	}
	return q
}

// folders are those whose free space is asked for: of data, binaries and audit
// files.
func folders(t actual.Target) []string {
	var all []string
	if t.DataPath != "" {
		all = append(all, t.DataPath)
	}
	if t.BinaryPath != "" {
		all = append(all, desired.VersionsFolder)
	}
	for _, f := range t.AuditFiles {
		all = append(all, path.Dir(f))
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(p string) bool { return p == "/" || p == "." })
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
