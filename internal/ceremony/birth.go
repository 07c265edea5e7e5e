package ceremony

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Init is asked for once, and its answer exists once. Terms: the intent is the
// journal's word that it is about to be asked for; a nonce names that one init;
// the transport key is what the answer is encrypted to.
//
//  1. Everything that would lose the answer is tried before: the key stores, the
//     transport key, the people who shall read the shares, every node's word
//     that it is not initialised. Nothing was done as long as this fails.
//  2. The intent is durable before the node is asked, and the node writes the
//     answer down for its nonce before it tells anybody. So after a crash the
//     same nonce gives the same answer, and is never asked for twice.
//  3. The answer is stored everywhere, read back and decrypted as an unseal will
//     do it, before the journal says that there are keys.
//
// An answer that does not exist (init failed, or Vault is initialised and
// nobody wrote an answer down) is lost: the journal says so, and from then on
// nothing happens to the cluster. An answer that lies on the node and could not
// be stored is not lost: the next attempt takes it from there.

// bear is the birth, begun or taken up again.
func (a act) bear(ctx context.Context) error {
	m, err := a.load(ctx, a.want.Name)
	if err != nil {
		return fmt.Errorf("%w: %w", apply.ErrRefused, err)
	}
	switch m.Birth.Phase {
	case diff.BirthNone:
		if m.Birth, err = a.intend(ctx, m); err != nil {
			return fmt.Errorf("%w: %w", apply.ErrRefused, err)
		}
	case diff.BirthIntent:
		if m.Birth.Seed != a.node.Name {
			return refuse("init was begun on %s, and is not asked for on another node", m.Birth.Seed)
		}
	case diff.BirthLost:
		return refuse("the answer of an earlier init is missing: %s; docs/operations.md, init-lost, says what a person does", m.Birth.Evidence)
	default:
		return nil
	}
	key, err := a.transport(ctx, a.want.Name, m.Birth.Nonce)
	if err != nil {
		return a.stuck(ctx, fmt.Errorf("the transport key of the init that was begun: %w", err))
	}
	raw, err := a.ask(ctx, m.Birth, key)
	if err != nil {
		return err
	}
	return a.collect(ctx, m.Birth, key, raw)
}

// intend checks what may be checked, escrows the transport key and makes the
// intent durable. An error means that no node was asked for anything.
func (a act) intend(ctx context.Context, m diff.Memory) (diff.Birth, error) {
	for _, check := range []func() error{
		func() error { return a.mayBear(m) },
		a.holdersReady,
		a.storesReady,
		func() error { return a.vacant(ctx, a.want.Name) },
	} {
		if err := check(); err != nil {
			return diff.Birth{}, err
		}
	}
	nonce, err := a.escrowTransport(ctx, a.want.Name)
	if err != nil {
		return diff.Birth{}, err
	}
	for _, n := range a.want.Nodes { // last, so that it is fresh
		v, err := a.Status(ctx, n)
		if err != nil {
			return diff.Birth{}, fmt.Errorf("%s must say that it is not initialised, and it does not answer: %w", n.Name, err)
		}
		if v.Initialized {
			return diff.Birth{}, fmt.Errorf("%s says that it is initialised; pin its cluster_id in the spec to adopt it, or correct the address", n.Name)
		}
	}
	birth := diff.Birth{Phase: diff.BirthIntent, Nonce: nonce, Seed: a.node.Name, At: a.Clock.Now()}
	err = a.mark(ctx, a.want.Name, diff.BirthNone, func(m *diff.Memory) { m.Birth = birth })
	return birth, err
}

// mayBear checks the spec and the memory as the plan did: one wrong birth costs
// a cluster.
func (a act) mayBear(m diff.Memory) error {
	switch keys := a.want.Keys; {
	case a.want.Seal.Kind != "shamir":
		return fmt.Errorf("seal %s: only a shamir seal is born by this release", a.want.Seal.Kind)
	case keys.HeldBy != desired.HeldByReconciler:
		return fmt.Errorf("keys held_by %s: only held_by: reconciler is born by this release", keys.HeldBy)
	case keys.Threshold < 1 || keys.Shares < keys.Threshold || keys.Shares > 1 && keys.Threshold < 2 || keys.Shares > 255:
		return fmt.Errorf("%d shares with a threshold of %d: Vault has no such keys", keys.Shares, keys.Threshold)
	case a.want.ClusterID != "" || m.ClusterID != "":
		return errors.New("a cluster with a cluster_id was born before")
	case a.want.CAPath == "" && strings.HasPrefix(apiURL(a.node), "https:"):
		return errors.New("no file on the nodes is the cluster's ca, so init could not tell the Vault that it asks; add an item to files whose source is ca")
	case !a.approved(m):
		return fmt.Errorf("nobody approved it; reconciler approve --init %s", a.want.Name)
	}
	for _, n := range a.want.Nodes {
		if !m.Member(n.Name).Empty {
			return fmt.Errorf("the data folder on %s was not seen empty before Vault first ran there; if what lies there is of no value, a person stops Vault and empties it", n.Name)
		}
	}
	return nil
}

func (a act) approved(m diff.Memory) bool {
	now := a.Clock.Now()
	return slices.ContainsFunc(m.Leaves, func(l diff.Leave) bool {
		return l.Kind == diff.LeaveInit && l.Node == "" && (l.Until.IsZero() || now.Before(l.Until))
	})
}

// storesReady says that there are enough key stores to survive one of them.
func (a act) storesReady() error {
	switch {
	case len(a.own) == 0:
		return errors.New("identities: the reconciler has no age identity to encrypt keys to; age-keygen makes one, reconciler.yaml names it")
	case len(a.stores) == 0:
		return errors.New("key_stores: there is none, and Vault gives its keys only once; name folders in reconciler.yaml")
	case len(a.stores) < 2 && a.want.Rules != desired.RulesLearning:
		return errors.New("key_stores: there is only one; add a second on another disk, or set rules: learning for a cluster whose keys may be lost")
	}
	return nil
}

// people are those who get a threshold of the shares: the holders that the spec
// names, or all that reconciler.yaml knows.
func (a act) people() []string {
	if len(a.want.Keys.Holders) == 0 {
		return a.names
	}
	return slices.Sorted(slices.Values(a.want.Keys.Holders))
}

// holdersReady says that somebody beside the reconciler will be able to read a
// threshold of the shares.
func (a act) holdersReady() error {
	people := a.people()
	if len(people) == 0 {
		return errors.New("holders: there is nobody, and a cluster whose keys only the reconciler can read dies with it; add a person's age recipient to reconciler.yaml")
	}
	for _, name := range people {
		to, ok := a.holders[name]
		if !ok {
			return fmt.Errorf("holders: reconciler.yaml has no %s, whom keys.holders of the spec names", name)
		}
		for _, own := range a.own {
			if strings.EqualFold(own, to) {
				return fmt.Errorf("holders: %s has the reconciler's own key, which is no second way in; give a key of that person's own", name)
			}
		}
	}
	return nil
}

// stuck notes why an init that was begun does not go on. It is not lost.
func (a act) stuck(ctx context.Context, why error) error {
	err := a.mark(ctx, a.want.Name, diff.BirthIntent, func(m *diff.Memory) { m.Birth.Evidence = harmless([]byte(why.Error())) })
	return errors.Join(why, err)
}

// lose freezes the cluster.
func (a act) lose(ctx context.Context, evidence string) error {
	err := a.mark(ctx, a.want.Name, diff.BirthIntent, func(m *diff.Memory) { m.Birth.Phase, m.Birth.Evidence = diff.BirthLost, evidence })
	lost := errors.New("the answer of init is lost: " + evidence + "; nothing is wiped and nothing is asked again; docs/operations.md, init-lost, says what a person does")
	return errors.Join(lost, err)
}
