// Package keyfile takes apart the files in which people keep armored OpenPGP public
// keys.
//
// It must not know what the keys sign, nor judge whether they are good.
package keyfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// Blocks splits a file at its armor headers: armor.Decode reads past the end of a
// block, so the next one must not be in the same reader.
func Blocks(text []byte) [][]byte {
	var blocks [][]byte
	for line := range bytes.Lines(text) {
		switch {
		case bytes.HasPrefix(line, []byte("-----BEGIN PGP ")):
			blocks = append(blocks, bytes.Clone(line))
		case len(blocks) > 0:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], line...)
		}
	}
	return blocks
}

// Decode is what one block holds: packets of public keys.
func Decode(block []byte) (io.Reader, error) {
	decoded, err := armor.Decode(bytes.NewReader(block))
	if err != nil {
		return nil, err
	}
	if decoded.Type != openpgp.PublicKeyType {
		return nil, fmt.Errorf("it is a %.40q, not a public key", decoded.Type)
	}
	return decoded.Body, nil
}

// Fingerprint is that of the primary key, in upper-case hex.
func Fingerprint(key *openpgp.Entity) string {
	return strings.ToUpper(hex.EncodeToString(key.PrimaryKey.Fingerprint))
}
