package diff

import (
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Margin is how far a cluster is from having no quorum, counted as the gate
// counts: a voter that was not seen does not serve.
type Margin struct {
	Voters  int
	Serving int
	Quorum  int // of Voters
}

// Spare is how many more voters may stop serving. Below zero the quorum is lost,
// as far as was seen.
func (m Margin) Spare() int { return m.Serving - m.Quorum }

// MarginOf is the margin of a cluster. False: there is no quorum to lose: the
// cluster was not born yet, or its storage has none.
func MarginOf(want desired.Cluster, have []actual.Node, m Memory) (Margin, bool) {
	born := m.Birth.Phase == BirthNone || m.Birth.Phase == BirthDone // none: by somebody else
	if !m.Known || !born || want.Storage.Kind != "raft" {
		return Margin{}, false
	}
	v := viewOf(want, have, m)
	voters := electorateOf(v, m, want)
	return Margin{Voters: voters.size(), Serving: len(voters.serving(v)), Quorum: voters.quorum()}, true
}
