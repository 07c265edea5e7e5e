package ceremony

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// kindHolder is where a person's bundle lies, before the name.
const kindHolder = "holders/"

// bundleBody is what one person can open the cluster with when the reconciler
// is gone: `age -d -i KEY NAME.age` prints it, and each share goes into
// `vault operator unseal`.
type bundleBody struct {
	Holder    string   `json:"holder"`
	Threshold int      `json:"threshold"`
	Shares    []string `json:"unseal_shares"`
}

// bundle writes a threshold of shares for each person into every store. It is
// encrypted to that person alone, so that only they can prove that it opens;
// what is read back here are its bytes. An earlier attempt's is replaced: it
// held the same shares.
func (a act) bundle(ctx context.Context, birth diff.Birth, ans answer) error {
	var failed []error
	for _, name := range a.people() {
		sealed, err := a.sealBundle(birth, name, ans)
		if err != nil {
			return fmt.Errorf("bundle for %s: %w", name, err)
		}
		at := place(a.want.Name, kindHolder+name)
		for _, s := range a.stores {
			err := s.Put(ctx, at, sealed)
			if err == nil {
				var back []byte
				if back, err = s.Get(ctx, at); err == nil && !bytes.Equal(back, sealed) {
					err = fmt.Errorf("key store %s: %s reads back as something else than was written", s.Name(), at)
				}
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("bundle for %s: %w", name, err))
			}
		}
	}
	return errors.Join(failed...)
}

func (a act) sealBundle(birth diff.Birth, name string, ans answer) ([]byte, error) {
	to, ok := a.holders[name]
	if !ok {
		return nil, errors.New("reconciler.yaml has no such holder")
	}
	body := bundleBody{Holder: name, Threshold: a.want.Keys.Threshold}
	for _, share := range ans.shares[:a.want.Keys.Threshold] {
		body.Shares = append(body.Shares, string(share))
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	defer clear(raw)
	text, err := record{Kind: kindHolder + name, Cluster: a.want.Name, Nonce: birth.Nonce, Body: raw}.encode()
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return secret.Encrypt([]string{to}, secret.Of(text))
}
