package desired

// rendered is a file together with the bytes that its digest is of.
type rendered struct {
	Put
	Body []byte
}

// nodeInput is what vault.hcl, vault.env and the unit of one node are rendered
// from: the keys of the spec whose values are Vault's own and therefore open,
// merged over all layers, placeholders expanded, as plain Go values (string,
// bool, int64, float64, []any, map[string]any).
type nodeInput struct {
	Config         map[string]any // the config: map
	Listeners      []Listener     // in the order in which they are written
	RetryJoin      bool           // raft retry_join blocks are derived from Peers
	Environment    map[string]string
	StorageOptions map[string]any // what stands in storage's block besides path
	Peers          []Node         // every node that is to be a member, this one included
}

// Listener is one listener block of a node's configuration.
type Listener struct {
	Type    string // "tcp" or "unix"
	Options map[string]any
}
