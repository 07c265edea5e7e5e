package desired

import (
	"time"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

// Mode is how far the reconciler may go.
type Mode string

const (
	ModeObserve Mode = "observe" // look, plan, report
	ModeEnforce Mode = "enforce" // act
)

// Concern is a part of a node that we may be allowed to write.
type Concern string

const (
	ConcernBinary  Concern = "binary"
	ConcernConfig  Concern = "config"
	ConcernService Concern = "service"
	ConcernFiles   Concern = "files"
	ConcernAudit   Concern = "audit"
	ConcernRaft    Concern = "raft" // membership
	ConcernSeal    Concern = "seal" // birth and unseal
)

// Concerns are all of them, in the order in which the documentation names them.
func Concerns() []Concern {
	return []Concern{ConcernBinary, ConcernConfig, ConcernService, ConcernFiles, ConcernAudit, ConcernRaft, ConcernSeal}
}

// Rules are the production rules that a cluster is held to.
type Rules string

const (
	RulesProduction Rules = "production"
	RulesLearning   Rules = "learning"
)

// Cluster is one Vault cluster as the repo wants it, layers merged,
// placeholders expanded, files rendered.
type Cluster struct {
	Name        string
	Fleet       string
	Environment string
	Labels      map[string]string
	Mode        Mode
	Manage      []Concern
	Rules       Rules
	ClusterID   string // Vault's cluster_id; with one the cluster can never be born again

	Vault     Vault
	Artefacts map[string]Artefact // of Vault.Version by platform; empty: the lock has no entry
	Releases  Releases            // where that version comes from
	CA        []byte              // PEM that Vault's certificates are checked against; nil: none named
	CASource  string              // the repo path of CA
	CAPath    string              // where CA lies on the nodes; empty: no file has it as its source
	Storage   Storage
	Seal      Seal
	Keys      Keys
	Service   Service
	Audit     []Audit
	Rollout   Rollout
	Drift     DriftPolicy `json:"-"` // the digest has it as it is written
	Waivers   []Waiver
	Nodes     []Node // sorted by name

	// Unbuilt are the accepted keys whose effect this release does not have:
	// each is a Block in the plan.
	Unbuilt []Unbuilt
	// Digest covers the spec and the bytes of every file: two commits with the
	// same digest want the same thing of this cluster.
	Digest string

	contents map[string][]byte // by digest, what Content returns
	places   placed            // of what was written
}

// Manages says whether the spec lets us write what belongs to a concern.
func (c Cluster) Manages(concern Concern) bool {
	for _, m := range c.Manage {
		if m == concern {
			return true
		}
	}
	return false
}

// Content is the bytes behind a digest of one of the cluster's Puts; for an
// encrypted file they are the ciphertext. False means that the digest is not
// of this cluster at this commit.
func (c Cluster) Content(digest string) ([]byte, bool) {
	b, ok := c.contents[digest]
	return b, ok
}

// Node finds a node by name.
func (c Cluster) Node(name string) (Node, bool) {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Node is one host of a cluster and everything that we keep on it.
type Node struct {
	Name          string
	Address       string
	Zone          string
	Labels        map[string]string
	Absent        bool   // state: absent
	ID            string // raft node_id
	APIAddr       string // https://host:port
	ClusterAddr   string // https://host:port
	TLSServerName string
	Listen        []string // host:port of each listener
	SSH           SSH
	Puts          []Put    // every file, by path
	Folders       []Folder // every folder that must be there, by path
	// Config is vault.hcl as Vault reads it, flattened ("listener.tcp[0].address"),
	// values in canonical JSON; sensitive ones are replaced by their digest.
	Config map[string]string
}

// SSH is how a node is reached; who it must be is not the repo's to say.
type SSH struct {
	Address string
	Port    int
	User    string
	API     API
}

// API is the way to a node's Vault API.
type API string

const (
	APITunnel API = "tunnel" // through the SSH connection
	APIDirect API = "direct"
	APIScript API = "script" // by the node script
)

// Rollout is how changes of this cluster are paced.
type Rollout struct {
	Approval string // who must approve a change, for people; "none": nobody
	Pause    time.Duration
	// Calendar is when what people notice may begin. The digest of a cluster has it as
	// it is written.
	Calendar schedule.Calendar `json:"-"`
}

// DriftPolicy says what becomes of a node that somebody changed.
type DriftPolicy struct {
	Report bool          // only tell of it; else what the spec says is put back
	After  time.Duration // how long what somebody changed by hand is left alone
}

// Unbuilt is an accepted key whose effect this release does not have.
type Unbuilt struct {
	Key   string // as written, "rollout.window"
	Place Place
}
