package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"

	nodes "github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/internal/vault"
	"github.com/vaultfleet/reconciler/pkg/actual"
)

// vaults are the clients of the nodes' Vaults, kept with their connections.
type vaults struct {
	token  func(ctx context.Context, cluster string) (secret.Bytes, error)
	forget func(cluster string)

	mu      sync.Mutex
	clients map[string]*kept // by cluster/node
}

// kept is a client, and what it was made for.
type kept struct {
	*vault.Client
	target actual.Target

	mu   sync.Mutex
	dial nodes.Dial // the newest way there
}

func newVaults(token func(context.Context, string) (secret.Bytes, error), forget func(string)) *vaults {
	return &vaults{token: token, forget: forget, clients: map[string]*kept{}}
}

// client is the client of a node. Another address, name or CA is another
// Vault.
func (v *vaults) client(dial nodes.Dial, t actual.Target) *vault.Client {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := t.Cluster + "/" + t.Node
	k, ok := v.clients[key]
	if ok && sameVault(k.target, t) {
		k.mu.Lock()
		k.dial = dial
		k.mu.Unlock()
		return k.Client
	}
	if ok {
		k.Close()
	}
	k = &kept{target: t, dial: dial}
	k.Client = vault.New(func(ctx context.Context) (net.Conn, error) {
		k.mu.Lock()
		dial := k.dial
		k.mu.Unlock()
		return dial(ctx, "tcp", t.APIAddress)
	}, t.ServerName, t.CAs)
	v.clients[key] = k
	return k.Client
}

func sameVault(a, b actual.Target) bool {
	return a.APIAddress == b.APIAddress && a.ServerName == b.ServerName && a.API == b.API && slices.EqualFunc(a.CAs, b.CAs, bytes.Equal)
}

// read is a look at one node's Vault. Membership and audit devices are the
// cluster's, and the leader is asked for them.
func (v *vaults) read(ctx context.Context, dial nodes.Dial, t actual.Target) (nodes.Answers, error) {
	client := v.client(dial, t)
	status, certificate, err := client.Status(ctx)
	answers := nodes.Answers{Served: certificate}
	if err != nil {
		return answers, err
	}
	answers.Vault = &status
	if !t.Credential || status.Sealed || !status.Leader {
		return answers, nil
	}
	token, err := v.token(ctx, t.Cluster)
	if err != nil || token.Len() == 0 {
		return answers, err
	}
	raft, err := client.Raft(ctx, string(token.Reveal()))
	if err == nil {
		answers.Raft = &raft
		answers.Devices, err = client.Devices(ctx, string(token.Reveal()))
	}
	var refused *vault.StatusError
	if errors.As(err, &refused) && refused.Code == http.StatusForbidden {
		v.forget(t.Cluster)
	}
	return answers, err
}

// renew makes the next look at a node connect anew.
func (v *vaults) renew(cluster, node string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k, ok := v.clients[cluster+"/"+node]; ok {
		k.Renew()
	}
}

func (v *vaults) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range v.clients {
		k.Close()
	}
}

// vault is the client of a node, outside of a look.
func (w *world) vault(ctx context.Context, cluster, node string) (*vault.Client, error) {
	t, err := w.target(cluster, node)
	if err != nil {
		return nil, err
	}
	if t.API == "direct" {
		return w.vaults.client(w.direct, t), nil
	}
	conn, err := w.connect(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", node, err)
	}
	return w.vaults.client(conn.Dial, t), nil
}

// token is what may read raft and audit of a cluster now.
func (w *world) token(ctx context.Context, cluster string) (secret.Bytes, error) {
	w.mu.Lock()
	token := w.tokens[cluster]
	w.mu.Unlock()
	if token == nil {
		return secret.Bytes{}, nil
	}
	return token(ctx)
}

func (w *world) forget(cluster string) {
	w.mu.Lock()
	c := w.ceremonies[cluster]
	w.mu.Unlock()
	if c != nil {
		c.Forget(cluster)
	}
}
