package simvault

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

func (p *process) init(q request) (int, any, error) {
	in := q.in
	shares, threshold := number(in["secret_shares"]), number(in["secret_threshold"])
	keys, rootKey := words(in["pgp_keys"]), fmt.Sprint(or(in["root_token_pgp_key"], ""))
	if len(keys) > 0 && len(keys) != shares {
		return 0, nil, refusal{http.StatusBadRequest, "incorrect number of PGP keys"}
	}
	recipients := make([]recipient, len(keys))
	for i, k := range keys {
		var err error
		if recipients[i], err = recipientOf(k); err != nil {
			return 0, nil, refusal{http.StatusBadRequest, "invalid seal configuration: " + err.Error()}
		}
	}
	parts, root, err := p.begin(shares, threshold)
	if err != nil {
		return 0, nil, err
	}
	hexes, base64s := []string{}, []string{}
	for i, part := range parts {
		sent := part
		if len(keys) > 0 { // Vault encrypts the share in hex
			if sent, err = recipients[i].encrypt([]byte(hex.EncodeToString(part))); err != nil {
				return 0, nil, err
			}
		}
		hexes, base64s = append(hexes, hex.EncodeToString(sent)), append(base64s, base64.StdEncoding.EncodeToString(sent))
	}
	if rootKey != "" {
		to, err := recipientOf(rootKey)
		if err != nil { // too late: it is initialised, and nobody has the shares
			return 0, nil, refusal{http.StatusBadRequest, err.Error()}
		}
		sent, err := to.encrypt([]byte(root))
		if err != nil {
			return 0, nil, err
		}
		root = base64.StdEncoding.EncodeToString(sent)
	}
	return http.StatusOK, object{"keys": hexes, "keys_base64": base64s, "root_token": root}, nil
}

func (p *process) unsealBy(q request) (int, any, error) {
	if q.in["reset"] == true {
		p.shares, p.nonce = nil, ""
		return p.status(q)
	}
	share, err := parseShare(q.in)
	if err != nil {
		return 0, nil, err
	}
	if err := p.unseal(share); err != nil {
		return 0, nil, err
	}
	return p.status(q)
}

// parseShare is the share in the field key of a request.
func parseShare(in object) ([]byte, error) {
	given, _ := in["key"].(string)
	if given == "" {
		return nil, refusal{http.StatusBadRequest, "'key' must be specified in request body as JSON, or 'reset' set to true"}
	}
	share, err := hex.DecodeString(given)
	if err != nil {
		if share, err = base64.StdEncoding.DecodeString(given); err != nil {
			return nil, refusal{http.StatusBadRequest, "'key' must be a valid hex or base64 string"}
		}
	}
	switch {
	case len(share) < 16:
		return nil, refusal{http.StatusBadRequest, "invalid key: key is shorter than minimum 16 bytes"}
	case len(share) > 33:
		return nil, refusal{http.StatusBadRequest, "invalid key: key is longer than maximum 33 bytes"}
	}
	return share, nil
}

// begin makes a cluster of this server (sys/init), and returns its key in shares
// and its root token.
func (p *process) begin(shares, threshold int) (parts [][]byte, root string, err error) {
	if p.found() != "" {
		return nil, "", refusal{http.StatusBadRequest, "Vault is already initialized"}
	}
	if no := impossible(shares, threshold); no != "" {
		return nil, "", refusal{http.StatusBadRequest, "invalid seal configuration: " + no}
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, "", err
	}
	if parts, err = split(key, shares, threshold); err != nil {
		return nil, "", err
	}
	root = newRoot()
	err = p.shared.locked(func() (err error) {
		m := p.self()
		if err := m.Init(uuid(), shares, threshold, time.Now()); err != nil {
			return err
		}
		if m.Raft.Watch, err = p.shared.stabilization(); err != nil {
			return err
		}
		c := &cluster{Raft: m.Raft, Servers: map[string]*server{m.ID: m}, Key: hash(string(key)), Name: p.config.clusterIs,
			Access: access{Tokens: map[string]token{}, Policies: map[string]string{"default": ""}, Roles: map[string]role{}}}
		c.Access.admit(root)
		if c.Name == "" {
			c.Name = "vault-cluster-" + text(6)
		}
		if err := settle(p.config.data, c.Raft.ID); err != nil {
			return err
		}
		p.id = c.Raft.ID
		return p.shared.save(c)
	})
	return parts, root, err
}

// impossible is why a key cannot be shared so, or "".
func impossible(shares, threshold int) string {
	switch {
	case shares < 1:
		return "shares must be at least one"
	case shares > 255:
		return "shares must be less than 256"
	case threshold < 1:
		return "threshold must be at least one"
	case threshold > shares:
		return "threshold cannot be larger than shares"
	case shares > 1 && threshold == 1:
		return "threshold must be greater than one for multiple shares"
	}
	return ""
}

// unseal takes one share (sys/unseal).
func (p *process) unseal(share []byte) error {
	return p.in(p.found(), func(c *cluster) error {
		if c == nil {
			return refusal{http.StatusBadRequest, "Vault is not initialized"}
		}
		switch m := p.me(c); {
		case m != nil && m.Removed:
			return refusal{http.StatusInternalServerError, "node was removed from a HA cluster"}
		case m != nil && m.Open:
			return nil
		}
		if slices.ContainsFunc(p.shares, func(s []byte) bool { return string(s) == string(share) }) {
			return nil
		}
		if p.nonce == "" {
			p.nonce = uuid()
		}
		p.shares = append(p.shares, share)
		if len(p.shares) < c.Raft.Thresh {
			return nil
		}
		parts := p.shares
		p.shares, p.nonce = nil, ""
		if err := c.opens(parts); err != nil {
			return refusal{http.StatusBadRequest, err.Error()}
		}
		m := p.me(c)
		if m == nil {
			m = p.self()
			m.Raft = c.Raft
			c.Servers[m.ID] = m
		}
		if err := m.Unseal(c.Raft.Thresh, time.Now()); err != nil {
			return refusal{http.StatusInternalServerError, err.Error()}
		}
		if err := settle(p.config.data, c.Raft.ID); err != nil {
			return err
		}
		p.id = c.Raft.ID
		p.seen(c)
		return nil
	})
}

// opens says why shares do not make the key, or nil.
func (c *cluster) opens(shares [][]byte) error {
	key, err := shares[0][:len(shares[0])-1], error(nil) // of a key with one share
	if c.Raft.Thresh > 1 {
		key, err = combine(shares)
	}
	switch {
	case err != nil:
		return fmt.Errorf("invalid key: failed to compute combined key: %w", err)
	case hash(string(key)) != c.Key:
		return errors.New("unable to retrieve unseal keys: cipher: message authentication failed")
	}
	return nil
}
