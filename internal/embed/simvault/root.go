package simvault

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"slices"
)

// rooting is a root token that holders of shares are about to make
// (sys/generate-root); without a nonce nobody is.
type rooting struct {
	Nonce  string   `json:"nonce"`
	OTP    string   `json:"otp"`
	Shares [][]byte `json:"shares"`
}

// newRoot is the text of a root token.
func newRoot() string { return "hvs." + text(18) }

// generateRoot is sys/generate-root/attempt and /update. Nobody needs a token for
// it before Vault 2.0: the shares are the right.
func (p *process) generateRoot(q request) (int, any, error) {
	what := path.Base(q.at)
	var out object
	err := p.led(func(c *cluster) error {
		switch {
		case what == "attempt" && q.method == http.MethodDelete:
			c.Making = rooting{}
			return nil
		case what == "attempt" && q.method == http.MethodGet:
			out = c.Making.standing(c.Raft.Thresh)
			out["otp_length"] = len(newRoot())
			return nil
		case what == "attempt":
			if c.Making.Nonce != "" {
				return refusal{http.StatusBadRequest, "root generation already in progress"}
			}
			c.Making = rooting{Nonce: uuid(), OTP: text(21)[:len(newRoot())]}
			out = c.Making.standing(c.Raft.Thresh)
			out["otp"], out["otp_length"] = c.Making.OTP, len(newRoot())
			return nil
		}
		var err error
		out, err = c.contribute(q.in)
		return err
	})
	if err != nil || out == nil {
		return http.StatusNoContent, nil, err
	}
	return http.StatusOK, out, nil
}

func (r rooting) standing(required int) object {
	return object{"nonce": r.Nonce, "started": r.Nonce != "", "progress": len(r.Shares), "required": required, "complete": false,
		"encoded_token": "", "encoded_root_token": "", "pgp_fingerprint": "", "otp": "", "otp_length": 0}
}

// contribute takes one share.
func (c *cluster) contribute(in object) (object, error) {
	r := &c.Making
	if r.Nonce == "" {
		return nil, refusal{http.StatusBadRequest, "no root generation in progress"}
	}
	if in["nonce"] != r.Nonce {
		return nil, refusal{http.StatusBadRequest, fmt.Sprintf("incorrect nonce supplied; nonce for this root generation operation is %q", r.Nonce)}
	}
	share, err := parseShare(in)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(r.Shares, func(s []byte) bool { return string(s) == string(share) }) {
		return nil, refusal{http.StatusBadRequest, "given key has already been provided during this generation operation"}
	}
	r.Shares = append(r.Shares, share)
	if len(r.Shares) < c.Raft.Thresh {
		return r.standing(c.Raft.Thresh), nil
	}
	shares := r.Shares
	r.Shares = nil
	if err := c.opens(shares); err != nil {
		return nil, refusal{http.StatusBadRequest, err.Error()}
	}
	root := newRoot()
	c.Access.admit(root)
	c.Raft.Root = true
	encoded := make([]byte, len(root))
	for i := range encoded {
		encoded[i] = root[i] ^ r.OTP[i]
	}
	out := r.standing(c.Raft.Thresh)
	out["progress"], out["complete"] = len(shares), true
	out["encoded_token"] = base64.RawStdEncoding.EncodeToString(encoded)
	out["encoded_root_token"] = out["encoded_token"]
	*r = rooting{}
	return out, nil
}
