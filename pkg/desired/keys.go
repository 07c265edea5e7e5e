package desired

// form is the shape that a key's value must have.
type form string

const (
	formText     form = "text"
	formWord     form = "word"     // one of the key's choices
	formNumber   form = "number"   // whole, not negative
	formBoolean  form = "boolean"  // true or false
	formDuration form = "duration" // "90s", "2h30m"
	formTexts    form = "texts"    // map of any names to scalars
	formMap      form = "map"      // exactly the keys that the table lists below it
	formOpen     form = "open map" // those, and any others: they are Vault's
	formKind     form = "kind"     // a map of exactly one of the keys below it, or that key's bare name
	formList     form = "list"
	formLayer    form = "layer" // the keys of a cluster that a layer may hold
	formNodes    form = "nodes" // list of the keys that a node may hold
)

// layer is where a key may stand; a set of them is written "D C N".
type layer string

const (
	layerFleet    layer = "F" // the top of fleet.yaml
	layerDefaults layer = "D" // defaults in fleet.yaml, environments/NAME.yaml
	layerCluster  layer = "C" // clusters/NAME/cluster.yaml
	layerNode     layer = "N" // an item of nodes
)

// scope says which placeholders a key's text may hold.
type scope int

const (
	scopeNone    scope = iota // names and addresses: none
	scopeCluster              // {fleet} {environment} {cluster} {label.X}
	scopeNode                 // and {node} {address} {zone}
)

// key is one row of the table of all keys: the one place from which
// strictness, layers, defaults and docs/spec.md are made.
type key struct {
	path     string // "vault.version"; the item of a list is "files[]"
	form     form
	layers   string                                   // of "F D C N"; empty: those of the key above
	doc      string                                   // what it is, for docs/spec.md
	def      string                                   // what holds when nothing is written
	choices  []string                                 // of a word
	identity string                                   // key by which the items of a list merge; "kind" is the listener's
	scope    scope                                    // of its text
	must     func(string) (wrong string, hint string) // what its text must be, after placeholders
}

// removeKey takes an inherited item of a list away.
const removeKey = "remove"

// keys is the table.
func keys() []key {
	var table []key
	for _, part := range [][]key{fleetKeys(), clusterKeys(), vaultKeys(), hostKeys(), nodeKeys()} {
		table = append(table, part...)
	}
	return table
}

func fleetKeys() []key {
	return []key{
		{path: "format", form: formNumber, layers: "F", doc: "version of the repo's format; 1 is the only one; required"},
		{path: "fleet", form: formText, layers: "F", must: mustName, doc: "name of the fleet; required"},
		{path: "render", form: formNumber, layers: "F", def: "1", doc: "version of the rendering of our own files: a new release never changes them without a commit"},
		{path: "releases", form: formMap, layers: "F", doc: "where Vault's releases come from"},
		{path: "releases.source", form: formText, def: "https://releases.hashicorp.com", must: mustReleases, doc: "`https://` mirror laid out like releases.hashicorp.com, or `file:///` folder of that layout"},
		{path: "defaults", form: formLayer, layers: "F", doc: "first layer: every key below that has a mark under L"},
		{path: "rollout", form: formMap, layers: "F D C", doc: "how changes are paced"},
		{path: "rollout.rings", form: formList, layers: "F", doc: "stages that a commit travels through in order; the first match takes a cluster, unmatched clusters go last"},
		{path: "rollout.rings[]", form: formMap, doc: "one ring"},
		{path: "rollout.rings[].cluster", form: formText, must: mustGlob, doc: "glob of cluster names"},
		{path: "rollout.rings[].environment", form: formText, must: mustName, doc: "name of an environment"},
		{path: "rollout.rings[].soak", form: formDuration, doc: "how long the ring must stay converged before the next one begins"},
		{path: "rollout.rings[].at_once", form: formNumber, def: "1", doc: "clusters of the ring that change at the same time"},
	}
}

func clusterKeys() []key {
	return []key{
		{path: "cluster", form: formText, layers: "C", must: mustName, doc: "name of the cluster, that of its folder; required"},
		{path: "environment", form: formText, layers: "D C", must: mustName, doc: "merges `environments/NAME.yaml` when there is one; groups clusters"},
		{path: "cluster_id", form: formText, layers: "C", must: mustUUID, doc: "Vault's own cluster_id; with one the cluster can never be born again"},
		{path: "labels", form: formTexts, layers: "D C N", doc: "free names and values, for selectors and `{label.X}`"},
		{path: "mode", form: formWord, layers: "D C", def: "observe", choices: []string{"observe", "enforce"}, doc: "observe: look, plan, report; enforce: act"},
		{path: "manage", form: formList, layers: "D C", def: "binary, config, service, files, audit, raft, seal", doc: "concerns that we may write; what is not listed is only observed"},
		{path: "manage[]", form: formWord, choices: []string{"binary", "config", "service", "files", "audit", "raft", "seal"}, doc: "one concern"},
		{path: "rules", form: formWord, layers: "D C", def: "production", choices: []string{"production", "learning"}, doc: "learning lifts the production rules"},
		{path: "ca", form: formText, layers: "D C", scope: scopeCluster, must: mustSource, doc: "PEM file in the cluster's folder that Vault's certificates are checked against"},
		{path: "keys", form: formMap, layers: "C", doc: "unseal shares of a Shamir cluster"},
		{path: "keys.secret_shares", form: formNumber, def: "5", doc: "how many shares the key is split into"},
		{path: "keys.secret_threshold", form: formNumber, def: "3", doc: "how many of them unseal"},
		{path: "keys.held_by", form: formWord, def: "reconciler", choices: []string{"reconciler", "people"}, doc: "who holds the shares"},
		{path: "keys.holders", form: formList, doc: "with people: names known to reconciler.yaml, one share each"},
		{path: "keys.holders[]", form: formText, must: mustName, doc: "one name"},
		{path: "rollout.approval", form: formText, layers: "D C", def: "none", must: mustName, doc: "who must approve a change; none: nobody"},
		{path: "rollout.window", form: formMap, layers: "D C", doc: "when disruptive changes may begin"},
		{path: "rollout.window.cron", form: formText, must: mustCron, doc: "beginning of the window: minute hour day month weekday, or @daily and the like"},
		{path: "rollout.window.duration", form: formDuration, doc: "its length"},
		{path: "rollout.window.timezone", form: formText, must: mustZone, doc: "IANA name of the zone that the beginning is told in, or UTC"},
		{path: "rollout.freezes", form: formList, layers: "D C", doc: "times in which nothing begins that people notice, whatever window is open"},
		{path: "rollout.freezes[]", form: formMap, doc: "one freeze"},
		{path: "rollout.freezes[].from", form: formText, doc: "first day, YYYY-MM-DD, or an instant as 2026-12-20T18:00:00+01:00; required"},
		{path: "rollout.freezes[].until", form: formText, doc: "last day, which is still in it, or the instant of its end; required"},
		{path: "rollout.freezes[].timezone", form: formText, must: mustZone, doc: "IANA name of the zone that days are told in, or UTC; required"},
		{path: "rollout.freezes[].reason", form: formText, doc: "why; required"},
		{path: "rollout.pause", form: formDuration, layers: "D C", doc: "rest between two nodes"},
		{path: "drift", form: formMap, layers: "D C", doc: "what becomes of a node that somebody changed"},
		{path: "drift.policy", form: formWord, choices: []string{"heal", "report"}, doc: "heal, also when nothing is written: put back what the spec says, through the same gates; report: only tell of it, and repair nothing but what is down"},
		{path: "drift.after", form: formDuration, doc: "how long what somebody changed by hand is left alone before it is put back; 1m when nothing is written"},
		{path: "ignore", form: formList, layers: "D C", doc: "waived rules and drift; expired, they count again"},
		{path: "ignore[]", form: formMap, doc: "one waiver, of a rule or of a path"},
		{path: "ignore[].rule", form: formText, must: mustName, doc: "name of a production rule"},
		{path: "ignore[].path", form: formText, must: mustPath, doc: "file on the nodes whose drift is waived"},
		{path: "ignore[].nodes", form: formList, doc: "on which nodes; all when nothing is written"},
		{path: "ignore[].nodes[]", form: formText, must: mustGlob, doc: "glob of node names"},
		{path: "ignore[].reason", form: formText, doc: "why; required"},
		{path: "ignore[].owner", form: formText, doc: "who answers for it; required"},
		{path: "ignore[].until", form: formText, must: mustDate, doc: "last day of the waiver, YYYY-MM-DD; required"},
	}
}

func vaultKeys() []key {
	return []key{
		{path: "vault", form: formMap, layers: "D C", doc: "the binary"},
		{path: "vault.version", form: formText, must: mustVersion, doc: "exact version, `1.21.0` or `1.21.0+ent`; required"},
		{path: "vault.path", form: formText, def: "/usr/local/bin/vault", scope: scopeCluster, must: mustPath, doc: "link to the version's binary in `/opt/vault/versions/VERSION/vault`"},
		{path: "storage", form: formKind, layers: "D C", doc: "storage backend; required"},
		{path: "storage.raft", form: formOpen, scope: scopeNode, doc: "integrated storage; other keys are those of Vault's stanza; a written `retry_join` replaces the derived one"},
		{path: "storage.raft.path", form: formText, scope: scopeCluster, must: mustPath, doc: "data folder; required"},
		{path: "storage.consul", form: formOpen, scope: scopeNode, doc: "Consul; keys are those of Vault's stanza"},
		{path: "storage.file", form: formOpen, scope: scopeNode, doc: "files, for a single node with `rules: learning`"},
		{path: "storage.file.path", form: formText, scope: scopeCluster, must: mustPath, doc: "data folder; required"},
		{path: "listener", form: formList, layers: "D C N", identity: "kind", doc: "listeners, merged by type and address; at least one"},
		{path: "listener[]", form: formKind, doc: "one listener; `remove: true` takes an inherited one away"},
		{path: "listener[].tcp", form: formOpen, scope: scopeNode, doc: "keys are those of Vault's stanza"},
		{path: "listener[].tcp.address", form: formText, scope: scopeNode, must: mustListen, doc: "host:port; required"},
		{path: "listener[].unix", form: formOpen, scope: scopeNode, doc: "keys are those of Vault's stanza"},
		{path: "listener[].unix.address", form: formText, scope: scopeNode, must: mustPath, doc: "path of the socket; required"},
		{path: "seal", form: formKind, layers: "D C", doc: "how the root key is protected; a bare `shamir` will do; required"},
		{path: "seal.shamir", form: formMap, doc: "shares, see `keys`"},
		{path: "seal.transit", form: formOpen, scope: scopeNode, doc: "another Vault; keys are those of Vault's stanza"},
		{path: "seal.awskms", form: formOpen, scope: scopeNode, doc: "AWS KMS"},
		{path: "seal.gcpckms", form: formOpen, scope: scopeNode, doc: "Google Cloud KMS"},
		{path: "seal.azurekeyvault", form: formOpen, scope: scopeNode, doc: "Azure Key Vault"},
		{path: "seal.ocikms", form: formOpen, scope: scopeNode, doc: "OCI KMS"},
		{path: "seal.pkcs11", form: formOpen, scope: scopeNode, doc: "HSM"},
		{path: "config", form: formOpen, layers: "D C N", scope: scopeNode, doc: "the rest of vault.hcl, in Vault's own key names; nothing is filled in silently"},
		{path: "config_file", form: formText, layers: "D C", scope: scopeNode, must: mustSource, doc: "the operator's own HCL instead of the structured keys, byte for byte"},
		{path: "audit", form: formList, layers: "D C", identity: "path", doc: "audit devices, merged by path"},
		{path: "audit[]", form: formMap, doc: "one device; `remove: true` takes an inherited one away"},
		{path: "audit[].path", form: formText, must: mustMount, doc: "where it is mounted; required"},
		{path: "audit[].type", form: formWord, choices: []string{"file", "syslog", "socket"}, doc: "required"},
		{path: "audit[].options", form: formTexts, scope: scopeCluster, doc: "options of the device, in Vault's own names"},
		{path: "audit[].remove", form: formBoolean, doc: "takes the inherited device away"},
	}
}

func hostKeys() []key {
	return []key{
		{path: "ssh", form: formMap, layers: "D C N", doc: "how a node is reached; who it must be is the reconciler's own to know"},
		{path: "ssh.user", form: formText, def: "reconciler", must: mustUser, doc: "account to log in as"},
		{path: "ssh.port", form: formNumber, def: "22", must: mustPort, doc: "1 to 65535"},
		{path: "ssh.address", form: formText, layers: "N", must: mustHost, doc: "where SSH listens, when not at the node's address"},
		{path: "ssh.api", form: formWord, def: "tunnel", choices: []string{"tunnel", "direct", "script"}, doc: "way to Vault's API: through the SSH connection, directly, or by the node script"},
		{path: "service", form: formMap, layers: "D C", doc: "the unit that runs Vault"},
		{path: "service.manager", form: formWord, def: "systemd", choices: []string{"systemd"}, doc: "service manager"},
		{path: "service.name", form: formText, def: "vault", must: mustService, doc: "name of the unit, without `.service`"},
		{path: "service.user", form: formText, def: "vault", must: mustUser, doc: "account that Vault runs as"},
		{path: "service.group", form: formText, def: "vault", must: mustUser, doc: "its group"},
		{path: "service.unit", form: formText, scope: scopeNode, must: mustSource, doc: "the operator's own unit file, byte for byte"},
		{path: "service.unit_path", form: formText, scope: scopeCluster, must: mustPath, doc: "`/etc/systemd/system/NAME.service` when nothing is written"},
		{path: "config_path", form: formText, layers: "D C", def: "/etc/vault.d/vault.hcl", scope: scopeCluster, must: mustPath, doc: "where vault.hcl lies"},
		{path: "environment_path", form: formText, layers: "D C", def: "/etc/vault.d/vault.env", scope: scopeCluster, must: mustPath, doc: "where the environment file lies"},
		{path: "environment_file", form: formTexts, layers: "D C", scope: scopeNode, doc: "Vault's environment variables"},
		{path: "files", form: formList, layers: "D C N", identity: "path", doc: "other files on the nodes, merged by path"},
		{path: "files[]", form: formMap, doc: "one file; `remove: true` takes an inherited one away"},
		{path: "files[].path", form: formText, scope: scopeNode, must: mustPath, doc: "where it lies on the node; required"},
		{path: "files[].source", form: formText, scope: scopeNode, must: mustSource, doc: "path in the cluster's folder, `age:PATH` of a file encrypted there, or `secret:NAME`; required"},
		{path: "files[].owner", form: formText, def: "root", must: mustUser, doc: "its owner"},
		{path: "files[].group", form: formText, def: "root", must: mustUser, doc: "its group"},
		{path: "files[].mode", form: formText, def: "0644", must: mustMode, doc: "four octal digits in quotes"},
		{path: "files[].on_change", form: formWord, def: "none", choices: []string{"none", "reload", "restart"}, doc: "what a change asks of the running Vault"},
		{path: "files[].remove", form: formBoolean, doc: "takes the inherited file away"},
	}
}

func nodeKeys() []key {
	return []key{
		{path: "nodes", form: formNodes, layers: "C", identity: "name", doc: "the cluster's nodes; at least one"},
		{path: "name", form: formText, layers: "N", must: mustName, doc: "name of the node; required"},
		{path: "address", form: formText, layers: "N", must: mustHost, doc: "host name or IP address that the other nodes reach it at; required"},
		{path: "zone", form: formText, layers: "N", must: mustLabel, doc: "failure domain"},
		{path: "state", form: formWord, layers: "N", choices: []string{"present", "absent"}, doc: "present when nothing is written; absent: leaves the cluster, with approval"},
		{path: "node_id", form: formText, layers: "D C N", scope: scopeNode, must: mustLabel, doc: "raft node_id; derived: the node's name"},
		{path: "api_addr", form: formText, layers: "D C N", scope: scopeNode, must: mustURL, doc: "derived: `https://ADDRESS:PORT` of the first listener, 8200"},
		{path: "cluster_addr", form: formText, layers: "D C N", scope: scopeNode, must: mustURL, doc: "derived: `https://ADDRESS:PORT`, one above the API's, 8201"},
		{path: "tls_server_name", form: formText, layers: "D C N", scope: scopeNode, must: mustHost, doc: "name that the node's certificate is checked for; derived: the node's address"},
	}
}
