package ceremony

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"context"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"io/fs"
)

const kindTransport = "transport"

// transportBody is the private half of the key that shares leave Vault under.
// One key serves one nonce: whoever finds the key knows which init it is of.
type transportBody struct {
	Made    time.Time `json:"made"`
	Private []byte    `json:"private"` // OpenPGP, binary
}

// backdate is how far before now a transport key is made. A node whose clock is
// behind ours would take a key of today for one that is not valid yet, and
// Vault would find that out after it is initialised.
const backdate = 7 * 24 * time.Hour

// transport is an opened transport key.
type transport struct{ entity *openpgp.Entity }

// newTransport makes a key: Ed25519 and X25519 in the packet version that every
// Vault reads.
func newTransport(now time.Time) ([]byte, error) {
	made := now.Add(-backdate)
	config := &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519,
		Time: func() time.Time { return made },
	}
	entity, err := openpgp.NewEntity("reconciler transport", "", "", config)
	if err != nil {
		return nil, fmt.Errorf("make the transport key: %w", err)
	}
	var out bytes.Buffer
	if err := entity.SerializePrivate(&out, config); err != nil {
		return nil, fmt.Errorf("make the transport key: %w", err)
	}
	return out.Bytes(), nil
}

// openTransport reads a private key.
func openTransport(private []byte) (transport, error) {
	entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(private)))
	if err != nil || entity.PrivateKey == nil {
		return transport{}, errors.New("the transport key cannot be read")
	}
	return transport{entity}, nil
}

// public is the public half as Vault takes it: binary, in base64.
func (t transport) public() (string, error) {
	var out bytes.Buffer
	if err := t.entity.Serialize(&out); err != nil {
		return "", fmt.Errorf("write the public half of the transport key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(out.Bytes()), nil
}

// decrypt opens an OpenPGP message. Its errors do not quote it.
func (t transport) decrypt(message []byte) ([]byte, error) {
	md, err := openpgp.ReadMessage(bytes.NewReader(message), openpgp.EntityList{t.entity}, nil, nil)
	if err != nil {
		return nil, errors.New("it is not encrypted to the transport key")
	}
	text, err := io.ReadAll(io.LimitReader(md.UnverifiedBody, maxObject))
	if err != nil {
		return nil, errors.New("it is encrypted to the transport key and damaged")
	}
	return text, nil
}

// prove encrypts as Vault does (helper/pgpkeys.EncryptShares) and decrypts.
func (t transport) prove() error {
	public, err := t.public()
	if err != nil {
		return err
	}
	binary, err := base64.StdEncoding.DecodeString(public)
	if err != nil {
		return fmt.Errorf("prove the transport key: %w", err)
	}
	entity, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(binary)))
	if err != nil {
		return fmt.Errorf("prove the transport key: %w", err)
	}
	var message bytes.Buffer
	w, err := openpgp.Encrypt(&message, []*openpgp.Entity{entity}, nil, nil, nil)
	if err != nil {
		return fmt.Errorf("prove the transport key: %w", err)
	}
	text := []byte(rand.Text())
	_, err = w.Write(text)
	if err = errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("prove the transport key: %w", err)
	}
	back, err := t.decrypt(message.Bytes())
	if err != nil || !bytes.Equal(back, text) {
		return errors.New("prove the transport key: what is encrypted to it does not come back")
	}
	return nil
}

// escrowTransport has every store hold the transport key of this birth, and
// proves it from each of them. A key that an interrupted attempt left is taken
// up, with its nonce.
func (c *Ceremony) escrowTransport(ctx context.Context, cluster string) (nonce string, err error) {
	var found *record
	for _, s := range c.stores {
		r, err := c.read(ctx, s, cluster, kindTransport)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if found == nil {
			found = &r
		}
	}
	if found == nil {
		if found, err = c.newTransportRecord(cluster); err != nil {
			return "", err
		}
	}
	if err := c.keep(ctx, *found); err != nil {
		return "", fmt.Errorf("put the transport key in escrow: %w", err)
	}
	for _, s := range c.stores {
		t, err := c.transportIn(ctx, s, cluster, found.Nonce)
		if err == nil {
			err = t.prove()
		}
		if err != nil {
			return "", fmt.Errorf("read the transport key back from escrow: %w", err)
		}
	}
	return found.Nonce, nil
}

func (c *Ceremony) newTransportRecord(cluster string) (*record, error) {
	now := c.Clock.Now()
	private, err := newTransport(now)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(transportBody{Made: now, Private: private})
	if err != nil {
		return nil, fmt.Errorf("encode the transport key: %w", err)
	}
	return &record{Kind: kindTransport, Cluster: cluster, Nonce: rand.Text(), Body: body}, nil
}

// transportIn opens the transport key of a birth in one store.
func (c *Ceremony) transportIn(ctx context.Context, s Store, cluster, nonce string) (transport, error) {
	r, err := c.read(ctx, s, cluster, kindTransport)
	if err != nil {
		return transport{}, err
	}
	return openTransportRecord(s, r, nonce)
}

func openTransportRecord(s Store, r record, nonce string) (transport, error) {
	var body transportBody
	if r.Nonce != nonce || json.Unmarshal(r.Body, &body) != nil {
		return transport{}, fmt.Errorf("key store %s: %s is of another birth", s.Name(), place(r.Cluster, kindTransport))
	}
	defer clear(body.Private)
	t, err := openTransport(body.Private)
	if err != nil {
		return transport{}, fmt.Errorf("key store %s: %w", s.Name(), err)
	}
	return t, nil
}
