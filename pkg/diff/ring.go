package diff

import (
	"cmp"
	"path"
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
// A cluster that the commit does not touch was what it wants long ago, and has to be so
// now. Nobody waits for one that is only observed, because nothing will ever be done
// there, nor for one that was never born, which waits for a person. One whose spec is
// broken, or that is held, halts.

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

// converged says that a cluster is what the newest commit wants, and when it first was.
func (f Fellow) converged() (first time.Time, yes bool) {
	first = f.Good.First
	if first.IsZero() {
		first = f.Good.Since
	}
	return first, f.Wanted != "" && f.Good.Digest == f.Wanted && !f.Good.Since.IsZero()
}

// onItsWay says that a cluster is not what it is kept at.
func (f Fellow) onItsWay() bool { return f.Good.Digest != f.Ordered || f.Good.Since.IsZero() }

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

// Reach says whether the newest commit has reached a cluster: nil, or what it waits
// for.
func Reach(rings []desired.Ring, me Fellow, fleet []Fellow, now time.Time) *Wait {
	if len(rings) == 0 || me.begun() {
		return nil
	}
	mine := RingOf(rings, me.Name, me.Environment)
	var longest *Wait // of those that only soak
	var onTheWay []string
	for _, f := range fleet {
		ring := RingOf(rings, f.Name, f.Environment)
		first, converged := f.converged()
		switch {
		case f.Name == me.Name || f.Observed || f.Unborn || ring > mine:
		case ring == mine:
			if f.onItsWay() && f.Failed {
				return ringWait(f.Name + ", which is of its ring, failed")
			}
			if f.onItsWay() {
				onTheWay = append(onTheWay, f.Name)
			}
		case f.Wanted == "":
			return ringWait("the spec of " + f.Name + ", which is of a ring before, cannot be read")
		case f.Held && !converged:
			return ringWait(f.Name + ", which is of a ring before, is held")
		case !converged:
			return ringWait(f.Name + ", which is of a ring before, is not what the commit wants yet")
		default:
			if until := first.Add(rings[ring].Soak); now.Before(until) && (longest == nil || until.After(longest.Until)) {
				w := ringWait(f.Name + ", which is of a ring before, soaks")
				w.Until = until
				longest = w
			}
		}
	}
	if longest != nil {
		return longest
	}
	atOnce := 1
	if mine < len(rings) {
		atOnce = cmp.Or(rings[mine].AtOnce, 1)
	}
	if len(onTheWay) >= atOnce {
		return ringWait("of its ring no more go at once than are on their way: " + strings.Join(onTheWay, ", "))
	}
	return nil
}

func ringWait(why string) *Wait {
	return &Wait{Reason: WaitRing, Detail: "a newer commit wants something else, and has not reached this cluster: " + why}
}
