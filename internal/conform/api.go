package conform

import "context"

// API holds servers to what Vault's API answers in the life of a cluster, in the
// order of that life. It returns what is not so, a sentence each.
func API(ctx context.Context, servers Servers, o Options) []string {
	r := &run{Options: o, ctx: ctx, servers: servers}
	return r.all([]part{
		{"a server that nobody initialised says so", r.uninitialised},
		{"a threshold that cannot be is refused", r.impossibleInit},
		{"init gives as many shares as it was asked for, and a root token, once", r.init},
		{"an initialised server is sealed", r.sealed},
		{"a share that is none is refused", r.brokenShare},
		{"a share of another length counts, and fits with none", r.shortShare},
		{"shares count once each, and a reset forgets them", r.progress},
		{"a wrong share is found at the threshold, and the progress is lost", r.wrongShare},
		{"a threshold of shares opens the server, and it leads", r.open},
		{"who has no token, or a wrong one, sees nothing", r.strangers},
		{"another server joins, opens and follows, and does not vote at once", r.join},
		{"the cluster counts its members, and lets the new one vote", r.members},
		{"with a third voter it can lose one", r.third},
		{"a server that is removed says so for good, and the others go on", r.remove},
		{"audit devices are enabled, listed and refused", r.audit},
		{"a policy lets in where it says, and nowhere else", r.policies},
		{"a root token is made with a threshold of shares", r.generateRoot},
		{"a standby is not sealed by its API", r.sealStandby},
		{"a restart seals, and the shares open again", r.restart},
		{"a leader that is asked to step down lets another one lead", r.stepDown},
		{"a server that is sealed says so, and its follower goes on to name it", r.seal},
		{"a leader without quorum stops to lead", r.alone},
	})
}

// status are the fields of sys/seal-status.
func (r *run) status(initialized, sealed bool, t, n, progress int, more fields) fields {
	f := fields{"type": "shamir", "initialized": initialized, "sealed": sealed, "t": t, "n": n, "progress": progress, "nonce": "",
		"version": r.Version, "build_date": text, "migration": false, "recovery_seal": false, "storage_type": "raft", "removed_from_cluster": false}
	if !sealed {
		f["cluster_name"], f["cluster_id"] = known(r.name), known(r.id)
	}
	for k, v := range more {
		f[k] = v
	}
	return f
}

func (r *run) health(initialized, sealed, standby bool) fields {
	f := fields{"initialized": initialized, "sealed": sealed, "standby": standby, "performance_standby": false, "version": r.Version,
		"enterprise": false, "server_time_utc": number, "removed_from_cluster": false}
	if !sealed {
		f["cluster_name"], f["cluster_id"] = known(r.name), known(r.id)
	}
	return f
}

// leading are the fields of sys/leader where a server leads, or "" for one whose
// address nobody knows.
func (r *run) leading(self bool, leader string) fields {
	f := fields{"ha_enabled": true, "is_self": self, "leader_address": nonEmpty, "leader_cluster_address": nonEmpty, "performance_standby": false,
		"raft_committed_index": number, "raft_applied_index": number, "active_time": moment}
	if !self {
		f["active_time"] = "0001-01-01T00:00:00Z"
	}
	if host := r.hosts[leader]; host != "" {
		f["leader_address"], f["leader_cluster_address"] = "https://"+host+":8200", "https://"+host+":8201"
	}
	return f
}

// known is a value that was seen before; before that it is not empty.
func known(seen string) any {
	if seen == "" {
		return nonEmpty
	}
	return seen
}

func (r *run) strangers() {
	for _, token := range []string{"", "hvs.unknown"} {
		r.refuses("a", token, get, "sys/audit", nil, 403, "permission denied")
		r.refuses("a", token, get, "sys/storage/raft/configuration", nil, 403, "permission denied")
		r.refuses("a", token, get, "auth/token/lookup-self", nil, 403, "permission denied")
	}
}
