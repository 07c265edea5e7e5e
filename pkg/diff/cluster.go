package diff

import (
	"cmp"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// maxWaves bounds the forecast. A plan that long means that a step's goal does
// not remove its cause, which the property tests look for.
const maxWaves = 200

// situation is all that one wave is planned from. The forecast replans on it
// with only the facts changed.
type situation struct {
	want     desired.Cluster
	have     map[string]actual.Node
	memory   Memory
	now      time.Time
	v        view
	voters   electorate
	cause    Cause
	forecast bool // beyond the first wave: tries and pauses no longer count

	compared int // wants that were held against what is there

	stops  int // calls of block, also of one that is listed already
	blocks []Block
	waits  []Wait
	notes  []Note
}

// Cluster plans one cluster: the waves that would bring it to what is wanted,
// and what is left alone and why. It is pure: the same inputs give the same
// bytes, whatever order they come in.
func Cluster(want desired.Cluster, have []actual.Node, m Memory, now time.Time) Plan {
	s := newSituation(want, have, m, now)
	begins := *s
	plan := Plan{
		Cluster: want.Name, Digest: want.Digest, Mode: string(want.Mode),
		Waves: []Wave{}, Blocks: []Block{}, Waits: []Wait{}, Notes: []Note{}, Unseen: unseen(have),
	}
	for len(plan.Waves) < maxWaves {
		s.blocks, s.waits, s.notes = nil, nil, nil
		wave := s.wave()
		if !s.forecast {
			plan.Waits = append(plan.Waits, sortWaits(s.waits)...)
			plan.Notes = append(plan.Notes, sortNotes(s.notes)...)
		}
		if !s.forecast {
			plan.Blocks = append(plan.Blocks, s.blocks...)
		} else if len(wave) == 0 {
			plan.Blocks = append(plan.Blocks, later(s.blocks, plan.Blocks)...)
		}
		if len(wave) == 0 {
			break
		}
		plan.Waves = append(plan.Waves, wave)
		s.v = s.simulate(wave)
		s.voters = electorateOf(s.v, m, want)
		s.forecast = true
	}
	plan.Blocks = sortBlocks(plan.Blocks)
	plan = begins.attend(plan)
	if want.Mode == desired.ModeObserve && len(plan.Waves) > 0 {
		plan.Blocks = append(plan.Blocks, Block{Reason: ReasonObserve,
			Detail: "this cluster is only observed, so nothing of this plan is done",
			Lift:   "set mode: enforce in its cluster.yaml, and allow it in reconciler.yaml under trust.modes"})
	}
	return plan
}

// later are the blocks that stop a cluster in the end and not now.
func later(blocks, now []Block) []Block {
	var out []Block
	for _, b := range blocks {
		if !slices.Contains(now, b) {
			b.Later = true
			out = append(out, b)
		}
	}
	return out
}

func newSituation(want desired.Cluster, have []actual.Node, m Memory, now time.Time) *situation {
	s := &situation{want: want, have: map[string]actual.Node{}, memory: m, now: now, cause: CauseCommit}
	for _, n := range have {
		s.have[n.Name] = n
	}
	s.v = viewOf(want, have, m)
	s.v.put("", keyKnown, word(m.Known))
	for _, member := range m.Members {
		s.v.put(member.Name, keyMember, word(member.Joined))
	}
	s.voters = electorateOf(s.v, m, want)
	if m.Good.Digest == want.Digest && want.Digest != "" && !m.left(want) {
		s.cause = CauseDrift
	}
	return s
}

// wave is what may be done now: first what costs nobody anything, on all nodes
// at once; then one act on the cluster; then one node at a time through the
// gate. A certificate that nobody trusts goes before whatever is no repair.
func (s *situation) wave() Wave {
	if s.frozen() {
		return nil
	}
	s.dropped()
	s.proposeIdentity()
	s.raises()
	var free Wave
	for _, n := range s.nodes() {
		if step, ok := s.free(n); ok {
			free = append(free, step)
		}
	}
	next := free
	if len(next) == 0 {
		next = s.single()
	}
	if step, ok := s.expired(); ok && !slices.ContainsFunc(next, s.repairs) {
		next = Wave{step}
	}
	return s.identified(next)
}

// single is an act on the cluster, else one on one node.
func (s *situation) single() Wave {
	if step, ok := s.ceremony(); ok && s.mayTry(identify(s.want, step)) {
		return Wave{step}
	}
	if step, ok := s.gated(); ok {
		return Wave{step}
	}
	return nil
}

// identified gives the steps their IDs and drops those that failed as often as
// they may, or too recently.
func (s *situation) identified(wave Wave) Wave {
	var out Wave
	for _, step := range wave {
		step = identify(s.want, step)
		step.Cause = s.cause
		step.Needs, step.Goal = sortFacts(step.Needs), sortFacts(step.Goal)
		if s.mayTry(step) {
			out = append(out, step)
		}
	}
	return out
}

// frozen says that nothing at all may be done to the cluster now.
func (s *situation) frozen() bool {
	if s.v.is("", keyBirth, string(BirthLost)) {
		s.block("", ReasonInitLost, "init was asked for on "+s.memory.Birth.Seed+" and its answer is missing: "+s.memory.Birth.Evidence,
			"nothing was wiped and nothing will be asked again; docs/operations.md, init-lost, says what a person does")
		return true
	}
	if hold, ok := s.memory.leave(LeaveHold, "", s.now); ok && hold.Node == "" {
		s.block("", ReasonHeld, "held by "+hold.By+": "+hold.Reason, "reconciler resume "+s.want.Name)
		return true
	}
	if s.want.ClusterID != "" && s.memory.ClusterID == "" {
		s.block("", ReasonStateLost, "the spec pins cluster_id "+s.want.ClusterID+", which this state folder does not know, and no node is open to confirm it",
			"have a person unseal a node, or restore the state folder from its backup; take cluster_id out of the spec only if that cluster is gone for good")
	}
	if s.want.ClusterID != "" && s.memory.ClusterID != "" && s.want.ClusterID != s.memory.ClusterID {
		s.block("", ReasonForeign, "the nodes belong to cluster "+s.memory.ClusterID+", the spec wants "+s.want.ClusterID,
			"correct cluster_id or the addresses in the spec")
		return true
	}
	return false
}

// nodes are the nodes of the spec that may be acted on: seen, and free of a
// person's will.
func (s *situation) nodes() []desired.Node {
	var nodes []desired.Node
	for _, n := range s.want.Nodes {
		if n.Absent || !s.v.is(n.Name, keyReach, yes) || s.willed(n.Name) {
			continue
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// free is the next act on a node that takes no serving voter down. Repair comes
// before change; with quorum lost, start and unseal are the only acts, and what
// they need: a certificate that can be believed, or files that Vault starts with.
func (s *situation) free(n desired.Node) (Step, bool) {
	emergency := s.v.is("", keyKnown, yes) && s.voters.lost(s.v) && !s.birthing()
	if emergency && !s.serves(n.Name) {
		plans := []func(desired.Node) (Step, bool){s.unseal, s.start}
		if !s.unbuilt() {
			plans = slices.Insert(plans, 0, s.renewal)
		}
		for _, plan := range plans {
			if step, ok := plan(n); ok && s.mayTry(identify(s.want, step)) {
				return step, true
			}
		}
		if s.memory.lastAct(n.Name).Outcome == OutcomeFailed && !s.unbuilt() {
			return s.place(n) // it does not start as it is, and nobody is served by leaving it so
		}
	}
	if emergency || s.unbuilt() {
		if !emergency {
			return s.repair(n)
		}
		return Step{}, false
	}
	for _, plan := range []func(desired.Node) (Step, bool){s.renewal, s.unseal, s.account, s.install, s.place, s.enable, s.start} {
		if step, ok := plan(n); ok && s.mayTry(identify(s.want, step)) {
			return step, true
		}
	}
	return Step{}, false
}

// repair is start and unseal alone, for a cluster whose spec asks for what this
// release cannot do: it is kept alive, and not changed.
func (s *situation) repair(n desired.Node) (Step, bool) {
	if !s.v.is("", keyKnown, yes) {
		return Step{}, false
	}
	if step, ok := s.start(n); ok {
		return step, true
	}
	return s.unseal(n)
}

// gated is the next act that takes a serving voter down, or that every node
// takes its turn at: followers first, the leader last.
func (s *situation) gated() (Step, bool) {
	if s.unbuilt() || s.voters.lost(s.v) || !s.v.is("", keyKnown, yes) {
		s.quorumLost()
		return Step{}, false
	}
	refused := false
	for _, n := range s.byRole(s.nodes()) {
		if refused && !s.renews(n) {
			continue
		}
		step, held := s.change(n)
		switch {
		case held && s.v.is(n.Name, keyReload, "refused"):
			refused = true // nobody overtakes but who needs nothing of what was refused
		case held:
			return Step{}, false // its turn, but not now: nobody overtakes
		case step.Action == ActionReload, step.Action != "" && !refused:
			return step, true
		}
	}
	return Step{}, false
}

// byRole puts the leader last and keeps the order otherwise.
func (s *situation) byRole(nodes []desired.Node) []desired.Node {
	nodes = slices.Clone(nodes)
	slices.SortStableFunc(nodes, func(a, b desired.Node) int {
		return cmp.Compare(s.rank(a.Name), s.rank(b.Name))
	})
	return nodes
}

func (s *situation) rank(node string) int {
	if s.v.is(node, keyRole, "leader") {
		return 1
	}
	return 0
}

func (s *situation) quorumLost() {
	if s.v.is("", keyKnown, yes) && s.voters.lost(s.v) && !s.birthing() {
		if s.voters.returning(s.v) {
			s.settled() // they only have to find each other
			return
		}
		s.block("", ReasonQuorumLost, s.voters.describe(s.v),
			"bring back the nodes that are named as unknown or left alone; start and unseal are done without asking, nothing else is")
	}
}

// unbuilt says that the spec asks for what this release cannot do, and blocks
// by each such key.
func (s *situation) unbuilt() bool {
	for _, u := range s.want.Unbuilt {
		s.block("", ReasonUnbuilt, u.Key+" at "+u.Place.String()+" is understood, but its effect is not built in this release",
			"take the key out, or wait for the release that builds it; until then this cluster is repaired but not changed")
	}
	return len(s.want.Unbuilt) > 0
}

// proposeIdentity notes the identity of a cluster that the spec does not pin
// yet: a spec that does can never be born again.
func (s *situation) proposeIdentity() {
	if s.want.ClusterID == "" && s.memory.ClusterID != "" && s.memory.Birth.Phase == BirthDone {
		s.note("", EffectNone, Change{"cluster_id", absent, s.memory.ClusterID}, "write it into cluster.yaml: a spec that pins it can never be born again")
	}
}

// dropped notes members that the spec no longer names: they still vote, and
// leave raft only by a person's word.
func (s *situation) dropped() {
	for _, m := range s.memory.Members {
		if _, ok := s.want.Node(m.Name); !ok && m.Joined {
			s.note(m.Name, EffectNone, Change{"node " + m.Name, "member", absent}, "gone from the spec, still a member of the cluster; nothing is done to it")
		}
	}
}

func (s *situation) serves(node string) bool { return s.v.is(node, keyServing, yes) }

func (s *situation) block(node string, reason Reason, detail, lift string) {
	s.stops++
	b := Block{Node: node, Reason: reason, Detail: detail, Lift: lift}
	if !slices.Contains(s.blocks, b) {
		s.blocks = append(s.blocks, b)
	}
}

func (s *situation) wait(node string, reason Reason, detail string, until time.Time) {
	w := Wait{Node: node, Reason: reason, Detail: detail, Until: until}
	if !s.forecast && !slices.Contains(s.waits, w) {
		s.waits = append(s.waits, w)
	}
}

func (s *situation) note(node string, effect Effect, change Change, why string) {
	s.notes = append(s.notes, Note{Node: node, Effect: effect, Change: change, Why: why})
}

func unseen(have []actual.Node) []Unseen {
	out := []Unseen{}
	for _, n := range have {
		for _, phase := range actual.Phases() {
			if why, ok := n.Unknown[phase]; ok {
				out = append(out, Unseen{Node: n.Name, Phase: string(phase), Error: why})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Unseen) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

func sortBlocks(b []Block) []Block {
	slices.SortFunc(b, func(a, b Block) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
	})
	return slices.Compact(b)
}

func sortWaits(w []Wait) []Wait {
	slices.SortFunc(w, func(a, b Wait) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail))
	})
	return w
}

func sortNotes(n []Note) []Note {
	slices.SortFunc(n, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Change.What, b.Change.What), cmp.Compare(a.Why, b.Why))
	})
	return slices.Compact(n)
}
