package sim

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Do is the hands of the world: what the node script would do to the machine.
func (w *World) Do(ctx context.Context, try diff.Try, step diff.Step, contents apply.Contents) error {
	n := w.Node(step.Node)
	if n == nil || n.Down {
		return fmt.Errorf("reach %s: %w", step.Node, apply.ErrRefused)
	}
	if try.Epoch < n.Epoch {
		return fmt.Errorf("epoch %d is below %d: %w", try.Epoch, n.Epoch, apply.ErrRefused)
	}
	n.Epoch, n.Holder = try.Epoch, "sim"
	n.Writes++
	w.Trace = append(w.Trace, string(step.Action)+" "+step.Node)
	w.watch(n, step)
	switch step.Action {
	case diff.ActionAccount:
		for _, u := range step.Users {
			user, group, _ := strings.Cut(u, ":")
			n.Users[user], n.Users[group] = true, true
		}
	case diff.ActionInstall:
		n.Files[desired.BinaryPath(step.Version)] = File{Body: []byte("vault " + step.Version), Owner: "root", Group: "root", Mode: "0755", Mtime: w.Time}
	case diff.ActionEnable:
		n.Unit.Enabled = true
	case diff.ActionPlace, diff.ActionReload, diff.ActionRestart, diff.ActionStart:
		return w.flip(ctx, n, step, contents)
	case diff.ActionUnseal:
		return n.Vault.Unseal(w.spec.Keys.Threshold, w.Time)
	default:
		return w.ceremony(ctx, n, step)
	}
	return nil
}

// flip puts what a step brings, and lets the unit take it up.
func (w *World) flip(ctx context.Context, n *Node, step diff.Step, contents apply.Contents) error {
	for _, f := range step.Folders {
		n.Files[f.Path] = File{Folder: true, Owner: f.Owner, Group: f.Group, Mode: f.Mode}
	}
	for _, p := range step.Puts {
		r, err := contents(ctx, p.Digest)
		if err != nil {
			return fmt.Errorf("open %s: %w", p.Digest, err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return fmt.Errorf("read %s: %w", p.Digest, err)
		}
		n.Files[p.Path] = File{Body: body, Owner: p.Owner, Group: p.Group, Mode: p.Mode, Mtime: w.Time}
	}
	if step.Version != "" {
		n.Links[w.spec.Vault.Path] = step.Version
	}
	if unit, ok := n.Files[w.spec.Service.UnitPath]; ok {
		n.Unit.Reload(unit.Digest())
	}
	switch step.Action {
	case diff.ActionReload:
		n.mark(w.spec)
	case diff.ActionRestart:
		n.stop()
		w.tick()
		return n.Unit.Start(func() error { return n.start(w.spec, w.Time) })
	case diff.ActionStart:
		return n.Unit.Start(func() error { return n.start(w.spec, w.Time) })
	}
	return nil
}

// ceremony is the birth as the real hands leave it behind: what they did to
// Vault, and what they wrote into the memory.
func (w *World) ceremony(ctx context.Context, n *Node, step diff.Step) error {
	birth := func(b diff.Birth) error {
		return w.Change(ctx, w.spec.Name, func(m diff.Memory) diff.Memory {
			m.Birth, m.Known = b, true
			return m
		})
	}
	r := n.Vault.Raft
	switch step.Action {
	case diff.ActionInit:
		w.Inits++
		if err := n.Vault.Init("cluster-"+fmt.Sprint(w.Inits), w.spec.Keys.Shares, w.spec.Keys.Threshold, w.Time); err != nil {
			return err
		}
		return birth(diff.Birth{Phase: diff.BirthKeys, Seed: n.Name, At: w.Time, Holders: []string{"alice"}})
	case diff.ActionAudit:
		r.Devices[step.Device.Path] = Device{Type: step.Device.Type, Options: step.Device.Options}
	case diff.ActionCredential:
		r.Cred = true
		return birth(diff.Birth{Phase: diff.BirthCredential, Seed: n.Name, At: w.Time, Holders: []string{"alice"}})
	case diff.ActionRevoke:
		r.Root = false
		return birth(diff.Birth{Phase: diff.BirthDone, Seed: n.Name, At: w.Time, Holders: []string{"alice"}})
	}
	return nil
}

// watch checks what must never happen, at the moment it would.
func (w *World) watch(n *Node, step diff.Step) {
	broken := func(format string, args ...any) {
		w.Broken = append(w.Broken, fmt.Sprintf(format, args...))
	}
	r := n.Vault.Raft
	switch step.Action {
	case diff.ActionInit:
		if w.Inits > 0 {
			broken("init was asked for a second time, on %s", n.Name)
		}
	case diff.ActionRestart:
		if p := peer(r, n); p == nil || !p.Voter || !n.Vault.Open {
			return
		}
		left := 0
		for _, m := range w.Nodes {
			if q := peer(r, m); m != n && m.Vault.Raft == r && m.Vault.Open && q != nil && q.Voter {
				left++
			}
		}
		if left < r.voters()/2+1 && r.voters() > 1 {
			broken("restart of %s left %d of %d voters", n.Name, left, r.voters())
		}
		if r.Leader == n.Vault.ID && step.Version != "" {
			for _, m := range w.Nodes {
				if m.Vault.Raft == r && m.RunsV != step.Version && m != n {
					broken("the leader %s was restarted into %s before %s, which runs %s", n.Name, step.Version, m.Name, m.RunsV)
				}
			}
		}
	}
}

func peer(r *Raft, n *Node) *Peer {
	if r == nil {
		return nil
	}
	return r.Members[n.Vault.ID]
}
