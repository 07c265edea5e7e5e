package loop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Turned is what one turn came to.
type Turned struct {
	Cluster string
	Want    desired.Cluster // what the plan is for
	At      time.Time       // when the plan was made
	Took    time.Duration   // the look, and the wave if there was one
	Have    []actual.Node
	Memory  diff.Memory
	Plan    diff.Plan
	Drift   diff.Drifted
	Results []apply.Result // of the one wave; empty when there was none to do
	Err     error          // the turn could not go on; a [Busy] where another one acts
}

// Cut says that the look of a turn was cut short by the end of its context, so that
// it tells nothing. A wave is begun only after a whole look.
func (t Turned) Cut(ctx context.Context) bool { return ctx.Err() != nil && len(t.Results) == 0 }

// Turn is one turn of one cluster.
func Turn(ctx context.Context, p Ports, spec Spec) (t Turned) {
	began := p.Clock.Now()
	defer func() { t.Took = p.Clock.Now().Sub(began) }()
	t = Look(ctx, p, spec)
	wave, ok := t.Plan.Next()
	if t.Err != nil || !ok || spec.Ahead {
		return t
	}
	if p.Leave != nil {
		if t.Err = p.Leave(t.Plan); t.Err != nil {
			return t
		}
	}
	epoch, release, err := p.Lease(ctx, spec.Cluster.Name)
	if err != nil {
		t.Err = err
		return t
	}
	defer release()
	t.Results, t.Err = apply.Wave(ctx, p.wavePorts(spec), t.Memory, wave, epoch)
	for _, r := range t.Results {
		var busy Busy
		if t.Err == nil && errors.As(r.Err, &busy) {
			t.Err = busy
		}
	}
	return t
}

// Look is a turn that ends before anything is done: what plan and status show.
func Look(ctx context.Context, p Ports, spec Spec) Turned {
	t := Turned{Cluster: spec.Cluster.Name, Want: spec.Cluster}
	t.Have, t.Memory, t.Err = p.look(ctx, spec)
	if t.Err == nil && t.Memory.Unsure() {
		t.Have, t.Memory, t.Err = p.look(ctx, spec)
	}
	if t.Err == nil {
		t.Err = spec.overtaken(t.Memory)
	}
	if t.Err != nil {
		return t
	}
	now := p.Clock.Now()
	t.At = now
	t.Drift = diff.FindDrift(spec.Cluster, spec.Before, t.Have, t.Memory, now)
	t.Memory = t.Memory.Notice(t.Drift, t.Have, now)
	t.Drift = t.Memory.Tell(t.Drift, now)
	planned := t.Memory
	if spec.Asked {
		planned = planned.Asked(now)
	}
	t.Plan = diff.Cluster(spec.Cluster, t.Have, planned, now)
	t.Plan.Commit = spec.Commit
	t.Err = p.remember(ctx, spec, func(m diff.Memory) diff.Memory {
		if spec.Ahead {
			return m
		}
		m = m.Notice(t.Drift, t.Have, now)
		if !t.Plan.Empty() {
			return m.Differing()
		}
		return m.Converged(spec.Cluster, spec.Commit, now)
	})
	t.Plan.Waits = append(t.Plan.Waits, spec.Waits...)
	return t
}

// look probes every target and folds what it saw into the memory, which is
// saved before anybody acts on it.
func (p Ports) look(ctx context.Context, spec Spec) ([]actual.Node, diff.Memory, error) {
	m, _, err := p.Store.Load(ctx, spec.Cluster.Name)
	if err != nil {
		return nil, m, fmt.Errorf("load the memory of %s: %w", spec.Cluster.Name, err)
	}
	have := actual.Probe(ctx, p.Host, p.Each, diff.Targets(spec.Cluster, m))
	now := p.Clock.Now()
	err = p.remember(ctx, spec, func(stored diff.Memory) diff.Memory {
		m = diff.Remember(stored, spec.Cluster, have, now)
		if !spec.Ahead && spec.overtaken(m) == nil {
			m = m.Accept(spec.Cluster, spec.Commit)
		}
		return m
	})
	return have, m, err
}

// remember changes the stored memory, again if somebody else did in between.
// What does not change is not written.
func (p Ports) remember(ctx context.Context, spec Spec, change func(diff.Memory) diff.Memory) error {
	for {
		stored, rev, err := p.Store.Load(ctx, spec.Cluster.Name)
		if err != nil {
			return fmt.Errorf("load the memory of %s: %w", spec.Cluster.Name, err)
		}
		changed := change(stored)
		if reflect.DeepEqual(changed, stored) {
			return nil
		}
		if _, err = p.Store.Save(ctx, spec.Cluster.Name, changed, rev); err == nil {
			return nil
		} else if !errors.Is(err, ErrConflict) {
			return fmt.Errorf("save the memory of %s, so nothing was done: %w", spec.Cluster.Name, err)
		}
	}
}

// wavePorts are the ports of a wave: eyes that remember, and contents whose
// plaintext digest is remembered before it is placed.
func (p Ports) wavePorts(spec Spec) apply.Ports {
	return apply.Ports{
		Eyes:  func(ctx context.Context) apply.Look { return p.eyes(ctx, spec) },
		Hands: p.Hands,
		Contents: func(ctx context.Context, digest string) (io.ReadCloser, error) {
			return p.contents(ctx, spec, digest)
		},
		Journal: func(ctx context.Context, try diff.Try) error { return p.Store.Append(ctx, spec.Cluster.Name, try) },
		Clock:   p.Clock, Each: apply.Each(p.Each), Op: p.Op, Watch: p.Watch,
	}
}

func (p Ports) eyes(ctx context.Context, spec Spec) apply.Look {
	have, m, err := p.look(ctx, spec)
	if err != nil {
		return apply.Look{} // nothing is known, so no need and no goal holds
	}
	look := apply.Look{Facts: diff.Facts(spec.Cluster, have, m), Seen: map[string]string{}}
	for _, n := range have {
		look.Seen[n.Name] = describe(n, diff.CaughtUp(look.Facts, n.Name))
	}
	return look
}

// describe is how far a node is, in one line for people. Once it has caught up
// its index says no more of that: it grows with every write to the cluster.
func describe(n actual.Node, caughtUp bool) string {
	switch {
	case n.Machine == nil:
		return "not reachable"
	case n.Vault == nil && n.Service != nil:
		return "service " + n.Service.ActiveState + ", API silent"
	case n.Vault == nil:
		return "API silent"
	case !n.Vault.Initialized:
		return "not initialised"
	case n.Vault.Sealed && n.Vault.Progress > 0:
		return fmt.Sprintf("sealed, %d of %d shares", n.Vault.Progress, n.Vault.Threshold)
	case n.Vault.Sealed:
		return "sealed"
	case n.Vault.Leader:
		return "leader"
	case n.Vault.LeaderAddress == "":
		return "unsealed, no leader"
	case caughtUp:
		return "follower"
	}
	return fmt.Sprintf("follower, index %d", n.Vault.Applied)
}

// maxSecret bounds what a reference may open, in bytes: keys and certificates,
// not archives.
const maxSecret = 1 << 20

// contents opens a digest. The digest of a plaintext behind a reference goes
// into the memory, so that later looks can tell the file from another without
// decrypting anything.
func (p Ports) contents(ctx context.Context, spec Spec, digest string) (io.ReadCloser, error) {
	r, err := spec.Contents(ctx, digest)
	if err != nil || !(strings.HasPrefix(digest, "age:") || strings.HasPrefix(digest, "secret:")) {
		return r, err
	}
	defer r.Close()
	plain, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", digest, err)
	}
	if len(plain) > maxSecret {
		return nil, fmt.Errorf("open %s: more than %d bytes", digest, maxSecret)
	}
	sum := sha256.Sum256(plain)
	err = p.remember(ctx, spec, func(m diff.Memory) diff.Memory {
		m.Secrets = maps.Clone(m.Secrets)
		if m.Secrets == nil {
			m.Secrets = map[string]string{}
		}
		m.Secrets[digest] = "sha256:" + hex.EncodeToString(sum[:])
		return m
	})
	return io.NopCloser(bytes.NewReader(plain)), err
}
