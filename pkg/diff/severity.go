package diff

import (
	"strconv"
	"strings"
)

// How soon a person should look. Critical is what lets somebody in, or lets things
// happen unseen: the program, the audit devices, TLS, the seal. High is what decides
// how Vault runs, or whether it comes back. Low is what changes nothing of either.
func severityOf(d difference) Severity {
	under := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(d.path, p) {
				return true
			}
		}
		return false
	}
	rights := strings.HasSuffix(d.path, ".mode") || strings.HasSuffix(d.path, ".owner")
	switch {
	case d.kind == DriftTampered:
		return SeverityCritical
	case (d.put.TLS == "key" || encrypted(d.put)) && strings.HasSuffix(d.path, ".mode") && opens(d.put.Mode, d.have):
		return SeverityCritical
	case rights || d.path == "vault.binary":
		return SeverityLow
	case d.put.TLS != "" || under("audit[", "listener.", "seal."):
		return SeverityCritical
	case under("vault", "raft.peers[", "service."):
		return SeverityHigh
	case d.path == "config" && d.kind != DriftLatent && d.want != asRendered: // it is gone, or is no configuration
		return SeverityHigh
	case d.path == "config" && d.want == asRendered, under("config_folder["):
		return SeverityLow
	}
	return SeverityMedium
}

// opens says that a mode lets people do what another does not.
func opens(wanted, have string) bool {
	w, err := strconv.ParseUint(wanted, 8, 32)
	h, err2 := strconv.ParseUint(have, 8, 32)
	return err != nil || err2 != nil || h&^w != 0
}
