package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// What rings promise, held against the machines and not against what is remembered of
// them, after every event of a seeded world: commits in the middle of a roll, bad ones,
// reverts, nodes that die, holds, a reconciler that dies at any boundary, and a person's
// apply beside the daemon.

// truth is what a cluster went through.
type truth struct {
	rev      uint64 // of its memory
	accepted diff.Accepted
	is       content               // that was accepted
	arrived  map[content]time.Time // when all nodes last came to run it
	there    bool                  // they do, since it was accepted
	failed   map[content]bool      // a step of it did not come to its goal
	may      map[string]bool       // configurations that were accepted, by digest
	given    map[string]string     // node → digest of the configuration on its disk
}

// saw notes what a turn came to.
func (f *fleet) saw(name string, spec loop.Spec, t loop.Turned) {
	var did []string
	for _, r := range t.Results {
		did = append(did, fmt.Sprintf("%s %s %s", r.Step.Action, r.Step.Node, r.Try.Outcome))
		if is := f.contentOf(name, spec.Commit); r.Try.Outcome == diff.OutcomeFailed && f.bad[at{name, is}] {
			f.truth[name].failed[is] = true
		}
	}
	for _, w := range t.Plan.Waits {
		did = append(did, fmt.Sprintf("waits %s: %s", w.Reason, w.Detail))
	}
	for _, b := range t.Plan.Blocks {
		did = append(did, fmt.Sprintf("blocked by %s on %s: %s", b.Reason, b.Node, b.Detail))
	}
	f.say("%s at %s: %s", name, spec.Commit, strings.Join(did, ", "))
	rings := func(w diff.Wait) bool { return w.Reason == diff.WaitRing }
	if t.Err == nil && len(t.Results)+len(t.Plan.Blocks)+len(t.Plan.Unseen) == 0 && len(slices.DeleteFunc(slices.Clone(t.Plan.Waits), rings)) == 0 {
		for _, n := range f.clusters[name].Nodes {
			if !n.Vault.Open {
				f.breaks("%s has nothing left to do, and %s is not served", name, n.Name)
			}
		}
	}
}

func (f *fleet) contentOf(name, commit string) content {
	return f.commits[f.number(commit)][name]
}

func (f *fleet) breaks(format string, args ...any) {
	f.broken = append(f.broken, f.now.Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

// check holds the invariants.
func (f *fleet) check() {
	for _, name := range f.names {
		f.broken = append(f.broken, f.clusters[name].Broken...)
		now, rev := f.truth[name], f.clusters[name].revs[name]
		var begun *diff.Memory
		if rev != now.rev {
			now.rev = rev
			if m := f.memory(name); m.Accepted != now.accepted {
				begun = &m
				if before, n := f.number(now.accepted.Commit), f.number(m.Accepted.Commit); n < before {
					f.breaks("%s is taken back from %d to %d", name, before, n)
				}
				now.accepted, now.there = m.Accepted, false
				now.is = f.contentOf(name, m.Accepted.Commit)
			}
		}
		f.look(name, now)
		if begun != nil {
			f.begun(name, *begun, now)
		}
	}
	for ring := range len(f.rings) + 1 {
		var rolls []string
		for _, name := range f.names {
			if f.ring(name) == ring && !f.truth[name].there {
				rolls = append(rolls, name)
			}
		}
		if most := f.atOnce(ring); len(rolls) > most {
			f.breaks("%v of ring %d roll at once, and %d may", rolls, ring, most)
		}
	}
	f.loose = f.loose && f.now.Sub(f.died) < 10*time.Second
	if len(f.broken) > 0 {
		f.t.Fatalf("%s\n\n%s", strings.Join(f.broken, "\n"), f.end())
	}
}

// look finds out what the nodes run. None has got what was not accepted; a call of the
// node script may end after something else was.
func (f *fleet) look(name string, now *truth) {
	wants := map[string]string{}
	for _, p := range f.puts(now.is, name) {
		wants[p.node], now.may[p.digest] = p.digest, true
	}
	given, there := map[string]string{}, true
	for _, n := range f.clusters[name].Nodes {
		config := n.Files["/etc/vault.d/vault.hcl"].Digest()
		given[n.Name] = config
		if before := now.given[n.Name]; before != "" && before != config && config != wants[n.Name] && !(now.may[config] && f.loose) {
			f.breaks("%s of %s got what was not accepted", n.Name, name)
		}
		there = there && n.Vault.Open && n.Mark != nil && n.Mark.Files["/etc/vault.d/vault.hcl"] == wants[n.Name]
	}
	now.given = given
	if there && !now.there {
		now.there, now.arrived[now.is] = true, f.now
	}
}

// begun holds what must be so when a commit is given to one more cluster.
func (f *fleet) begun(name string, m diff.Memory, now *truth) {
	f.say("%s goes on to %s", name, m.Accepted.Commit)
	n := f.number(m.Accepted.Commit)
	for _, l := range m.Leaves {
		if l.Kind == diff.LeaveHold {
			f.breaks("%s is held, and goes on to %d", name, n)
		}
	}
	for _, other := range f.names {
		is, their := f.commits[n][other], f.truth[other]
		if ring := f.ring(other); ring < f.ring(name) {
			soak := f.rings[ring].Soak
			if at, ok := their.arrived[is]; !ok || f.now.Before(at.Add(soak)) {
				f.breaks("%s goes on to %d, and %s of a ring before came there at %v and soaks for %v", name, n, other, at, soak)
			}
			if f.memory(other).Good.Since.IsZero() {
				f.breaks("%s goes on to %d, and %s of a ring before was seen out of sync", name, n, other)
			}
		}
		if other != name && f.ring(other) <= f.ring(name) && is == now.is && their.is == is && their.failed[is] {
			f.breaks("%s goes on to %d, with which %s failed", name, n, other)
		}
	}
}

func (f *fleet) ring(name string) int { return diff.RingOf(f.rings, name, "") }

func (f *fleet) atOnce(ring int) int {
	if ring == len(f.rings) {
		return 1
	}
	return f.rings[ring].AtOnce
}

// happen is one event. What goes wrong is put right again before the next thing of its
// kind does, so that a commit sometimes comes far.
func (f *fleet) happen() {
	name := f.names[f.dice.IntN(len(f.names))]
	r := f.clusters[name]
	n := r.Nodes[f.dice.IntN(len(r.Nodes))]
	switch dice := f.dice.IntN(1000); {
	case f.kept == nil && dice < 500, dice < 150:
		f.poll()
	case dice < 550:
		for _, i := range f.dice.Perm(len(f.names))[f.dice.IntN(3):] {
			f.turns(f.names[i])
		}
	case dice < 850:
		f.pass(time.Duration(1+f.dice.IntN(90)) * time.Second)
	case dice < 870:
		f.say("%s of %s dies", n.Name, name)
		n.Unit.Kill()
		n.Vault.Stop()
	case dice < 880:
		f.say("%s of %s reboots", n.Name, name)
		n.Reboot(f.spec(f.number(f.memory(name).Accepted.Commit), name).Cluster, r.Time)
	case dice < 910:
		if f.away == nil {
			f.away = n
		}
		f.away.Down = !f.away.Down
		f.say("%s is away: %v", f.away.Name, f.away.Down)
		if !f.away.Down {
			f.away = nil
		}
	case dice < 922:
		f.propose(0.7)
	case dice < 927:
		f.propose(0.9, f.any(0.4)...)
	case dice < 930:
		f.revert()
	case dice < 950:
		if f.held == "" {
			f.held = name
			f.leave(name, diff.LeaveHold)
		} else {
			f.leave(f.held, diff.LeaveRetry)
			f.held = ""
		}
	case dice < 965:
		f.deaths = 1 + f.dice.IntN(40)
	default:
		f.say("apply of %s", name)
		f.alive(func() { f.apply = f.decide(func(x string) bool { return x == name }) })
		f.check()
		for range f.dice.IntN(6) {
			f.turn(name, f.apply)
			f.check()
		}
	}
}

// leave is a person's word, which takes the place of the last one.
func (f *fleet) leave(name string, kind diff.LeaveKind) {
	f.say("%s of %s", kind, name)
	f.change(name, func(m diff.Memory) diff.Memory {
		m.Leaves = []diff.Leave{{Kind: kind, By: "alice", At: f.now}}
		return m
	})
}

// tale is a seed from its first event to its end: faults, then none, then a good commit
// that comes to all.
func tale(t *testing.T, from *run, seed uint64) *fleet {
	f := newFleet(t, from, seed)
	for range 200 {
		f.happen()
		f.check()
	}
	f.deaths, f.away, f.held = 0, nil, ""
	for _, name := range f.names {
		f.leave(name, diff.LeaveRetry)
		for _, n := range f.clusters[name].Nodes {
			n.Down = false
		}
	}
	f.rest("everybody is what it is kept at, where Vault starts with that", func(name string, now *truth) bool { return now.there || f.bad[at{name, now.is}] })
	f.propose(1)
	last := f.commits[len(f.commits)-1]
	f.rest("the last commit has come to all", func(_ string, now *truth) bool { return now.there && now.is == last[f.names[0]] })
	return f
}

// rest lets everything go its way until something is so of every cluster.
func (f *fleet) rest(what string, is func(string, *truth) bool) {
	for range 150 {
		f.round()
		if !slices.ContainsFunc(f.names, func(name string) bool { return !is(name, f.truth[name]) }) {
			return
		}
	}
	f.t.Fatalf("it never comes to this: %s\n%s", what, f.end())
}

// round is a poll, and turns of all.
func (f *fleet) round() {
	f.poll()
	for _, name := range f.names {
		f.turns(name)
	}
	f.pass(20 * time.Second)
}

// turns are some turns of a cluster, as long as there is something to do.
func (f *fleet) turns(name string) {
	for acted := true; acted; f.check() {
		acted = f.turn(name, f.kept)
	}
}

// end is the end of the trace.
func (f *fleet) end() string { return strings.Join(f.trace[max(0, len(f.trace)-120):], "\n") }

// To look at a spec before it is in force, as plan does, leaves no trace: neither on the
// machines nor in what is remembered of how the cluster stands.
func TestALookAheadBeginsNothing(t *testing.T) {
	r := born(t, 1)
	r.cut()
	spec := r.fleet("1.21.0", "  log_level: info\n  ui: false")
	spec.Ahead = true
	before := string(r.memory["prod"])
	turned := loop.Turn(t.Context(), r.Ports(), spec)
	if turned.Err != nil || len(turned.Plan.Waves) == 0 || len(r.Trace) > 0 || string(r.memory["prod"]) != before {
		t.Errorf("%v, %d waves, done: %v\n%s\n%s", turned.Err, len(turned.Plan.Waves), r.Trace, before, r.memory["prod"])
	}
}

// What another process has put another spec in force of is its own, also where this one
// was to keep it at the old one.
func TestWhoWasOvertakenDoesNothing(t *testing.T) {
	r := born(t, 1)
	old := r.spec
	old.Noted = true
	r.converge(r.fleet("1.21.0", "  log_level: info\n  ui: false"))
	r.cut()
	turned := loop.Turn(t.Context(), r.Ports(), old)
	if !errors.As(turned.Err, new(loop.Busy)) || len(r.Trace) > 0 {
		t.Errorf("%v, done: %v", turned.Err, r.Trace)
	}
}

// A commit that fails in one cluster comes to none behind it, though there is a place in
// its ring; whom it has not reached is repaired; and the commit that mends it comes to
// all, also to two that failed at once.
func TestWhatFailsComesNoFurther(t *testing.T) {
	f := newFleet(t, born(t, 1), 1)
	f.rings[0].AtOnce, f.rings[1].AtOnce = 2, 2
	f.propose(1, "prod-1")
	for range 40 {
		f.round()
	}
	for name, want := range map[string]content{"lab-1": 1, "lab-2": 1, "prod-1": 1, "prod-2": 1, "prod-3": 0, "other-1": 0, "other-2": 0} {
		if now := f.truth[name]; now.is != want || now.there == (name == "prod-1") {
			t.Errorf("%s is given %d, and is it: %v", name, now.is, now.there)
		}
	}
	n := f.clusters["prod-3"].Nodes[1]
	n.Unit.Kill()
	n.Vault.Stop()
	for range 3 {
		f.round()
	}
	if !n.Vault.Open {
		t.Error("whom the commit has not reached is not repaired")
	}
	f.propose(1, "lab-1", "lab-2")
	for range 40 {
		f.round()
	}
	if f.truth["lab-1"].there || f.truth["lab-2"].there {
		t.Error("a bad commit did not fail")
	}
	f.propose(1)
	f.rest("the commit that mends has come to all", func(_ string, now *truth) bool { return now.there && now.is == 3 })
}

func TestACommitTravelsThroughTheRingsWhateverHappens(t *testing.T) {
	from := born(t, 1)
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			first := tale(t, from, seed)
			if again := tale(t, from, seed); !slices.Equal(first.trace, again.trace) {
				t.Fatalf("the same seed gives another trace:\n%s\n\n%s", strings.Join(first.trace, "\n"), strings.Join(again.trace, "\n"))
			}
		})
	}
}
