package conform

import (
	"encoding/base64"
	"time"
)

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
