package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vaultfleet/reconciler/examples"
	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// TestACommitReachesClustersRingByRing: a cluster that it has not reached is kept at
// what it had, and says what it waits for.
func TestACommitReachesClustersRingByRing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	repo := filepath.Join(dir, "fleet")
	check(t, os.CopyFS(repo, examples.FleetRepo())) // lab soaks 2 h, then production
	change := func(old, fresh string) {
		for _, name := range []string{"lab", "prod-eu"} {
			file := filepath.Join(repo, "clusters", name, "cluster.yaml")
			text, err := os.ReadFile(file)
			check(t, err)
			check(t, os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(fresh), 1), 0o644))
		}
	}
	g := func(args ...string) string { return strings.TrimSpace(gittest.Run(t, repo, "", args...)) }
	commit := func() string {
		g("add", "-A")
		g("commit", "-q", "--allow-empty", "-m", "x")
		return g("rev-parse", "HEAD")
	}
	g("init", "-q", "-b", "main")
	change("mode: observe\n", "")
	change("vault: {version: 1.21.0}", "mode: enforce\nvault: {version: 1.21.0}")
	first := commit()
	change("1.21.0", "1.21.1")
	second := commit()

	followed := settings.Fleet{Repo: repo, Branch: "main", Path: "."}
	h := host{settings: settings.Settings{State: filepath.Join(dir, "state")}}
	clone, err := git.Open(t.Context(), filepath.Join(dir, "clone"), git.Remote{URL: repo, Branch: "main"})
	check(t, err)
	_, err = clone.Fetch(t.Context())
	check(t, err)
	s, err := store.Open(h.settings.State)
	check(t, err)
	at := func(commit string) opened {
		fleet, err := openCommit(clone, followed, commit, nil)
		check(t, err)
		return fleet
	}
	remember := func(name, commit string, ago time.Duration) {
		c, ok := at(commit).Cluster(name)
		if !ok {
			t.Fatalf("%s has no %s: %v", commit, name, at(commit).Problems)
		}
		m, rev, err := s.Load(t.Context(), name)
		check(t, err)
		m.Known, m.Accepted = true, diff.Accepted{Commit: commit, Digest: c.Digest}
		m.Good = diff.Standing{Cluster: name, Commit: commit, Digest: c.Digest}
		if ago > 0 {
			m.Good.Since = time.Now().Add(-ago)
		}
		_, err = s.Save(t.Context(), name, m, rev)
		check(t, err)
	}
	kept := func(fleet opened) map[string]string {
		whole, broken, err := new(app).inForce(t.Context(), h, fleet)
		if err != nil || len(broken) > 0 || len(whole) != 2 {
			t.Fatalf("%v %v %v", whole, broken, err)
		}
		out := map[string]string{}
		for _, w := range whole {
			out[w.Name] = map[string]string{first: "first", second: "second"}[w.commit]
			for _, wait := range w.waits {
				out[w.Name] += ": " + wait.Detail
			}
		}
		return out
	}
	want := func(when string, got map[string]string, lab, prod string) {
		t.Helper()
		if got["lab"] != lab || !strings.HasPrefix(got["prod-eu"], prod) || strings.Contains(got["prod-eu"], ":") != strings.Contains(prod, ":") {
			t.Errorf("%s: %q", when, got)
		}
	}
	const not = "first: a newer commit wants something else, and has not reached this cluster: lab, which is of a ring before, "
	want("new clusters wait for a person, and for no ring", kept(at(second)), "second", "second")
	remember("lab", first, 9*time.Hour)
	remember("prod-eu", first, 9*time.Hour)
	want("at the first commit", kept(at(first)), "first", "first")
	want("the second comes to the first ring", kept(at(second)), "second", not+"is not what the commit wants yet")
	remember("lab", second, 0)
	want("which rolls", kept(at(second)), "second", not+"is not what the commit wants yet")
	remember("lab", second, time.Hour)
	want("and soaks", kept(at(second)), "second", not+"soaks")
	remember("lab", second, 3*time.Hour)
	want("and has soaked", kept(at(second)), "second", "second")
	remember("prod-eu", second, 0)
	remember("lab", second, 0)
	want("who has begun goes on, whatever becomes of the others", kept(at(second)), "second", "second")
}

// TestNoPlaceOfARingIsTakenTwice: many processes decide at the same moment, each about
// to act on another cluster of a ring, as apply --cluster beside a daemon is.
func TestNoPlaceOfARingIsTakenTwice(t *testing.T) {
	t.Parallel()
	const clusters, places = 12, 2
	dir := t.TempDir()
	first, err := store.Open(dir)
	check(t, err)
	var fleet []loop.Wanted
	for i := range clusters {
		c := desired.Cluster{Name: fmt.Sprint("c", i), Mode: desired.ModeEnforce, Digest: "old"}
		_, err := first.Save(t.Context(), c.Name, diff.Memory{Known: true}.Accept(c, "1").Converged(c, "1", time.Now()), 0)
		check(t, err)
		c.Digest = "new"
		fleet = append(fleet, loop.Wanted{Cluster: c, Commit: "2"})
	}
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range clusters {
		all.Go(func() {
			s, err := store.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			mine := slices.Clone(fleet)
			mine[i].Ours = true
			travel := loop.Travel{Rings: []desired.Ring{{Cluster: "c*", AtOnce: places}}, Store: memories{s}, Alone: s.Alone}
			<-begin
			if _, err := travel.Decide(t.Context(), mine, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	begun := 0
	for _, w := range fleet {
		m, _, err := first.Load(t.Context(), w.Cluster.Name)
		check(t, err)
		if m.Accepted.Digest == "new" {
			begun++
		}
	}
	if begun != places {
		t.Errorf("%d clusters of a ring began, and %d may", begun, places)
	}
}

// settled has it remembered that a cluster has been what is in force of it for a while:
// settled CLUSTER DURATION
func settled(ts *testscript.TestScript, _ bool, args []string) {
	ago, err := time.ParseDuration(args[1])
	ts.Check(err)
	s, err := store.Open(ts.MkAbs("state"))
	ts.Check(err)
	m, rev, err := s.Load(context.Background(), args[0])
	ts.Check(err)
	since := time.Now().Add(-ago)
	m.Known, m.Good = true, diff.Standing{Cluster: args[0], Commit: m.Accepted.Commit, Digest: m.Accepted.Digest, Since: since, First: since}
	_, err = s.Save(context.Background(), args[0], m, rev)
	ts.Check(err)
}

// begun says that the newest commit of fleet/ is in force of a cluster: begun CLUSTER
func begun(ts *testscript.TestScript, neg bool, args []string) {
	s, err := store.Open(ts.MkAbs("state"))
	ts.Check(err)
	m, _, err := s.Load(context.Background(), args[0])
	ts.Check(err)
	head, err := exec.Command("git", "-C", ts.MkAbs("fleet"), "rev-parse", "HEAD").Output()
	ts.Check(err)
	if is := m.Accepted.Commit == strings.TrimSpace(string(head)); is == neg {
		ts.Fatalf("of %s commit %s is in force, and the newest is %s", args[0], m.Accepted.Commit, head)
	}
}
