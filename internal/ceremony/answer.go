package ceremony

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// answer is what Vault gave at init, decrypted. It lives as short as it can and
// is cleared after use.
type answer struct {
	shares [][]byte // hexadecimal text, as Vault takes them
	root   []byte
}

// clear overwrites the keys. What the runtime copied elsewhere it cannot reach.
func (a answer) clear() {
	for _, s := range a.shares {
		clear(s)
	}
	clear(a.root)
}

// digests name the shares without telling them, sorted. Shares have 256 bits of
// chance in them, so a digest cannot be guessed back.
func (a answer) digests() []string {
	var out []string
	for _, s := range a.shares {
		sum := sha256.Sum256(s)
		out = append(out, hex.EncodeToString(sum[:]))
	}
	slices.Sort(out)
	return out
}

// reply is an answer as `vault operator init -format=json` prints it, and as
// the API gives it (api.InitResponse).
type reply struct {
	UnsealHex    []string `json:"unseal_keys_hex"`
	UnsealB64    []string `json:"unseal_keys_b64"`
	KeysHex      []string `json:"keys"`
	KeysB64      []string `json:"keys_base64"`
	RecoveryHex  []string `json:"recovery_keys_hex"`
	RecoveryB64  []string `json:"recovery_keys_b64"`
	RecoveryKeys []string `json:"recovery_keys"`
	Shares       *int     `json:"unseal_shares"`
	Threshold    *int     `json:"unseal_threshold"`
	Root         string   `json:"root_token"`
}

// openAnswer reads an answer that is trusted in nothing: it must be exactly
// what was asked for. Its errors do not quote it.
func openAnswer(raw []byte, t transport, keys desired.Keys) (answer, error) {
	r, err := parseReply(raw)
	if err != nil {
		return answer{}, err
	}
	messages, err := r.messages(keys)
	if err != nil {
		return answer{}, err
	}
	var a answer
	for i, message := range messages {
		share, err := t.decrypt(message)
		if err != nil {
			return answer{}, fmt.Errorf("share %d of %d: %w", i+1, len(messages), err)
		}
		a.shares = append(a.shares, bytes.TrimSpace(share))
	}
	if err := checkShares(a.shares); err != nil {
		return answer{}, err
	}
	message, err := base64.StdEncoding.DecodeString(r.Root)
	if err != nil || len(message) == 0 {
		return answer{}, errors.New("the root token is missing or not encrypted")
	}
	if a.root, err = t.decrypt(message); err != nil {
		return answer{}, fmt.Errorf("the root token: %w", err)
	}
	a.root = bytes.TrimSpace(a.root)
	if !isToken(a.root) {
		return answer{}, errors.New("the root token is not one")
	}
	return a, nil
}

func parseReply(raw []byte) (reply, error) {
	var r reply
	d := json.NewDecoder(bytes.NewReader(raw))
	if d.Decode(&r) != nil {
		return r, errors.New("the answer is not JSON of the shape that init has")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("something follows the answer")
	}
	return r, nil
}

// messages are the encrypted shares, as many as were asked for.
func (r reply) messages(keys desired.Keys) ([][]byte, error) {
	if len(r.RecoveryHex)+len(r.RecoveryB64)+len(r.RecoveryKeys) > 0 {
		return nil, errors.New("the answer holds recovery keys, so this Vault unseals by itself and not by shares")
	}
	if r.Shares != nil && *r.Shares != keys.Shares || r.Threshold != nil && *r.Threshold != keys.Threshold {
		return nil, fmt.Errorf("the answer is of other numbers than %d shares with a threshold of %d", keys.Shares, keys.Threshold)
	}
	inHex, inB64 := r.UnsealHex, r.UnsealB64
	if inHex == nil && inB64 == nil {
		inHex, inB64 = r.KeysHex, r.KeysB64
	}
	if len(inHex) != keys.Shares || inB64 != nil && len(inB64) != keys.Shares {
		return nil, fmt.Errorf("%d shares came, and %d were asked for", len(inHex), keys.Shares)
	}
	var messages [][]byte
	for i, text := range inHex {
		message, err := hex.DecodeString(text)
		if err != nil || len(message) == 0 {
			return nil, fmt.Errorf("share %d is not hexadecimal", i+1)
		}
		if inB64 != nil && inB64[i] != base64.StdEncoding.EncodeToString(message) {
			return nil, fmt.Errorf("share %d is not the same in both of its forms", i+1)
		}
		messages = append(messages, message)
	}
	return messages, nil
}

// checkShares checks what can be told of shares without their Vault: 256 bits
// each, one byte more when there are several (shamir.Split), none twice.
func checkShares(shares [][]byte) error {
	size := 33
	if len(shares) == 1 {
		size = 32
	}
	seen := map[byte]bool{} // by their last byte, at which the polynomial was taken
	for i, s := range shares {
		plain, err := hex.DecodeString(string(s))
		if err != nil || len(plain) != size {
			return fmt.Errorf("share %d is not a share of a 256-bit key", i+1)
		}
		if last := plain[size-1]; size == 33 && seen[last] {
			return fmt.Errorf("share %d came twice", i+1)
		} else {
			seen[last] = true
		}
		clear(plain)
	}
	return nil
}

// isToken says that b may be a token: one line that the node script takes.
func isToken(b []byte) bool {
	for _, r := range b {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
		default:
			return false
		}
	}
	return len(b) > 0 && len(b) <= 512
}
