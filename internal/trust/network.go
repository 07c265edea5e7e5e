package trust

import (
	"fmt"
	"net/netip"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// Dial says whether a node may be dialled at the addresses that its name
// resolved to; nil means yes. All of them must be allowed: the caller dials any
// of them, and must not resolve the name again.
//
// A commit chooses the address of a node, so without this one merged commit
// could make us knock anywhere. Whether the machine there is the node is for
// known_hosts to say.
func (p Policy) Dial(target actual.Target, resolved []netip.Addr) error {
	if len(resolved) == 0 {
		return fmt.Errorf("%s has no address", target.Node)
	}
	for _, a := range resolved {
		if err := p.address(a); err != nil {
			return fmt.Errorf("node %s (%s): %w", target.Node, target.Address, err)
		}
	}
	return nil
}

// address says whether one address lies in trust.networks.
func (p Policy) address(a netip.Addr) error {
	a = a.Unmap()
	if a.Zone() != "" {
		return fmt.Errorf("address %s has a zone; give the node one that means the same everywhere", a)
	}
	special := specialNetwork(a)
	for _, n := range p.trust.Networks {
		if !n.Contains(a) {
			continue
		}
		// 0.0.0.0/0 means every node, not our own loopback or the metadata
		// service of the cloud: those must be meant.
		if special.IsValid() && !(special.Bits() <= n.Bits() && special.Contains(n.Addr())) {
			continue
		}
		return nil
	}
	if special.IsValid() {
		return fmt.Errorf("address %s is of the special network %s; if that is meant, add it (or a part of it) to trust.networks in %s", a, special, p.file)
	}
	return fmt.Errorf("address %s is outside trust.networks (%s); add its network there in %s", a, prefixes(p.trust.Networks), p.file)
}

// specialNetwork is the network of an address that is never a node of a
// network by accident (RFC 6890); invalid for any other address.
func specialNetwork(a netip.Addr) netip.Prefix {
	for _, s := range []string{
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
		"::/128", "::1/128", "fe80::/10", "ff00::/8", "64:ff9b::/96",
	} {
		if n := netip.MustParsePrefix(s); n.Contains(a) {
			return n
		}
	}
	return netip.Prefix{}
}

func prefixes(all []netip.Prefix) string {
	var items []string
	for _, n := range all {
		items = append(items, n.String())
	}
	return list(items)
}
