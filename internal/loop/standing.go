package loop

import "errors"

// Standing is how a cluster stands after a turn, in one word. Closed set.
type Standing string

const (
	StandingUrgent   Standing = "urgent"   // a person is needed now
	StandingFailed   Standing = "failed"   // the turn could not go on
	StandingBlocked  Standing = "blocked"  // something is left alone until somebody acts
	StandingBusy     Standing = "busy"     // another one acts there
	StandingChanging Standing = "changing" // there are steps to do
	StandingWaiting  Standing = "waiting"  // for what only time brings, or a node that was not seen
	StandingInSync   Standing = "in-sync"
)

// Standings are all of them, what a person should see first at the front.
func Standings() []Standing {
	return []Standing{StandingUrgent, StandingFailed, StandingBlocked, StandingBusy, StandingChanging, StandingWaiting, StandingInSync}
}

// Standing is how it stands. What another one does there may well lift what is
// blocked.
func (t Turned) Standing() Standing {
	urgent, blocked := false, false
	for _, b := range t.Plan.Blocks {
		urgent = urgent || b.Urgent()
		blocked = blocked || !b.Later
	}
	switch {
	case urgent:
		return StandingUrgent
	case errors.As(t.Err, new(Busy)):
		return StandingBusy
	case t.Err != nil:
		return StandingFailed
	case blocked:
		return StandingBlocked
	case len(t.Plan.Waves) > 0:
		return StandingChanging
	case !t.Plan.Empty():
		return StandingWaiting
	}
	return StandingInSync
}
