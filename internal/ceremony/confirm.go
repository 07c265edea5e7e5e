package ceremony

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"filippo.io/age"

	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Confirm proves a human way in: the person's own age identity opens their
// bundle in every key store, and it holds a threshold of the very shares that
// the cluster was born with. It returns whose bundle it was and notes it in the
// journal, after which the root token may go.
//
// It is for a terminal: the identity file is read here and its content kept
// nowhere.
func (c *Ceremony) Confirm(ctx context.Context, want desired.Cluster, identityFile string) (who string, err error) {
	m, err := c.load(ctx, want.Name)
	if err != nil {
		return "", err
	}
	switch m.Birth.Phase {
	case diff.BirthCredential:
	case diff.BirthConfirmed, diff.BirthDone:
		return "", fmt.Errorf("the keys of %s were confirmed before, by %s", want.Name, orNobody(m.Birth.Confirmed))
	default:
		return "", fmt.Errorf("the birth of %s is not where keys are confirmed (it is in phase %q); reconciler why %s says what it waits for", want.Name, m.Birth.Phase, want.Name)
	}
	ids, err := Identities(identityFile)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		if c.isOwn(id) {
			return "", fmt.Errorf("%s is the reconciler's own identity, and proves nothing about a person's; give the holder's", identityFile)
		}
	}
	if who, err = c.opens(ctx, want, m.Birth, ids); err != nil {
		return "", err
	}
	return who, c.mark(ctx, want.Name, diff.BirthCredential, func(m *diff.Memory) {
		m.Birth.Phase, m.Birth.Confirmed = diff.BirthConfirmed, who
	})
}

func orNobody(s string) string {
	if s == "" {
		return "somebody"
	}
	return s
}

// opens finds the bundle that the identities open, and checks it in every
// store.
func (c *Ceremony) opens(ctx context.Context, want desired.Cluster, birth diff.Birth, ids []age.Identity) (string, error) {
	ans, err := c.keys(ctx, want, birth.Nonce)
	if err != nil {
		return "", err
	}
	defer ans.clear()
	shares := ans.digests()
	if len(c.stores) == 0 {
		return "", errors.New("no key store is configured; key_stores in reconciler.yaml names them")
	}
	for _, name := range birth.Holders {
		opened := 0
		for _, s := range c.stores {
			body, err := c.bundleIn(ctx, s, want.Name, birth.Nonce, name, ids)
			if _, other := errors.AsType[*age.NoIdentityMatchError](err); other && opened == 0 {
				break // somebody else's
			}
			if err == nil {
				err = body.check(name, want.Keys.Threshold, shares)
			}
			if err != nil {
				return "", fmt.Errorf("bundle of %s in key store %s: %w", name, s.Name(), err)
			}
			opened++
		}
		if opened == len(c.stores) {
			return name, nil
		}
	}
	return "", fmt.Errorf("this identity opens no bundle of %s; it must be that of one of %v", want.Name, birth.Holders)
}

// bundleIn opens one person's bundle in one store, with their identities.
func (c *Ceremony) bundleIn(ctx context.Context, s Store, cluster, nonce, name string, ids []age.Identity) (bundleBody, error) {
	var body bundleBody
	kind := kindHolder + name
	sealed, err := s.Get(ctx, place(cluster, kind))
	if errors.Is(err, fs.ErrNotExist) {
		return body, errors.New("it is missing")
	}
	if err != nil {
		return body, err
	}
	text, err := decrypt(sealed, ids...)
	if err != nil {
		return body, err
	}
	defer clear(text)
	r, err := decode(text, cluster, kind)
	if err != nil {
		return body, err
	}
	if r.Nonce != nonce || json.Unmarshal(r.Body, &body) != nil {
		return body, errors.New("it is of another birth")
	}
	return body, nil
}

// check compares a bundle with the digests of the shares of the birth.
func (b bundleBody) check(name string, threshold int, shares []string) error {
	good := map[string]bool{}
	for _, share := range b.Shares {
		sum := sha256.Sum256([]byte(share))
		digest := hex.EncodeToString(sum[:])
		if !slices.Contains(shares, digest) {
			return errors.New("it holds a share that is not of this cluster")
		}
		good[digest] = true
	}
	if b.Holder != name || len(good) < threshold {
		return fmt.Errorf("it holds %d of the %d shares that open the cluster", len(good), threshold)
	}
	return nil
}

// Identities reads age identity files, as reconciler.yaml names them. Plugins are
// not run.
func Identities(paths ...string) ([]age.Identity, error) {
	var all []age.Identity
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("open the identity: %w", err)
		}
		ids, err := age.ParseIdentities(bytes.NewReader(text))
		clear(text)
		if err != nil {
			// Not %w: the parser quotes lines, and these are keys.
			return nil, fmt.Errorf("%s holds no age identity that can be read: it must be a file that age-keygen made, decrypted if it has a passphrase", path)
		}
		all = append(all, ids...)
	}
	return all, nil
}

func (c *Ceremony) isOwn(id age.Identity) bool {
	to, err := recipientsOf([]age.Identity{id})
	if err != nil {
		return false
	}
	for _, own := range c.identities {
		if rs, err := recipientsOf([]age.Identity{own}); err == nil && rs[0] == to[0] {
			return true
		}
	}
	return false
}
