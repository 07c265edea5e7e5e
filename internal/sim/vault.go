package sim

import (
	"fmt"
	"slices"
	"time"
)

// Stabilization is how long autopilot watches a new server before it lets it
// vote (Vault's default server_stabilization_time).
const Stabilization = 10 * time.Second

// Raft is one raft cluster: what its members agree on, whichever of them run.
type Raft struct {
	ID      string
	Members map[string]*Peer // by node_id
	Index   uint64
	Leader  string // node_id, or empty
	Newest  string // highest version that led
	Devices map[string]Device
	Shares  int
	Thresh  int
	Root    bool   // the root token of init still works
	Cred    bool   // the reconciler has a credential
	Secret  string // that opens it
	// Watch is the cluster's server_stabilization_time.
	Watch time.Duration
}

// Peer is one member of a raft cluster.
type Peer struct {
	Voter  bool
	Joined time.Time
}

// Device is an audit device.
type Device struct {
	Type    string
	Options map[string]string
}

// Vault is the server process of one node and its storage. A nil Raft is an
// empty data folder.
type Vault struct {
	ID      string // raft node_id
	Raft    *Raft
	Up      bool
	Open    bool // unsealed
	Version string
	Applied uint64
	Removed bool
}

// Init initialises an empty server into a cluster of its own (sys/init): 400
// when it was done before.
func (v *Vault) Init(id string, shares, threshold int, now time.Time) error {
	if !v.Up || v.Raft != nil {
		return fmt.Errorf("400 Vault is already initialized")
	}
	v.Raft = &Raft{ID: id, Members: map[string]*Peer{v.ID: {Voter: true, Joined: now}}, Shares: shares, Thresh: threshold,
		Root: true, Devices: map[string]Device{}, Watch: Stabilization}
	return nil
}

// Unseal opens the server with enough right shares. A server whose cluster has
// no quorum opens and waits for one; a new one joins as a non-voter and needs a
// leader for it.
func (v *Vault) Unseal(shares int, now time.Time) error {
	switch {
	case !v.Up || v.Raft == nil:
		return fmt.Errorf("400 server is not yet initialized")
	case v.Removed:
		return fmt.Errorf("500 node was removed from a HA cluster")
	case shares < v.Raft.Thresh:
		return fmt.Errorf("400 threshold not reached")
	}
	if _, ok := v.Raft.Members[v.ID]; !ok {
		if v.Raft.Leader == "" {
			return fmt.Errorf("500 failed to join: no leader")
		}
		v.Raft.Members[v.ID] = &Peer{Joined: now}
	}
	v.Open = true
	return nil
}

// Seal closes the server, as sys/seal or a person does.
func (v *Vault) Seal() { v.Open = false }

// Stop ends the process; what is open closes.
func (v *Vault) Stop() { v.Up, v.Open = false, false }

// voters are the members that vote.
func (r *Raft) voters() int {
	n := 0
	for _, p := range r.Members {
		if p.Voter {
			n++
		}
	}
	return n
}

// Tick lets a cluster elect, promote and replicate, given its servers.
func (r *Raft) Tick(servers []*Vault, now time.Time) {
	var open []*Vault
	for _, v := range servers {
		if p := r.Members[v.ID]; v.Raft == r && v.Open && p != nil && p.Voter {
			open = append(open, v)
		}
	}
	slices.SortFunc(open, func(a, b *Vault) int { return int(b.Applied) - int(a.Applied) })
	if len(open) < r.voters()/2+1 {
		r.Leader = ""
		return
	}
	if !slices.ContainsFunc(open, func(v *Vault) bool { return v.ID == r.Leader }) {
		r.Leader = open[0].ID
		r.Newest = max(r.Newest, open[0].Version)
	}
	r.Index++
	for _, v := range servers {
		if v.Raft == r && v.Open {
			v.Applied = r.Index
			if p := r.Members[v.ID]; p != nil && !p.Voter && now.Sub(p.Joined) >= r.Watch {
				p.Voter = true
			}
		}
	}
}
