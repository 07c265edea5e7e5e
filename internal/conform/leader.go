package conform

func (r *run) restart() {
	r.again("b", 0, 1, 2)
	leader, follower := r.settled()
	r.expect(follower, "", get, "sys/health", nil, 429, r.health(true, false, true))
	r.eventually("its leader", func() bool {
		r.expect(leader, "", get, "sys/leader", nil, 200, r.leading(true, leader))
		r.expect(follower, "", get, "sys/leader", nil, 200, r.leading(false, leader))
		return true
	})
}

// settled waits until one server leads and the other one follows, by their own
// words. Either may lead after a restart.
func (r *run) settled() (leader, follower string) {
	r.eventually("a leader and a follower", func() bool {
		leader = r.leader()
		return leader != ""
	})
	if leader == "b" {
		return "b", "a"
	}
	return "a", "b"
}

// again stops a server, starts it, sees that it is sealed, and opens it.
func (r *run) again(server string, shares ...int) {
	if !r.did(r.servers.Stop(server), r.servers.Start(server)) {
		return
	}
	r.expect(server, "", get, "sys/health", nil, 503, r.health(true, true, true))
	r.give(server, shares...)
}

func (r *run) stepDown() {
	leader, follower := r.settled()
	before := r.autopilot(leader, 0, "a", "b")
	r.expect(leader, "", put, attempt, map[string]any{}, 200, begun())
	r.refuses(leader, "", put, "sys/step-down", nil, 403, "permission denied")
	r.expect(leader, r.root, put, "sys/step-down", nil, 204, nil)
	r.eventually(follower+" leads", func() bool { return r.leader() == follower })
	for id, since := range r.autopilot(follower, 0, "a", "b") {
		if !since.After(before[id]) {
			r.find("%s is well since %s by the word of another leader, as before", id, since)
		}
	}
	r.expect(leader, "", get, attempt, nil, 200, idle())
}

func (r *run) seal() {
	leader, follower := r.settled()
	r.expect(leader, r.root, put, "sys/seal", nil, 204, nil)
	r.expect(leader, "", get, "sys/health", nil, 503, r.health(true, true, true))
	r.expect(leader, "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, nil))
	// The other one is alone, and goes on to name the one that led.
	r.expect(follower, "", get, "sys/leader", nil, 200, r.leading(false, leader))
	r.expect(follower, "", get, "sys/health", nil, 429, r.health(true, false, true))
	r.refuses(follower, r.root, get, "sys/audit", nil, 503, "Vault is sealed")
	r.eventually("the end of the heartbeats", func() bool {
		r.expect(follower, "", get, "sys/health", nil, 474, r.health(true, false, true))
		return true
	})
	r.give(leader, 0, 1, 2)
	r.settled()
}

// leader is the server that leads by its own word while the other one follows,
// or "".
func (r *run) leader() string {
	codes := map[string]int{}
	for _, s := range []string{"a", "b"} {
		codes[s] = r.ask(s, "", get, "sys/health", nil).Code
	}
	for _, s := range []string{"a", "b"} {
		if codes[s] == 200 && codes["a"]+codes["b"] == 200+429 {
			return s
		}
	}
	return ""
}

func (r *run) alone() {
	leader, follower := r.settled()
	if !r.did(r.servers.Stop(follower)) {
		return
	}
	r.eventually("the end of its leadership", func() bool {
		f := r.leading(false, "")
		f["leader_address"], f["leader_cluster_address"] = "", ""
		r.expect(leader, "", get, "sys/leader", nil, 200, f)
		return true
	})
	r.expect(leader, "", get, "sys/health", nil, 429, r.health(true, false, true))
	r.refuses(leader, r.root, get, "sys/audit", nil, 500, "local node not active but active cluster node not found")
	if !r.did(r.servers.Start(follower)) {
		return
	}
	r.give(follower, 1, 2, 3)
	r.settled()
}
