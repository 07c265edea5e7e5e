package simvault

import (
	"slices"
	"strings"
	"time"
)

func (c *cluster) configuration() object {
	servers := []object{}
	for _, id := range c.members() {
		address := ""
		if m := c.Servers[id]; m != nil {
			address = strings.TrimPrefix(m.Cluster, "https://")
		}
		servers = append(servers, object{"node_id": id, "address": address, "leader": id == c.Raft.Leader,
			"protocol_version": "3", "voter": c.Raft.Members[id].Voter})
	}
	return object{"config": object{"index": 0, "servers": servers}}
}

func (c *cluster) autopilot(now time.Time) object {
	servers, voters, sound, healthy := object{}, []string{}, 0, true
	led := c.leader().Since // a new leader's autopilot knows nothing of before
	for _, id := range c.members() {
		m, since := c.Servers[id], c.Raft.Members[id].Joined
		if since.Before(led) {
			since = led
		}
		well := m != nil && (m.Lost.IsZero() || now.Sub(m.Lost) <= contact)
		healthy = healthy && well
		if c.Raft.Members[id].Voter {
			voters = append(voters, id)
			if well {
				sound++
			}
		}
		servers[id] = object{"id": id, "healthy": well, "stable_since": since.UTC().Format(time.RFC3339Nano)}
	}
	return object{"healthy": healthy, "failure_tolerance": max(0, sound-len(voters)/2-1), "leader": c.Raft.Leader, "servers": servers, "voters": voters}
}

func (c *cluster) members() []string {
	var ids []string
	for id := range c.Raft.Members {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
