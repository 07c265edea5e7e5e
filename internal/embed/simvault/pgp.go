package simvault

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// recipient is who an answer of init is encrypted to.
type recipient struct{ entity *openpgp.Entity }

// recipientOf reads a public key as sys/init takes it: base64 of the binary key.
func recipientOf(key string) (recipient, error) {
	body, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return recipient{}, fmt.Errorf("error decoding given PGP key: %w", err)
	}
	entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(body)))
	if err != nil {
		return recipient{}, fmt.Errorf("error parsing given PGP key: %w", err)
	}
	return recipient{entity}, nil
}

func (r recipient) encrypt(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := openpgp.Encrypt(&out, []*openpgp.Entity{r.entity}, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
