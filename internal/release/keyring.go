package release

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
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
		if fingerprint(key) != hashiCorp {
			return Keyring{}, fmt.Errorf("this program was built with the key %s in place of HashiCorp's, %s", fingerprint(key), hashiCorp)
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
	blocks := armoredBlocks(armored)
	if len(blocks) == 0 {
		return Keyring{}, fmt.Errorf("%s holds no armored OpenPGP key; write it by gpg --armor --export KEY", name)
	}
	for i, text := range blocks {
		block, err := armor.Decode(bytes.NewReader(text))
		if err == nil && block.Type != openpgp.PublicKeyType {
			err = fmt.Errorf("it is a %q, not a public key", block.Type)
		}
		var more openpgp.EntityList
		if err == nil {
			more, err = openpgp.ReadKeyRing(block.Body)
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

// armoredBlocks splits a file at its armor headers: armor.Decode reads past the
// end of a block, so the next one must not be in the same reader.
func armoredBlocks(text []byte) [][]byte {
	const begin = "-----BEGIN PGP "
	var blocks [][]byte
	for line := range bytes.Lines(text) {
		switch {
		case bytes.HasPrefix(line, []byte(begin)):
			blocks = append(blocks, bytes.Clone(line))
		case len(blocks) > 0:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], line...)
		}
	}
	return blocks
}

func fingerprint(key *openpgp.Entity) string {
	return strings.ToUpper(hex.EncodeToString(key.PrimaryKey.Fingerprint))
}
