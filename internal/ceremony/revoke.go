package ceremony

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

const kindRevoked = "root-revoked"

// revokedBody is the note beside init.age.
type revokedBody struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// revoke ends the root token of the birth. Our own way in is proven once more
// before: after this there is no other but the holders'.
func (a act) revoke(ctx context.Context) error {
	m, err := a.load(ctx, a.want.Name)
	if err != nil {
		return fmt.Errorf("%w: %w", apply.ErrRefused, err)
	}
	switch m.Birth.Phase {
	case diff.BirthConfirmed:
	case diff.BirthDone:
		return nil
	default:
		return refuse("no human way in is proven (birth %q); one of the holders runs: reconciler keys confirm %s --identity FILE", m.Birth.Phase, a.want.Name)
	}
	a.Forget(a.want.Name)
	if _, err := a.loginToken(ctx, a.want); err != nil {
		return refuse("the reconciler's own credential must work before the root token goes: %w", err)
	}
	if err := a.forget(ctx, m.Birth); err != nil {
		return err
	}
	root, err := a.rootToken(ctx, a.want, m.Birth)
	if err != nil {
		return fmt.Errorf("%w: %w", apply.ErrRefused, err)
	}
	defer root.Wipe()
	if _, err := a.verb(ctx, "vault-revoke", a.api(a.node), withToken(root.Reveal(), nil)); err != nil {
		return err
	}
	note, err := json.Marshal(revokedBody{At: a.Clock.Now(), Text: "the root token in init.age is revoked"})
	if err != nil {
		return fmt.Errorf("encode the note: %w", err)
	}
	if err := a.replace(ctx, record{Kind: kindRevoked, Cluster: a.want.Name, Nonce: m.Birth.Nonce, Body: note}); err != nil {
		return fmt.Errorf("the root token is revoked, and the note of it could not be stored: %w", err)
	}
	return a.mark(ctx, a.want.Name, diff.BirthConfirmed, func(m *diff.Memory) { m.Birth.Phase = diff.BirthDone })
}
