package conform

import (
	"encoding/base64"
	"strings"
	"time"
)

func (r *run) audit() {
	file := func(path string) map[string]any {
		return map[string]any{"type": "file", "options": map[string]string{"file_path": path}}
	}
	r.refuses("a", r.root, put, "sys/audit/lost", file("/no/such/folder/audit.log"), 400, "sanity check failed")
	r.expect("a", r.root, put, "sys/audit/file", file("/tmp/audit.log"), 204, nil)
	r.refuses("a", r.root, put, "sys/audit/file", file("/tmp/audit.log"), 400, "path already in use")
	d := data(r.expect("b", r.root, get, "sys/audit", nil, 200, wrapped()))
	device, _ := d["file/"].(map[string]any)
	if len(d) != 1 || device == nil {
		r.find("the devices are %v", d)
	}
	r.holds("device", device, fields{"path": "file/", "type": "file", "options": map[string]string{"file_path": "/tmp/audit.log"}, "description": "", "local": false})
	r.deviceOfAnother(file)
}

// deviceOfAnother enables a device through a follower: the leader opens it. Who
// cannot reach into the machines sees no more than the answer.
func (r *run) deviceOfAnother(file func(path string) map[string]any) {
	const path = "/tmp/asked-of-b.log"
	machines, within := r.servers.(Machines)
	look := func(server, script string) string {
		if !within {
			return ""
		}
		out, _, err := machines.Shell(server, script, "")
		if err != nil {
			r.find("%s on %s: %v", script, server, err)
		}
		return strings.TrimSpace(out)
	}
	for _, s := range []string{"a", "b"} {
		look(s, "rm -f $R"+path)
	}
	r.expect("b", r.root, put, "sys/audit/asked-of-b", file(path), 204, nil)
	for s, want := range map[string]string{"a": "1", "b": "0"} {
		if got := look(s, "ls $R"+path+" 2>/dev/null | wc -l"); within && got != want {
			r.find("the file of the device is there %s times on %s, want %s", got, s, want)
		}
	}
}

func (r *run) policies() {
	rules := `path "sys/storage/*" { capabilities = ["read"] }
path "sys/storage/raft/autopilot/*" { capabilities = ["deny"] }
path "sys/audit" { capabilities = ["read"] }`
	r.expect("a", r.root, put, "sys/policies/acl/watcher", map[string]any{"policy": rules}, 204, nil)
	r.refuses("a", r.root, put, "sys/policies/acl/broken", map[string]any{"policy": `path "`}, 400, "failed to parse policy")
	methods := data(r.expect("a", r.root, get, "sys/auth", nil, 200, wrapped()))
	if _, there := methods["approle/"]; there {
		r.find("the methods are %v", methods)
	}
	r.holds("methods", methods, fields{"token/": object})
	r.refuses("a", r.root, get, "auth/approle/role/r/role-id", nil, 404, "no handler for route")
	r.expect("a", r.root, post, "sys/auth/approle", map[string]any{"type": "approle"}, 204, nil)
	r.refuses("a", r.root, post, "sys/auth/approle", map[string]any{"type": "approle"}, 400, "path is already in use")
	methods = data(r.expect("b", r.root, get, "sys/auth", nil, 200, wrapped()))
	r.holds("methods", methods, fields{"token/": object, "approle/": object})
	for _, kind := range []string{"token", "approle"} {
		method, _ := methods[kind+"/"].(map[string]any)
		r.holds("method", method, fields{"type": kind})
	}
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
	r.rights(id["role_id"], secret["secret_id"])
	r.expect("a", r.root, del, "auth/approle/role/r", nil, 204, nil)
	r.refuses("a", "", put, "auth/approle/login", map[string]any{"role_id": id["role_id"], "secret_id": secret["secret_id"]}, 400, "invalid role or secret ID")
}

// rights holds a session of the role r to what a policy says of each path. Some
// paths want the capability sudo too.
func (r *run) rights(role, secret any) {
	rules := `path "sys/storage/raft/autopilot/state" { capabilities = ["read"] }
path "sys/storage/raft/remove-peer" { capabilities = ["update"] }
path "sys/version-history" { capabilities = ["list"] }
path "sys/auth" { capabilities = ["read"] }
path "sys/auth/*" { capabilities = ["create", "update"] }
path "sys/seal" { capabilities = ["update"] }
path "sys/step-down" { capabilities = ["update"] }
path "sys/audit" { capabilities = ["read", "sudo"] }
path "sys/audit/*" { capabilities = ["update", "sudo"] }
path "sys/audit/common" { capabilities = ["create", "update"] }
path "sys/audit/made" { capabilities = ["create", "sudo"] }`
	r.expect("a", r.root, put, "sys/policies/acl/auditor", map[string]any{"policy": rules}, 204, nil)
	r.expect("a", r.root, put, "auth/approle/role/r", map[string]any{"token_policies": "auditor", "token_ttl": "20m", "token_max_ttl": "1h",
		"secret_id_ttl": "0", "secret_id_num_uses": "0"}, 204, nil)
	login := r.expect("a", "", put, "auth/approle/login", map[string]any{"role_id": role, "secret_id": secret}, 200, fields{"auth": object})
	auth, _ := login.Body["auth"].(map[string]any)
	mine, _ := auth["client_token"].(string)
	for _, path := range []string{"sys/storage/raft/autopilot/state", "sys/version-history?list=true", "sys/auth", "sys/audit"} {
		r.expect("a", mine, get, path, nil, 200, wrapped())
	}
	device := map[string]any{"type": "file", "options": map[string]string{"file_path": "/tmp/audit.log"}}
	r.expect("a", mine, put, "sys/storage/raft/remove-peer", map[string]any{"server_id": "nobody"}, 204, nil)
	r.refuses("a", mine, put, "sys/audit/file", device, 400, "path already in use")
	r.refuses("a", mine, put, "sys/audit/common", device, 403, "permission denied")
	r.refuses("a", mine, put, "sys/audit/made", device, 403, "permission denied")
	r.refuses("a", mine, post, "sys/auth/approle", map[string]any{"type": "approle"}, 403, "permission denied")
	r.refuses("a", mine, put, "sys/seal", nil, 403, "permission denied")
	r.refuses("a", mine, put, "sys/step-down", nil, 403, "permission denied")
	r.refuses("a", mine, put, "sys/policies/acl/auditor", map[string]any{"policy": rules}, 403, "permission denied")
}

const attempt, update = "sys/generate-root/attempt", "sys/generate-root/update"

// idle are the fields of sys/generate-root while nobody makes a token.
func idle() fields {
	return fields{"nonce": "", "started": false, "progress": 0, "required": 3, "complete": false, "encoded_token": "", "encoded_root_token": "",
		"pgp_fingerprint": "", "otp": "", "otp_length": 28}
}

// begun are those of the answer that begins one.
func begun() fields {
	f := idle()
	f["started"], f["nonce"], f["otp"] = true, nonEmpty, nonEmpty
	return f
}

// making are those of one that was begun with a nonce, in the answer to a share
// or to a look at it.
func making(nonce any, progress, otp int) fields {
	f := idle()
	f["started"], f["nonce"], f["progress"], f["otp_length"] = true, nonce, progress, otp
	return f
}

func (r *run) generateRoot() {
	r.expect("a", "", get, attempt, nil, 200, idle())
	r.refuses("a", "", put, update, map[string]any{"key": r.key(0), "nonce": "none"}, 400, "no root generation in progress")
	first := r.expect("b", "", put, attempt, map[string]any{}, 200, begun()) // which asks the leader
	otp, _ := first.Body["otp"].(string)
	nonce := first.Body["nonce"]
	r.expect("a", "", get, attempt, nil, 200, making(nonce, 0, 28))
	r.refuses("a", "", put, attempt, map[string]any{}, 400, "already in progress")
	r.refuses("a", "", put, update, map[string]any{"key": r.key(0), "nonce": "another"}, 400, "incorrect nonce")
	r.expect("a", "", put, update, map[string]any{"key": r.key(0), "nonce": nonce}, 200, making(nonce, 1, 0))
	r.refuses("a", "", put, update, map[string]any{"key": r.key(0), "nonce": nonce}, 400, "has already been provided")
	r.refuses("a", "", put, update, map[string]any{"key": "no share", "nonce": nonce}, 400, "'key' must be a valid hex or base64 string")
	r.expect("b", "", put, update, map[string]any{"key": r.key(1), "nonce": nonce}, 200, making(nonce, 2, 0))
	r.expect("b", "", get, attempt, nil, 200, making(nonce, 2, 28))
	made := making(nonce, 3, 0)
	made["complete"], made["encoded_token"], made["encoded_root_token"] = true, nonEmpty, nonEmpty
	done := r.expect("a", "", put, update, map[string]any{"key": r.key(2), "nonce": nonce}, 200, made)
	if done.Body["encoded_token"] != done.Body["encoded_root_token"] {
		r.find("encoded_root_token is another one than encoded_token")
	}
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
	r.expect("a", "", put, attempt, map[string]any{}, 200, begun())
	r.expect("a", "", del, attempt, nil, 204, nil)
	r.expect("a", "", get, attempt, nil, 200, idle())
	nonce = r.ask("a", "", put, attempt, map[string]any{}).Body["nonce"]
	for i, key := range []string{r.key(0), r.key(1), r.wrongKey()} {
		if a := r.ask("a", "", put, update, map[string]any{"key": key, "nonce": nonce}); (a.Code == 400) != (i == 2) {
			r.find("share %d, of which the last one is wrong: %d %v", i, a.Code, a.Body)
		}
	}
	r.expect("a", "", del, attempt, nil, 204, nil)
}
