package diff

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Fact is one thing that is known, or wanted, of a node: the one comparable
// shape. Node is empty for what belongs to the cluster. Value is a class
// ("serving" "yes"), never a raw counter, so plans do not flicker. A Fact that
// is missing is Unknown.
type Fact struct {
	Node  string `json:"node,omitempty"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Action is the verb of a step. Closed set.
type Action string

const (
	ActionAccount    Action = "account"    // create user and group
	ActionInstall    Action = "install"    // put a version's binary into its folder
	ActionPlace      Action = "place"      // folders and files that ask nothing of the running Vault
	ActionEnable     Action = "enable"     // let the unit start at boot
	ActionStart      Action = "start"      // flip what is staged, reset-failed, start
	ActionReload     Action = "reload"     // flip what is staged, SIGHUP
	ActionRestart    Action = "restart"    // flip what is staged, stop cleanly, start
	ActionUnseal     Action = "unseal"     // with shares that the reconciler holds
	ActionInit       Action = "init"       // the birth of the cluster, once
	ActionAudit      Action = "audit"      // enable an audit device
	ActionCredential Action = "credential" // the reconciler's own way in, proven
	ActionRevoke     Action = "revoke"     // the root token of the birth
)

// Effect is what a step does to whoever uses Vault. Closed set.
type Effect string

const (
	EffectNone          Effect = "none"
	EffectDeferred      Effect = "deferred" // rides the next restart
	EffectReload        Effect = "reload"
	EffectRestart       Effect = "restart"
	EffectRestartUnseal Effect = "restart+unseal"
	EffectLeaderMove    Effect = "leader-move"
	EffectOneWay        Effect = "one-way"
)

// Cause is why there is a difference. Closed set.
type Cause string

const (
	CauseCommit  Cause = "commit"  // the spec says something new
	CauseDrift   Cause = "drift"   // the node moved
	CauseRelease Cause = "release" // a release of our own renders differently
)

// Put is a file as a step places it; see desired.Put for its digests.
type Put struct {
	Path   string `json:"path"`
	Owner  string `json:"owner"`
	Group  string `json:"group"`
	Mode   string `json:"mode"`
	Digest string `json:"digest"`
	Role   string `json:"role"`
}

// Folder is a folder as a step makes it.
type Folder struct {
	Path  string `json:"path"`
	Owner string `json:"owner"`
	Group string `json:"group"`
	Mode  string `json:"mode"`
}

// Change is one difference, for people and for JSON: what it is, and the value
// before and after. Sensitive values are digests on both sides.
type Change struct {
	What string `json:"what"` // "log_level", "/etc/vault.d/tls/vault.crt", "vault"
	From string `json:"from"`
	To   string `json:"to"`
}

// Step is one act on one node. It carries all that the hands need, and no
// content and no secret.
type Step struct {
	ID      string   `json:"id"` // hash of cluster, node, action, goal and puts
	Node    string   `json:"node"`
	Action  Action   `json:"action"`
	Effect  Effect   `json:"effect"`
	Cause   Cause    `json:"cause"`
	Why     string   `json:"why"` // for people; no code branches on it
	Changes []Change `json:"changes,omitempty"`

	Puts    []Put    `json:"puts,omitempty"`    // the node's whole generation where anything of it changes
	Folders []Folder `json:"folders,omitempty"` // to make or mend
	Version string   `json:"version,omitempty"` // of Vault, to install or to link
	Binary  string   `json:"binary,omitempty"`  // "sha256:HEX" of that version's binary
	Device  *Device  `json:"device,omitempty"`  // of an audit step
	Users   []string `json:"users,omitempty"`   // "user" or "user:group" of an account step

	Needs []Fact `json:"needs"` // before: what must still hold; the gate and a saved plan's preconditions
	Goal  []Fact `json:"goal"`  // after: how it is verified, and what Simulate lays over the facts

	Await Reason `json:"await,omitempty"` // what it waits for before it may begin, one of the plan's waits
}

// Device is an audit device to enable.
type Device struct {
	Path    string            `json:"path"`
	Type    string            `json:"type"`
	Options map[string]string `json:"options,omitempty"`
}

// Wave is a set of steps that may be in flight at the same time, in any order.
type Wave []Step

// Reason names a Block or a Wait for machines; the closed sets stand in
// reasons.go.
type Reason string

// Block is a difference that is left alone until somebody acts.
type Block struct {
	Node   string `json:"node,omitempty"`
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
	Lift   string `json:"lift"` // what would lift it
	// Later says that nothing is in its way yet: it will stop the cluster once
	// the waves of the plan are done.
	Later bool `json:"later,omitempty"`
}

// Urgent says that a person is needed now.
func (b Block) Urgent() bool { return b.Reason.Urgent() && !b.Later }

// Wait is a difference that time will take care of. Until is zero where only a
// look can tell.
type Wait struct {
	Node   string    `json:"node,omitempty"`
	Reason Reason    `json:"reason"`
	Detail string    `json:"detail"`
	Until  time.Time `json:"until,omitzero"`
}

// Unseen is what could not be read of a node.
type Unseen struct {
	Node  string `json:"node"`
	Phase string `json:"phase"`
	Error string `json:"error"`
}

// Note is a difference that asks for no act now: deferred, or a concern that
// the spec does not let us write.
type Note struct {
	Node   string `json:"node,omitempty"`
	Effect Effect `json:"effect"`
	Change Change `json:"change"`
	Why    string `json:"why"`
}

// Plan is what would be done to one cluster, in order, and what would not and
// why. It is data: the same inputs give the same bytes.
type Plan struct {
	Cluster string   `json:"cluster"`
	Commit  string   `json:"commit,omitempty"`
	Digest  string   `json:"digest"` // of the spec
	Mode    string   `json:"mode"`
	Waves   []Wave   `json:"waves"`
	Blocks  []Block  `json:"blocks"`
	Waits   []Wait   `json:"waits"`
	Notes   []Note   `json:"notes"`
	Unseen  []Unseen `json:"unseen"`
}

// Next is the wave to do now. False: there is none, the mode forbids acting, or all of
// it waits.
func (p Plan) Next() (Wave, bool) {
	if len(p.Waves) == 0 || p.Mode != "enforce" {
		return nil, false
	}
	wave := slices.DeleteFunc(slices.Clone(p.Waves[0]), func(s Step) bool { return s.Await != "" })
	return wave, len(wave) > 0
}

// Empty says that nothing differs: no step, no block, no wait, all seen.
// Notes may remain.
func (p Plan) Empty() bool {
	return len(p.Waves) == 0 && len(p.Blocks) == 0 && len(p.Waits) == 0 && len(p.Unseen) == 0
}

// Fingerprint is what a saved plan is bound to, and what tells two plans apart: the
// steps, not the order and not the words.
func (p Plan) Fingerprint() string {
	var ids []string
	for _, w := range p.Waves {
		for _, s := range w {
			ids = append(ids, s.ID)
		}
	}
	b, _ := json.Marshal(sorted(ids)) // strings always marshal
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// identify gives a step its ID: the same act towards the same goal has the
// same ID at every look and in every process. What a start or an unseal leads
// to depends on the whole spec: under another one it is another act, so what
// failed before a correction does not count after it.
func identify(want desired.Cluster, s Step) Step {
	spec := ""
	switch s.Action {
	case ActionStart, ActionUnseal, ActionEnable:
		spec = want.Digest
	case ActionInstall: // so for where the binary comes from
		spec = want.Releases.Source
		for _, platform := range slices.Sorted(maps.Keys(want.Artefacts)) {
			spec += " " + want.Artefacts[platform].Archive
		}
	}
	b, _ := json.Marshal(struct { // plain data always marshals
		Cluster, Node string
		Action        Action
		Goal          []Fact
		Puts          []Put
		Spec          string
	}{want.Name, s.Node, s.Action, s.Goal, s.Puts, spec})
	sum := sha256.Sum256(b)
	s.ID = hex.EncodeToString(sum[:8])
	return s
}
