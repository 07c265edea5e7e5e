//go:build linux

package e2e

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// part is a part of the story that has a name of its own.
func (l *lab) part(name string, tell func()) {
	whole := l.t
	whole.Run(name, func(t *testing.T) {
		l.t, l.Rig.t = t, t
		defer func() { l.t, l.Rig.t = whole, whole }()
		tell()
	})
}

// shares are those of alice: enough of them to open the cluster.
func (l *lab) shares() []string {
	l.t.Helper()
	return quoted(l.open(l.alice, filepath.Join(l.stores[0], "prod", "holders", "alice.age")))
}

// client sets up what an application needs, as docs/operations.md has a person
// do it with a holder's shares, and starts one. Its token may also seal a node.
func (l *lab) client() *Client {
	l.t.Helper()
	node := l.Nodes[0].Address
	root, err := l.api("").GenerateRoot(l.t.Context(), node, l.shares())
	l.must(err)
	put := func(path string, body, answer any) {
		l.t.Helper()
		l.must(root.Ask(l.t.Context(), http.MethodPut, node, path, body, answer))
	}
	put("sys/mounts/kv", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}, nil)
	put("sys/policies/acl/client", map[string]string{"policy": `
path "` + key + `" { capabilities = ["create", "update", "read"] }
path "sys/seal" { capabilities = ["update", "sudo"] }`}, nil)
	var made struct {
		Auth struct {
			Token string `json:"client_token"`
		}
	}
	put("auth/token/create-orphan", map[string]any{"policies": []string{"client"}, "period": "24h"}, &made)
	put("auth/token/revoke-self", nil, nil)
	c := l.NewClient(made.Auth.Token)
	l.must(c.Shows())
	return c
}

// unsealByHand opens a node as a person does, with alice's shares.
func (l *lab) unsealByHand(n *Node) {
	l.t.Helper()
	l.must(l.api("").Unseal(l.t.Context(), n.Address, l.shares()))
	l.must(Until(n.Name+" is unsealed", time.Minute, func() bool { return l.sealStatus(n, `"sealed":false`) }))
}

// leader is the node that leads, by its own word.
func (l *lab) leader() *Node {
	l.t.Helper()
	var leader *Node
	l.must(Until("a leader", time.Minute, func() bool {
		for _, n := range l.Nodes {
			if code, _ := l.health(n); code == http.StatusOK {
				leader = n
			}
		}
		return leader != nil
	}))
	return leader
}
