package actual

import "time"

// Kind of a file system entry.
type Kind string

const (
	KindAbsent Kind = "absent"
	KindFile   Kind = "file" // also what a link of ours leads to
	KindFolder Kind = "folder"
	KindOther  Kind = "other"
)

// File is one path on a node, links followed.
type File struct {
	Kind   Kind      `json:"kind"`
	Digest string    `json:"digest,omitempty"` // "sha256:HEX"; empty: a folder, or not readable
	Owner  string    `json:"owner,omitempty"`
	Group  string    `json:"group,omitempty"`
	Mode   string    `json:"mode,omitempty"` // four octal digits
	Size   int64     `json:"size,omitempty"`
	Mtime  time.Time `json:"mtime,omitzero"`
	Target string    `json:"target,omitempty"` // where the link leads; empty: no link
	// Certificate is filled for a file that holds a PEM certificate and was
	// asked for as one.
	Certificate *Certificate `json:"certificate,omitempty"`
	// Config is filled for Target.ConfigPath: flattened as desired.Node.Config.
	Config map[string]string `json:"config,omitempty"`
}
