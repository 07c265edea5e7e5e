package actual

import (
	"context"
	"time"
)

// Phase is the stage of a look in which something could not be read.
type Phase string

const (
	PhaseDNS      Phase = "dns"
	PhaseTCP      Phase = "tcp"
	PhaseTrust    Phase = "trust"
	PhaseHostKey  Phase = "hostkey"
	PhaseAuth     Phase = "auth"
	PhaseSudo     Phase = "sudo"
	PhaseParse    Phase = "parse"
	PhaseVaultAPI Phase = "vault-api"
)

// Phases are all of them, in the order in which a look goes through them.
func Phases() []Phase {
	return []Phase{PhaseDNS, PhaseTCP, PhaseTrust, PhaseHostKey, PhaseAuth, PhaseSudo, PhaseParse, PhaseVaultAPI}
}

// Node is one look at one host. A nil section, a missing map key or an empty
// pointer is Unknown; Unknown says why. It round-trips through JSON.
type Node struct {
	Name    string           `json:"name"`
	ID      string           `json:"id,omitempty"` // raft node_id that the target named
	At      time.Time        `json:"at"`
	Unknown map[Phase]string `json:"unknown,omitempty"`

	Machine *Machine        `json:"machine,omitempty"`
	Binary  *Binary         `json:"binary,omitempty"`
	Service *Service        `json:"service,omitempty"`
	Process *Process        `json:"process,omitempty"`
	Files   map[string]File `json:"files,omitempty"`  // by path; folders too
	Beside  []string        `json:"beside,omitempty"` // other files of the configuration's folder that Vault would read if it were given the folder
	Users   map[string]bool `json:"users,omitempty"`  // account or "group:NAME" → is there
	Data    *Data           `json:"data,omitempty"`
	Vault   *Vault          `json:"vault,omitempty"`
	Raft    *Raft           `json:"raft,omitempty"`
	Audit   *Audit          `json:"audit,omitempty"`
}

// Machine is the host itself.
type Machine struct {
	MachineID string    `json:"machine_id"`
	BootID    string    `json:"boot_id"`
	Platform  string    `json:"platform"` // "linux_amd64"
	Clock     time.Time `json:"clock"`    // by the node's own clock
	Root      bool      `json:"root"`     // the look had root's eyes
	Script    string    `json:"script"`   // digest of the installed node script; empty: none
	Fence     *Fence    `json:"fence,omitempty"`
	Hold      *Hold     `json:"hold,omitempty"` // nil: no hold file
	// PeersReach says for each asked peer API address ("10.1.0.12:8200") whether
	// it answered: "open", "refused" or "silent".
	PeersReach map[string]string `json:"peers_reach,omitempty"`
	FreeBytes  map[string]uint64 `json:"free_bytes,omitempty"` // by folder
}

// Fence is the epoch that the node saw last and who held it.
type Fence struct {
	Epoch  uint64 `json:"epoch"`
	Holder string `json:"holder"`
}

// Hold is a hold file that a person left on the node.
type Hold struct {
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// Target is what to look at on one node. The hands of the real world refuse a
// target that the trust settings do not allow, before any connection.
type Target struct {
	Cluster     string
	Node        string
	ID          string // raft node_id
	Address     string // host or IP of SSH
	Port        int
	User        string
	API         string   // tunnel, direct or script
	APIAddress  string   // host:port of Vault's API as this node serves it
	ServerName  string   // that its certificate must name
	CAs         [][]byte // PEM; wanted and last good
	Service     string   // unit name without ".service"
	BinaryPath  string
	Versions    []string // whose folders to look into
	ConfigPath  string
	Files       map[string]string // path → wanted digest ("" for folders)
	Users       []string
	Groups      []string
	DataPath    string
	AuditFiles  []string // that must open as AuditUser
	AuditUser   string
	Peers       []string // host:port that this node must be able to reach
	Credential  bool     // read raft configuration, autopilot and audit devices too
	Certificate string   // path of the certificate that the listener serves
}

// Host looks at one node. It owns deadlines and caps and never fails: what it
// could not read is in Unknown. A port; the real one is internal/host.
type Host func(ctx context.Context, target Target) Node

// Each runs do for 0..n-1 and returns when all have returned. A port: bounded
// goroutines in production, a seeded order in the simulation.
type Each func(n int, do func(i int))

// Probe looks at all targets and returns one Node each, in their order.
func Probe(ctx context.Context, host Host, each Each, targets []Target) []Node {
	seen := make([]Node, len(targets))
	each(len(targets), func(i int) {
		seen[i] = host(ctx, targets[i])
		seen[i].Name, seen[i].ID = targets[i].Node, targets[i].ID
	})
	return seen
}
