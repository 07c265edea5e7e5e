package loop

import (
	"errors"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// occupied is the error of a lease that another one has.
type occupied struct{}

func (occupied) Error() string { return "lab is acted on by another process" }
func (occupied) Busy() string  { return "another process" }

func TestAClusterStandsInOneWord(t *testing.T) {
	quorum := diff.Block{Reason: diff.ReasonQuorum}
	lost := diff.Block{Reason: diff.ReasonQuorumLost}
	later := diff.Block{Reason: diff.ReasonConfirm, Later: true}
	wave := []diff.Wave{{diff.Step{Action: diff.ActionReload}}}
	for name, c := range map[string]struct {
		turned Turned
		want   Standing
	}{
		"nothing differs":            {Turned{}, StandingInSync},
		"a note is no difference":    {Turned{Plan: diff.Plan{Notes: []diff.Note{{}}}}, StandingInSync},
		"steps to do":                {Turned{Plan: diff.Plan{Waves: wave}}, StandingChanging},
		"a block that comes later":   {Turned{Plan: diff.Plan{Waves: wave, Blocks: []diff.Block{later}}}, StandingChanging},
		"a block beside steps":       {Turned{Plan: diff.Plan{Waves: wave, Blocks: []diff.Block{quorum}}}, StandingBlocked},
		"a person is needed":         {Turned{Plan: diff.Plan{Blocks: []diff.Block{quorum, lost}}, Err: occupied{}}, StandingUrgent},
		"a wait":                     {Turned{Plan: diff.Plan{Waits: []diff.Wait{{}}}}, StandingWaiting},
		"a node that was not seen":   {Turned{Plan: diff.Plan{Unseen: []diff.Unseen{{}}}}, StandingWaiting},
		"another one acts there":     {Turned{Plan: diff.Plan{Waves: wave}, Err: occupied{}}, StandingBusy},
		"a turn that could not plan": {Turned{Err: errors.New("disk full")}, StandingFailed},
	} {
		if got := c.turned.Standing(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
