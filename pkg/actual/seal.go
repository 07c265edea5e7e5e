package actual

// Vault is what a node's own Vault answers without a token
// (sys/seal-status, sys/health, sys/leader of this very node). Nil on a Node
// means that the API did not answer.
type Vault struct {
	Initialized bool   `json:"initialized"`
	Sealed      bool   `json:"sealed"`
	SealType    string `json:"seal_type"`
	Threshold   int    `json:"threshold"`
	Shares      int    `json:"shares"`
	Progress    int    `json:"progress"`
	Version     string `json:"version"`
	StorageType string `json:"storage_type,omitempty"`
	ClusterID   string `json:"cluster_id,omitempty"` // only while unsealed
	Removed     bool   `json:"removed,omitempty"`    // removed from its cluster
	Health      int    `json:"health"`               // HTTP status of sys/health

	Leader        bool   `json:"leader"`                   // is_self
	LeaderAddress string `json:"leader_address,omitempty"` // as this node names it
	Applied       uint64 `json:"applied"`                  // raft_applied_index
	Committed     uint64 `json:"committed"`                // raft_committed_index
}
