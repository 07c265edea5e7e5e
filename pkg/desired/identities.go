package desired

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
)

// Two nodes with one raft node_id are one server to raft: the second to join
// takes the first one's place, and its vote. Two nodes with one cluster_addr or
// api_addr send what is meant for one to the other. So the three are compared
// as they hold in the end, whether written, inherited or derived, and whatever
// the rules: no cluster works with it.

const identityRule = "duplicate-identity"

// nodeIdentity is one of the three: its key, and what tells two nodes apart;
// empty when nothing can be told.
type nodeIdentity struct {
	key  string
	of   func(n *builtNode) string
	hint string
}

func (b *builder) nodeIdentities() []nodeIdentity {
	id := nodeIdentity{"node_id", func(n *builtNode) string { return n.ID }, "give each node its own, or remove `node_id`: it is derived from the node's name"}
	if b.draft.cluster.Storage.Kind != "raft" {
		id.of = func(*builtNode) string { return "" }
	}
	const derived = "it is derived from the node's address and its listener's port"
	return []nodeIdentity{
		id,
		{"cluster_addr", func(n *builtNode) string { return endpoint(n.ClusterAddr) }, "give each node its own, or remove `cluster_addr`: " + derived},
		{"api_addr", func(n *builtNode) string { return endpoint(n.APIAddr) }, "give each node its own, or remove `api_addr`: " + derived},
	}
}

func (b *builder) checkIdentities() {
	for _, identity := range b.nodeIdentities() {
		seen := map[string]*builtNode{}
		for _, n := range b.nodes {
			value := identity.of(n)
			first, twice := seen[value]
			if value == "" || !twice {
				seen[value] = n
				continue
			}
			if identity.key != "node_id" && b.toldByAddress(first, n, identity.key) {
				continue
			}
			b.draft.add(Problem{
				Place: b.identityPlace(first, n, identity.key), Severity: SeverityError, Rule: identityRule,
				Text: fmt.Sprintf("nodes %s and %s have the same `%s`, %s", first.Name, n.Name, identity.key, value),
				Hint: identity.hint,
			})
		}
	}
}

// identityPlace is where one of two equal values is written; where both are
// derived, the later node.
func (b *builder) identityPlace(first, n *builtNode, key string) Place {
	for _, node := range []*builtNode{n, first} {
		if v := node.spec.child(key); v != nil {
			return v.place
		}
	}
	return n.spec.at("name")
}

// toldByAddress says that duplicate-address or foreign-address tell of these
// two already; with rules: learning neither does.
func (b *builder) toldByAddress(first, n *builtNode, key string) bool {
	if b.draft.cluster.Rules == RulesLearning {
		return false
	}
	return first.Address == n.Address || namesHost(n.spec.str(key), first.Address) || namesHost(first.spec.str(key), n.Address)
}

// namesHost says whether a written address of an API is at a host.
func namesHost(text, host string) bool {
	return text != "" && strings.Contains(text+"/", "//"+hostPort(host, ""))
}

// endpoint is an address's host and port, without what two spellings of one may
// differ in; empty for a go-sockaddr template, which is another on every node.
func endpoint(address string) string {
	u, err := url.Parse(address)
	if err != nil || strings.Contains(address, "{{") {
		return ""
	}
	port := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	return hostPort(strings.ToLower(u.Hostname()), cmp.Or(u.Port(), port))
}
