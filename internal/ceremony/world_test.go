package ceremony

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// world is three nodes under a node script, one Vault cluster, two key stores, a
// memory and a clock. It keeps the contracts of the ports: what breaks them
// fails the test. Every effect (a verb, a write to a store, a saved memory) may
// be made to fail or to end the process before or after it happened.
type world struct {
	t     *testing.T
	want  desired.Cluster
	nodes map[string]*node
	now   time.Time

	// the Vault cluster
	shares  [][]byte // hexadecimal
	root    string
	rootOK  bool
	policy  string
	role    [2]string // role_id, secret_id
	tokens  map[string]bool
	devices []string
	inits   int // times that a Vault was initialised

	memory diff.Memory
	rev    uint64
	stores []*shelf

	own, alice *age.X25519Identity

	effects []string // what happened, in order
	at      int      // the effect that is hit; 0: none
	on      string   // or the first of this name
	after   bool     // it is hit after it happened
	crash   bool     // the process ends; else the effect fails
	answer  func(map[string]any) map[string]any
	secrets []string // canaries
	said    []string // whatever came out
}

type node struct {
	name              string
	initialized, open bool
	down              bool
	inits             map[string][]byte // nonce → state line and body
	hang              int               // questions that are answered "running"
	lies              bool              // says v
	v                 actual.Vault
	unsealFails       error
	progressAfter     int
	forgotten         bool
	loginFails        bool
}

const crashed = "the process ended"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, nodes: map[string]*node{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), tokens: map[string]bool{}}
	w.want = desired.Cluster{
		Name: "prod-eu", Rules: desired.RulesProduction, Manage: desired.Concerns(), CAPath: "/etc/vault.d/tls/ca.crt",
		Seal: desired.Seal{Kind: "shamir"},
		Keys: desired.Keys{Shares: 5, Threshold: 3, HeldBy: desired.HeldByReconciler},
	}
	for _, name := range []string{"eu-1", "eu-2", "eu-3"} {
		w.want.Nodes = append(w.want.Nodes, desired.Node{Name: name, Address: "10.1.0.1" + name[3:], APIAddr: "https://10.1.0.1" + name[3:] + ":8200", TLSServerName: name + ".internal"})
		w.nodes[name] = &node{name: name, inits: map[string][]byte{}}
		w.memory.Members = append(w.memory.Members, diff.Member{Name: name, Empty: true})
	}
	w.memory.Leaves = []diff.Leave{{Kind: diff.LeaveInit, By: "alice", At: w.now}}
	w.stores = []*shelf{{w: w, name: "disk", data: map[string][]byte{}}, {w: w, name: "escrow", data: map[string][]byte{}}}
	for _, id := range []**age.X25519Identity{&w.own, &w.alice} {
		made, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		*id = made
		w.secrets = append(w.secrets, made.String())
	}
	return w
}

// start is a new process.
func (w *world) start() *Ceremony {
	w.t.Helper()
	var stores []Store
	for _, s := range w.stores {
		stores = append(stores, s)
	}
	c, err := New(Ports{Verb: w.verb, Status: w.status, Login: w.login, Memory: w, Clock: w},
		Keys{Stores: stores, Identities: []age.Identity{w.own}, Holders: map[string]string{"alice": w.alice.Recipient().String()}})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// effect lets one happen, or not.
func (w *world) effect(what string, do func() error) error {
	w.effects = append(w.effects, what)
	hit := len(w.effects) == w.at || what == w.on
	if what == w.on {
		w.on = ""
	}
	if hit && !w.after {
		return w.fail(what)
	}
	err := do()
	if hit && w.after {
		return w.fail(what)
	}
	return err
}

func (w *world) fail(what string) error {
	if w.crash {
		panic(crashed)
	}
	return errors.New(what + ": connection lost")
}

// Memory

func (w *world) Load(context.Context, string) (diff.Memory, uint64, error) {
	var m diff.Memory
	raw, _ := json.Marshal(w.memory)
	return m, w.rev, json.Unmarshal(raw, &m)
}

func (w *world) Save(_ context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error) {
	if cluster != w.want.Name {
		w.t.Errorf("memory of %q was saved", cluster)
	}
	err := w.effect("save "+string(m.Birth.Phase), func() error {
		if rev != w.rev {
			return errors.New("conflict")
		}
		raw, err := json.Marshal(m)
		w.said = append(w.said, string(raw))
		w.memory = diff.Memory{}
		w.rev++
		return errors.Join(err, json.Unmarshal(raw, &w.memory))
	})
	return w.rev, err
}

// Clock

func (w *world) Now() time.Time { return w.now }

func (w *world) Sleep(ctx context.Context, d time.Duration) error {
	w.now = w.now.Add(d)
	return ctx.Err()
}

// shelf is a key store.
type shelf struct {
	w       *world
	name    string
	data    map[string][]byte
	broken  error // everything fails
	untrue  error // the test object does not come back
	garbled string
	deny    string // names with this in them are not written
}

func (s *shelf) Name() string { return s.name }

func (s *shelf) Check(context.Context) error { return errors.Join(s.broken, s.untrue) }

func (s *shelf) Put(_ context.Context, name string, data []byte) error {
	return s.w.effect("put "+s.name+" "+name, func() error {
		switch {
		case s.broken != nil:
			return s.broken
		case s.deny != "" && strings.Contains(name, s.deny):
			return errors.New("no space left on device")
		case s.garbled != "" && strings.Contains(name, s.garbled):
			data = append(slices.Clone(data), 'x')
		}
		s.data[name] = slices.Clone(data)
		return nil
	})
}

func (s *shelf) Get(_ context.Context, name string) ([]byte, error) {
	if s.broken != nil {
		return nil, s.broken
	}
	data, ok := s.data[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return slices.Clone(data), nil
}

func (s *shelf) List(_ context.Context, folder string) ([]string, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.data)) {
		if folder == "" || strings.HasPrefix(name, folder+"/") {
			names = append(names, name)
		}
	}
	return names, s.broken
}

// The nodes and their Vaults

func (w *world) status(_ context.Context, n desired.Node) (actual.Vault, error) {
	x := w.nodes[n.Name]
	switch {
	case x.down:
		return actual.Vault{}, errors.New("connection refused")
	case x.lies:
		return x.v, nil
	}
	v := actual.Vault{Initialized: x.initialized, Sealed: !x.open, SealType: "shamir"}
	if x.initialized {
		v.Threshold, v.Shares = w.want.Keys.Threshold, w.want.Keys.Shares
	}
	return v, nil
}

func (w *world) login(_ context.Context, n desired.Node, role, id secret.Bytes) (Session, error) {
	x := w.nodes[n.Name]
	if x.down || x.loginFails || !x.open || w.role[0] == "" || string(role.Reveal()) != w.role[0] || string(id.Reveal()) != w.role[1] {
		return Session{}, errors.New("Code: 400. invalid role or secret ID")
	}
	token := w.canary("hvs.login" + rand.Text())
	w.tokens[token] = true
	return Session{Token: secret.Of([]byte(token)), TTL: 20 * time.Minute}, nil
}

func (w *world) canary(s string) string {
	w.secrets = append(w.secrets, s)
	return s
}

// verb is the node script, with the arguments that it takes after the fence.
func (w *world) verb(_ context.Context, n desired.Node, try diff.Try, verb string, args []string, stdin io.Reader) ([]byte, error) {
	x := w.nodes[n.Name]
	if try.Op == "" || try.Epoch == 0 {
		w.t.Errorf("%s without a fence", verb)
	}
	if x.down {
		return nil, fmt.Errorf("connect: %w", apply.ErrRefused)
	}
	w.said = append(w.said, strings.Join(args, " "))
	in, err := io.ReadAll(stdin)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []byte
	err = w.effect(verb+" "+n.Name, func() error {
		var err error
		out, err = w.run(x, n, verb, args, in)
		return err
	})
	return out, err
}

func (w *world) run(x *node, n desired.Node, verb string, args []string, in []byte) ([]byte, error) {
	api := args
	switch verb {
	case "vault-init":
		api = args[1:4]
	case "vault-init-result", "vault-init-forget":
		api = []string{n.APIAddr, w.want.CAPath, n.TLSServerName}
	}
	if !slices.Equal(api[:3], []string{n.APIAddr, w.want.CAPath, n.TLSServerName}) {
		w.t.Errorf("%s %q: not the API of %s", verb, args, n.Name)
	}
	switch verb {
	case "vault-init":
		return w.scriptInit(x, args, in)
	case "vault-init-result":
		return w.scriptResult(x, args[0])
	case "vault-init-forget":
		if body, ok := x.inits[args[0]]; ok && !bytes.HasPrefix(body, []byte("none")) {
			x.inits[args[0]], x.forgotten = []byte("forgotten\n"), true
		}
		return nil, nil
	case "vault-unseal":
		return w.vaultUnseal(x, in)
	}
	token, rest, ok := strings.Cut(string(in), "\n")
	if !ok {
		w.t.Errorf("%s: no token line", verb)
	}
	return w.vaultWrite(x, verb, args[3:], token, rest)
}

func (w *world) vaultWrite(x *node, verb string, args []string, token, rest string) ([]byte, error) {
	valid := w.rootOK && token == w.root
	if verb == "vault-revoke" { // gone is gone, however often it is said
		if valid {
			w.rootOK = false
		}
		return []byte("revoked\n"), nil
	}
	mayAudit := w.tokens[token] && strings.Contains(w.policy, `"sys/audit/*"`)
	if !x.open || !valid && !(verb == "vault-audit" && mayAudit) {
		return nil, errors.New("exit code 2: Code: 403. permission denied")
	}
	switch verb {
	case "vault-audit":
		var device map[string]any
		if err := json.Unmarshal([]byte(rest), &device); err != nil || device["type"] == nil {
			w.t.Errorf("audit device: %q", rest)
		}
		if slices.Contains(w.devices, args[0]) {
			return nil, errors.New("exit code 2: path already in use")
		}
		w.devices = append(w.devices, args[0])
		return nil, nil
	case "vault-policy":
		w.policy = rest
		return nil, nil
	case "vault-approle":
		w.policy = rest
		w.role = [2]string{"role-" + rand.Text(), w.canary(rand.Text())}
		return fmt.Appendf(nil, `{"role_id":%q,"secret_id":%q}`+"\n", w.role[0], w.role[1]), nil
	}
	w.t.Errorf("no such verb: %s", verb)
	return nil, nil
}

func (w *world) scriptInit(x *node, args []string, in []byte) ([]byte, error) {
	nonce := args[0]
	if _, asked := x.inits[nonce]; asked {
		return []byte("running\n"), nil
	}
	public, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(in)))
	if err != nil {
		w.t.Errorf("public key: %v", err)
	}
	if x.initialized {
		x.inits[nonce] = []byte("failed\nexit code 2\nVault is already initialized")
		return []byte("running\n"), nil
	}
	if len(x.inits) > 0 {
		w.t.Errorf("init was asked for twice on %s", x.name)
	}
	x.inits[nonce] = append([]byte("done\n"), w.vaultInit(args[4], args[5], public)...)
	for _, y := range w.nodes {
		y.initialized = true // the others fetch the challenge
	}
	return []byte("running\n"), nil
}

func (w *world) scriptResult(x *node, nonce string) ([]byte, error) {
	if x.hang > 0 {
		x.hang--
		return []byte("running\n"), nil
	}
	if body, ok := x.inits[nonce]; ok {
		return body, nil
	}
	return []byte("none\n"), nil
}

// vaultInit is what `vault operator init -format=json` prints, encrypted as
// Vault encrypts (helper/pgpkeys).
func (w *world) vaultInit(shares, threshold string, public []byte) []byte {
	w.inits++
	n, _ := strconv.Atoi(shares)
	t, _ := strconv.Atoi(threshold)
	w.shares, w.rootOK, w.root = nil, true, w.canary("hvs.root"+rand.Text())
	seal := func(text []byte) []byte {
		entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(public)))
		if err != nil {
			w.t.Fatalf("Vault cannot read the public key: %v", err)
		}
		var out bytes.Buffer
		p, err := openpgp.Encrypt(&out, []*openpgp.Entity{entity}, nil, nil, nil)
		if err != nil {
			w.t.Fatalf("Vault cannot encrypt: %v", err)
		}
		_, err = p.Write(text)
		if err = errors.Join(err, p.Close()); err != nil {
			w.t.Fatal(err)
		}
		return out.Bytes()
	}
	var inHex, inB64 []string
	for i := range n {
		share := make([]byte, 33)
		_, _ = rand.Read(share)
		share[32] = byte(i + 1)
		if n == 1 {
			share = share[:32]
		}
		text := []byte(hex.EncodeToString(share))
		w.shares = append(w.shares, text)
		w.canary(string(text))
		sealed := seal(text)
		inHex, inB64 = append(inHex, hex.EncodeToString(sealed)), append(inB64, base64.StdEncoding.EncodeToString(sealed))
	}
	reply := map[string]any{
		"unseal_keys_hex": inHex, "unseal_keys_b64": inB64, "unseal_shares": n, "unseal_threshold": t,
		"recovery_keys_b64": []string{}, "recovery_keys_hex": []string{}, "recovery_keys_shares": 0, "recovery_keys_threshold": 0,
		"root_token": base64.StdEncoding.EncodeToString(seal([]byte(w.root))),
	}
	if w.answer != nil {
		reply = w.answer(reply)
	}
	raw, err := json.Marshal(reply)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

func (w *world) vaultUnseal(x *node, in []byte) ([]byte, error) {
	if x.unsealFails != nil {
		return nil, x.unsealFails
	}
	good := map[string]bool{}
	lines := strings.Split(strings.TrimSuffix(string(in), "\n"), "\n")
	for _, line := range lines {
		if !slices.ContainsFunc(w.shares, func(s []byte) bool { return string(s) == line }) {
			return nil, errors.New("exit code 2: Error writing data to sys/unseal: Error making API request.")
		}
		good[line] = true
	}
	if len(lines) != w.want.Keys.Threshold {
		w.t.Errorf("%d shares were sent, the threshold is %d", len(lines), w.want.Keys.Threshold)
	}
	if len(good) < w.want.Keys.Threshold || !x.initialized {
		return nil, errors.New("exit code 2: Vault is not initialized")
	}
	x.open = x.progressAfter == 0
	return fmt.Appendf(nil, `{"type":"shamir","initialized":true,"sealed":%v,"t":3,"n":5,"progress":%d}`, !x.open, x.progressAfter), nil
}

// do runs one step as a wave would; a crash is an error like any other here.
func (w *world) do(c *Ceremony, action diff.Action, on string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != crashed {
				panic(r)
			}
			err = errors.New(crashed)
		}
		if err != nil {
			w.said = append(w.said, err.Error(), fmt.Sprintf("%#v", err))
		}
	}()
	step := diff.Step{Node: on, Action: action}
	if action == diff.ActionAudit {
		step.Device = &diff.Device{Path: "file", Type: "file", Options: map[string]string{"file_path": "/var/log/vault/audit.log"}}
	}
	w.now = w.now.Add(time.Second)
	return c.Hands(w.want)(w.t.Context(), diff.Try{Op: "op-1", Epoch: 7, Node: on, Action: action}, step, nil)
}

func (w *world) confirm(c *Ceremony, id *age.X25519Identity) (who string, err error) {
	path := filepath.Join(w.t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(id.String()+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if r := recover(); r != nil {
			if r != crashed {
				panic(r)
			}
			err = errors.New(crashed)
		}
	}()
	return c.Confirm(w.t.Context(), w.want, path)
}

// turn is the next step that a plan would have, or the person's. Empty: none.
func (w *world) turn(c *Ceremony) (string, error) {
	switch w.memory.Birth.Phase {
	case diff.BirthNone, diff.BirthIntent:
		return "init", w.do(c, diff.ActionInit, "eu-1")
	case diff.BirthDone, diff.BirthLost:
		return "", nil
	}
	for _, n := range w.want.Nodes {
		if !w.nodes[n.Name].open {
			return "unseal", w.do(c, diff.ActionUnseal, n.Name)
		}
	}
	switch {
	case len(w.devices) == 0:
		return "audit", w.do(c, diff.ActionAudit, "eu-1")
	case w.memory.Birth.Phase == diff.BirthKeys:
		return "credential", w.do(c, diff.ActionCredential, "eu-1")
	case w.memory.Birth.Phase == diff.BirthCredential:
		_, err := w.confirm(c, w.alice)
		return "confirm", err
	}
	return "revoke", w.do(c, diff.ActionRevoke, "eu-1")
}

// live takes turns until nothing is left to do; a crash starts a new process,
// and so does nothing else.
func (w *world) live(turns int) *Ceremony {
	w.t.Helper()
	c := w.start()
	for range turns {
		what, err := w.turn(c)
		if what == "" {
			return c
		}
		if err != nil && err.Error() == crashed {
			c = w.start()
		}
	}
	w.t.Fatalf("after %d turns the birth is at %q: %s", turns, w.memory.Birth.Phase, w.memory.Birth.Evidence)
	return c
}

// secretsStay fails the test when a canary came out anywhere.
func (w *world) secretsStay(c *Ceremony) {
	w.t.Helper()
	raw, err := json.Marshal(w.memory)
	if err != nil {
		w.t.Fatal(err)
	}
	out := append(slices.Clone(w.said), string(raw), fmt.Sprintf("%+v", c.sessions), fmt.Sprintf("%+v", c.Show(w.t.Context())))
	for _, s := range w.stores {
		for _, data := range s.data {
			out = append(out, string(data))
		}
	}
	for i, text := range out {
		for _, s := range w.secrets {
			if strings.Contains(text, s) {
				w.t.Fatalf("a secret came out in text %d of %d", i, len(out))
			}
		}
	}
}
