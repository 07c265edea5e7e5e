package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// installTime is how long a binary of 400 MB may take over a slow line.
const installTime = time.Hour

// Hands are the hands for the nodes of these targets: account, install, place,
// enable, start, reload and restart. Any other action is refused: it belongs to
// the ceremony. Holder is who acts, the same over restarts.
func (h *Host) Hands(holder string, targets []actual.Target) apply.Hands {
	byName := map[string]actual.Target{}
	for _, t := range targets {
		byName[t.Node] = t
	}
	return func(ctx context.Context, try diff.Try, step diff.Step, contents apply.Contents) error {
		target, ok := byName[step.Node]
		if !ok {
			return fmt.Errorf("%s: no such node among the targets: %w", step.Node, apply.ErrRefused)
		}
		a := &act{node: h.Node(target), step: step, contents: contents, fence: Fence{Epoch: try.Epoch, Holder: holder, Op: try.Op}}
		err := a.do(ctx)
		if err != nil && a.begun && errors.Is(err, apply.ErrRefused) {
			return &halfError{err}
		}
		return err
	}
}

// halfError is a refusal after an earlier verb of the same step was done: it is
// no longer true that nothing was.
type halfError struct{ err error }

func (e *halfError) Error() string { return "half-way: " + e.err.Error() }

// As still finds who fenced us off, by whatever name it is asked for.
func (e *halfError) As(target any) bool { return errors.As(e.err, target) }

// act is one step under way.
type act struct {
	node     *Node
	step     diff.Step
	contents apply.Contents
	fence    Fence
	begun    bool // a verb of this step was done
}

func (a *act) do(ctx context.Context) error {
	switch a.step.Action {
	case diff.ActionAccount:
		return a.accounts(ctx)
	case diff.ActionInstall:
		return a.install(ctx)
	case diff.ActionPlace:
		return a.activate(ctx, "none")
	case diff.ActionEnable:
		return a.verb(ctx, "enable", []string{a.node.target.Service}, nil)
	case diff.ActionStart, diff.ActionReload, diff.ActionRestart:
		return a.activate(ctx, string(a.step.Action))
	}
	return fmt.Errorf("%s is not done by the node script: %w", a.step.Action, apply.ErrRefused)
}

func (a *act) verb(ctx context.Context, verb string, args []string, stdin io.Reader) error {
	_, err := a.node.Verb(ctx, a.fence, verb, args, stdin)
	a.begun = a.begun || err == nil
	return err
}

func (a *act) accounts(ctx context.Context) error {
	for _, account := range a.step.Users {
		user, group, found := strings.Cut(account, ":")
		if !found {
			group = user
		}
		if err := a.verb(ctx, "account", []string{user, group}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (a *act) install(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	binary, err := a.contents(ctx, "binary:"+a.step.Binary)
	if err != nil {
		return fmt.Errorf("open vault %s: %w: %w", a.step.Version, err, apply.ErrRefused)
	}
	defer binary.Close()
	return a.verb(ctx, "binary", []string{a.step.Version, strings.TrimPrefix(a.step.Binary, "sha256:")}, binary)
}

// activate makes folders, stages files, and lets them go live together with what
// Vault is asked to do.
func (a *act) activate(ctx context.Context, action string) error {
	if len(a.step.Folders) > 0 {
		var args []string
		for _, f := range a.step.Folders {
			args = append(args, f.Path, f.Owner, f.Group, f.Mode)
		}
		if err := a.verb(ctx, "folder", args, nil); err != nil {
			return err
		}
	}
	generation := "-"
	if len(a.step.Puts) > 0 {
		generation = a.fence.Op
		if err := a.stage(ctx, generation); err != nil {
			return err
		}
	}
	version, digest := "-", "-"
	if a.step.Version != "" {
		version, digest = a.step.Version, strings.TrimPrefix(a.step.Binary, "sha256:")
	}
	t := a.node.target
	return a.verb(ctx, "activate", []string{generation, version, digest, t.BinaryPath, action, t.Service}, strings.NewReader(inputs(t)))
}

// stage sends all files of the step in one stream.
func (a *act) stage(ctx context.Context, generation string) error {
	files, err := gather(ctx, a.step.Puts, a.contents)
	if err != nil {
		return fmt.Errorf("stage the files of %s: %w: %w", a.step.Node, err, apply.ErrRefused)
	}
	defer files.wipe()
	return a.verb(ctx, "stage", []string{generation}, files.stream())
}

// inputs are the "ROLE PATH" lines of what Vault reads on this node, for the
// mark of what it was started with.
func inputs(t actual.Target) string {
	var b strings.Builder
	line := func(role desired.Role, p string) {
		b.WriteString(string(role) + " " + p + "\n")
	}
	if t.ConfigPath != "" {
		line(desired.RoleConfig, t.ConfigPath)
	}
	for _, p := range sortedKeys(t.Files) {
		switch {
		case t.Files[p] == "" || p == t.ConfigPath: // a folder, or named already
		case path.Base(p) == t.Service+".service":
			line(desired.RoleUnit, p)
		default:
			line(desired.RoleFile, p)
		}
	}
	return b.String()
}
