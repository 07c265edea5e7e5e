package desired

// Audit is an audit device of the cluster.
type Audit struct {
	Path    string // "file", without the trailing slash
	Type    string // "file", "syslog" or "socket"
	Options map[string]string
}
