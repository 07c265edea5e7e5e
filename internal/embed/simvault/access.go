package simvault

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl"
)

// access is who may do what.
type access struct {
	Tokens   map[string]token  `json:"tokens"`   // by sha256
	Policies map[string]string `json:"policies"` // HCL
	AppRole  bool              `json:"approle"`  // the method is enabled
	Roles    map[string]role   `json:"roles"`
}

type token struct {
	Accessor string    `json:"accessor"`
	Policies []string  `json:"policies"`
	Until    time.Time `json:"until"` // zero: for good
	TTL      int       `json:"ttl"`   // seconds
}

type role struct {
	ID       string   `json:"id"`
	Secrets  []string `json:"secrets"` // sha256
	Policies []string `json:"policies"`
	TTL      int      `json:"ttl"` // seconds
}

// admit gives a new root token its rights.
func (a access) admit(root string) {
	a.Tokens[hash(root)] = token{Accessor: text(18), Policies: []string{"root"}}
}

// rules are the paths of a policy with their capabilities.
func rules(text string) (map[string][]string, error) {
	var policy struct {
		Path map[string]struct{ Capabilities []string }
	}
	if err := hcl.Decode(&policy, text); err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for p, r := range policy.Path {
		out[p] = r.Capabilities
	}
	return out, nil
}

// allows says that a token has capabilities at a path: the longest rule counts.
func (a access) allows(who token, at string, capabilities ...string) bool {
	if slices.Contains(who.Policies, "root") || strings.HasSuffix(at, "-self") {
		return true
	}
	best, allowed := -1, false
	for _, name := range who.Policies {
		paths, err := rules(a.Policies[name])
		if err != nil {
			continue // it was refused when it came
		}
		for p, can := range paths {
			prefix, glob := strings.CutSuffix(p, "*")
			if fits := p == at || glob && strings.HasPrefix(at, prefix); fits && len(p) > best {
				best, allowed = len(p), !slices.ContainsFunc(capabilities, func(c string) bool { return !slices.Contains(can, c) })
			}
		}
	}
	return allowed
}
