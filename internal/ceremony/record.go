package ceremony

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// A record is what lies in a key store, before it is encrypted. It names its
// cluster and its kind, so that a ciphertext that was moved to another place is
// found out.
type record struct {
	Format  int             `json:"format"`
	Kind    string          `json:"kind"` // the name of its file, without the folder of the cluster and .age
	Cluster string          `json:"cluster"`
	Nonce   string          `json:"nonce"` // of the init that it belongs to
	Body    json.RawMessage `json:"body"`
}

const recordFormat = 1

// encode is a record's text: the same content gives the same bytes.
func (r record) encode() ([]byte, error) {
	r.Format = recordFormat
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", r.Kind, err)
	}
	return append(text, '\n'), nil
}

// decode reads a record and checks that it is the one that was asked for.
// Errors do not quote it.
func decode(text []byte, cluster, kind string) (record, error) {
	var r record
	if json.Unmarshal(text, &r) != nil {
		return r, errors.New("it is no record of reconciler")
	}
	switch {
	case r.Format != recordFormat:
		return r, fmt.Errorf("it has format %d, and this release reads %d", r.Format, recordFormat)
	case r.Cluster != cluster || r.Kind != kind:
		return r, fmt.Errorf("it is %s of cluster %s: somebody moved it here", r.Kind, r.Cluster)
	}
	return r, nil
}

// place is a record's name in a key store.
func place(cluster, kind string) string { return cluster + "/" + kind + ".age" }

func decrypt(ciphertext []byte, with ...age.Identity) ([]byte, error) {
	if len(with) == 0 {
		return nil, errors.New("decrypt with age: no identity is given")
	}
	var src io.Reader = bytes.NewReader(ciphertext)
	if bytes.HasPrefix(ciphertext, []byte(armor.Header)) {
		src = armor.NewReader(src)
	}
	r, err := age.Decrypt(src, with...)
	if err != nil {
		return nil, fmt.Errorf("decrypt with age: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxObject))
	if err != nil {
		return nil, fmt.Errorf("decrypt with age: %w", err)
	}
	return text, nil
}

// recipientsOf are whom we encrypt to so that these identities can read it. age
// does not mix post-quantum recipients with others: the first identity's kind
// decides, and the rest can still read what is old.
func recipientsOf(identities []age.Identity) ([]string, error) {
	var classic, hybrid []string
	first := ""
	for _, id := range identities {
		switch id := id.(type) {
		case *age.X25519Identity:
			classic = append(classic, id.Recipient().String())
			if first == "" {
				first = "classic"
			}
		case *age.HybridIdentity:
			hybrid = append(hybrid, id.Recipient().String())
			if first == "" {
				first = "hybrid"
			}
		default:
			return nil, fmt.Errorf("identities: keys cannot be kept for an identity of type %T; use one that age-keygen makes", id)
		}
	}
	if first == "hybrid" {
		return hybrid, nil
	}
	return classic, nil
}
