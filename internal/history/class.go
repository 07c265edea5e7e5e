package history

import (
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/actual"
)

// classOf is a look at a node as a person would tell it. Counters, indexes and the
// words of errors are not in it: they change at every look.
func classOf(n actual.Node) report.NodeClass {
	var c report.NodeClass
	if n.Service != nil {
		c.Service = n.Service.ActiveState
		if n.Service.LoadState == "not-found" || n.Service.LoadState == "masked" {
			c.Service = n.Service.LoadState
		}
	}
	if v := n.Vault; v != nil {
		c.Version, c.Seal, c.Role = v.Version, "unsealed", "none"
		switch {
		case !v.Initialized:
			c.Seal = "uninitialized"
		case v.Sealed:
			c.Seal = "sealed"
		case v.Leader:
			c.Role = "leader"
		case v.LeaderAddress != "":
			c.Role = "follower"
		}
	}
	for _, phase := range actual.Phases() {
		if _, ok := n.Unknown[phase]; ok {
			c.Unseen = append(c.Unseen, string(phase))
		}
	}
	return c
}
