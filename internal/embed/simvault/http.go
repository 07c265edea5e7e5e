package simvault

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl"
)

// refusal is an answer that is an error.
type refusal struct {
	code int
	text string
}

func (r refusal) Error() string { return r.text }

var (
	sealed    = refusal{http.StatusServiceUnavailable, "Vault is sealed"}
	forbidden = refusal{http.StatusForbidden, "permission denied"}
	nothing   = refusal{http.StatusNotFound, ""}
)

// object is a JSON object.
type object = map[string]any

// ServeHTTP answers as the API of Vault.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 32<<20))
	in := object{}
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		answerError(w, refusal{http.StatusBadRequest, "failed to parse JSON input: " + err.Error()})
		return
	}
	at := strings.TrimPrefix(r.URL.Path, "/v1/")
	p.mu.Lock()
	defer p.mu.Unlock()
	code, out, err := p.answer(r, at, in)
	if err != nil {
		answerError(w, err)
		return
	}
	answerJSON(w, code, out)
}

func answerJSON(w http.ResponseWriter, code int, out any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if out == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(out) // whoever asked may be gone
}

func answerError(w http.ResponseWriter, err error) {
	var no refusal
	if !errors.As(err, &no) {
		no = refusal{http.StatusInternalServerError, err.Error()}
	}
	errs := []string{}
	if no.text != "" {
		errs = append(errs, no.text)
	}
	answerJSON(w, no.code, object{"errors": errs})
}

// answer is what one request gets. No answer and no error is 204.
func (p *process) answer(r *http.Request, at string, in object) (int, any, error) {
	q := request{method: method(r), at: at, in: in, token: r.Header.Get("X-Vault-Token"), standbyOK: r.URL.Query().Get("standbyok") == "true"}
	for _, route := range local() {
		if route.fits(q) {
			return route.serve(p, q)
		}
	}
	if !q.known() {
		return 0, nil, q.unknown()
	}
	var out any
	err := p.led(func(c *cluster) (err error) {
		out, err = p.logical(c, q)
		return err
	})
	if errors.Is(err, sealed) && !p.open && sealPlace.fits(q) {
		err = nil
	}
	return http.StatusOK, out, err
}

// led does something with the cluster of an open server that somebody leads.
func (p *process) led(do func(c *cluster) error) error {
	return p.with(func(c *cluster) error {
		switch {
		case c == nil || p.me(c) == nil || !p.me(c).Open:
			return sealed
		case c.leader() == nil:
			return p.unled(c)
		}
		return do(c)
	})
}

// unled is the answer of an open server that nobody leads: it asks the one that
// led, if that one was another.
func (p *process) unled(c *cluster) error {
	if l := c.Servers[p.followed]; l != nil && l.Up {
		return sealed
	}
	return refusal{http.StatusInternalServerError, "local node not active but active cluster node not found"}
}

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
		if m.Removed && atLeast(p.version, "1.19.0") {
			code = 530
		}
		if !m.Open {
			return
		}
		out["cluster_name"], out["cluster_id"] = c.Name, c.Raft.ID
		out["standby"] = c.Raft.Leader != m.ID
		code = http.StatusTooManyRequests
		switch {
		case c.leader() == nil && p.followed != "" && time.Since(p.heard) > heartbeats && atLeast(p.version, "1.19.0"):
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

func (p *process) init(q request) (int, any, error) {
	in := q.in
	shares, threshold := number(in["secret_shares"]), number(in["secret_threshold"])
	keys, rootKey := words(in["pgp_keys"]), fmt.Sprint(or(in["root_token_pgp_key"], ""))
	if len(keys) > 0 && len(keys) != shares {
		return 0, nil, refusal{http.StatusBadRequest, "incorrect number of PGP keys"}
	}
	recipients := make([]recipient, len(keys))
	for i, k := range keys {
		var err error
		if recipients[i], err = recipientOf(k); err != nil {
			return 0, nil, refusal{http.StatusBadRequest, "invalid seal configuration: " + err.Error()}
		}
	}
	parts, root, err := p.begin(shares, threshold)
	if err != nil {
		return 0, nil, err
	}
	hexes, base64s := []string{}, []string{}
	for i, part := range parts {
		sent := part
		if len(keys) > 0 { // Vault encrypts the share in hex
			if sent, err = recipients[i].encrypt([]byte(hex.EncodeToString(part))); err != nil {
				return 0, nil, err
			}
		}
		hexes, base64s = append(hexes, hex.EncodeToString(sent)), append(base64s, base64.StdEncoding.EncodeToString(sent))
	}
	if rootKey != "" {
		to, err := recipientOf(rootKey)
		if err != nil { // too late: it is initialised, and nobody has the shares
			return 0, nil, refusal{http.StatusBadRequest, err.Error()}
		}
		sent, err := to.encrypt([]byte(root))
		if err != nil {
			return 0, nil, err
		}
		root = base64.StdEncoding.EncodeToString(sent)
	}
	return http.StatusOK, object{"keys": hexes, "keys_base64": base64s, "root_token": root}, nil
}

func (p *process) unsealBy(q request) (int, any, error) {
	if q.in["reset"] == true {
		p.shares, p.nonce = nil, ""
		return p.status(q)
	}
	share, err := parseShare(q.in)
	if err != nil {
		return 0, nil, err
	}
	if err := p.unseal(share); err != nil {
		return 0, nil, err
	}
	return p.status(q)
}

// parseShare is the share in the field key of a request.
func parseShare(in object) ([]byte, error) {
	given, _ := in["key"].(string)
	if given == "" {
		return nil, refusal{http.StatusBadRequest, "'key' must be specified in request body as JSON, or 'reset' set to true"}
	}
	share, err := hex.DecodeString(given)
	if err != nil {
		if share, err = base64.StdEncoding.DecodeString(given); err != nil {
			return nil, refusal{http.StatusBadRequest, "'key' must be a valid hex or base64 string"}
		}
	}
	switch {
	case len(share) < 16:
		return nil, refusal{http.StatusBadRequest, "invalid key: key is shorter than minimum 16 bytes"}
	case len(share) > 33:
		return nil, refusal{http.StatusBadRequest, "invalid key: key is longer than maximum 33 bytes"}
	}
	return share, nil
}

func wrap(data any) object { return object{"request_id": uuid(), "data": data} }

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

func (c *cluster) autopilot() object {
	servers, voters, sound, healthy := object{}, []string{}, 0, true
	led := c.leader().Since // a new leader's autopilot knows nothing of before
	for _, id := range c.members() {
		m, since := c.Servers[id], c.Raft.Members[id].Joined
		if since.Before(led) {
			since = led
		}
		well := m != nil && m.Open
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

// rules are the paths of a policy with their capabilities.
func rules(text string) (map[string][]string, error) {
	var policy struct {
		Path map[string]struct{ Capabilities []string }
	}
	if err := hcl.Decode(&policy, text); err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for p, r := range policy.Path {
		out[p] = r.Capabilities
	}
	return out, nil
}

// allows says that a token may do something at a path: the longest rule counts.
func (a access) allows(who token, at, capability string) bool {
	if slices.Contains(who.Policies, "root") || strings.HasSuffix(at, "-self") {
		return true
	}
	best, allowed := -1, false
	for _, name := range who.Policies {
		paths, err := rules(a.Policies[name])
		if err != nil {
			continue // it was refused when it came
		}
		for p, can := range paths {
			prefix, glob := strings.CutSuffix(p, "*")
			if fits := p == at || glob && strings.HasPrefix(at, prefix); fits && len(p) > best {
				best, allowed = len(p), slices.Contains(can, capability) || capability == "update" && slices.Contains(can, "create")
			}
		}
	}
	return allowed
}

func number(v any) int {
	switch v := v.(type) {
	case float64:
		return int(v)
	case string:
		var n int
		_, _ = fmt.Sscan(v, &n) // what is no number is refused as 0
		return n
	}
	return 0
}

func seconds(v any) int {
	if text, ok := v.(string); ok {
		if d, err := time.ParseDuration(text); err == nil {
			return int(d.Seconds())
		}
	}
	return number(v)
}

// words are a list, or a text with commas.
func words(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		out = strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
	case []any:
		for _, w := range v {
			out = append(out, fmt.Sprint(w))
		}
	}
	return out
}

func asObject(v any) object {
	o, _ := v.(object)
	return o
}

func or(v, otherwise any) any {
	if v == nil {
		return otherwise
	}
	return v
}
