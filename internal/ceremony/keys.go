package ceremony

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// keysIn opens the answer of a birth from one store alone.
func (c *Ceremony) keysIn(ctx context.Context, s Store, want desired.Cluster, nonce string) (answer, error) {
	key, err := c.transportIn(ctx, s, want.Name, nonce)
	if err != nil {
		return answer{}, err
	}
	r, err := c.read(ctx, s, want.Name, kindInit)
	if err != nil {
		return answer{}, err
	}
	var body initBody
	if r.Nonce != nonce || json.Unmarshal(r.Body, &body) != nil {
		return answer{}, fmt.Errorf("key store %s: %s is of another birth", s.Name(), place(want.Name, kindInit))
	}
	ans, err := openAnswer(body.Answer, key, want.Keys)
	if err != nil {
		return answer{}, fmt.Errorf("key store %s: %s: %w", s.Name(), place(want.Name, kindInit), err)
	}
	return ans, nil
}

// keys opens the answer of a birth from the first store that has it. Whoever
// asks clears it.
func (c *Ceremony) keys(ctx context.Context, want desired.Cluster, nonce string) (answer, error) {
	var failed []error
	for _, s := range c.stores {
		ans, err := c.keysIn(ctx, s, want, nonce)
		if err == nil {
			return ans, nil
		}
		failed = append(failed, err)
	}
	if len(failed) == 0 {
		failed = append(failed, errors.New("no key store is configured; key_stores in reconciler.yaml names them"))
	}
	return answer{}, fmt.Errorf("open the keys of %s: %w", want.Name, errors.Join(failed...))
}

// transport opens the transport key of a birth from the first store that has
// it.
func (c *Ceremony) transport(ctx context.Context, cluster, nonce string) (transport, error) {
	var failed []error
	for _, s := range c.stores {
		t, err := c.transportIn(ctx, s, cluster, nonce)
		if err == nil {
			return t, nil
		}
		failed = append(failed, err)
	}
	if len(failed) == 0 {
		failed = append(failed, errors.New("no key store is configured; key_stores in reconciler.yaml names them"))
	}
	return transport{}, errors.Join(failed...)
}
