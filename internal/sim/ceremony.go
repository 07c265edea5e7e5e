package sim

import (
	"context"
	"errors"
	"fmt"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// ceremony is the birth as the real hands go through it: what is durable where,
// and in which order.
func (a *act) ceremony(ctx context.Context) error {
	m, _, err := store{a.Reconciler}.Load(ctx, a.w.spec.Name)
	if err != nil {
		return err
	}
	switch a.step.Action {
	case diff.ActionInit:
		return a.bear(ctx, m.Birth)
	case diff.ActionAudit:
		return a.call("vault-audit", func(w *World, n *Node) error {
			n.Vault.Raft.Devices[a.step.Device.Path] = Device{Type: a.step.Device.Type, Options: a.step.Device.Options}
			return nil
		})
	case diff.ActionCredential:
		return a.credential(ctx)
	case diff.ActionRevoke:
		if !a.w.opens(a.n.Vault.Raft) {
			return fmt.Errorf("the reconciler's own credential must work before the root token goes: %w", apply.ErrRefused)
		}
		if err := a.call("vault-revoke", func(w *World, n *Node) error { n.Vault.Raft.Root = false; return nil }); err != nil {
			return err
		}
		return a.phase(ctx, func(b *diff.Birth) { b.Phase = diff.BirthDone })
	}
	return nil
}

// bear asks for init once for a nonce, whose answer the node keeps until the key
// stores have it.
func (a *act) bear(ctx context.Context, birth diff.Birth) error {
	w, n := a.w, a.n
	if birth.Phase == diff.BirthNone {
		birth = diff.Birth{Phase: diff.BirthIntent, Nonce: "nonce of " + a.try.Op, Seed: n.Name, At: w.Time}
		if err := a.phase(ctx, func(b *diff.Birth) { *b = birth }); err != nil {
			return err
		}
	}
	if n.Answer == "" {
		began := func(w *World, n *Node) error { n.Answer = "begun"; return nil }
		err := a.call("vault-init", began, func(w *World, n *Node) error {
			if w.Inits++; w.Inits > 1 {
				w.broken("init was asked for a second time, on %s", n.Name)
			}
			n.Answer = birth.Nonce
			return n.Vault.Init("cluster-"+fmt.Sprint(w.Inits), w.spec.Keys.Shares, w.spec.Keys.Threshold, w.Time)
		})
		if err != nil {
			return err
		}
	}
	if err := a.call("vault-init-result"); err != nil {
		return err
	}
	if n.Answer != birth.Nonce {
		return errors.New("the answer of init is lost")
	}
	a.keep("init", n.Answer)
	if err := a.phase(ctx, func(b *diff.Birth) { b.Phase, b.Holders = diff.BirthKeys, []string{"alice"} }); err != nil {
		return err
	}
	return a.call("vault-init-forget")
}

// credential makes our own way in, unless the one that is stored opens. One
// that an earlier attempt made and did not store is void then.
func (a *act) credential(ctx context.Context) error {
	if !a.w.opens(a.n.Vault.Raft) {
		secret := "secret of " + a.try.Op
		if err := a.call("vault-approle", func(w *World, n *Node) error {
			n.Vault.Raft.Cred, n.Vault.Raft.Secret = true, secret
			return nil
		}); err != nil {
			return err
		}
		a.keep("credential", secret)
	}
	return a.phase(ctx, func(b *diff.Birth) { b.Phase = diff.BirthCredential })
}

// opens says that what the key stores hold is a way into the cluster.
func (w *World) opens(r *Raft) bool { return r.Cred && r.Secret == w.kept["credential"] }

// keep puts something into the key stores.
func (a *act) keep(what, text string) {
	a.w.reach("before " + what + " is stored")
	a.w.kept[what] = text
	a.w.reach("after " + what + " is stored")
}

// phase writes down how far the birth is.
func (a *act) phase(ctx context.Context, change func(*diff.Birth)) error {
	return a.Change(ctx, a.w.spec.Name, func(m diff.Memory) diff.Memory {
		change(&m.Birth)
		m.Known = m.Known || m.Birth.Phase == diff.BirthKeys
		return m
	})
}
