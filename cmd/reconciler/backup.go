package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/history"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/internal/store/durable"
)

func newBackup(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE|DIR",
		Short: "Copy what the state folder remembers into one tar file",
		Long: "Who this reconciler is to its nodes, the memory and the epoch of each cluster, and the history, into a\n" +
			"tar file of mode 0600; a daemon may run meanwhile. In a folder the file is named by the time. What is\n" +
			"there already is never overwritten.\n\n" +
			"No key and no secret is in it: the key stores, the identities that open them and /etc/reconciler are\n" +
			"backed up apart. docs/operations.md says how all of it is restored.",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.backup(cmd.Context(), args[0]) },
	}
}

func (a *app) backup(ctx context.Context, to string) error {
	if err := a.formats("text"); err != nil {
		return err
	}
	h, err := a.host()
	if err != nil {
		return err
	}
	if err := h.ownState(); err != nil {
		return err
	}
	state := h.settings.State
	if _, err := os.Stat(state); err != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("back up the state folder: %w", err), hint: "`state:` in " + h.settings.File + " names it"}
	}
	now := time.Now()
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, "reconciler-"+now.UTC().Format("20060102T150405Z")+".tar")
	}
	clusters, past, err := backUp(ctx, state, to, now)
	if errors.Is(err, fs.ErrExist) {
		return usage("name a new file, or a folder", "%s is there already, and is not overwritten", to)
	}
	if err != nil {
		return fmt.Errorf("back up to %s: %w", to, err)
	}
	what := "no history"
	if past {
		what = "the history"
	}
	a.say("Backed up to %s: %s, %s. It holds no keys and no secrets: back up key stores, identities and reconciler.yaml apart.", to, count(clusters, "cluster"), what)
	return nil
}

// backUp makes the file. Its name is taken first, so that nothing that is there is
// overwritten, and it is put there whole.
func backUp(ctx context.Context, state, to string, now time.Time) (clusters int, past bool, err error) {
	name, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, false, err
	}
	name.Close() // nothing was written
	defer func() {
		if err != nil {
			os.Remove(to)
		}
	}()
	room, err := os.MkdirTemp(filepath.Dir(to), ".reconciler-backup-*")
	if err != nil {
		return 0, false, err
	}
	defer os.RemoveAll(room)
	f, err := os.OpenFile(filepath.Join(room, "tar"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, false, err
	}
	defer f.Close() // twice is harmless
	b := &archive{tar: tar.NewWriter(f), now: now}
	clusters, err = b.memories(ctx, state)
	if err == nil {
		past, err = b.history(ctx, state, filepath.Join(room, "history"))
	}
	if err == nil {
		err = b.tar.Close()
	}
	if err == nil {
		err = durable.Keep(f, to, 0o600)
	}
	return clusters, past, err
}

// archive is a tar file with the names that a state folder has.
type archive struct {
	tar *tar.Writer
	now time.Time
}

// memories are who we are, and of each cluster its journal and its epoch. The epoch
// is read first: one that is behind the journal is made up for by the nodes.
func (b *archive) memories(ctx context.Context, state string) (int, error) {
	s, err := store.Open(state)
	if err != nil {
		return 0, err
	}
	names, err := s.Clusters()
	if err != nil {
		return 0, err
	}
	err = errors.Join(b.copied(state, "installation"), b.folder("clusters"))
	for _, name := range names {
		if err == nil {
			err = b.cluster(ctx, s, state, name)
		}
	}
	return len(names), err
}

func (b *archive) cluster(ctx context.Context, s *store.Store, state, name string) error {
	folder := "clusters/" + name
	if err := errors.Join(b.folder(folder), b.copied(state, folder+"/epoch")); err != nil {
		return err
	}
	journal, err := s.Copy(ctx, name)
	if err != nil {
		return err
	}
	return b.file(folder+"/journal", journal)
}

// copied is a file that is only ever replaced whole. It may not be there.
func (b *archive) copied(state, name string) error {
	data, err := os.ReadFile(filepath.Join(state, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return b.file(name, data)
}

func (b *archive) folder(name string) error {
	return b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o700, ModTime: b.now})
}

func (b *archive) file(name string, data []byte) error {
	err := b.head(name, int64(len(data)))
	if err == nil {
		_, err = b.tar.Write(data)
	}
	return err
}

func (b *archive) head(name string, size int64) error {
	return b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: size, ModTime: b.now})
}

// history is a copy of the history, by way of a file beside the tar.
func (b *archive) history(ctx context.Context, state, by string) (bool, error) {
	there, err := history.Copy(ctx, state, by)
	if err != nil || !there {
		return there, err
	}
	f, err := os.Open(by)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if err := b.head("history.db", info.Size()); err != nil {
		return false, err
	}
	_, err = io.Copy(b.tar, f)
	return true, err
}
