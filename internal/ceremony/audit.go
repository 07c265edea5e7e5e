package ceremony

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// audit enables an audit device through the step's node.
func (a act) audit(ctx context.Context, device *diff.Device) error {
	if device == nil {
		return refuse("the step names no device")
	}
	if !a.want.Manages(desired.ConcernAudit) {
		return refuse("audit is not among the concerns in manage")
	}
	body, err := json.Marshal(struct {
		Type    string            `json:"type"`
		Options map[string]string `json:"options,omitempty"`
	}{device.Type, device.Options})
	if err != nil {
		return refuse("encode audit device %s: %w", device.Path, err)
	}
	m, err := a.load(ctx, a.want.Name)
	if err != nil {
		return fmt.Errorf("%w: %w", apply.ErrRefused, err)
	}
	token, err := a.actingToken(ctx, m.Birth)
	if err != nil {
		return fmt.Errorf("%w: %w", apply.ErrRefused, err)
	}
	defer token.Wipe()
	_, err = a.verb(ctx, "vault-audit", append(a.api(a.node), device.Path), withToken(token.Reveal(), body))
	if err != nil && !errors.Is(err, apply.ErrRefused) {
		a.Forget(a.want.Name) // perhaps it was the token
	}
	return err
}
