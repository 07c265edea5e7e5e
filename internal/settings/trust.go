package settings

import (
	"net/netip"
	"path"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

func (r *reader) trust(n *yaml.Node, t *Trust) {
	r.fields(n, "trust",
		key{"known_hosts", func(n *yaml.Node) {
			if r.path(n, "trust.known_hosts", &t.KnownHosts) {
				r.guarded(n, t.KnownHosts)
			}
		}},
		key{"networks", func(n *yaml.Node) { r.networks(n, "trust.networks", &t.Networks) }},
		key{"vault_ca", func(n *yaml.Node) { r.guardedPaths(n, "trust.vault_ca", &t.VaultCA) }},
		key{"roots", func(n *yaml.Node) { r.roots(n, &t.Roots) }},
		key{"services", func(n *yaml.Node) { r.names(n, "trust.services", &t.Services) }},
		key{"users", func(n *yaml.Node) { r.names(n, "trust.users", &t.Users) }},
		key{"releases", func(n *yaml.Node) { r.paths(n, "trust.releases", &t.Releases) }},
		key{"modes", func(n *yaml.Node) { r.modes(n, &t.Modes) }},
		key{"folders", func(n *yaml.Node) { r.boolean(n, "trust.folders", &t.Folders) }},
	)
}

// networks reads prefixes; a single address is a prefix of its own.
func (r *reader) networks(n *yaml.Node, where string, to *[]netip.Prefix) {
	r.items(n, where, func(n *yaml.Node) {
		var s string
		if !r.text(n, "an item of "+where, &s) {
			return
		}
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			*to = append(*to, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
			return
		}
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil || p.Addr().Is4In6():
			r.at(n, "write it as 10.1.0.0/16", "%s: %q is not a network", where, s)
		case p != p.Masked():
			// 10.1.0.7/16 is either a typo for a host or for a mask.
			r.at(n, "write "+p.Masked().String()+", or "+p.Addr().String()+" for the one host",
				"%s: %q has bits beyond its mask", where, s)
		default:
			*to = append(*to, p)
		}
	})
}

// roots reads folders of nodes, not of this host. The root of a file system
// and its first level but a few are refused: a root is what the repo may
// overwrite as root.
func (r *reader) roots(n *yaml.Node, to *[]string) {
	r.items(n, "trust.roots", func(n *yaml.Node) {
		var s string
		if !r.text(n, "an item of trust.roots", &s) {
			return
		}
		if !path.IsAbs(s) || path.Clean(s) != strings.TrimSuffix(s, "/") {
			r.at(n, "write it as /opt/vault", "trust.roots: %q is not a clean absolute path", s)
			return
		}
		for _, whole := range []string{"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin", "/var", "/var/lib"} {
			if path.Clean(s) == whole {
				r.at(n, "name the folders of Vault below it", "trust.roots: %s would let a commit replace the system", whole)
				return
			}
		}
		*to = append(*to, path.Clean(s))
	})
}

func (r *reader) names(n *yaml.Node, where string, to *[]string) {
	r.items(n, where, func(n *yaml.Node) {
		var s string
		if r.text(n, "an item of "+where, &s) && r.name(n, where) {
			*to = append(*to, s)
		}
	})
}

// modes reads glob → mode. The first glob that matches decides, in the order
// in which they are written, so a glob after "*" is a mistake.
func (r *reader) modes(n *yaml.Node, to *[]Mode) {
	all := false
	r.pairs(n, "trust.modes", func(k, v *yaml.Node) {
		var m Mode
		var mode string
		r.glob(k, "trust.modes", &m.Clusters)
		if !r.text(v, join("trust.modes", k.Value), &mode) || m.Clusters == "" {
			return
		}
		m.Most = desired.Mode(mode)
		switch {
		case m.Most != desired.ModeObserve && m.Most != desired.ModeEnforce:
			r.at(v, "write observe or enforce", "trust.modes: %q is not a mode", mode)
		case all:
			r.at(k, `move it before "*"; the first match decides`, "trust.modes: %q is never reached", m.Clusters)
		default:
			all = m.Clusters == "*"
			*to = append(*to, m)
		}
	})
}
