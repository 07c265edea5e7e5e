package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/release"
	"github.com/vaultfleet/reconciler/internal/store/durable"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// lockFlags are what lock is asked for besides versions.
type lockFlags struct {
	platforms []string
	source    string
	check     bool
}

func newLock(a *app) *cobra.Command {
	var flags lockFlags
	cmd := &cobra.Command{
		Use:   "lock [VERSION…]",
		Short: "Check releases of Vault and write their digests into vault.lock",
		Long: "Fetch the signed digests of a release, check the signature against HashiCorp's key and the keys of\n" +
			"releases.keys in reconciler.yaml, fetch the archives, look into them, and write vault.lock. Without a\n" +
			"VERSION: those that clusters ask for and that are not locked. Works on a checkout, by default the\n" +
			"current folder; an entry that is there is never changed. With --check nothing is written: what is\n" +
			"locked is held against the source, and a difference exits 1.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, versions []string) error { return a.lock(cmd.Context(), flags, versions) },
	}
	cmd.Flags().StringSliceVar(&flags.platforms, "platform", nil, "`PLATFORM` of the nodes; may be repeated (default: those in vault.lock, else linux_amd64)")
	cmd.Flags().StringVar(&flags.source, "source", "", "`URL` of a mirror, or file:///FOLDER, laid out like releases.hashicorp.com (default: releases.source of fleet.yaml)")
	cmd.Flags().BoolVar(&flags.check, "check", false, "hold what is locked against the source, and write nothing")
	return cmd
}

func (a *app) lock(ctx context.Context, flags lockFlags, versions []string) error {
	if err := a.formats("text"); err != nil {
		return err
	}
	dir, fsys, err := a.checkout()
	if err != nil {
		return err
	}
	fleet := desired.Load(fsys, loadOptions())
	if errs := fleetErrors(fleet); len(errs) > 0 {
		return &exitError{code: exitFailed, err: errs[0], hint: "reconciler validate tells all that is wrong"}
	}
	keys, err := a.releaseKeys()
	if err != nil {
		return err
	}
	l := locking{
		app: a, lock: fleet.Lock,
		checker: release.Checker{Source: cmp.Or(flags.source, fleet.Releases.Source), Keys: keys, Now: time.Now()},
	}
	if flags.check {
		return l.compare(ctx, flags.platforms, versions, fleet)
	}
	return l.add(ctx, dir, flags.platforms, versions, fleet)
}

// releaseKeys are whose signatures count: HashiCorp's, and those of the
// reconciler.yaml of this machine, where there is one.
func (a *app) releaseKeys() (release.Keyring, error) {
	ring, err := release.HashiCorp()
	if err != nil {
		return ring, err
	}
	h, there, err := a.hostIfAny()
	if err != nil || !there {
		return ring, err
	}
	texts, err := h.settings.ReleaseKeys()
	if err != nil {
		return ring, err
	}
	for i, text := range texts {
		if ring, err = ring.With(h.settings.Releases.Keys[i], text); err != nil {
			return ring, fmt.Errorf("releases.keys: %w", err)
		}
	}
	return ring, nil
}

// locking is one run of lock: who looks at the source, and what is locked.
type locking struct {
	app     *app
	checker release.Checker
	lock    desired.Lock
}

// check finds out what a version is on some platforms, up to the first that
// fails. An archive has some 150 MB, so each is said when it is done.
func (l *locking) check(ctx context.Context, version string, platforms []string) (map[string]desired.Artefact, error) {
	sums, err := l.checker.Sums(ctx, version)
	if err != nil {
		return nil, err
	}
	l.app.say("%s is signed by %v", version, sums.Signer)
	found := map[string]desired.Artefact{}
	for _, p := range platforms {
		artefact, err := l.checker.Artefact(ctx, sums, p)
		if err != nil {
			return found, err
		}
		found[p] = artefact
		l.app.say("%s %s: archive %s, binary %s", version, p, artefact.Archive, artefact.Binary)
	}
	return found, nil
}

// platforms are those asked for, by default those that something is locked for.
func (l *locking) platforms(asked []string) []string {
	for _, some := range [][]string{asked, l.lock.Platforms()} {
		if len(some) > 0 {
			return some
		}
	}
	return []string{"linux_amd64"}
}

// add locks versions for platforms.
func (l *locking) add(ctx context.Context, dir string, platforms, versions []string, fleet desired.Fleet) error {
	platforms = l.platforms(platforms)
	if len(versions) == 0 {
		for _, b := range fleet.Broken {
			fmt.Fprintf(l.app.stderr, "reconciler: warning: cluster %s has errors, so what it asks for is not known: reconciler validate\n", b.Name)
		}
		if versions = fleet.Unlocked(platforms); len(versions) == 0 {
			l.app.say("Nothing to lock: every version that a cluster asks for is in vault.lock for %s.", strings.Join(platforms, ", "))
			return nil
		}
	}
	whole := desired.Lock{}
	var failed error
	for _, v := range versions {
		var found map[string]desired.Artefact
		if found, failed = l.check(ctx, v, platforms); failed != nil {
			break
		}
		whole[v] = found
	}
	if len(whole) == 0 {
		return failed
	}
	if err := l.write(filepath.Join(dir, "vault.lock"), whole); err != nil {
		return err
	}
	return failed // what was checked before it is locked all the same
}

func (l *locking) write(path string, found desired.Lock) error {
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read vault.lock: %w", err)
	}
	after, err := desired.AddToLock(before, found)
	if err != nil {
		return err
	}
	if string(after) == string(before) {
		l.app.say("Nothing to write: %s says that already.", path)
		return nil
	}
	if err := durable.WriteFile(path, after, 0o644); err != nil {
		return err
	}
	l.app.say("Written to %s. Next: look at the change and commit it.", path)
	return nil
}

// compare holds what is locked against the source, and goes on to the last
// entry, so that all that differs is told.
func (l *locking) compare(ctx context.Context, platforms, versions []string, fleet desired.Fleet) error {
	if len(versions) == 0 {
		if missing := fleet.Unlocked(l.platforms(platforms)); len(missing) > 0 {
			return usage("lock what clusters ask for: reconciler lock", "%s is not in vault.lock", strings.Join(missing, ", "))
		}
		versions = l.lock.Versions()
	}
	wrong := 0
	for _, v := range versions {
		ps := platforms
		if len(ps) == 0 {
			ps = desired.Lock{v: l.lock[v]}.Platforms()
		}
		if len(ps) == 0 {
			return usage("lock it first: reconciler lock "+v, "%s is not in vault.lock", v)
		}
		for _, p := range ps {
			if _, there := l.lock[v][p]; !there {
				return usage("lock it first: reconciler lock "+v+" --platform "+p, "%s for %s is not in vault.lock", v, p)
			}
		}
		found, err := l.check(ctx, v, ps)
		if ctx.Err() != nil {
			return err
		}
		if err = errors.Join(err, l.lock.Agrees(desired.Lock{v: found})); err != nil {
			fmt.Fprintf(l.app.stderr, "reconciler: error: %v\n", err)
			wrong++
		}
	}
	if wrong > 0 {
		return &exitError{code: exitFailed, err: fmt.Errorf("%s of vault.lock could not be confirmed", count(wrong, "version"))}
	}
	l.app.say("Confirmed: %s of vault.lock.", count(len(versions), "version"))
	return nil
}
