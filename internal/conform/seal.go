package conform

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

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
	r.expect("a", "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, nil))
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
	r.expect("a", "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 0, nil))
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
	first := r.give("a", 0).Body
	r.holds("unseal", first, r.status(true, true, 3, 5, 1, fields{"nonce": nonEmpty}))
	same := fields{"nonce": first["nonce"]}
	r.holds("unseal", r.give("a", 0).Body, r.status(true, true, 3, 5, 1, same))
	r.holds("unseal", r.give("a", 4).Body, r.status(true, true, 3, 5, 2, same))
	r.expect("a", "", get, "sys/seal-status", nil, 200, r.status(true, true, 3, 5, 2, same))
	r.expect("a", "", put, "sys/unseal", map[string]any{"reset": true}, 200, r.status(true, true, 3, 5, 0, nil))
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
	r.name, _ = seen.Body["cluster_name"].(string)
	if voters, _ := r.voters("a"); len(voters) != 1 || !voters["a"] {
		r.find("the members are %v", voters)
	}
	r.expect("a", "", get, "sys/leader", nil, 200, r.leading(true, "a"))
	r.holds("unseal of an open one", r.give("a", 0).Body, r.status(true, false, 3, 5, 0, nil))
}

func (r *run) sealStandby() {
	r.refuses("b", r.root, put, "sys/seal", nil, 500, "vault cannot seal when in standby mode")
	r.expect("b", "", get, "sys/health", nil, 429, r.health(true, false, true))
}
