package conform

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func (r *run) join() {
	r.eventually("the challenge", func() bool {
		r.expect("b", "", get, "sys/health", nil, 503, r.health(true, true, true))
		return true
	})
	r.expect("b", "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, nil))
	r.give("b", 2, 3, 4)
	r.eventually("a member that does not vote", func() bool {
		voters, ok := r.voters("b")
		if _, member := voters["b"]; !member {
			r.find("the members are %v", voters)
		}
		return ok && !voters["b"]
	})
	r.eventually("a follower", func() bool {
		r.expect("b", "", get, "sys/health", nil, 429, r.health(true, false, true))
		return true
	})
	r.expect("b", "", get, "sys/health?standbyok=true", nil, 200, r.health(true, false, true))
	r.eventually("its leader", func() bool {
		r.expect("b", "", get, "sys/leader", nil, 200, r.leading(false, "a"))
		return true
	})
}

// voters are the members of the cluster as a server tells them, and which of them
// vote.
func (r *run) voters(server string) (voters map[string]bool, ok bool) {
	config, _ := data(r.expect(server, r.root, get, "sys/storage/raft/configuration", nil, 200, wrapped()))["config"].(map[string]any)
	servers, ok := config["servers"].([]any)
	r.hosts = map[string]string{}
	voters = map[string]bool{}
	for _, s := range servers {
		m, _ := s.(map[string]any)
		id, _ := m["node_id"].(string)
		voters[id], _ = m["voter"].(bool)
		address, _ := m["address"].(string)
		r.hosts[id], _, _ = strings.Cut(address, ":")
	}
	return voters, ok
}

func (r *run) members() {
	r.eventually("two voters", func() bool {
		config, _ := data(r.expect("b", r.root, get, "sys/storage/raft/configuration", nil, 200, wrapped()))["config"].(map[string]any)
		r.holds("config", config, fields{"index": number, "servers": list})
		servers, _ := config["servers"].([]any)
		if len(servers) != 2 {
			r.find("%d servers", len(servers))
			return false
		}
		for _, s := range servers {
			m, _ := s.(map[string]any)
			r.holds("server", m, fields{"node_id": nonEmpty, "address": nonEmpty, "leader": m["node_id"] == "a", "voter": true, "protocol_version": nonEmpty})
			if address, _ := m["address"].(string); !strings.HasSuffix(address, ":8201") {
				r.find("a server is at %q", address)
			}
		}
		return true
	})
	r.autopilot("a", 0, "a", "b")
	history := data(r.expect("a", r.root, get, "sys/version-history?list=true", nil, 200, wrapped()))
	r.expect("a", r.root, "LIST", "sys/version-history", nil, 200, wrapped())
	r.holds("the versions that led", history, fields{"keys": []string{r.Version}})
}

// autopilot waits until autopilot finds these voters, all well, of which so many
// can be lost, and returns since when it finds each of them well.
func (r *run) autopilot(leader string, tolerance int, ids ...string) (since map[string]time.Time) {
	return r.ill(leader, "", tolerance, ids...)
}

// ill is autopilot with a voter that is not well.
func (r *run) ill(leader, ill string, tolerance int, ids ...string) (since map[string]time.Time) {
	r.eventually("autopilot's word", func() bool {
		since = map[string]time.Time{}
		d := data(r.expect("a", r.root, get, "sys/storage/raft/autopilot/state", nil, 200, wrapped()))
		r.holds("state", d, fields{"healthy": ill == "", "failure_tolerance": tolerance, "leader": leader, "servers": object, "voters": list})
		servers, _ := d["servers"].(map[string]any)
		if voters := sorted(d["voters"]); !slices.Equal(voters, ids) || !slices.Equal(slices.Sorted(maps.Keys(servers)), ids) {
			r.find("the voters are %v of %v, want %v", voters, servers, ids)
		}
		for id, s := range servers {
			m, _ := s.(map[string]any)
			r.holds("server", m, fields{"id": id, "healthy": id != ill, "stable_since": moment})
			text, _ := m["stable_since"].(string)
			since[id], _ = time.Parse(time.RFC3339Nano, text) // which holds has looked at
		}
		return true
	})
	return since
}

func (r *run) third() {
	r.give("c", 0, 1, 2)
	before := r.autopilot("a", 1, "a", "b", "c")
	if !r.did(r.servers.Stop("c")) {
		return
	}
	r.ill("a", "c", 0, "a", "b", "c")
	if !r.did(r.servers.Start("c")) {
		return
	}
	r.give("c", 0, 1, 2)
	for id, since := range r.autopilot("a", 1, "a", "b", "c") {
		if !since.Equal(before[id]) { // one that was lost and came back keeps it, against its name
			r.find("%s is well since %s, and was since %s", id, since, before[id])
		}
	}
}

// sorted are the texts of a list.
func sorted(list any) []string {
	all, _ := list.([]any)
	var out []string
	for _, v := range all {
		out = append(out, fmt.Sprint(v))
	}
	slices.Sort(out)
	return out
}

func (r *run) remove() {
	const path, gone = "sys/storage/raft/remove-peer", "c"
	removed := r.health(true, true, true)
	removed["removed_from_cluster"] = true
	r.refuses("a", "", put, path, map[string]any{"server_id": gone}, 403, "permission denied")
	r.expect("a", r.root, put, path, map[string]any{"server_id": gone}, 204, nil)
	r.eventually("its word", func() bool {
		r.expect(gone, "", get, "sys/health", nil, 530, removed)
		return true
	})
	r.expect(gone, "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, fields{"removed_from_cluster": true}))
	r.refuses(gone, "", put, "sys/unseal", map[string]any{"key": r.key(0)}, 500, "removed from")
	r.refuses(gone, r.root, get, "sys/audit", nil, 503, "Vault is sealed")
	r.autopilot("a", 0, "a", "b")
	if voters, _ := r.voters("b"); len(voters) != 2 {
		r.find("the members are %v", voters)
	}
	r.expect("a", r.root, put, path, map[string]any{"server_id": "nobody"}, 204, nil)
	if !r.did(r.servers.Stop(gone), r.servers.Start(gone)) {
		return
	}
	r.expect(gone, "", get, "sys/health", nil, 530, removed)
}
