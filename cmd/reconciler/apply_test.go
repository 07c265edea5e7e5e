package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/sim"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// applied is an apply of a simulated cluster that is in sync with clusterFile.
type applied struct {
	*applying
	world          *sim.World
	repo           map[string]string
	stdout, stderr bytes.Buffer
}

func newApplied(t testing.TB) *applied {
	t.Helper()
	a := &applied{world: sim.NewWorld(1), repo: material(t)}
	a.applying = &applying{app: &app{stdout: &a.stdout, stderr: &a.stderr, output: "text", color: "never"}, parallel: 1}
	want := a.spec(t, "", "")
	for _, n := range want.Nodes {
		a.world.AddNode(n.Name, n.Address)
	}
	a.world.Use(want)
	bear(t, a.world, want)
	a.world.Trace = nil
	return a
}

// spec is the cluster with one text of its file replaced.
func (a *applied) spec(t testing.TB, from, to string) desired.Cluster {
	t.Helper()
	repo := fstest.MapFS{}
	for path, body := range a.repo {
		if path == "clusters/prod/cluster.yaml" {
			body = strings.Replace(body, from, to, 1)
		}
		repo[path] = &fstest.MapFile{Data: []byte(body)}
	}
	fleet := desired.Load(repo, loadOptions())
	c, ok := fleet.Cluster("prod")
	if !ok {
		t.Fatalf("no whole cluster prod: %v", fleet.Errors())
	}
	return c
}

func (a *applied) look(want desired.Cluster) report.Cluster {
	return told(want, loop.Look(context.Background(), a.world.Ports(), specOf(want)))
}

// run applies a spec and returns what became of it and the exit code.
func (a *applied) run(ctx context.Context, want desired.Cluster, limits *report.Document) (report.Cluster, int) {
	a.world.Use(want)
	stop := a.watch(ctx)
	c := a.bring(ctx, a.world.Ports(), specOf(want), limits)
	stop()
	return c, acted([]report.Cluster{c})
}

func TestApplyRollsAndTells(t *testing.T) {
	a := newApplied(t)
	c, code := a.run(context.Background(), a.spec(t, "ui: true", "ui: false"), nil)
	if code != report.Done || !c.Plan.Empty() || len(c.Results) != 6 {
		t.Fatalf("code %d, plan %+v, %d results\n%s", code, c.Plan, len(c.Results), a.stderr.String())
	}
	for _, line := range []string{"prod  eu-2  restart  …\n", "prod  eu-2  unseal  ✔ done", "prod  eu-1  restart  ✔ done"} {
		if !strings.Contains(a.stderr.String(), line) {
			t.Errorf("progress does not say %q:\n%s", line, a.stderr.String())
		}
	}
	if err := a.tell(report.Source{}, []report.Cluster{c}, code); err != nil || !strings.Contains(a.stdout.String(), "In sync: 3 nodes in 1 cluster.") {
		t.Errorf("%v\n%s", err, a.stdout.String())
	}
}

func TestASavedPlanIsAppliedAndNothingElse(t *testing.T) {
	a := newApplied(t)
	read := a.spec(t, "ui: true", "ui: false")
	limits := report.NewDocument(report.SchemaPlan, report.Source{}, []report.Cluster{a.look(read)}, 0)

	c, code := a.run(context.Background(), a.spec(t, "1.21.0", "1.21.1"), &limits)
	if code != report.Stale || len(a.world.Trace) > 0 || !strings.Contains(c.Err.Error(), "the spec is another one") {
		t.Fatalf("another spec: code %d, %v, done: %v", code, c.Err, a.world.Trace)
	}
	edited := a.world.Node("eu-3").Files["/etc/vault.d/tls/ca.crt"]
	edited.Body = []byte("edited by hand")
	a.world.Node("eu-3").Files["/etc/vault.d/tls/ca.crt"] = edited
	c, code = a.run(context.Background(), read, &limits)
	if code != report.Stale || len(a.world.Trace) > 0 || !strings.Contains(c.Err.Error(), "place on eu-3 is new") {
		t.Fatalf("new drift: code %d, %v, done: %v", code, c.Err, a.world.Trace)
	}

	a = newApplied(t)
	read = a.spec(t, "ui: true", "ui: false")
	limits = report.NewDocument(report.SchemaPlan, report.Source{}, []report.Cluster{a.look(read)}, 0)
	if c, code := a.run(context.Background(), read, &limits); code != report.Done || !c.Plan.Empty() {
		t.Fatalf("what was read: code %d, %v, plan %+v", code, c.Err, c.Plan)
	}
}

func TestAnInterruptStopsAfterTheWaveInFlight(t *testing.T) {
	a := newApplied(t)
	want := a.spec(t, "ui: true", "ui: false")
	a.world.Use(want)
	ctx, cancel := context.WithCancel(context.Background())
	ports := a.world.Ports()
	hands := ports.Hands
	ports.Hands = func(inner context.Context, try diff.Try, step diff.Step, contents apply.Contents) error {
		cancel() // while the first step is under way
		return hands(inner, try, step, contents)
	}
	stop := a.watch(context.Background())
	c := a.bring(ctx, ports, specOf(want), nil)
	stop()
	if got := a.world.Trace; !slices.Equal(got, []string{"restart eu-2", "unseal eu-2"}) {
		t.Fatalf("an interrupt lets the wave end and opens the node that it sealed, and does no more: %v", got)
	}
	if !unfinished([]report.Cluster{c}) || len(c.Plan.Waits) == 0 || c.Plan.Waits[0].Node != "eu-2" {
		t.Errorf("that eu-2 has to catch up before the rest is not told: %+v", c.Plan)
	}
	if err := a.tell(report.Source{}, []report.Cluster{c}, report.Interrupted); err != nil || !strings.Contains(a.stdout.String(), "Continue: ") {
		t.Errorf("%v\n%s", err, a.stdout.String())
	}
}

func TestOnlyYesWillDo(t *testing.T) {
	for answer, want := range map[string]bool{"yes\n": true, " yes \n": true, "y\n": false, "YES\n": false, "\n": false, "": false, "no\n": false} {
		var out bytes.Buffer
		r := &applying{app: &app{stdin: strings.NewReader(answer), stdout: &out}}
		if got, err := r.agreed(context.Background()); err != nil || got != want {
			t.Errorf("%q: %v, %v", answer, got, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	waits, _ := io.Pipe() // nobody types
	r := &applying{app: &app{stdin: waits, stdout: io.Discard}}
	if agreed, err := r.agreed(ctx); agreed || !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v, %v", agreed, err)
	}
}
