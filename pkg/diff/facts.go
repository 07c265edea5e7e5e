package diff

import (
	"cmp"
	"maps"
	"slices"
)

// Keys of facts. Those that end in a colon are followed by a path or a name.
const (
	keyReach     = "reach"      // yes
	keyRoot      = "root"       // yes no: the look had root's eyes
	keyPlatform  = "platform"   // linux_amd64
	keyHold      = "hold"       // yes no: a hold file lies there
	keyUser      = "user:"      // present absent
	keyGroup     = "group:"     // present absent
	keyFolder    = "folder:"    // absent, or OWNER:GROUP:MODE
	keyFile      = "file:"      // absent, or DIGEST OWNER:GROUP:MODE
	keyLoaded    = "loaded:"    // digest of the file that the process was started or reloaded with
	keyReload    = "reload"     // taken refused unseen: what became of the last reload of ours, of what is wanted now
	keyBinary    = "binary"     // absent, or the digest at vault.path
	keyVersion   = "installed:" // absent, or the digest of that version's binary
	keyUnitFresh = "unit"       // fresh stale: systemd loaded what is on disk
	keyBoot      = "at-boot"    // enabled disabled masked
	keyService   = "service"    // active inactive failed changing absent
	keyRuns      = "runs"       // digest of the executable of the process
	keyData      = "data"       // empty used moved
	keyEmptied   = "proven"     // yes: the data folder was empty before our first start
	keyPeersJSON = "peers.json" // yes no
	keyPeers     = "peers"      // open silent: every other node's API port answers from here
	keyAPI       = "api"        // up silent
	keyInit      = "initialized"
	keySealed    = "sealed"
	keyIdentity  = "cluster" // same other
	keyRemoved   = "removed"
	keyRole      = "role"      // leader follower none
	keyServing   = "serving"   // yes no
	keyCaughtUp  = "caught-up" // yes no
	keyVoter     = "voter"     // yes no
	keyHealthy   = "healthy"   // yes no, in autopilot's eyes
	keyRunning   = "version"   // as the process says
	keyCert      = "certificate"
	keyWill      = "will"   // sealed stopped, or none
	keyAudit     = "audit:" // of the cluster: absent, or TYPE and options
	keyOpens     = "opens:" // yes no: Vault's user can append to the audit file
	keyMember    = "member" // yes no: was seen in the cluster

	// of the cluster
	keyBirth     = "birth"     // phase of the ceremony
	keyKnown     = "known"     // yes no: its identity is remembered
	keyRaft      = "raft"      // yes: raft's own configuration was read
	keyAuditRead = "audit"     // yes: the list of audit devices was read
	keyStranger  = "stranger:" // yes: a voter that no known node accounts for
)

const (
	yes    = "yes"
	no     = "no"
	absent = "absent"
)

// view is facts by node and key. What is not in it is Unknown.
type view map[string]map[string]string

// usual is how many facts there are of a node, more or less.
const usual = 48

func newView(facts []Fact) view {
	v := view{}
	for _, f := range facts {
		v.put(f.Node, f.Key, f.Value)
	}
	return v
}

func (v view) put(node, key, value string) {
	if v[node] == nil {
		v[node] = make(map[string]string, usual)
	}
	v[node][key] = value
}

// get returns a fact's value; false means Unknown.
func (v view) get(node, key string) (string, bool) {
	value, ok := v[node][key]
	return value, ok
}

// is says that a fact is known and has this value.
func (v view) is(node, key, value string) bool {
	got, ok := v[node][key]
	return ok && got == value
}

// differs says that a fact is known and has another value.
func (v view) differs(node, key, value string) bool {
	got, ok := v[node][key]
	return ok && got != value
}

// known picks the facts of these keys that are known, as a step's needs.
func (v view) known(node string, keys ...string) []Fact {
	var facts []Fact
	for _, k := range keys {
		if value, ok := v.get(node, k); ok {
			facts = append(facts, Fact{node, k, value})
		}
	}
	return facts
}

// lay lays facts over the view; it returns a new one.
func (v view) lay(facts []Fact) view {
	out := make(view, len(v))
	for node, keys := range v {
		out[node] = maps.Clone(keys)
	}
	for _, f := range facts {
		out.put(f.Node, f.Key, f.Value)
	}
	return out
}

// facts are the view's facts, sorted.
func (v view) facts() []Fact {
	var facts []Fact
	for node, keys := range v {
		for k, value := range keys {
			facts = append(facts, Fact{node, k, value})
		}
	}
	return sortFacts(facts)
}

func sortFacts(facts []Fact) []Fact {
	slices.SortFunc(facts, func(a, b Fact) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	})
	return slices.Compact(facts)
}

// Missing returns the first of the wanted facts that does not hold among the
// facts, and what holds instead ("" for Unknown). False: all hold.
func Missing(wanted, facts []Fact) (want Fact, have string, missing bool) {
	v := newView(facts)
	for _, w := range wanted {
		if !v.is(w.Node, w.Key, w.Value) {
			got, _ := v.get(w.Node, w.Key)
			return w, got, true
		}
	}
	return Fact{}, "", false
}

func word(b bool) string {
	if b {
		return yes
	}
	return no
}

// sortedKeys are those of a map.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
