//go:build linux

package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// BenchmarkAPollWhileACommitTravels is what the daemon does at each poll while a commit
// has reached one of 100 clusters of three nodes, which soaks, and the others wait.
func BenchmarkAPollWhileACommitTravels(b *testing.B) {
	const clusters = 100
	dir := b.TempDir()
	repo := filepath.Join(dir, "fleet")
	names := layMany(b, repo, clusters, &manyHosts{port: 22, key: "ssh-ed25519 AAAA"})
	put := func(path, old, fresh string) {
		text, err := os.ReadFile(filepath.Join(repo, path))
		check(b, err)
		check(b, lay(filepath.Join(repo, path), strings.Replace(string(text), old, fresh, 1)))
	}
	g := func(args ...string) string { return strings.TrimSpace(gittest.Run(b, repo, "", args...)) }
	commit := func() string {
		g("add", "--all")
		g("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", "x")
		return g("rev-parse", "HEAD")
	}
	g("init", "--quiet", "--initial-branch=main")
	put("fleet.yaml", "fleet: acme\n", "fleet: acme\nrollout: {rings: [{cluster: prod-000, soak: 2h}, {cluster: \"prod-*\", at_once: 5}]}\n")
	first := commit()
	for _, name := range names {
		put("clusters/"+name+"/cluster.yaml", "log_level: info", "log_level: debug")
	}
	second := commit()

	clone, err := git.Open(b.Context(), filepath.Join(dir, "clone"), git.Remote{URL: repo, Branch: "main"})
	check(b, err)
	_, err = clone.Fetch(b.Context())
	check(b, err)
	check(b, os.Mkdir(filepath.Join(dir, "keys"), 0o700))
	check(b, os.WriteFile(filepath.Join(dir, "reconciler.yaml"), []byte(`fleets: [{repo: fleet}]
state: state
key_stores: [keys]
trust: {known_hosts: known_hosts, networks: [127.0.0.0/8, 10.0.0.0/8], modes: {"*": enforce}, roots: [/opt/vault, /etc/vault.d, /var/log/vault, /usr/local/bin, /etc/systemd/system], services: [vault], users: [vault, root], releases: [/srv/releases]}
ssh: {key: id}
`), 0o600))
	read, problems := settings.Load(filepath.Join(dir, "reconciler.yaml"))
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	h, err := hostFrom(read, slog.New(slog.DiscardHandler))
	check(b, err)
	s, err := store.Open(h.settings.State)
	check(b, err)
	f := &following{branch: branch{Repo: clone}, only: settings.Fleet{Repo: repo, Branch: "main", Path: "."}, log: h.log,
		known: desired.NewKnown(), before: map[string]desired.Fleet{},
		keeping: &keeping{app: &app{}, claims: newClaims(), world: &world{store: s}, host: h}}
	before, err := openCommit(clone, f.only, first, nil)
	check(b, err)
	memory := lived(b)
	for _, c := range before.Clusters {
		m := memory
		m.Accepted = diff.Accepted{Commit: first, Digest: c.Digest}
		m.Good = diff.Standing{Cluster: c.Name, Commit: first, Digest: c.Digest, Since: time.Now(), First: time.Now()}
		_, err := s.Save(b.Context(), c.Name, m, 0)
		check(b, err)
	}
	wants, err := f.read(b.Context(), second)
	if err != nil || len(wants.Kept) != clusters || !f.waits.Load() {
		b.Fatalf("%d clusters are kept: %v", len(wants.Kept), err)
	}
	for b.Loop() {
		if _, err := f.read(b.Context(), second); err != nil {
			b.Fatal(err)
		}
	}
}

// lived is the memory of a cluster that was born.
func lived(b *testing.B) diff.Memory {
	a := newApplied(b)
	m, _, err := a.world.Ports().Store.Load(context.Background(), "prod")
	check(b, err)
	return m
}
