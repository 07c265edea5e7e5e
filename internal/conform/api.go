package conform

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

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
	f := fields{"type": "shamir", "initialized": initialized, "sealed": sealed, "t": t, "n": n, "progress": progress, "nonce": text,
		"version": r.Version, "build_date": text, "migration": false, "recovery_seal": false, "storage_type": "raft", "removed_from_cluster": whatever}
	if !sealed {
		f["cluster_name"], f["cluster_id"] = nonEmpty, nonEmpty
	}
	for k, v := range more {
		f[k] = v
	}
	return f
}

func (r *run) health(initialized, sealed, standby bool) fields {
	f := fields{"initialized": initialized, "sealed": sealed, "standby": standby, "performance_standby": false, "version": r.Version,
		"enterprise": false, "server_time_utc": number, "removed_from_cluster": whatever}
	if !sealed {
		f["cluster_name"], f["cluster_id"] = nonEmpty, nonEmpty
	}
	return f
}

func (r *run) uninitialised() {
	for _, s := range []string{"a", "b", "c"} {
		r.expect(s, "", get, "sys/health", nil, 501, r.health(false, true, true))
		r.expect(s, "", get, "sys/seal-status", nil, 200, r.status(false, true, 0, 0, 0, nil))
	}
	r.refuses("a", "", get, "sys/leader", nil, 503, "Vault is sealed")
	r.refuses("a", "", put, "sys/unseal", map[string]any{"key": strings.Repeat("00", 33)}, 400, "Vault is not initialized")
	r.refuses("a", "", get, "sys/audit", nil, 503, "Vault is sealed")
	r.refuses("a", "", get, attempt, nil, 503, "Vault is sealed")
}

func (r *run) impossibleInit() {
	for _, c := range []struct {
		shares, threshold int
		keys              []string
		says              string
	}{
		{3, 4, nil, "threshold cannot be larger than shares"},
		{3, 1, nil, "threshold must be greater than one for multiple shares"},
		{0, 0, nil, "shares must be at least one"},
		{300, 2, nil, "shares must be less than 256"},
		{2, 2, []string{"one"}, "incorrect number of PGP keys"},
		{1, 1, []string{"one"}, "error decoding given PGP key"},
	} {
		body := map[string]any{"secret_shares": c.shares, "secret_threshold": c.threshold}
		if c.keys != nil {
			body["pgp_keys"] = c.keys
		}
		r.refuses("a", "", put, "sys/init", body, 400, c.says)
	}
}

func (r *run) init() {
	a := r.expect("a", "", put, "sys/init", map[string]any{"secret_shares": 5, "secret_threshold": 3}, 200,
		fields{"keys": list, "keys_base64": list, "root_token": nonEmpty})
	hexes, _ := a.Body["keys"].([]any)
	keys, _ := a.Body["keys_base64"].([]any)
	if len(hexes) != 5 || len(keys) != 5 {
		r.find("%d and %d shares", len(hexes), len(keys))
		return
	}
	r.root, _ = a.Body["root_token"].(string)
	if !strings.HasPrefix(r.root, "hvs.") || len(r.root) != 28 {
		r.find("the root token has %d characters and begins with %.4s", len(r.root), r.root)
	}
	for i, k := range keys {
		share, err := base64.StdEncoding.DecodeString(k.(string))
		if err != nil || len(share) != 33 || hexes[i] != hex.EncodeToString(share) {
			r.find("share %d has %d bytes: %v", i, len(share), err)
		}
		r.keys = append(r.keys, k.(string))
	}
	r.refuses("a", "", put, "sys/init", map[string]any{"secret_shares": 5, "secret_threshold": 3}, 400, "Vault is already initialized")
}

func (r *run) sealed() {
	r.expect("a", "", get, "sys/health", nil, 503, r.health(true, true, true))
	r.expect("a", "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, fields{"nonce": ""}))
	r.refuses("a", "", get, "sys/leader", nil, 503, "Vault is sealed")
	r.refuses("a", r.root, get, "sys/audit", nil, 503, "Vault is sealed")
	r.refuses("a", "", get, attempt, nil, 503, "Vault is sealed")
	r.refuses("a", "", put, "auth/approle/login", map[string]any{"role_id": "r", "secret_id": "s"}, 503, "Vault is sealed")
	r.refuses("a", r.root, put, "sys/step-down", nil, 503, "Vault is sealed")
	r.expect("a", "", put, "sys/seal", nil, 204, nil) // whoever asks
}

func (r *run) brokenShare() {
	for key, says := range map[string]string{
		"":                       "'key' must be specified",
		"no share":               "'key' must be a valid hex or base64 string",
		"00ff":                   "shorter than minimum 16 bytes",
		strings.Repeat("00", 34): "longer than maximum 33 bytes",
	} {
		r.refuses("a", "", put, "sys/unseal", map[string]any{"key": key}, 400, says)
	}
	r.expect("a", "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, fields{"nonce": ""}))
}

func (r *run) shortShare() {
	a := r.expect("a", "", put, "sys/unseal", map[string]any{"key": strings.Repeat("00", 16)}, 200, r.status(true, true, 3, 5, 1, fields{"nonce": nonEmpty}))
	if a.Code != 200 {
		return
	}
	r.give("a", 0)
	r.refuses("a", "", put, "sys/unseal", map[string]any{"key": r.key(1)}, 400, "all parts must be the same length")
	r.expect("a", "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, nil))
}

// give gives shares of the cluster, as far as there are any.
func (r *run) give(server string, shares ...int) (last Answer) {
	for _, i := range shares {
		if i < len(r.keys) {
			last = r.ask(server, "", put, "sys/unseal", map[string]any{"key": r.keys[i]})
		}
	}
	return last
}

func (r *run) progress() {
	r.holds("unseal", r.give("a", 0).Body, r.status(true, true, 3, 5, 1, fields{"nonce": nonEmpty}))
	r.holds("unseal", r.give("a", 0).Body, r.status(true, true, 3, 5, 1, fields{"nonce": nonEmpty}))
	r.holds("unseal", r.give("a", 4).Body, r.status(true, true, 3, 5, 2, fields{"nonce": nonEmpty}))
	r.expect("a", "", put, "sys/unseal", map[string]any{"reset": true}, 200, r.status(true, true, 3, 5, 0, fields{"nonce": ""}))
}

func (r *run) wrongShare() {
	r.give("a", 0, 1)
	r.refuses("a", "", put, "sys/unseal", map[string]any{"key": r.wrongKey()}, 400, "message authentication failed")
	r.expect("a", "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, nil))
}

// wrongKey is a share that looks like one of the cluster and is none.
func (r *run) wrongKey() string {
	share, err := base64.StdEncoding.DecodeString(r.key(2))
	if err != nil || len(share) == 0 {
		return "" // there are no shares
	}
	share[0] ^= 1
	return base64.StdEncoding.EncodeToString(share)
}

func (r *run) key(i int) string {
	if i < len(r.keys) {
		return r.keys[i]
	}
	return ""
}

func (r *run) open() {
	a := r.give("a", 1, 3, 4)
	r.holds("unseal", a.Body, r.status(true, false, 3, 5, 0, nil))
	r.eventually("a leader", func() bool {
		r.expect("a", "", get, "sys/health", nil, 200, r.health(true, false, false))
		return true
	})
	seen := r.expect("a", "", get, "sys/seal-status", nil, 200, r.status(true, false, 3, 5, 0, nil))
	r.id, _ = seen.Body["cluster_id"].(string)
	leader := r.expect("a", "", get, "sys/leader", nil, 200, r.leading(true))
	if address, _ := leader.Body["leader_address"].(string); !strings.HasSuffix(address, ":8200") {
		r.find("the leader is at %q", address)
	}
	r.holds("unseal of an open one", r.give("a", 0).Body, r.status(true, false, 3, 5, 0, nil))
}

func (r *run) leading(self bool) fields {
	f := fields{"ha_enabled": true, "is_self": self, "leader_address": nonEmpty, "leader_cluster_address": nonEmpty, "performance_standby": false,
		"raft_committed_index": number, "raft_applied_index": number, "active_time": moment}
	if !self {
		f["active_time"] = "0001-01-01T00:00:00Z"
	}
	return f
}

func (r *run) strangers() {
	for _, token := range []string{"", "hvs.unknown"} {
		r.refuses("a", token, get, "sys/audit", nil, 403, "permission denied")
		r.refuses("a", token, get, "sys/storage/raft/configuration", nil, 403, "permission denied")
		r.refuses("a", token, get, "auth/token/lookup-self", nil, 403, "permission denied")
	}
}

func (r *run) join() {
	r.eventually("the challenge", func() bool {
		r.expect("b", "", get, "sys/health", nil, 503, r.health(true, true, true))
		return true
	})
	r.expect("b", "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, nil))
	r.give("b", 2, 3, 4)
	r.eventually("a member that does not vote", func() bool {
		voters, ok := r.voters()
		if _, member := voters["b"]; !member {
			r.find("the members are %v", voters)
		}
		return ok && !voters["b"]
	})
	r.eventually("a follower", func() bool {
		a := r.expect("b", "", get, "sys/health", nil, 429, r.health(true, false, true))
		if a.Body["cluster_id"] != r.id {
			r.find("its cluster is %v, not %s", a.Body["cluster_id"], r.id)
		}
		return true
	})
	r.expect("b", "", get, "sys/health?standbyok=true", nil, 200, r.health(true, false, true))
	r.eventually("its leader", func() bool {
		r.expect("b", "", get, "sys/leader", nil, 200, r.leading(false))
		return true
	})
}

// voters are the members of the cluster as b tells them, and which of them vote.
func (r *run) voters() (voters map[string]bool, ok bool) {
	config, _ := data(r.expect("b", r.root, get, "sys/storage/raft/configuration", nil, 200, wrapped()))["config"].(map[string]any)
	servers, ok := config["servers"].([]any)
	voters = map[string]bool{}
	for _, s := range servers {
		m, _ := s.(map[string]any)
		id, _ := m["node_id"].(string)
		voters[id], _ = m["voter"].(bool)
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
	r.autopilot("a", 2, 0)
	history := data(r.expect("a", r.root, get, "sys/version-history?list=true", nil, 200, wrapped()))
	if keys := same(history["keys"]); keys != `["`+r.Version+`"]` {
		r.find("the versions that led are %s", keys)
	}
}

// autopilot waits until autopilot finds so many voters, all well, of which so many
// can be lost, and returns since when it finds each of them well.
func (r *run) autopilot(leader string, count, tolerance int) (since map[string]time.Time) {
	r.eventually("autopilot's word", func() bool {
		since = map[string]time.Time{}
		d := data(r.expect("a", r.root, get, "sys/storage/raft/autopilot/state", nil, 200, wrapped()))
		r.holds("state", d, fields{"healthy": true, "failure_tolerance": tolerance, "leader": leader, "servers": object, "voters": list})
		voters, _ := d["voters"].([]any)
		servers, _ := d["servers"].(map[string]any)
		if len(voters) != count || len(servers) != count {
			r.find("%d voters of %d servers", len(voters), len(servers))
		}
		for id, s := range servers {
			m, _ := s.(map[string]any)
			r.holds("server", m, fields{"id": id, "healthy": true, "stable_since": moment})
			text, _ := m["stable_since"].(string)
			since[id], _ = time.Parse(time.RFC3339Nano, text) // which holds has looked at
		}
		return true
	})
	return since
}

func (r *run) third() {
	r.give("c", 0, 1, 2)
	r.autopilot("a", 3, 1)
}

func (r *run) audit() {
	file := func(path string) map[string]any {
		return map[string]any{"type": "file", "options": map[string]string{"file_path": path}}
	}
	a := r.ask("a", r.root, put, "sys/audit/lost", file("/no/such/folder/audit.log"))
	if a.Code != 400 {
		r.find("a file that cannot be: %d %v", a.Code, a.Body)
	}
	r.expect("a", r.root, put, "sys/audit/file", file("/tmp/audit.log"), 204, nil)
	r.refuses("a", r.root, put, "sys/audit/file", file("/tmp/audit.log"), 400, "path already in use")
	d := data(r.expect("b", r.root, get, "sys/audit", nil, 200, wrapped()))
	device, _ := d["file/"].(map[string]any)
	if len(d) != 1 || device == nil {
		r.find("the devices are %v", d)
	}
	r.holds("device", device, fields{"path": "file/", "type": "file", "options": map[string]string{"file_path": "/tmp/audit.log"}, "description": "", "local": false})
}

func (r *run) policies() {
	rules := `path "sys/storage/*" { capabilities = ["read"] }
path "sys/storage/raft/autopilot/*" { capabilities = ["deny"] }`
	r.expect("a", r.root, put, "sys/policies/acl/watcher", map[string]any{"policy": rules}, 204, nil)
	r.refuses("a", r.root, put, "sys/policies/acl/broken", map[string]any{"policy": `path "`}, 400, "failed to parse policy")
	methods := data(r.expect("a", r.root, get, "sys/auth", nil, 200, wrapped()))
	if _, there := methods["approle/"]; there || methods["token/"] == nil {
		r.find("the methods are %v", methods)
	}
	r.refuses("a", r.root, get, "auth/approle/role/r/role-id", nil, 404, "no handler for route")
	r.expect("a", r.root, post, "sys/auth/approle", map[string]any{"type": "approle"}, 204, nil)
	r.refuses("a", r.root, post, "sys/auth/approle", map[string]any{"type": "approle"}, 400, "path is already in use")
	r.refuses("a", r.root, get, "auth/approle/role/r/role-id", nil, 404, "")
	r.refuses("a", r.root, put, "auth/approle/role/r/secret-id", nil, 404, "does not exist")
	r.expect("a", r.root, put, "auth/approle/role/r", map[string]any{"token_policies": "watcher", "token_ttl": "20m"}, 204, nil)
	id := data(r.expect("a", r.root, get, "auth/approle/role/r/role-id", nil, 200, wrapped()))
	r.holds("role-id", id, fields{"role_id": nonEmpty})
	secret := data(r.expect("b", r.root, put, "auth/approle/role/r/secret-id", nil, 200, wrapped()))
	r.holds("secret-id", secret, fields{"secret_id": nonEmpty, "secret_id_accessor": nonEmpty, "secret_id_num_uses": 0, "secret_id_ttl": 0})
	r.refuses("a", "", put, "auth/approle/login", map[string]any{"role_id": id["role_id"], "secret_id": "no"}, 400, "invalid role or secret ID")
	login := r.expect("b", "", put, "auth/approle/login", map[string]any{"role_id": id["role_id"], "secret_id": secret["secret_id"]}, 200, fields{"auth": object})
	auth, _ := login.Body["auth"].(map[string]any)
	r.holds("auth", auth, fields{"client_token": nonEmpty, "accessor": nonEmpty, "policies": []string{"default", "watcher"}, "token_policies": []string{"default", "watcher"},
		"lease_duration": 1200, "renewable": true, "token_type": "service"})
	mine, _ := auth["client_token"].(string)
	for _, s := range []string{"a", "b"} {
		r.expect(s, mine, get, "sys/storage/raft/configuration", nil, 200, wrapped())
		r.refuses(s, mine, get, "sys/storage/raft/autopilot/state", nil, 403, "permission denied")
		r.refuses(s, mine, get, "sys/audit", nil, 403, "permission denied")
	}
	me := data(r.expect("a", mine, get, "auth/token/lookup-self", nil, 200, wrapped()))
	r.holds("lookup-self", me, fields{"policies": []string{"default", "watcher"}, "accessor": nonEmpty, "ttl": number})
	r.expect("a", mine, put, "auth/token/revoke-self", nil, 204, nil)
	r.refuses("a", mine, get, "sys/storage/raft/configuration", nil, 403, "permission denied")
	r.expect("a", r.root, put, "auth/approle/role/r", map[string]any{"token_policies": "watcher", "token_ttl": "1s"}, 204, nil)
	brief := r.expect("a", "", put, "auth/approle/login", map[string]any{"role_id": id["role_id"], "secret_id": secret["secret_id"]}, 200, fields{"auth": object})
	auth, _ = brief.Body["auth"].(map[string]any)
	mine, _ = auth["client_token"].(string)
	r.expect("a", mine, get, "sys/storage/raft/configuration", nil, 200, wrapped())
	r.within(max(r.Patience, 5*time.Second), "the end of a session of a second", func() bool { return r.ask("a", mine, get, "sys/storage/raft/configuration", nil).Code == 403 })
	r.expect("a", r.root, del, "auth/approle/role/r", nil, 204, nil)
	r.refuses("a", "", put, "auth/approle/login", map[string]any{"role_id": id["role_id"], "secret_id": secret["secret_id"]}, 400, "invalid role or secret ID")
}

const attempt, update = "sys/generate-root/attempt", "sys/generate-root/update"

// standing are the fields of sys/generate-root.
func standing(progress int, started, complete bool, otp int) fields {
	return fields{"nonce": text, "started": started, "progress": progress, "required": 3, "complete": complete, "encoded_token": text,
		"encoded_root_token": text, "pgp_fingerprint": "", "otp": text, "otp_length": otp}
}

func (r *run) generateRoot() {
	r.expect("a", "", get, attempt, nil, 200, standing(0, false, false, 28))
	r.refuses("a", "", put, update, map[string]any{"key": r.key(0), "nonce": "none"}, 400, "no root generation in progress")
	begun := r.expect("b", "", put, attempt, map[string]any{}, 200, standing(0, true, false, 28)) // which asks the leader
	otp, _ := begun.Body["otp"].(string)
	nonce := begun.Body["nonce"]
	r.refuses("a", "", put, attempt, map[string]any{}, 400, "already in progress")
	r.refuses("a", "", put, update, map[string]any{"key": r.key(0), "nonce": "another"}, 400, "incorrect nonce")
	r.expect("a", "", put, update, map[string]any{"key": r.key(0), "nonce": nonce}, 200, standing(1, true, false, 0))
	r.refuses("a", "", put, update, map[string]any{"key": r.key(0), "nonce": nonce}, 400, "has already been provided")
	r.refuses("a", "", put, update, map[string]any{"key": "no share", "nonce": nonce}, 400, "'key' must be a valid hex or base64 string")
	r.expect("b", "", put, update, map[string]any{"key": r.key(1), "nonce": nonce}, 200, standing(2, true, false, 0))
	r.expect("b", "", get, attempt, nil, 200, standing(2, true, false, 28))
	done := r.expect("a", "", put, update, map[string]any{"key": r.key(2), "nonce": nonce}, 200, standing(3, true, true, 0))
	encoded, _ := done.Body["encoded_token"].(string)
	token, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil || len(token) != 28 || len(otp) != 28 {
		r.find("the token has %d bytes and the password %d: %v", len(token), len(otp), err)
		return
	}
	for i := range token {
		token[i] ^= otp[i]
	}
	me := data(r.expect("b", string(token), get, "auth/token/lookup-self", nil, 200, wrapped()))
	r.holds("lookup-self", me, fields{"policies": []string{"root"}, "accessor": nonEmpty, "ttl": 0})
	r.expect("a", string(token), put, "auth/token/revoke-self", nil, 204, nil)
	r.refuses("a", string(token), get, "auth/token/lookup-self", nil, 403, "permission denied")
	r.expect("a", "", put, attempt, map[string]any{}, 200, standing(0, true, false, 28))
	r.expect("a", "", del, attempt, nil, 204, nil)
	r.expect("a", "", get, attempt, nil, 200, standing(0, false, false, 28))
	nonce = r.ask("a", "", put, attempt, map[string]any{}).Body["nonce"]
	for i, key := range []string{r.key(0), r.key(1), r.wrongKey()} {
		if a := r.ask("a", "", put, update, map[string]any{"key": key, "nonce": nonce}); (a.Code == 400) != (i == 2) {
			r.find("share %d, of which the last one is wrong: %d %v", i, a.Code, a.Body)
		}
	}
	r.expect("a", "", del, attempt, nil, 204, nil)
}

func (r *run) sealStandby() {
	r.refuses("b", r.root, put, "sys/seal", nil, 500, "vault cannot seal when in standby mode")
	r.expect("b", "", get, "sys/health", nil, 429, r.health(true, false, true))
}

func (r *run) restart() {
	r.again("b", 0, 1, 2)
	_, follower := r.settled()
	a := r.expect(follower, "", get, "sys/health", nil, 429, r.health(true, false, true))
	if a.Body["cluster_id"] != r.id {
		r.find("its cluster is %v, not %s", a.Body["cluster_id"], r.id)
	}
	r.eventually("its leader", func() bool {
		r.expect(follower, "", get, "sys/leader", nil, 200, r.leading(false))
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
	if err := errors.Join(r.servers.Stop(server), r.servers.Start(server)); err != nil {
		r.find("%v", err)
		return
	}
	r.expect(server, "", get, "sys/health", nil, 503, r.health(true, true, true))
	r.give(server, shares...)
}

func (r *run) stepDown() {
	leader, follower := r.settled()
	before := r.autopilot(leader, 2, 0)
	r.expect(leader, "", put, attempt, map[string]any{}, 200, standing(0, true, false, 28))
	r.refuses(leader, "", put, "sys/step-down", nil, 403, "permission denied")
	r.expect(leader, r.root, put, "sys/step-down", nil, 204, nil)
	r.eventually(follower+" leads", func() bool { return r.leader() == follower })
	for id, since := range r.autopilot(follower, 2, 0) {
		if !since.After(before[id]) {
			r.find("%s is well since %s by the word of another leader, as before", id, since)
		}
	}
	r.expect(leader, "", get, attempt, nil, 200, standing(0, false, false, 28))
}

func (r *run) seal() {
	leader, follower := r.settled()
	r.expect(leader, r.root, put, "sys/seal", nil, 204, nil)
	r.expect(leader, "", get, "sys/health", nil, 503, r.health(true, true, true))
	r.expect(leader, "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, nil))
	// The other one is alone, and goes on to name the one that led.
	r.expect(follower, "", get, "sys/leader", nil, 200, r.leading(false))
	r.expect(follower, "", get, "sys/health", nil, 429, r.health(true, false, true))
	r.refuses(follower, r.root, get, "sys/audit", nil, 503, "Vault is sealed")
	if r.Patience >= lost {
		r.eventually("the end of the heartbeats", func() bool {
			r.expect(follower, "", get, "sys/health", nil, 474, r.health(true, false, true))
			return true
		})
	}
	r.give(leader, 0, 1, 2)
	r.settled()
}

// lost is after how long a standby that hears nothing of its leader says so.
const lost = 12 * time.Second

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
	if err := r.servers.Stop(follower); err != nil {
		r.find("%v", err)
		return
	}
	r.eventually("the end of its leadership", func() bool {
		f := r.leading(false)
		f["leader_address"], f["leader_cluster_address"] = "", ""
		r.expect(leader, "", get, "sys/leader", nil, 200, f)
		return true
	})
	r.expect(leader, "", get, "sys/health", nil, 429, r.health(true, false, true))
	r.refuses(leader, r.root, get, "sys/audit", nil, 500, "local node not active but active cluster node not found")
	if err := r.servers.Start(follower); err != nil {
		r.find("%v", err)
		return
	}
	r.give(follower, 1, 2, 3)
	r.settled()
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
	r.autopilot("a", 2, 0)
	if voters, _ := r.voters(); len(voters) != 2 {
		r.find("the members are %v", voters)
	}
	r.expect("a", r.root, put, path, map[string]any{"server_id": "nobody"}, 204, nil)
	if err := errors.Join(r.servers.Stop(gone), r.servers.Start(gone)); err != nil {
		r.find("%v", err)
		return
	}
	r.expect(gone, "", get, "sys/health", nil, 530, removed)
}
