package throwaway

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// An Identity is an age key pair, its private half in a file as age-keygen
// writes it.
type Identity struct {
	File      string
	Recipient string // age1…

	pair *age.X25519Identity
}

// NewIdentity makes an age key pair.
func NewIdentity(file string) (Identity, error) {
	pair, err := age.GenerateX25519Identity()
	if err != nil {
		return Identity{}, err
	}
	id := Identity{file, pair.Recipient().String(), pair}
	return id, os.WriteFile(file, fmt.Appendf(nil, "# public key: %s\n%s\n", id.Recipient, pair), 0o600)
}

// Encrypt encrypts something for the identity alone, armored.
func (id Identity) Encrypt(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	outer := armor.NewWriter(&out)
	w, err := age.Encrypt(outer, id.pair.Recipient())
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err = outer.Close()
	return out.Bytes(), err
}

// Decrypt opens what was encrypted for the identity, armored or not.
func (id Identity) Decrypt(sealed []byte) ([]byte, error) {
	in := io.Reader(bytes.NewReader(sealed))
	if bytes.HasPrefix(sealed, []byte(armor.Header)) {
		in = armor.NewReader(in)
	}
	plain, err := age.Decrypt(in, id.pair)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}
