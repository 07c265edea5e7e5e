//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// An Identity is an age key pair, its private half in a file as age-keygen writes it.
type Identity struct {
	File      string
	Recipient string // age1…

	public age.Recipient
}

// NewIdentity makes an age key pair; its file is named for it.
func (r *Rig) NewIdentity(name string) Identity {
	r.t.Helper()
	pair, err := age.GenerateX25519Identity()
	r.must(err)
	id := Identity{filepath.Join(r.Dir, name+".key"), pair.Recipient().String(), pair.Recipient()}
	text := fmt.Sprintf("# public key: %s\n%s\n", id.Recipient, pair)
	r.must(os.WriteFile(id.File, []byte(text), 0o600))
	return id
}

// Encrypt encrypts a text for the identity alone.
func (id Identity) Encrypt(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, id.public)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
