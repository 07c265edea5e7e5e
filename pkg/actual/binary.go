package actual

// Binary is what lies at vault.path and in the version folders. Digests are
// "sha256:HEX"; an empty one means that the file is not there.
type Binary struct {
	Digest   string            `json:"digest"`             // of what the path leads to
	Target   string            `json:"target,omitempty"`   // where the link leads; empty: a regular file
	Versions map[string]string `json:"versions,omitempty"` // version → digest of its binary
}
