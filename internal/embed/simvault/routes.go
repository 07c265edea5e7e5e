package simvault

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/sim"
)

// request is what was asked.
type request struct {
	method    string // GET LIST DELETE, or PUT for everything that writes
	at        string // path below /v1/
	token     string
	standbyOK bool
	in        object

	who token // of token, for what the leader answers
}

// method is one of four: Vault takes POST for PUT, and a parameter for LIST.
func method(r *http.Request) string {
	switch {
	case r.Method == "LIST" || r.URL.Query().Get("list") == "true":
		return "LIST"
	case r.Method == http.MethodPost:
		return http.MethodPut
	}
	return r.Method
}

// localRoute is what every server answers by itself, to anybody.
type localRoute struct {
	asked
	serve func(p *process, q request) (int, any, error)
}

func local() []localRoute {
	return []localRoute{
		{asked{"GET sys/seal-status", nil}, (*process).status},
		{asked{"GET sys/health", takes{"?standbyok": only("true")}}, (*process).health},
		{asked{"GET sys/leader", nil}, (*process).leader},
		{asked{"PUT sys/init", takes{"secret_shares": aNumber, "secret_threshold": aNumber, "pgp_keys": texts, "root_token_pgp_key": aText}}, (*process).init},
		{asked{"PUT sys/unseal", takes{"key": aText, "reset": only(true)}}, (*process).unsealBy},
		{asked{"GET sys/generate-root/attempt", nil}, (*process).generateRoot},
		{asked{"PUT sys/generate-root/attempt", nil}, (*process).generateRoot},
		{asked{"DELETE sys/generate-root/attempt", nil}, (*process).generateRoot},
		{asked{"PUT sys/generate-root/update", takes{"key": aText, "nonce": aText}}, (*process).generateRoot},
	}
}

// leadingRoute is what the leader answers, whoever was asked.
type leadingRoute struct {
	asked
	serve func(p *process, c *cluster, q request) (any, error)
}

func leading() []leadingRoute {
	return []leadingRoute{
		{asked{"GET sys/storage/raft/configuration", nil}, func(_ *process, c *cluster, _ request) (any, error) { return wrap(c.configuration()), nil }},
		{asked{"GET sys/storage/raft/autopilot/state", nil}, func(_ *process, c *cluster, _ request) (any, error) { return wrap(c.autopilot(time.Now())), nil }},
		{asked{"LIST sys/version-history", takes{"?list": only("true")}}, func(_ *process, c *cluster, _ request) (any, error) { return wrap(object{"keys": c.Led}), nil }},
		{asked{sealPlace, nil}, (*process).seal},
		{asked{"PUT sys/step-down", nil}, stepDown},
		{asked{"PUT sys/storage/raft/remove-peer", takes{"server_id": aText}}, removePeer},
		{asked{"GET sys/audit", nil}, listAudit},
		{asked{"PUT sys/audit/*", takes{"type": only("file"), "options": aFile}}, enableAudit},
		{asked{"PUT sys/policies/acl/*", takes{"policy": aText}}, writePolicy},
		{asked{"GET sys/auth", nil}, listMethods},
		{asked{"PUT sys/auth/approle", takes{"type": only("approle")}}, enableAppRole},
		{asked{"PUT auth/approle/role/*", takes{"token_policies": aName, "token_ttl": aText, "token_max_ttl": only("1h"), "secret_id_ttl": only("0"), "secret_id_num_uses": only("0")}}, writeRole},
		{asked{"DELETE auth/approle/role/*", nil}, deleteRole},
		{asked{"GET auth/approle/role/*/role-id", nil}, roleID},
		{asked{"PUT auth/approle/role/*/secret-id", nil}, newSecretID},
		{asked{"PUT auth/token/revoke-self", nil}, revokeSelf},
		{asked{"GET auth/token/lookup-self", nil}, lookupSelf},
	}
}

// loginPlace needs no token, nor does sealPlace where the server is sealed.
const (
	loginPlace = place("PUT auth/approle/login")
	sealPlace  = place("PUT sys/seal")
)

// places are all that the simulator answers at.
func places() []asked {
	all := []asked{{loginPlace, takes{"role_id": aText, "secret_id": aText}}}
	for _, r := range local() {
		all = append(all, r.asked)
	}
	for _, r := range leading() {
		all = append(all, r.asked)
	}
	return all
}

// logical is what the leader answers; a standby asks it.
func (p *process) logical(c *cluster, q request) (any, error) {
	if loginPlace.fits(q) {
		return login(c, q.in)
	}
	who, ok := c.Access.Tokens[hash(q.token)]
	if !ok || !who.Until.IsZero() && time.Now().After(who.Until) || !c.Access.allows(who, q.at, q.capabilities()...) {
		return nil, forbidden
	}
	if q.rooted() && !slices.Contains(who.Policies, "root") {
		return nil, q.noAnswer(" with another token than root's")
	}
	q.who = who
	for _, route := range leading() {
		if route.fits(q) {
			return route.serve(p, c, q)
		}
	}
	return nil, q.noAnswer("")
}

// noRoute is the answer for a path at which nothing is mounted.
func noRoute(q request) error {
	return refusal{http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", q.at)}
}

// protected are the paths that nobody but root uses without the capability sudo.
func protected() []string {
	return []string{"sys/audit", "sys/audit/*", "sys/auth/*", "sys/seal", "sys/step-down"}
}

// rooted says that the suite has seen nobody but root be let in there.
func (q request) rooted() bool {
	return slices.Contains([]string{"sys/seal", "sys/step-down", "sys/auth/approle"}, q.at) ||
		strings.HasPrefix(q.at, "sys/policies/") || strings.HasPrefix(q.at, "auth/approle/")
}

// capabilities are what a token needs for a request.
func (q request) capabilities() []string {
	needs := []string{map[string]string{"LIST": "list", http.MethodGet: "read", http.MethodPut: "update", http.MethodDelete: "delete"}[q.method]}
	if slices.ContainsFunc(protected(), func(pattern string) bool { ok, _ := path.Match(pattern, q.at); return ok }) {
		needs = append(needs, "sudo")
	}
	return needs
}

func (p *process) seal(c *cluster, _ request) (any, error) {
	if c.Raft.Leader != p.config.nodeID {
		return nil, refusal{http.StatusInternalServerError, "vault cannot seal when in standby mode; please restart instead"}
	}
	p.me(c).Seal()
	p.seen(c)
	return nil, nil
}

// stepDown lets another server lead, if one can.
func stepDown(_ *process, c *cluster, q request) (any, error) {
	for _, id := range c.members() {
		if m := c.Servers[id]; id != c.Raft.Leader && c.Raft.Members[id].Voter && m != nil && m.Open {
			c.lead(m, time.Now())
			return nil, nil
		}
	}
	return nil, q.noAnswer(" where nobody else can lead")
}

// removePeer takes a follower out of the cluster; one that nobody knows is out.
func removePeer(_ *process, c *cluster, q request) (any, error) {
	id := fmt.Sprint(or(q.in["server_id"], ""))
	if id == c.Raft.Leader {
		return nil, q.noAnswer(" of the leader")
	}
	delete(c.Raft.Members, id)
	if m := c.Servers[id]; m != nil {
		m.Removed = true
		m.Seal()
	}
	return nil, nil
}

func listAudit(_ *process, c *cluster, _ request) (any, error) {
	devices := object{}
	for name, d := range c.Raft.Devices {
		devices[name] = object{"path": name, "type": d.Type, "options": d.Options, "description": "", "local": false}
	}
	return wrap(devices), nil
}

// enableAudit opens an audit device, on the node that leads.
func enableAudit(_ *process, c *cluster, q request) (any, error) {
	kind, options := fmt.Sprint(or(q.in["type"], "")), map[string]string{}
	for k, v := range asObject(q.in["options"]) {
		options[k] = fmt.Sprint(v)
	}
	name := path.Base(q.at) + "/"
	if _, there := c.Raft.Devices[name]; there {
		return nil, refusal{http.StatusBadRequest, "path already in use"}
	}
	f, err := os.OpenFile(filepath.Join(c.leader().Root, options["file_path"]), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, refusal{http.StatusBadRequest, "sanity check failed; unable to open for writing: " + err.Error()}
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	c.Raft.Devices[name] = sim.Device{Type: kind, Options: options}
	return nil, nil
}

func writePolicy(_ *process, c *cluster, q request) (any, error) {
	text, _ := q.in["policy"].(string)
	if _, err := rules(text); err != nil {
		return nil, refusal{http.StatusBadRequest, "failed to parse policy: " + err.Error()}
	}
	c.Access.Policies[path.Base(q.at)] = text
	return nil, nil
}

func listMethods(_ *process, c *cluster, _ request) (any, error) {
	methods := object{"token/": object{"type": "token"}}
	if c.Access.AppRole {
		methods["approle/"] = object{"type": "approle"}
	}
	return wrap(methods), nil
}

func enableAppRole(_ *process, c *cluster, _ request) (any, error) {
	if c.Access.AppRole {
		return nil, refusal{http.StatusBadRequest, "path is already in use at approle/"}
	}
	c.Access.AppRole = true
	return nil, nil
}

// role is the role of auth/approle/role/NAME and of what is below it.
func (q request) role(c *cluster) (name string, r role, there bool, err error) {
	if !c.Access.AppRole {
		return "", r, false, noRoute(q)
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(q.at, "auth/approle/role/"), "/")
	r, there = c.Access.Roles[name]
	return name, r, there, nil
}

func writeRole(_ *process, c *cluster, q request) (any, error) {
	name, r, there, err := q.role(c)
	if err != nil {
		return nil, err
	}
	r.Policies, r.TTL = words(q.in["token_policies"]), seconds(q.in["token_ttl"])
	if !there {
		r.ID = uuid()
	}
	c.Access.Roles[name] = r
	return nil, nil
}

func deleteRole(_ *process, c *cluster, q request) (any, error) {
	name, _, _, err := q.role(c)
	delete(c.Access.Roles, name)
	return nil, err
}

func roleID(_ *process, c *cluster, q request) (any, error) {
	_, r, there, err := q.role(c)
	if err == nil && !there {
		err = nothing
	}
	return wrap(object{"role_id": r.ID}), err
}

func newSecretID(_ *process, c *cluster, q request) (any, error) {
	name, r, there, err := q.role(c)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, refusal{http.StatusNotFound, fmt.Sprintf("role %q does not exist", name)}
	}
	secret := uuid()
	r.Secrets = append(r.Secrets, hash(secret))
	c.Access.Roles[name] = r
	return wrap(object{"secret_id": secret, "secret_id_accessor": uuid(), "secret_id_num_uses": 0, "secret_id_ttl": 0}), nil
}

func revokeSelf(_ *process, c *cluster, q request) (any, error) {
	delete(c.Access.Tokens, hash(q.token))
	c.Raft.Root = slices.ContainsFunc(slices.Collect(maps.Values(c.Access.Tokens)), func(t token) bool { return slices.Contains(t.Policies, "root") })
	return nil, nil
}

func lookupSelf(_ *process, _ *cluster, q request) (any, error) {
	return wrap(object{"policies": q.who.Policies, "accessor": q.who.Accessor, "ttl": q.who.TTL}), nil
}

// login is auth/approle/login.
func login(c *cluster, in object) (any, error) {
	for _, r := range c.Access.Roles {
		if r.ID == in["role_id"] && slices.Contains(r.Secrets, hash(fmt.Sprint(in["secret_id"]))) {
			given := "hvs." + text(90)
			t := token{Accessor: text(18), Policies: append([]string{"default"}, r.Policies...), TTL: r.TTL, Until: time.Now().Add(time.Duration(r.TTL) * time.Second)}
			c.Access.Tokens[hash(given)] = t
			return object{"auth": object{"client_token": given, "accessor": t.Accessor, "policies": t.Policies, "token_policies": t.Policies,
				"lease_duration": r.TTL, "renewable": true, "token_type": "service"}}, nil
		}
	}
	return nil, refusal{http.StatusBadRequest, "invalid role or secret ID"}
}
