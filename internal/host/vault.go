package host

import (
	"context"
	"errors"
	"net"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// vaultSaid is what a node's Vault answered, or why it did not.
type vaultSaid struct {
	Answers
	err error
}

// askVault reads the node's own Vault beside the probe, by the way that the
// target names.
func (h *Host) askVault(ctx context.Context, conn Conn, t actual.Target) vaultSaid {
	if h.API == nil || t.APIAddress == "" {
		return vaultSaid{}
	}
	var dial Dial
	switch t.API {
	case "tunnel", "":
		dial = conn.Dial
	case "direct":
		dial = h.Direct
	}
	if dial == nil {
		return vaultSaid{err: errors.New("ssh.api: " + clean(t.API, 20) + " is not built in this release; use tunnel or direct")}
	}
	ctx, cancel := context.WithTimeout(ctx, apiTime)
	defer cancel()
	answers, err := h.API(ctx, func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}, t)
	return vaultSaid{answers, err}
}

// takeAnswers lays Vault's answers over the look. Where no process of Vault's
// runs, silence is not Unknown: there is nobody to answer.
func (h *Host) takeAnswers(n *actual.Node, said vaultSaid) {
	n.Vault, n.Raft = said.Vault, said.Raft
	if n.Process != nil && n.Process.PID != 0 {
		n.Process.Served = said.Served
	}
	if said.Devices != nil {
		if n.Audit == nil {
			n.Audit = &actual.Audit{}
		}
		n.Audit.Devices = said.Devices
	}
	if said.err != nil && (n.Process == nil || n.Process.PID != 0) {
		unknown(n, actual.PhaseVaultAPI, clean(said.err.Error(), 500))
	}
}
