package ceremony

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

const kindInit = "init"

// initBody is Vault's answer as it came.
type initBody struct {
	Seed   string    `json:"seed"`
	At     time.Time `json:"at"` // of the intent
	Answer []byte    `json:"answer"`
}

// collect stores the answer, proves it from every store, hands a threshold to
// each holder, and only then says that there are keys.
func (a act) collect(ctx context.Context, birth diff.Birth, key transport, raw []byte) error {
	ans, err := openAnswer(raw, key, a.want.Keys)
	if err != nil {
		return a.unusable(ctx, birth, raw, err)
	}
	defer ans.clear()
	body, err := json.Marshal(initBody{Seed: birth.Seed, At: birth.At, Answer: raw})
	if err != nil {
		return fmt.Errorf("encode the answer of init: %w", err)
	}
	err = a.keep(ctx, record{Kind: kindInit, Cluster: a.want.Name, Nonce: birth.Nonce, Body: body})
	if err == nil {
		err = a.proveStores(ctx, birth, ans)
	}
	if err == nil {
		err = a.bundle(ctx, birth, ans)
	}
	if err != nil {
		return a.stuck(ctx, fmt.Errorf("store the answer of init, which lies on %s until then: %w", birth.Seed, err))
	}
	err = a.mark(ctx, a.want.Name, diff.BirthIntent, func(m *diff.Memory) {
		m.Birth.Phase, m.Birth.Evidence, m.Birth.Holders = diff.BirthKeys, "", a.people()
		m.Known = true // it is ours, though a sealed Vault does not tell its cluster_id yet
	})
	if err != nil {
		return err
	}
	_ = a.forget(ctx, birth) // the end of the root token insists on it
	return nil
}

// proveStores reads the answer from each store alone, by the way that an unseal
// takes.
func (a act) proveStores(ctx context.Context, birth diff.Birth, ans answer) error {
	for _, s := range a.stores {
		back, err := a.keysIn(ctx, s, a.want, birth.Nonce)
		if err != nil {
			return fmt.Errorf("read the keys back: %w", err)
		}
		same := slices.Equal(back.digests(), ans.digests()) && string(back.root) == string(ans.root)
		back.clear()
		if !same {
			return fmt.Errorf("key store %s gives back other keys than came", s.Name())
		}
	}
	return nil
}

// unusable keeps an answer that is not what was asked for, for a person to look
// at, and freezes the cluster.
func (a act) unusable(ctx context.Context, birth diff.Birth, raw []byte, why error) error {
	var kept error
	if body, err := json.Marshal(initBody{Seed: birth.Seed, At: birth.At, Answer: raw}); err == nil {
		kept = a.keep(ctx, record{Kind: "unusable-" + birth.Nonce, Cluster: a.want.Name, Nonce: birth.Nonce, Body: body})
	}
	lost := a.lose(ctx, "the answer of init on "+birth.Seed+" is not what was asked for ("+why.Error()+"); it is kept as unusable-"+birth.Nonce+" in the key stores and on the node")
	return errors.Join(lost, kept)
}
