package diff

import (
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// audit enables the next audit device that the spec wants and the cluster does
// not have. Devices are the cluster's: the leader opens them, and every other
// node must be able to, or it could not lead. A device with other options, or
// one that the spec does not name, is never taken away by us.
func (s *situation) audit() (Step, bool) {
	if !s.v.is("", keyAuditRead, yes) {
		if s.birthing() && len(s.want.Audit) > 0 {
			s.wait("", WaitSettling, "the audit devices could not be read yet", time.Time{})
		}
		return Step{}, false
	}
	for _, a := range s.want.Audit {
		wanted := deviceValue(a.Type, a.Options)
		have, there := s.v.get("", keyAudit+a.Path)
		if have == wanted {
			continue
		}
		if there {
			s.block("", ReasonImmutable, "audit device "+a.Path+" is "+have+", the spec wants "+wanted,
				"Vault cannot change an audit device: a person disables it, and the reconciler enables it anew")
			continue
		}
		if !s.manages("", desired.ConcernAudit, "audit device "+a.Path, absent, wanted) || !s.auditOpens(a) {
			continue
		}
		leader := s.leader()
		return Step{Node: leader, Action: ActionAudit, Effect: EffectNone,
			Why:     "the cluster does not write to this audit device",
			Changes: []Change{{"audit device " + a.Path, absent, wanted}},
			Device:  &Device{Path: a.Path, Type: a.Type, Options: a.Options},
			Needs:   append(s.v.known(leader, keyRole, keyIdentity), s.opens(a)...),
			Goal:    []Fact{{"", keyAudit + a.Path, wanted}}}, true
	}
	s.strayDevices()
	return Step{}, false
}

// audited says that every wanted audit device is there.
func (s *situation) audited() bool {
	for _, a := range s.want.Audit {
		if _, there := s.v.get("", keyAudit+a.Path); !there {
			return false
		}
	}
	return true
}

// auditOpens says that Vault's user can append to the device's file on every
// node.
func (s *situation) auditOpens(a desired.Audit) bool {
	path := a.Options["file_path"]
	if a.Type != "file" || !strings.HasPrefix(path, "/") {
		return true
	}
	ok := true
	for _, n := range s.want.Nodes {
		if s.v.is(n.Name, keyOpens+path, yes) {
			continue
		}
		ok = false
		s.block(n.Name, ReasonAuditPath, "Vault's user cannot append to "+path+" on "+n.Name+", or it could not be tried",
			"make the folder writable for "+s.want.Service.User+" on the node")
	}
	return ok
}

func (s *situation) opens(a desired.Audit) []Fact {
	var needs []Fact
	if path := a.Options["file_path"]; a.Type == "file" && strings.HasPrefix(path, "/") {
		for _, n := range s.want.Nodes {
			needs = append(needs, s.v.known(n.Name, keyOpens+path)...)
		}
	}
	return needs
}

// strayDevices notes audit devices that the spec does not name.
func (s *situation) strayDevices() {
	named := map[string]bool{}
	for _, a := range s.want.Audit {
		named[keyAudit+a.Path] = true
	}
	for key, have := range s.v[""] {
		if strings.HasPrefix(key, keyAudit) && !named[key] {
			s.note("", EffectNone, Change{"audit device " + strings.TrimPrefix(key, keyAudit), have, absent}, "not in the spec; never taken away by us")
		}
	}
}
