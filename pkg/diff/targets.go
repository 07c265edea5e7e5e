package diff

import (
	"cmp"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Targets are what to look at: every node of the spec, and every remembered
// member that the spec dropped, because a voter does not stop voting when its
// line is deleted.
func Targets(want desired.Cluster, m Memory) []actual.Target {
	var targets []actual.Target
	for _, n := range want.Nodes {
		targets = append(targets, target(want, n, m))
	}
	for _, member := range m.Members {
		if _, ok := want.Node(member.Name); ok || !member.Joined || len(want.Nodes) == 0 {
			continue
		}
		gone := want.Nodes[0] // reached as its siblings are
		gone.Name, gone.Address, gone.ID = member.Name, member.Address, member.ID
		gone.SSH.Address, gone.TLSServerName = member.Address, member.Address
		gone.APIAddr, gone.ClusterAddr = "", ""
		gone.Puts, gone.Folders = nil, nil
		targets = append(targets, target(want, gone, m))
	}
	slices.SortFunc(targets, func(a, b actual.Target) int { return cmp.Compare(a.Node, b.Node) })
	return targets
}

func target(want desired.Cluster, n desired.Node, m Memory) actual.Target {
	t := actual.Target{
		Cluster: want.Name, Node: n.Name, ID: n.ID,
		Address: cmp.Or(n.SSH.Address, n.Address), Port: n.SSH.Port, User: n.SSH.User,
		API: string(n.SSH.API), APIAddress: apiAddress(n), ServerName: n.TLSServerName,
		Service: want.Service.Name, BinaryPath: want.Vault.Path, ConfigPath: want.Service.ConfigPath,
		Versions: []string{want.Vault.Version},
		Files:    map[string]string{},
		Users:    []string{want.Service.User}, Groups: []string{want.Service.Group},
		DataPath: want.Storage.Path, AuditUser: want.Service.User,
		Credential: m.Known,
	}
	if want.CA != nil {
		t.CAs = append(t.CAs, want.CA)
	}
	t.CAs = append(t.CAs, m.CAs...)
	for _, p := range n.Puts {
		digest := p.Digest
		if placed, ok := m.Secrets[digest]; ok {
			digest = placed
		}
		t.Files[p.Path] = digest
		if p.TLS == "cert" && t.Certificate == "" {
			t.Certificate = p.Path
		}
	}
	for _, f := range n.Folders {
		t.Files[f.Path] = ""
	}
	for _, a := range want.Audit {
		if a.Type == "file" && a.Options["file_path"] != "" {
			t.AuditFiles = append(t.AuditFiles, a.Options["file_path"])
		}
	}
	for _, other := range want.Nodes {
		if other.Name != n.Name && !m.Known { // only a birth asks; Vault logs every such connection
			t.Peers = append(t.Peers, apiAddress(other), clusterAddress(other))
		}
	}
	return t
}

// apiAddress is host:port of a node's API as its peers dial it.
func apiAddress(n desired.Node) string { return hostPort(n.APIAddr, n.Address, 8200) }

// clusterAddress is host:port of a node's raft as its peers dial it.
func clusterAddress(n desired.Node) string { return hostPort(n.ClusterAddr, n.Address, 8201) }

// hostPort is what a URL of a node leads to, or its address and the port that
// Vault uses if nothing else is said.
func hostPort(raw, address string, port int) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return join(address, port)
	case u.Port() == "":
		return join(u.Hostname(), port)
	}
	return u.Host
}

// join is host:port, with the brackets that an IPv6 address takes.
func join(host string, port int) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}
