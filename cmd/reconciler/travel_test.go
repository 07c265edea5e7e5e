//go:build linux

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
	"github.com/vaultfleet/reconciler/internal/metrics"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// newTravel is a daemon's following of a fleet of some clusters of three nodes, which
// are in sync with its first commit, and its second one, which changes all: prod-000
// first, which soaks for two hours, then five at once.
func newTravel(tb testing.TB, clusters int) (f *following, first, second string) {
	tb.Helper()
	dir := tb.TempDir()
	repo := filepath.Join(dir, "fleet")
	names := layMany(tb, repo, clusters, &manyHosts{port: 22, key: "ssh-ed25519 AAAA"})
	put := func(path, old, fresh string) {
		text, err := os.ReadFile(filepath.Join(repo, path))
		check(tb, err)
		check(tb, lay(filepath.Join(repo, path), strings.Replace(string(text), old, fresh, 1)))
	}
	g := func(args ...string) string { return strings.TrimSpace(gittest.Run(tb, repo, "", args...)) }
	commit := func() string {
		g("add", "--all")
		g("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", "x")
		return g("rev-parse", "HEAD")
	}
	g("init", "--quiet", "--initial-branch=main")
	put("fleet.yaml", "fleet: acme\n", "fleet: acme\nrollout: {rings: [{cluster: prod-000, soak: 2h}, {cluster: \"prod-*\", at_once: 5}]}\n")
	first = commit()
	for _, name := range names {
		put("clusters/"+name+"/cluster.yaml", "log_level: info", "log_level: debug")
	}
	second = commit()

	clone, err := git.Open(tb.Context(), filepath.Join(dir, "clone"), git.Remote{URL: repo, Branch: "main"})
	check(tb, err)
	_, err = clone.Fetch(tb.Context())
	check(tb, err)
	check(tb, os.Mkdir(filepath.Join(dir, "keys"), 0o700))
	check(tb, os.WriteFile(filepath.Join(dir, "reconciler.yaml"), []byte(`fleets: [{repo: fleet}]
state: state
key_stores: [keys]
trust: {known_hosts: known_hosts, networks: [127.0.0.0/8, 10.0.0.0/8], modes: {"*": enforce}, roots: [/opt/vault, /etc/vault.d, /var/log/vault, /usr/local/bin, /etc/systemd/system], services: [vault], users: [vault, root], releases: [/srv/releases]}
ssh: {key: id}
`), 0o600))
	read, problems := settings.Load(filepath.Join(dir, "reconciler.yaml"))
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	h, err := hostFrom(read, slog.New(slog.DiscardHandler))
	check(tb, err)
	s, err := store.Open(h.settings.State)
	check(tb, err)
	f = &following{branch: branch{Repo: clone}, only: settings.Fleet{Repo: repo, Branch: "main", Path: "."}, log: h.log,
		known: desired.NewKnown(), before: map[string]desired.Fleet{}, dates: map[string]time.Time{},
		keeping: &keeping{app: &app{}, claims: newClaims(), world: &world{store: s}, host: h, metrics: metrics.New(metrics.Ports{Log: h.log}), shown: web.NewBoard()}}
	before, err := openCommit(clone, f.only, first, nil)
	check(tb, err)
	memory := lived(tb)
	for _, c := range before.Clusters {
		m := memory
		m.Accepted = diff.Accepted{Commit: first, Digest: c.Digest}
		m.Good = diff.Standing{Cluster: c.Name, Commit: first, Digest: c.Digest, Since: time.Now(), First: time.Now()}
		_, err := s.Save(tb.Context(), c.Name, m, 0)
		check(tb, err)
	}
	return f, first, second
}

// lived is the memory of a cluster that was born.
func lived(tb testing.TB) diff.Memory {
	m, _, err := newApplied(tb).world.Ports().Store.Load(tb.Context(), "prod")
	check(tb, err)
	return m
}

// The daemon notes whom a commit has reached when it reads it, and reads it again until
// it is everywhere. A cluster that another fleet names as well is not taken.
func TestTheDaemonTakesACommitRingByRing(t *testing.T) {
	t.Parallel()
	f, first, second := newTravel(t, 2)
	inForce := func(cluster string) string {
		m, _, err := f.world.store.Load(t.Context(), cluster)
		check(t, err)
		return m.Accepted.Commit
	}
	f.claims.set("another fleet", []string{"prod-000"})
	for range 2 {
		_, err := f.read(t.Context(), second)
		check(t, err)
		if inForce("prod-000") != first || inForce("prod-001") != first || !f.waits.Load() {
			t.Fatalf("in force are %s and %s", inForce("prod-000"), inForce("prod-001"))
		}
	}
	f.claims.set("another fleet", nil)
	_, err := f.read(t.Context(), second)
	check(t, err)
	if inForce("prod-000") != second || inForce("prod-001") != first || !f.waits.Load() {
		t.Fatalf("in force are %s and %s", inForce("prod-000"), inForce("prod-001"))
	}
	m, rev, err := f.world.store.Load(t.Context(), "prod-000")
	check(t, err)
	m.Good = diff.Standing{Digest: m.Accepted.Digest, Since: time.Now(), First: time.Now().Add(-3 * time.Hour)}
	_, err = f.world.store.Save(t.Context(), "prod-000", m, rev)
	check(t, err)
	_, err = f.read(t.Context(), second)
	check(t, err)
	if inForce("prod-001") != second || f.waits.Load() {
		t.Fatalf("in force is %s", inForce("prod-001"))
	}
}

// BenchmarkAPollWhileACommitTravels is what the daemon does at each poll while a commit
// has reached one of 100 clusters, which rolls, and the others wait.
func BenchmarkAPollWhileACommitTravels(b *testing.B) {
	f, _, second := newTravel(b, 100)
	wants, err := f.read(b.Context(), second)
	if err != nil || len(wants.Kept) != 100 || !f.waits.Load() {
		b.Fatalf("%d clusters are kept: %v", len(wants.Kept), err)
	}
	for b.Loop() {
		if _, err := f.read(b.Context(), second); err != nil {
			b.Fatal(err)
		}
	}
}
