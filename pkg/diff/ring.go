package diff

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// A commit travels through the rings of fleet.yaml in order. It reaches a cluster
// once every cluster of each ring before is what the commit wants, and first was so a
// soak of its ring ago, and while fewer than at_once clusters of its own ring are on
// their way, to this commit or another, and none of them failed; who has begun goes
// on. The first ring that matches a cluster is its own; clusters that none matches are
// the last one, one at a time. So a failure halts all that comes behind it. Until a
// commit reaches it, a cluster is kept at the spec that it had, drift and repair
// included.
//
// A cluster that is not what it is kept at is perhaps mended by the newest commit
// alone. So it waits for no other of its ring that is only broken like itself, or that
// failed on its way to an older commit: they would wait for each other. It waits for
// those that roll, and takes no place from them.
//
// A cluster that the commit does not touch was what it wants long ago, and has to be so
// now. Nobody waits for one that is only observed, because nothing will ever be done
// there, nor for one that was never born, which waits for a person and for no ring. One
// whose spec is broken, or that is held, halts; and no commit comes to one that is held.

// Fellow is how a cluster of the fleet stands, as far as others wait for it.
type Fellow struct {
	Name, Environment string
	Wanted            string // digest of the spec that the newest commit wants; "": it cannot be read
	Ordered           string // digest of the spec that it is kept at
	Good              Standing
	Observed          bool
	Held              bool
	Failed            bool // a step of it did not come to its goal
	Unborn            bool
}

// FellowOf is how a cluster stands by what is remembered of it. Broken: the spec is not
// the newest one, which cannot be read.
func FellowOf(want desired.Cluster, broken bool, m Memory, now time.Time) Fellow {
	f := Fellow{Name: want.Name, Environment: want.Environment, Wanted: want.Digest, Ordered: m.Accepted.Digest, Good: m.Good,
		Observed: want.Mode != desired.ModeEnforce, Unborn: !m.Known}
	if broken {
		f.Wanted = ""
	}
	_, f.Held = m.leave(LeaveHold, "", now)
	f.Failed = slices.ContainsFunc(m.Tries, func(t Try) bool { return t.Outcome == OutcomeFailed || t.Outcome == OutcomeUnknown })
	return f
}

// converged says that a cluster is what the newest commit wants, and when it first was.
func (f Fellow) converged() (first time.Time, yes bool) {
	first = f.Good.First
	if first.IsZero() {
		first = f.Good.Since
	}
	return first, f.Wanted != "" && f.Good.Digest == f.Wanted && !f.Good.Since.IsZero()
}

// onItsWay says that a cluster is not what it is kept at.
func (f Fellow) onItsWay() bool { return f.rolls() || f.Good.Since.IsZero() }

// rolls says that a cluster has not been what it is kept at since it was given that.
func (f Fellow) rolls() bool {
	return f.Good.Digest != f.Ordered || f.Good.First.IsZero() && f.Good.Since.IsZero()
}

// begun says that a cluster is kept at what the newest commit wants.
func (f Fellow) begun() bool { return f.Wanted != "" && f.Ordered == f.Wanted }

// RingOf is the ring of a cluster, counted from 0; len(rings) is that of those that
// no ring matches.
func RingOf(rings []desired.Ring, name, environment string) int {
	for i, r := range rings {
		matches := r.Cluster != "" || r.Environment != ""
		if ok, err := path.Match(r.Cluster, name); r.Cluster != "" && (err != nil || !ok) {
			matches = false
		}
		if matches && (r.Environment == "" || r.Environment == environment) {
			return i
		}
	}
	return len(rings)
}

// Travel says of each cluster whether the newest commit has reached it: nil, or what it
// waits for. The commit comes to one after another, by ring and by name; one that may
// begin and has been reached counts as on its way for those that come after it.
func Travel(rings []desired.Ring, fleet []Fellow, may func(Fellow) bool, now time.Time) []*Wait {
	waits := make([]*Wait, len(fleet))
	if len(rings) == 0 {
		return waits
	}
	t := travel{rings, slices.Clone(fleet), make([]int, len(fleet)), make([]int, len(fleet)), now}
	for i, f := range fleet {
		t.ring[i], t.order[i] = RingOf(rings, f.Name, f.Environment), i
	}
	slices.SortFunc(t.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(t.ring[a], t.ring[b]), cmp.Compare(fleet[a].Name, fleet[b].Name))
	})
	for _, i := range t.order {
		f := &t.fleet[i]
		if waits[i] = t.reach(i); waits[i] == nil && f.Wanted != "" && !f.begun() && may(*f) {
			f.Ordered, f.Good.Since, f.Good.First = f.Wanted, time.Time{}, time.Time{} // as Accept does
		}
	}
	return waits
}

type travel struct {
	rings []desired.Ring
	fleet []Fellow
	ring  []int // of each of the fleet
	order []int // in which the commit comes to them
	now   time.Time
}

// reach says what a cluster waits for; nil: the commit has reached it, or it is broken
// and wants nothing new.
func (t travel) reach(i int) *Wait {
	me := t.fleet[i]
	if me.Wanted == "" || me.begun() || me.Unborn {
		return nil
	}
	if me.Held {
		return ringWait("it is held")
	}
	var longest *Wait // of those that only soak
	var places []string
	for _, k := range t.order {
		f := t.fleet[k]
		if k == i || f.Observed || f.Unborn || t.ring[k] > t.ring[i] {
			continue
		}
		if t.ring[k] == t.ring[i] {
			if !f.onItsWay() || me.onItsWay() && !f.begun() && !f.rolls() {
				continue
			}
			if f.Failed && (f.begun() || !me.onItsWay()) {
				return ringWait(f.Name + ", which is of its ring, failed")
			}
			places = append(places, f.Name)
			continue
		}
		w := t.through(f, t.rings[t.ring[k]].Soak)
		if w != nil && w.Until.IsZero() {
			return w
		}
		if w != nil && (longest == nil || w.Until.After(longest.Until)) {
			longest = w
		}
	}
	if longest == nil && len(places) >= t.atOnce(t.ring[i]) {
		return ringWait("of its ring no more go at once than are on their way: " + strings.Join(places, ", "))
	}
	return longest
}

// through says that a cluster of a ring before holds nobody up: nil, or why it does.
func (t travel) through(f Fellow, soak time.Duration) *Wait {
	first, converged := f.converged()
	switch {
	case f.Wanted == "":
		return ringWait("the spec of " + f.Name + ", which is of a ring before, cannot be read")
	case f.Held && !converged:
		return ringWait(f.Name + ", which is of a ring before, is held")
	case !converged:
		return ringWait(f.Name + ", which is of a ring before, is not what the commit wants yet")
	case t.now.Before(first.Add(soak)):
		w := ringWait(f.Name + ", which is of a ring before, soaks")
		w.Until = first.Add(soak)
		return w
	}
	return nil
}

// atOnce is how many clusters of a ring may be on their way.
func (t travel) atOnce(ring int) int {
	if ring < len(t.rings) {
		return cmp.Or(t.rings[ring].AtOnce, 1)
	}
	return 1
}

func ringWait(why string) *Wait {
	return &Wait{Reason: WaitRing, Detail: "a newer commit wants something else, and has not reached this cluster: " + why}
}
