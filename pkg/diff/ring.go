package diff

import (
	"cmp"
	"path"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// A commit travels through the rings of fleet.yaml in order. It reaches a cluster
// once every cluster of each ring before has converged on what the commit wants of it
// and has stayed so for its ring's soak, and while no more than at_once clusters of
// its own ring are on their way; who has begun goes on. The first ring that matches a
// cluster is its own; clusters that none matches are the last one, one at a time. So a
// failure halts all that comes behind it: what fails does not converge. Until a commit
// reaches it, a cluster is kept at the spec that it had, drift and repair included.
//
// A cluster that the commit does not touch has converged long ago. One that is only
// observed is waited for by nobody, because nothing will ever be done there. One whose
// spec is broken, or that is held, has not converged, and halts.

// Fellow is how a cluster of the fleet stands, as far as others wait for it.
type Fellow struct {
	Name, Environment string
	Wanted            string // digest of the spec that the newest commit wants; "": it cannot be read
	Ordered           string // digest of the spec that it is kept at
	Good              Standing
	Observed          bool
	Held              bool
}

// converged says that a cluster is what the newest commit wants, and since when.
func (f Fellow) converged() (since time.Time, yes bool) {
	return f.Good.Since, f.Wanted != "" && f.Good.Digest == f.Wanted && !f.Good.Since.IsZero()
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

// Reach says whether the newest commit has reached a cluster: nil, or what it waits
// for.
func Reach(rings []desired.Ring, me Fellow, fleet []Fellow, now time.Time) *Wait {
	if len(rings) == 0 || me.begun() {
		return nil
	}
	mine := RingOf(rings, me.Name, me.Environment)
	var longest *Wait // of those that only soak
	onTheWay := 0
	for _, f := range fleet {
		ring := RingOf(rings, f.Name, f.Environment)
		since, converged := f.converged()
		switch {
		case f.Name == me.Name || f.Observed || ring > mine:
		case ring == mine:
			if f.begun() && !converged {
				onTheWay++
			}
		case f.Wanted == "":
			return ringWait("the spec of " + f.Name + ", which is of a ring before, cannot be read")
		case f.Held && !converged:
			return ringWait(f.Name + ", which is of a ring before, is held")
		case !converged:
			return ringWait(f.Name + ", which is of a ring before, is not what the commit wants yet")
		default:
			if until := since.Add(rings[ring].Soak); now.Before(until) && (longest == nil || until.After(longest.Until)) {
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
	if onTheWay >= atOnce {
		return ringWait("others of its ring are on their way, and no more go at once")
	}
	return nil
}

func ringWait(why string) *Wait {
	return &Wait{Reason: WaitRing, Detail: "a newer commit wants something else, and has not reached this cluster: " + why}
}
