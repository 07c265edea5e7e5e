package desired

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// buildNodes fills the cluster's nodes as far as they are told by keys; false
// on errors. Files and rendering come later, when all nodes are known to each
// other.
func (b *builder) buildNodes() bool {
	c := &b.draft.cluster
	items := b.spec.list("nodes")
	if len(items) == 0 {
		b.fail(b.placeOf(b.spec, "nodes"), "the cluster has no nodes", "write nodes: [{name: NAME, address: ADDRESS}]")
		return false
	}
	for _, item := range items {
		if n := b.node(item); n != nil {
			b.nodes = append(b.nodes, n)
		}
	}
	slices.SortFunc(b.nodes, func(x, y *builtNode) int { return cmp.Compare(x.Name, y.Name) })
	for _, n := range b.nodes {
		c.Nodes = append(c.Nodes, n.Node)
	}
	return !b.draft.broken()
}

// node lays one item of nodes over the cluster.
func (b *builder) node(item *value) *builtNode {
	hint := "write name: NAME and address: ADDRESS"
	name := b.need(item, hint, "name")
	if b.need(item, hint, "address") == "" || name == "" {
		return nil
	}
	if wrong, hint := mustName(name); wrong != "" {
		b.fail(item.at("name"), "`name`: "+wrong, hint)
		return nil // its files' sources would all be told wrong as well
	}
	m := &merger{}
	base := b.spec.without("nodes")
	merged := fill(b.l.schema, m.merge(b.l.schema, base, item))
	b.draft.add(m.problems...)
	e := &expander{vars: clusterVars(b.l.result.Name, b.spec).ofNode(merged), scope: scopeNode}
	spec := e.expand(b.l.schema, merged)
	b.draft.add(e.problems...)
	b.checkLabels(item)
	n := &builtNode{spec: spec, config: spec.child("config").plainMap(), environment: spec.texts("environment_file")}
	n.Node = Node{
		Name: name, Address: spec.str("address"), Zone: spec.str("zone"), Labels: spec.texts("labels"),
		Absent: spec.str("state") == "absent",
		ID:     cmp.Or(spec.str("node_id"), name),
	}
	n.TLSServerName = cmp.Or(spec.str("tls_server_name"), n.Address)
	b.reach(n)
	b.listen(n)
	b.nodeStorage(n)
	return n
}

// reach fills how SSH gets to the node.
func (b *builder) reach(n *builtNode) {
	n.SSH = SSH{
		Address: cmp.Or(n.spec.str("ssh", "address"), n.Address),
		Port:    n.spec.num("ssh", "port"),
		User:    n.spec.str("ssh", "user"),
		API:     API(n.spec.str("ssh", "api")),
	}
	if n.SSH.User == "" {
		b.fail(b.placeOf(n.spec, "ssh"), "`ssh.user` is missing", "write the account to log in as")
	}
}

// listen fills the listeners, and the two addresses that follow from the first
// of them unless they are written: Vault takes the API's port plus one for its
// own traffic (docs/configuration/listener/tcp, cluster_address).
func (b *builder) listen(n *builtNode) {
	scheme, port, clusterPort := "https", "8200", "8201"
	first := true
	for _, item := range n.spec.list("listener") {
		kind, options := item.only()
		if kind == "" {
			continue
		}
		l := Listener{Type: kind, Options: options.plainMap()}
		n.listeners = append(n.listeners, l)
		address := options.str("address")
		if address == "" {
			b.fail(item.place, "a "+kind+" listener has no address", "write it, as in tcp: {address: \"0.0.0.0:8200\"}")
			continue
		}
		if kind != "tcp" {
			continue
		}
		n.Listen = append(n.Listen, address)
		if !first {
			continue
		}
		first = false
		if peers := options.str("cluster_address"); peers != "" {
			if wrong, hint := mustListen(peers); wrong != "" {
				b.fail(options.at("cluster_address"), "`cluster_address` of the listener "+address+": "+wrong, hint)
			}
		}
		port = cmp.Or(portOf(address), port)
		clusterPort = cmp.Or(portOf(options.str("cluster_address")), portAfter(port), clusterPort)
		if isTrue(l.Options["tls_disable"]) {
			scheme = "http"
		}
	}
	n.APIAddr = cmp.Or(n.spec.str("api_addr"), scheme+"://"+hostPort(n.Address, port))
	n.ClusterAddr = cmp.Or(n.spec.str("cluster_addr"), "https://"+hostPort(n.Address, clusterPort))
	if len(n.listeners) == 0 && !b.verbatim() {
		b.fail(b.placeOf(b.spec, "listener"), "`listener` is missing", "write at least one, as in listener: [{tcp: {address: \"0.0.0.0:8200\", tls_cert_file: …, tls_key_file: …}}]")
	}
	b.samePort(n)
}

// hostPort joins the two as a URL wants them: IPv6 in brackets.
func hostPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

// portOf is the port of host:port; empty when there is none to be known.
func portOf(address string) string {
	port := address[strings.LastIndexByte(address, ':')+1:]
	if port == address || !all(port, isDigit) {
		return ""
	}
	return port
}

func portAfter(port string) string {
	n, err := strconv.Atoi(port)
	if err != nil || n >= 65535 {
		return ""
	}
	return strconv.Itoa(n + 1)
}

// samePort finds listeners that would fight for one port.
func (b *builder) samePort(n *builtNode) {
	for i, one := range n.Listen {
		for _, other := range n.Listen[:i] {
			if portOf(one) == "" || portOf(one) != portOf(other) {
				continue
			}
			if hostOf(one) == hostOf(other) || anyHost(one) || anyHost(other) {
				b.fail(b.placeOf(n.spec, "listener"), fmt.Sprintf("the listeners %s and %s want the same port", other, one), "give one of them another port")
			}
		}
	}
}

func hostOf(address string) string { return address[:max(0, strings.LastIndexByte(address, ':'))] }

func anyHost(address string) bool {
	host := hostOf(address)
	return host == "0.0.0.0" || host == "[::]"
}

// nodeStorage is what stands in storage's block besides the path, as it holds
// on this node.
func (b *builder) nodeStorage(n *builtNode) {
	_, options := n.spec.child("storage").only()
	n.storage = options.plainMap()
	delete(n.storage, "path")
}

// derivesJoin says whether retry_join is written by us: on raft, unless the
// spec has its own. An empty list written means that there is to be none.
func (b *builder) derivesJoin() bool {
	return b.draft.cluster.Storage.Kind == "raft" && b.spec.get("storage", "raft", "retry_join") == nil
}
