package desired

// Storage is where Vault keeps its data. Raft and file have a Path.
type Storage struct {
	Kind string // "raft", "consul" or "file"
	Path string // folder on the node
}
