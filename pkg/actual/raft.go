package actual

import "time"

// DataState is what the raft folder holds.
type DataState string

const (
	DataAbsent DataState = "absent"
	DataEmpty  DataState = "empty" // nothing, or only a node-id and empty folders
	DataUsed   DataState = "used"  // a vault.db or a raft log
)

// Data is the raft folder of a node.
type Data struct {
	State  DataState `json:"state"`
	Device string    `json:"device,omitempty"` // of its file system
	Peers  bool      `json:"peers"`            // a peers.json lies in it
}

// Raft is the cluster's membership as raft's own configuration has it, read
// with the reconciler's credential. Nil on a Node means Unknown.
type Raft struct {
	Servers   []Server   `json:"servers"` // sorted by ID
	Autopilot *Autopilot `json:"autopilot,omitempty"`
}

// Server is one member of the raft configuration.
type Server struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
	Leader  bool   `json:"leader"`
}

// Autopilot is the leader's view of its followers.
type Autopilot struct {
	Healthy          bool                 `json:"healthy"`
	FailureTolerance int                  `json:"failure_tolerance"`
	StableSince      map[string]time.Time `json:"stable_since,omitempty"` // by server ID
	HealthyServers   map[string]bool      `json:"healthy_servers,omitempty"`
}
