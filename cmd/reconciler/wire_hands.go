package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/vaultfleet/reconciler/internal/ceremony"
	nodes "github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/release"
	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// hands give each step to the room that does it.
func (w *world) hands(want desired.Cluster, c *ceremony.Ceremony, targets []actual.Target) apply.Hands {
	machine, keys := w.nodes.Hands(w.holder, targets), c.Hands(want)
	return func(ctx context.Context, try diff.Try, step diff.Step, contents apply.Contents) error {
		defer c.Retry(want.Name)
		switch step.Action {
		case diff.ActionAccount, diff.ActionInstall, diff.ActionPlace, diff.ActionEnable:
			return machine(ctx, try, step, contents)
		case diff.ActionStart, diff.ActionReload, diff.ActionRestart:
			err := machine(ctx, try, step, contents)
			// A kept connection shows the certificate of before.
			w.vaults.renew(want.Name, step.Node)
			return err
		case diff.ActionInit, diff.ActionUnseal, diff.ActionAudit, diff.ActionCredential, diff.ActionRevoke:
			return keys(ctx, try, step, contents)
		}
		return fmt.Errorf("%s: no hands know this action: %w", step.Action, apply.ErrRefused)
	}
}

// contents opens what a digest of a cluster's spec stands for.
func (w *world) contents(want desired.Cluster) apply.Contents {
	return func(ctx context.Context, digest string) (io.ReadCloser, error) {
		switch kind, rest, _ := strings.Cut(digest, ":"); kind {
		case "sha256":
			body, ok := want.Content(digest)
			if !ok {
				return nil, fmt.Errorf("open %s: it is not of %s at this commit", digest, want.Name)
			}
			return io.NopCloser(bytes.NewReader(body)), nil
		case "age":
			body, ok := want.Content(digest)
			if !ok {
				return nil, fmt.Errorf("open %s: it is not of %s at this commit", digest, want.Name)
			}
			plain, err := w.ages.Decrypt(bytes.NewReader(body))
			if err != nil {
				return nil, fmt.Errorf("decrypt a file of %s: %w", want.Name, err)
			}
			return plain.Open(), nil
		case "secret":
			plain, err := w.secrets.Reveal(ctx, want.Name, rest)
			if err != nil {
				return nil, err
			}
			return plain.Open(), nil
		case "binary":
			return w.binary(ctx, want, rest)
		}
		return nil, fmt.Errorf("open %s: no such kind of content", digest)
	}
}

// binary opens a vault binary that the lock names.
func (w *world) binary(ctx context.Context, want desired.Cluster, digest string) (io.ReadCloser, error) {
	for platform, artefact := range want.Artefacts {
		if artefact.Binary == digest {
			return w.cache.Binary(ctx, want.Releases.Source, want.Vault.Version, platform, artefact)
		}
	}
	f, err := w.cache.Open(ctx, digest)
	if errors.Is(err, release.ErrAbsent) {
		return nil, fmt.Errorf("open the vault binary %s: vault.lock names no such binary for %s: %w", digest, want.Vault.Version, err)
	}
	return f, err
}

// ceremonyPorts are the ports of the ceremony of one cluster.
func (w *world) ceremonyPorts(cluster string) ceremony.Ports {
	return ceremony.Ports{
		Verb: func(ctx context.Context, node desired.Node, try diff.Try, verb string, args []string, stdin io.Reader) ([]byte, error) {
			target, err := w.target(cluster, node.Name)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", apply.ErrRefused, err)
			}
			fence := nodes.Fence{Epoch: try.Epoch, Holder: w.holder, Op: try.Op}
			return w.nodes.Node(target).Verb(ctx, fence, verb, args, stdin)
		},
		Status: func(ctx context.Context, node desired.Node) (actual.Vault, error) {
			client, err := w.vault(ctx, cluster, node.Name)
			if err != nil {
				return actual.Vault{}, err
			}
			status, _, err := client.Status(ctx)
			return status, err
		},
		Login: func(ctx context.Context, node desired.Node, roleID, secretID secret.Bytes) (ceremony.Session, error) {
			client, err := w.vault(ctx, cluster, node.Name)
			if err != nil {
				return ceremony.Session{}, err
			}
			token, lasts, err := client.Login(ctx, string(roleID.Reveal()), string(secretID.Reveal()))
			if err != nil {
				return ceremony.Session{}, err
			}
			return ceremony.Session{Token: secret.Of([]byte(token)), TTL: lasts}, nil
		},
		Memory: w.store, Clock: clock{},
	}
}

// target is how a node of a cluster is reached.
func (w *world) target(cluster, node string) (actual.Target, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.targets[cluster] {
		if t.Node == node {
			return t, nil
		}
	}
	return actual.Target{}, fmt.Errorf("%s is not a node of %s", node, cluster)
}
