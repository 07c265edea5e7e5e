package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Do is the hands of a reconciler: what the node script would do to the machine.
func (r *Reconciler) Do(ctx context.Context, try diff.Try, step diff.Step, contents apply.Contents) error {
	n := r.w.Node(step.Node)
	if n == nil || n.Down {
		return fmt.Errorf("reach %s: %w", step.Node, apply.ErrRefused)
	}
	a := &act{Reconciler: r, n: n, try: try, step: step}
	err := a.do(ctx, contents)
	var f fenced
	if a.begun && errors.As(err, &f) {
		return half{f}
	}
	return err
}

// act is one step under way.
type act struct {
	*Reconciler
	n     *Node
	try   diff.Try
	step  diff.Step
	begun bool // a call of this step was let through
}

// half is a refusal after an earlier call of the same step: it is no longer true
// that nothing was done.
type half struct{ fenced }

func (half) Unwrap() error { return nil }

// stage is a part of a call that the node does as a whole.
type stage func(w *World, n *Node) error

// call is one call of the node script: one at a time on a node, behind the
// fence. It goes on by itself once it has begun, whoever asked for it.
func (a *act) call(verb string, stages ...stage) error {
	w, n := a.w, a.n
	w.reach("before " + verb)
	n.finish(w)
	if err := n.guard(verb, a.try.Epoch, a.holder); err != nil {
		return err
	}
	n.Writes++
	if !a.begun {
		a.begun = true
		w.Trace = append(w.Trace, string(a.step.Action)+" "+n.Name)
		w.watch(n, a.step)
	}
	for i, stage := range stages {
		if i > 0 && w.cross != nil {
			n.rest, n.due = stages[i:], w.Time.Add(time.Duration(w.rand.IntN(6))*time.Second)
			w.reach("amid " + verb)
			n.rest = nil
		}
		if err := stage(w, n); err != nil {
			return err
		}
	}
	w.reach("after " + verb)
	return nil
}

func (a *act) do(ctx context.Context, contents apply.Contents) error {
	step := a.step
	switch step.Action {
	case diff.ActionAccount:
		return a.call("account", func(w *World, n *Node) error {
			for _, u := range step.Users {
				user, group, _ := strings.Cut(u, ":")
				n.Users[user], n.Users[group] = true, true
			}
			return nil
		})
	case diff.ActionInstall:
		return a.call("binary", func(w *World, n *Node) error {
			n.Files[desired.BinaryPath(step.Version)] = File{Body: []byte("vault " + step.Version), Owner: "root", Group: "root", Mode: "0755", Mtime: w.Time}
			return nil
		})
	case diff.ActionEnable:
		return a.call("enable", func(w *World, n *Node) error { n.Unit.Enabled = true; return nil })
	case diff.ActionPlace, diff.ActionReload, diff.ActionRestart, diff.ActionStart:
		return a.activate(ctx, contents)
	case diff.ActionUnseal:
		return a.call("vault-unseal", func(w *World, n *Node) error { return n.Vault.Unseal(w.spec.Keys.Threshold, w.Time) })
	}
	return a.ceremony(ctx)
}

// activate makes folders, stages files, and lets them go live together with what
// Vault is asked to do.
func (a *act) activate(ctx context.Context, contents apply.Contents) error {
	w, step := a.w, a.step
	if len(step.Folders) > 0 {
		err := a.call("folder", func(w *World, n *Node) error {
			for _, f := range step.Folders {
				n.Files[f.Path] = File{Folder: true, Owner: f.Owner, Group: f.Group, Mode: f.Mode}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	staged := map[string]File{}
	for _, p := range step.Puts {
		r, err := contents(ctx, p.Digest)
		if err != nil {
			return fmt.Errorf("open %s: %w", p.Digest, err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return fmt.Errorf("read %s: %w", p.Digest, err)
		}
		staged[p.Path] = File{Body: body, Owner: p.Owner, Group: p.Group, Mode: p.Mode, Mtime: w.Time}
	}
	if len(staged) > 0 {
		if err := a.call("stage"); err != nil {
			return err
		}
	}
	halt := func(w *World, n *Node) error {
		if n.runs(step.Version, staged) {
			w.broken("restart of %s, which runs what is wanted already", n.Name)
		}
		n.stop()
		w.tick()
		return nil
	}
	flip := func(w *World, n *Node) error { n.flip(w.spec, staged, step.Version); return nil }
	begin := func(w *World, n *Node) error { return n.Unit.Start(func() error { return n.start(w.spec, w.Time) }) }
	switch step.Action {
	case diff.ActionReload:
		return a.call("activate", flip, func(w *World, n *Node) error { return n.reload(w.spec, step.Puts, w.Time) })
	case diff.ActionRestart:
		return a.call("activate", halt, flip, begin)
	case diff.ActionStart:
		return a.call("activate", flip, begin)
	}
	return a.call("activate", flip)
}

// broken notes an invariant that does not hold.
func (w *World) broken(format string, args ...any) {
	w.Broken = append(w.Broken, fmt.Sprintf(format, args...))
}

// watch checks what must never happen, at the moment it would.
func (w *World) watch(n *Node, step diff.Step) {
	r := n.Vault.Raft
	if p := peer(r, n); step.Action != diff.ActionRestart || p == nil || !p.Voter || !n.Vault.Open {
		return
	}
	left := 0
	for _, m := range w.Nodes {
		if q := peer(r, m); m != n && m.Vault.Raft == r && m.Vault.Open && q != nil && q.Voter {
			left++
		}
	}
	if left < r.voters()/2+1 && r.voters() > 1 {
		w.broken("restart of %s left %d of %d voters", n.Name, left, r.voters())
	}
	if r.Leader != n.Vault.ID || step.Version == "" {
		return
	}
	for _, m := range w.Nodes {
		if m.Vault.Raft == r && m.RunsV != step.Version && m != n {
			w.broken("the leader %s was restarted into %s before %s, which runs %s", n.Name, step.Version, m.Name, m.RunsV)
		}
	}
}

func peer(r *Raft, n *Node) *Peer {
	if r == nil {
		return nil
	}
	return r.Members[n.Vault.ID]
}
