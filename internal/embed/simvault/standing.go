package simvault

import (
	"net/http"
	"time"
)

// standing is how this server stands, in its cluster if it has one.
func (p *process) standing(do func(c *cluster, m *server)) error {
	return p.in(p.found(), func(c *cluster) error {
		m := &server{}
		if c != nil && p.me(c) != nil {
			m = p.me(c)
		}
		do(c, m)
		return nil
	})
}

func (p *process) status(request) (int, any, error) {
	out := object{"type": "shamir", "initialized": false, "sealed": true, "t": 0, "n": 0, "progress": len(p.shares), "nonce": p.nonce,
		"version": p.version, "build_date": "2025-01-01T00:00:00Z", "migration": false, "recovery_seal": false, "storage_type": "raft", "removed_from_cluster": false}
	err := p.standing(func(c *cluster, m *server) {
		if c == nil {
			return
		}
		out["initialized"], out["sealed"], out["t"], out["n"] = true, !m.Open, c.Raft.Thresh, c.Raft.Shares
		out["removed_from_cluster"] = m.Removed
		if m.Open {
			out["cluster_name"], out["cluster_id"] = c.Name, c.Raft.ID
		}
	})
	return http.StatusOK, out, err
}

func (p *process) health(q request) (int, any, error) {
	code := http.StatusNotImplemented
	out := object{"initialized": false, "sealed": true, "standby": true, "performance_standby": false, "version": p.version, "enterprise": false,
		"server_time_utc": time.Now().Unix(), "removed_from_cluster": false}
	err := p.standing(func(c *cluster, m *server) {
		if c == nil {
			return
		}
		code = http.StatusServiceUnavailable
		out["initialized"], out["sealed"], out["removed_from_cluster"] = true, !m.Open, m.Removed
		if m.Removed {
			code = 530
		}
		if !m.Open {
			return
		}
		out["cluster_name"], out["cluster_id"] = c.Name, c.Raft.ID
		out["standby"] = c.Raft.Leader != m.ID
		code = http.StatusTooManyRequests
		switch {
		case c.leader() == nil && p.followed != "" && time.Since(p.heard) > heartbeats:
			code = 474 // the connection to the active node is unhealthy
		case c.Raft.Leader == m.ID || q.standbyOK:
			code = http.StatusOK
		}
	})
	return code, out, err
}

func (p *process) leader(request) (int, any, error) {
	out, shut := object{}, true
	err := p.standing(func(c *cluster, m *server) {
		if c == nil || !m.Open {
			return
		}
		shut = false
		out = object{"ha_enabled": true, "is_self": c.Raft.Leader == m.ID, "leader_address": "", "leader_cluster_address": "",
			"performance_standby": false, "raft_committed_index": c.Raft.Index, "raft_applied_index": m.Applied, "active_time": time.Time{}}
		l := c.leader()
		if l == nil {
			l = c.Servers[p.followed]
		}
		if l != nil {
			out["leader_address"], out["leader_cluster_address"] = l.API, l.Cluster
		}
		if c.Raft.Leader == m.ID {
			out["active_time"] = m.Since.UTC()
		}
	})
	if err == nil && shut {
		err = sealed
	}
	return http.StatusOK, out, err
}
