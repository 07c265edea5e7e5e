package release

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/vaultfleet/reconciler/internal/keyfile"
)

// hashiCorp is the fingerprint of the key that HashiCorp signs releases with
// (https://www.hashicorp.com/security). Whatever lies in hashicorp.asc, no
// other key is taken from there.
const hashiCorp = "C874011F0AB405110D02105534365D9472D7468F"

// hashiCorpKey is that key as it was renewed in 2026; it expires 2030-03-01.
// The key of 2021, which expired 2026-04-18, has the same fingerprint.
//
//go:embed hashicorp.asc
var hashiCorpKey []byte

// Keyring is whose signature makes a release true. Its zero value trusts
// nobody.
type Keyring struct {
	keys openpgp.EntityList
}

// HashiCorp is the keyring of the key that this program was built with.
func HashiCorp() (Keyring, error) {
	ring, err := Keyring{}.With("HashiCorp's key", hashiCorpKey)
	if err != nil {
		return Keyring{}, err
	}
	for _, key := range ring.keys {
		if keyfile.Fingerprint(key) != hashiCorp {
			return Keyring{}, fmt.Errorf("this program was built with the key %s in place of HashiCorp's, %s", keyfile.Fingerprint(key), hashiCorp)
		}
	}
	return ring, nil
}

// With is the keyring with the keys of a file added: all armored blocks of it,
// since a renewed key may stand behind the one that it replaces. A key that is
// there already gets no better by being there once more, but may get worse:
// one revocation is enough.
func (k Keyring) With(name string, armored []byte) (Keyring, error) {
	keys := append(openpgp.EntityList{}, k.keys...)
	blocks := keyfile.Blocks(armored)
	if len(blocks) == 0 {
		return Keyring{}, fmt.Errorf("%s holds no armored OpenPGP key; write it by gpg --armor --export KEY", name)
	}
	for i, text := range blocks {
		var more openpgp.EntityList
		packets, err := keyfile.Decode(text)
		if err == nil {
			more, err = openpgp.ReadKeyRing(packets)
		}
		if err == nil && len(more) == 0 {
			err = errors.New("it is empty")
		}
		if err != nil {
			return Keyring{}, fmt.Errorf("read key block %d of %s: %w", i+1, name, err)
		}
		keys = append(keys, more...)
	}
	return Keyring{keys: keys}, nil
}
