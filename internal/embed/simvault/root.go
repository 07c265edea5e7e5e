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
	nonce  string
	otp    string
	shares [][]byte
}

// newRoot is the text of a root token.
func newRoot() string { return "hvs." + text(18) }

// admit gives a new root token its rights.
func (a access) admit(root string) {
	a.Tokens[hash(root)] = token{Accessor: text(18), Policies: []string{"root"}}
}

// generateRoot is sys/generate-root/attempt and /update. Nobody needs a token for
// it before Vault 2.0: the shares are the right.
func (p *process) generateRoot(q request) (int, any, error) {
	what := path.Base(q.at)
	var out object
	err := p.with(func(c *cluster) error {
		if c == nil || p.me(c) == nil || !p.me(c).Open {
			return sealed
		}
		switch {
		case what == "attempt" && q.method == http.MethodDelete:
			p.making = rooting{}
			return nil
		case what == "attempt" && q.method == http.MethodGet:
			out = p.making.standing(c.Raft.Thresh)
			out["otp_length"] = len(newRoot())
			return nil
		case what == "attempt":
			if p.making.nonce != "" {
				return refusal{http.StatusBadRequest, "root generation already in progress"}
			}
			p.making = rooting{nonce: uuid(), otp: text(21)[:len(newRoot())]}
			out = p.making.standing(c.Raft.Thresh)
			out["otp"], out["otp_length"] = p.making.otp, len(newRoot())
			return nil
		}
		var err error
		out, err = p.contribute(c, q.in)
		return err
	})
	if err != nil || out == nil {
		return http.StatusNoContent, nil, err
	}
	return http.StatusOK, out, nil
}

func (r rooting) standing(required int) object {
	return object{"nonce": r.nonce, "started": r.nonce != "", "progress": len(r.shares), "required": required, "complete": false,
		"encoded_token": "", "encoded_root_token": "", "pgp_fingerprint": "", "otp": "", "otp_length": 0}
}

// contribute takes one share.
func (p *process) contribute(c *cluster, in object) (object, error) {
	r := &p.making
	if r.nonce == "" {
		return nil, refusal{http.StatusBadRequest, "no root generation in progress"}
	}
	if in["nonce"] != r.nonce {
		return nil, refusal{http.StatusBadRequest, fmt.Sprintf("incorrect nonce supplied; nonce for this root generation operation is %q", r.nonce)}
	}
	share, err := parseShare(in)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(r.shares, func(s []byte) bool { return string(s) == string(share) }) {
		r.shares = append(r.shares, share)
	}
	if len(r.shares) < c.Raft.Thresh {
		return r.standing(c.Raft.Thresh), nil
	}
	shares := r.shares
	r.shares = nil
	if !c.opens(shares) {
		return nil, refusal{http.StatusBadRequest, "root generation aborted: invalid key"}
	}
	root := newRoot()
	c.Access.admit(root)
	c.Raft.Root = true
	encoded := make([]byte, len(root))
	for i := range encoded {
		encoded[i] = root[i] ^ r.otp[i]
	}
	out := r.standing(c.Raft.Thresh)
	out["progress"], out["complete"] = len(shares), true
	out["encoded_token"] = base64.RawStdEncoding.EncodeToString(encoded)
	out["encoded_root_token"] = out["encoded_token"]
	*r = rooting{}
	return out, nil
}
