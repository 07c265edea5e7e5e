package desired

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The production rules. The guide that this product follows says: production
// Vault must explicitly define storage backend, listener, TLS certificates,
// seal and cluster parameters, with no implicit defaults; persistent storage;
// TLS always; a service manager always; a proper unseal mechanism; several
// nodes (a single node only for learning); monitoring and logging. Each rule
// has a name, so that it can be looked up and waived by it, and the sentence
// that explains it. `rules: learning` lifts them all.

// productionRule is one of them.
type productionRule struct {
	name     string
	severity Severity
	why      string // the sentence
	broken   func(b *builder) []finding
}

// finding is one place where a rule is broken.
type finding struct {
	place Place
	text  string
	hint  string
}

// checkRules adds what the rules find.
func (b *builder) checkRules() {
	if b.draft.cluster.Rules == RulesLearning {
		b.learningLimits()
		return
	}
	for _, rule := range productionRules() {
		if rule.broken == nil || b.waived(rule.name) {
			continue
		}
		for _, f := range rule.broken(b) {
			b.draft.add(Problem{Place: f.place, Severity: rule.severity, Rule: rule.name, Text: f.text + ": " + rule.why, Hint: f.hint})
		}
	}
}

// learningLimits are what no rule lifts, because it cannot work.
func (b *builder) learningLimits() {
	if b.draft.cluster.Storage.Kind == "file" && len(b.nodes) > 1 {
		b.fail(b.placeOf(b.spec, "storage", "file"), fmt.Sprintf("file storage cannot be shared by %d nodes", len(b.nodes)), "write storage: {raft: {path: …}}")
	}
}

func ruleNames() []string {
	var names []string
	for _, r := range productionRules() {
		names = append(names, r.name)
	}
	return names
}

func productionRules() []productionRule {
	return []productionRule{
		{"tls-required", SeverityError, "production Vault speaks TLS on every listener, for its tokens and secrets cross the network", tlsRequired},
		{"single-node", SeverityError, "one node cannot be upgraded or lost without an outage; a single node is for learning only", singleNode},
		{"even-voters", SeverityWarning, "an even number of voters survives no more losses than one voter less", evenVoters},
		{"file-storage", SeverityError, "file storage has no high availability, and no snapshot that is consistent", fileStorage},
		{"explicit-seal", SeverityError, "how the root key is protected is a decision, and must be written down", explicitSeal},
		{"explicit-keys", SeverityError, "how many shares open Vault, and who holds them, is a decision, and must be written down", explicitKeys},
		{"one-zone", SeverityWarning, "a zone that fails must not take the quorum with it", oneZone},
		{"two-audit-devices", SeverityWarning, "Vault stops answering when its only audit device cannot be written, and without one nobody knows who read what", twoAuditDevices},
		{"no-telemetry", SeverityWarning, "a Vault that nobody measures fails before anybody notices", noTelemetry},
		{"mount-declared", SeverityWarning, "Vault must not start on the empty folder below an absent mount", mountDeclared},
		{"proxy-bypass", SeverityError, "Vault's own requests to the other nodes, raft join among them, would go through the proxy", proxyBypass},
		{"duplicate-address", SeverityError, "two nodes on one machine fail together, and each would undo the other's files", duplicateAddress},
		{identityRule, SeverityError, "to raft and to clients they would be one server, and each would take the other's place", nil},
		{"loopback", SeverityError, "a loopback address is another machine on every machine", loopback},
		{"not-root", SeverityError, "whoever breaks into Vault must not be root on its machine", notRoot},
		{"ssh-root", SeverityWarning, "the node script needs one line of sudo, not a root login", sshRoot},
		{"raw-storage", SeverityError, "the raw endpoint reads and writes what is below Vault's own checks", rawStorage},
		{"pre-release", SeverityError, "what is not released has no upgrade path and no fixes", preRelease},
		{"unreadable-tls", SeverityWarning, "a listener whose certificate or key Vault may not read does not start", unreadableTLS},
		{"unplaced-tls", SeverityWarning, "a listener whose certificate or key is not there does not start", unplacedTLS},
		{"foreign-address", SeverityError, "clients and nodes would be sent to another node than the one that answered", foreignAddress},
		{environmentRule, SeverityError, "whoever may commit a variable such as LD_PRELOAD or PATH would run programs of their own on the nodes", nil},
		{secretRule, SeverityError, "a secret in the repo is known to everybody who can read it, and stays in its history", nil},
		{"preflight", SeverityError, "a configuration that the wanted version refuses would stop the node at its next start", nil},
	}
}

func tlsRequired(b *builder) []finding {
	var found []finding
	for _, n := range b.nodes {
		for _, item := range n.spec.list("listener") {
			kind, options := item.only()
			if kind != "tcp" {
				continue
			}
			switch disable := options.child("tls_disable"); {
			case disable != nil && isTrue(disable.plain()):
				found = append(found, finding{disable.place, "the listener " + options.str("address") + " has TLS disabled", "remove tls_disable, and write tls_cert_file and tls_key_file"})
			case options.str("tls_cert_file") == "" || options.str("tls_key_file") == "":
				found = append(found, finding{item.place, "the listener " + options.str("address") + " has no certificate and key", "write tls_cert_file and tls_key_file"})
			}
		}
		if strings.HasPrefix(n.APIAddr, "http://") && n.spec.child("api_addr") != nil {
			found = append(found, finding{n.spec.at("api_addr"), "`api_addr` is " + n.APIAddr, "write https://"})
		}
	}
	return found
}

// voters are the nodes that are to stay members.
func (b *builder) voters() []*builtNode {
	return slices.DeleteFunc(slices.Clone(b.nodes), func(n *builtNode) bool { return n.Absent })
}

func singleNode(b *builder) []finding {
	if n := len(b.voters()); n < 2 {
		return []finding{{b.placeOf(b.spec, "nodes"), fmt.Sprintf("the cluster has %d node", n), "write three nodes or five, or rules: learning"}}
	}
	return nil
}

func evenVoters(b *builder) []finding {
	if n := len(b.voters()); n >= 2 && n%2 == 0 && b.draft.cluster.Storage.Kind == "raft" {
		return []finding{{b.placeOf(b.spec, "nodes"), fmt.Sprintf("the cluster has %d voters", n), "write three nodes or five"}}
	}
	return nil
}

func fileStorage(b *builder) []finding {
	if b.draft.cluster.Storage.Kind == "file" {
		return []finding{{b.placeOf(b.spec, "storage", "file"), "the storage is file", "write storage: {raft: {path: …}}, or rules: learning"}}
	}
	return nil
}

func explicitSeal(b *builder) []finding {
	if b.draft.cluster.Seal.Kind == "" {
		return []finding{{b.placeOf(b.spec, "seal"), "`seal` is not written", "write seal: shamir, or the kind that unseals"}}
	}
	return nil
}

// explicitKeys is about the clusters that this tool gives birth to and unseals
// by shares.
func explicitKeys(b *builder) []finding {
	c, keys := b.draft.cluster, b.spec.child("keys")
	if c.Seal.Kind == "shamir" && c.Storage.Kind == "raft" && (keys == nil || keys.builtIn()) {
		return []finding{{b.placeOf(b.spec, "seal"), "`keys` is missing", "write keys: {secret_shares: 5, secret_threshold: 3, held_by: reconciler}, or held_by: people and their holders"}}
	}
	return nil
}

func oneZone(b *builder) []finding {
	zones := map[string]int{}
	for _, n := range b.voters() {
		zones[n.Zone]++
	}
	place := b.placeOf(b.spec, "nodes")
	if zones[""] > 0 {
		return []finding{{place, "not every node names its zone", "write zone for each node"}}
	}
	voters := len(b.voters())
	for _, zone := range sortedKeys(zones) {
		if voters > 1 && voters-zones[zone] < voters/2+1 && (len(zones) == 1 || voters > 2) {
			return []finding{{place, fmt.Sprintf("%d of %d nodes are in zone %s", zones[zone], voters, zone), "spread them over three zones"}}
		}
	}
	return nil
}

func twoAuditDevices(b *builder) []finding {
	if n := b.draft.cluster.recording(); n < 2 {
		return []finding{{b.placeOf(b.spec, "audit"), fmt.Sprintf("the cluster has %d of two audit devices", n), "write two of different types, as file and syslog"}}
	}
	return nil
}

func noTelemetry(b *builder) []finding {
	if !b.verbatim() && b.spec.get("config", "telemetry") == nil {
		return []finding{{b.placeOf(b.spec, "config"), "`config.telemetry` is not written", "write telemetry: {prometheus_retention_time: 24h, disable_hostname: true}"}}
	}
	return nil
}

// mountDeclared is about the operator's own units; ours say it.
func mountDeclared(b *builder) []finding {
	for _, n := range b.nodes {
		v := n.spec.get("service", "unit")
		if v == nil || isReference(v.text) || b.draft.cluster.Storage.Path == "" {
			continue
		}
		body, _, _ := b.l.repo.read(clustersFolder + "/" + b.draft.cluster.Name + "/" + v.text)
		if !strings.Contains(string(body), "RequiresMountsFor=") {
			return []finding{{v.place, "the unit " + v.text + " does not name the mount of " + b.draft.cluster.Storage.Path, "write RequiresMountsFor=" + b.draft.cluster.Storage.Path + " into its [Unit] section"}}
		}
	}
	return nil
}

// proxyBypass looks for the nodes in NO_PROXY as Go's net/http does: names and
// their domains, addresses, and networks; what is loopback never goes through a
// proxy (golang.org/x/net/http/httpproxy).
func proxyBypass(b *builder) []finding {
	var found []finding
	for _, n := range b.nodes {
		if variable(n.environment, "HTTPS_PROXY") == "" && variable(n.environment, "HTTP_PROXY") == "" {
			continue
		}
		exempt := strings.Split(variable(n.environment, "NO_PROXY"), ",")
		for _, peer := range b.nodes {
			if !isLoopback(peer.Address) && !exempts(exempt, peer.Address) {
				found = append(found, finding{b.placeOf(b.spec, "environment_file", "NO_PROXY"),
					"NO_PROXY does not exempt node " + peer.Name + ", " + peer.Address, "add its address, its domain or its network to NO_PROXY"})
			}
		}
		return found
	}
	return nil
}

// variable is an environment variable in either of the spellings that Go's
// proxies are configured in.
func variable(environment map[string]string, name string) string {
	if v := environment[name]; v != "" {
		return v
	}
	return environment[strings.ToLower(name)]
}

func exempts(entries []string, address string) bool {
	ip, ipErr := netip.ParseAddr(address)
	for _, entry := range entries {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if network, err := netip.ParsePrefix(entry); err == nil && ipErr == nil && network.Contains(ip) {
			return true
		}
		domain := strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
		switch {
		case entry == "*", entry == address:
			return true
		case domain != "" && ipErr != nil && strings.HasSuffix(address, "."+domain):
			return true
		}
	}
	return false
}

func duplicateAddress(b *builder) []finding {
	var found []finding
	seen := map[string]string{}
	for _, n := range b.nodes {
		for _, key := range slices.Compact([]string{"address " + n.Address, "machine " + machineOf(n.Node)}) {
			first, twice := seen[key]
			if twice {
				_, shown, _ := strings.Cut(key, " ")
				found = append(found, finding{n.spec.at("address"), "nodes " + first + " and " + n.Name + " have the same address, " + shown, "give each node its own machine"})
				break
			}
			seen[key] = n.Name
		}
	}
	return found
}

func loopback(b *builder) []finding {
	var found []finding
	for _, n := range b.nodes {
		for _, host := range []string{n.Address, n.SSH.Address} {
			if isLoopback(host) {
				found = append(found, finding{n.spec.at("address"), "node " + n.Name + " is at " + host, "write the address that the other nodes reach it at"})
				break
			}
		}
	}
	return found
}

// isLoopback says whether an address is always the machine's own.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func notRoot(b *builder) []finding {
	if b.draft.cluster.Service.User == "root" {
		return []finding{{b.placeOf(b.spec, "service", "user"), "Vault is to run as root", "write user: vault"}}
	}
	return nil
}

func sshRoot(b *builder) []finding {
	for _, n := range b.nodes {
		if n.SSH.User == "root" {
			return []finding{{b.placeOf(n.spec, "ssh", "user"), "`ssh.user` is root", "log in as an account of its own, as in ssh: {user: reconciler}"}}
		}
	}
	return nil
}

func rawStorage(b *builder) []finding {
	for _, n := range b.nodes {
		if v := n.spec.get("config", "raw_storage_endpoint"); v != nil && isTrue(v.plain()) {
			return []finding{{v.place, "`raw_storage_endpoint` is on", "remove it; switch it on by hand for as long as it is needed"}}
		}
	}
	return nil
}

func preRelease(b *builder) []finding {
	if strings.Contains(b.draft.cluster.Vault.Version, "-") {
		return []finding{{b.placeOf(b.spec, "vault", "version"), b.draft.cluster.Vault.Version + " is a pre-release", "write a released version"}}
	}
	return nil
}

// foreignAddress finds an overridden address that is another node's.
func foreignAddress(b *builder) []finding {
	var found []finding
	for _, n := range b.nodes {
		for _, key := range []string{"api_addr", "cluster_addr"} {
			text := n.spec.str(key)
			for _, other := range b.nodes {
				if other != n && other.Address != n.Address && namesHost(text, other.Address) {
					found = append(found, finding{n.spec.at(key), "`" + key + "` of node " + n.Name + " is the address of node " + other.Name, "remove it: it is derived from the node's own address"})
				}
			}
		}
	}
	return found
}
