package desired

import (
	"fmt"
	"strings"
)

// An audit device of type file is worth what its file is. Two devices that
// write one file are one: when it cannot be written, Vault stops answering. And
// Vault appends: into its own data, or into a file that the reconciler writes,
// it would destroy what is there.

// checkAuditFile looks at where one device writes; written are the places of
// those before, by file.
func (b *builder) checkAuditFile(item *value, at string, written map[string]*value) {
	place, c := item.at("options", "file_path"), b.draft.cluster
	const hint = "give it a folder of its own, as in /var/log/vault/audit.log"
	if first := written[at]; first != nil {
		b.fail(place, fmt.Sprintf("the audit devices %s and %s write one file, %s", first.str("path"), item.str("path"), at),
			"write a second file on another disk, or a device of another type, as syslog")
		return
	}
	written[at] = item
	if at == "stdout" || at == "discard" {
		return
	}
	if wrong, hint := mustPath(at); wrong != "" {
		b.fail(place, "`audit.options.file_path`: "+wrong, hint)
		return
	}
	for _, folder := range []string{c.Storage.Path, VersionsFolder, GenerationsFolder} {
		if folder != "" && (at == folder || strings.HasPrefix(at, folder+"/")) {
			b.fail(place, "the audit device "+item.str("path")+" writes below "+folder+", which is not for logs", hint)
			return
		}
	}
	switch at {
	case c.Service.ConfigPath, c.Service.EnvironmentPath, c.Service.UnitPath, c.Vault.Path:
		b.fail(place, "the audit device "+item.str("path")+" writes "+at+", which is written from the spec's own keys", hint)
	}
}

// isAuditFile says that an audit device writes there.
func (c Cluster) isAuditFile(at string) bool {
	for _, a := range c.Audit {
		if a.Type == "file" && a.Options["file_path"] == at {
			return true
		}
	}
	return false
}

// recording counts the devices that keep what they are given.
func (c Cluster) recording() int {
	n := 0
	for _, a := range c.Audit {
		if a.Type != "file" || a.Options["file_path"] != "discard" {
			n++
		}
	}
	return n
}
