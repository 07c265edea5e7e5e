package vault

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// maxMembers bounds a raft configuration; Vault's own advice is 5 voters.
const maxMembers = 100

// Raft reads the cluster's membership, and autopilot's view of it where it can
// be had: a leader that has just been elected has none yet. Any node answers;
// it asks the leader.
func (c *Client) Raft(ctx context.Context, token string) (actual.Raft, error) {
	const path = "sys/storage/raft/configuration"
	var got struct {
		Data struct {
			Config struct {
				Servers []struct {
					ID      string `json:"node_id"`
					Address string `json:"address"`
					Leader  bool   `json:"leader"`
					Voter   bool   `json:"voter"`
				} `json:"servers"`
			} `json:"config"`
		} `json:"data"`
	}
	if err := c.token.read(ctx, path, token, &got); err != nil {
		return actual.Raft{}, err
	}
	servers := got.Data.Config.Servers
	if len(servers) == 0 || len(servers) > maxMembers {
		return actual.Raft{}, fmt.Errorf("read %s: %d members make no sense", path, len(servers))
	}
	var raft actual.Raft
	ids, addresses, leaders := map[string]bool{}, map[string]bool{}, 0
	for _, s := range servers {
		if s.ID == "" || clean(s.ID, maxText) != s.ID || ids[s.ID] || clean(s.Address, maxText) != s.Address || addresses[s.Address] {
			return actual.Raft{}, fmt.Errorf("read %s: member %q at %q is named twice, or not at all", path, clean(s.ID, 64), clean(s.Address, 64))
		}
		ids[s.ID], addresses[s.Address] = true, true
		if s.Leader {
			leaders++
		}
		raft.Servers = append(raft.Servers, actual.Server{ID: s.ID, Address: s.Address, Voter: s.Voter, Leader: s.Leader})
	}
	if leaders > 1 {
		return actual.Raft{}, fmt.Errorf("read %s: %d leaders make no sense", path, leaders)
	}
	sort.Slice(raft.Servers, func(i, j int) bool { return raft.Servers[i].ID < raft.Servers[j].ID })
	raft.Autopilot = c.autopilot(ctx, token, ids)
	return raft, nil
}

// autopilot reads GET sys/storage/raft/autopilot/state; nil is Unknown, for
// any reason: whoever needs it waits.
func (c *Client) autopilot(ctx context.Context, token string, members map[string]bool) *actual.Autopilot {
	var got struct {
		Data struct {
			Healthy          *bool  `json:"healthy"`
			FailureTolerance int    `json:"failure_tolerance"`
			Leader           string `json:"leader"`
			Servers          map[string]struct {
				Healthy     bool      `json:"healthy"`
				StableSince time.Time `json:"stable_since"`
			} `json:"servers"`
		} `json:"data"`
	}
	if err := c.token.read(ctx, "sys/storage/raft/autopilot/state", token, &got); err != nil {
		return nil
	}
	d := got.Data
	if d.Healthy == nil || d.FailureTolerance < 0 || d.FailureTolerance >= len(members) || !members[d.Leader] {
		return nil
	}
	a := &actual.Autopilot{
		Healthy: *d.Healthy, FailureTolerance: d.FailureTolerance,
		StableSince: map[string]time.Time{}, HealthyServers: map[string]bool{},
	}
	for id, s := range d.Servers {
		if !members[id] {
			return nil // it speaks of another cluster, or of another time
		}
		a.StableSince[id], a.HealthyServers[id] = s.StableSince.UTC(), s.Healthy
	}
	return a
}

// maxDevices bounds the audit devices of a cluster.
const maxDevices = 64

// Devices reads the cluster's audit devices by path, without the trailing
// slash. An empty map means that there are none.
func (c *Client) Devices(ctx context.Context, token string) (map[string]actual.Device, error) {
	const path = "sys/audit"
	var got struct {
		Data map[string]struct {
			Type    string         `json:"type"`
			Options map[string]any `json:"options"`
		} `json:"data"`
	}
	if err := c.token.read(ctx, path, token, &got); err != nil {
		return nil, err
	}
	if got.Data == nil {
		return nil, fmt.Errorf("read %s: the answer has no data; is this Vault?", path)
	}
	if len(got.Data) > maxDevices {
		return nil, fmt.Errorf("read %s: %d devices make no sense", path, len(got.Data))
	}
	devices := map[string]actual.Device{}
	for at, d := range got.Data {
		device := actual.Device{Type: clean(d.Type, 64)}
		for key, value := range d.Options {
			if device.Options == nil {
				device.Options = map[string]string{}
			}
			device.Options[clean(key, 64)] = clean(fmt.Sprint(value), 4096)
		}
		devices[clean(strings.TrimSuffix(at, "/"), maxText)] = device
	}
	return devices, nil
}
