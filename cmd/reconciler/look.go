package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	nodes "github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/review"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// looked is a fleet as it is wanted and as it was seen.
type looked struct {
	source   report.Source
	clusters []report.Cluster
	now      time.Time
	from     opened
}

// look reads the fleets and looks at the nodes of the chosen clusters, or takes
// a file's word for them. Nothing is done to any node.
func (a *app) look(ctx context.Context, have string) ([]looked, error) {
	if have != "" {
		return a.lookAtFile(ctx, have)
	}
	h, err := a.host()
	if err != nil {
		return nil, err
	}
	fleets, err := a.open(ctx, h)
	if err != nil {
		return nil, err
	}
	h.judgeAll(fleets)
	chosen, err := a.chosen(ctx, h, fleets)
	if err != nil {
		return nil, err
	}
	w, err := newWorld(h)
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.asked = a.asked
	var all []looked
	for _, c := range chosen {
		l := looked{c.source, make([]report.Cluster, len(c.whole)), time.Now(), c.opened}
		clustersAtOnce(len(c.whole), func(i int) {
			l.clusters[i] = w.look(ctx, c.whole[i])
		})
		l.clusters = append(l.clusters, brokenClusters(c.broken)...)
		all = append(all, l)
	}
	return all, ctx.Err()
}

// each shows what was looked at, fleet by fleet: one report each.
func (a *app) each(all []looked, show func(looked) error) error {
	ends := make([]error, len(all))
	for i, l := range all {
		if i > 0 && a.output != "json" {
			fmt.Fprintln(a.stdout)
		}
		ends[i] = show(l)
	}
	return gravest(ends)
}

// look is one look at one cluster.
func (w *world) look(ctx context.Context, want wanted) report.Cluster {
	ports, spec, err := w.cluster(ctx, want)
	t := loop.Turned{Err: err}
	if err == nil {
		t = loop.Look(ctx, ports, spec)
	}
	c := told(want.Cluster, t)
	c.Broken = want.broken
	if want.next != nil && t.Err == nil {
		next := review.Coming(c, want.Cluster, want.next.Cluster, want.next.commit, t.At)
		c.Next = &next
	}
	return c
}

func told(want desired.Cluster, t loop.Turned) report.Cluster {
	var fenced *nodes.FencedError
	if errors.As(t.Err, &fenced) && fenced.Past > 0 {
		t.Err = errors.New(fenced.Error()) // it is we ourselves: nobody else acts there
	}
	return report.Cluster{Name: want.Name, Nodes: len(want.Nodes), Have: t.Have, Memory: t.Memory, Plan: t.Plan,
		Drift: t.Drift, Observes: want.Drift.Report, Results: t.Results, Err: t.Err}
}

func (a *app) lookAtFile(ctx context.Context, path string) ([]looked, error) {
	have, err := readHave(path)
	if err != nil {
		return nil, err
	}
	h, there, err := a.hostIfAny()
	if err != nil {
		return nil, err
	}
	fleets, err := a.open(ctx, h)
	if err != nil {
		return nil, err
	}
	if there {
		h.judgeAll(fleets)
	}
	for i := range fleets {
		fleets[i].repo = nil // nothing of this machine's memory counts
		fleets[i].source.Seen = path
	}
	chosen, err := a.chosen(ctx, h, fleets)
	if err != nil {
		return nil, err
	}
	var all []looked
	for _, c := range chosen {
		l := looked{c.source, brokenClusters(c.broken), have.Now, c.opened}
		for _, w := range c.whole {
			l.clusters = append(l.clusters, have.plan(w.Cluster, w.commit))
		}
		all = append(all, l)
	}
	return all, nil
}

func brokenClusters(broken []desired.Broken) []report.Cluster {
	var clusters []report.Cluster
	for _, b := range broken {
		clusters = append(clusters, report.Cluster{Name: b.Name, Broken: errorsOf(b.Problems)})
	}
	return clusters
}

// narrowed leaves what --node asks for. What is shown is a part of the plan:
// the plan itself is made of all nodes.
func (a *app) narrowed(clusters []report.Cluster) []report.Cluster {
	if a.node == "" {
		return clusters
	}
	out := slices.Clone(clusters)
	for i := range out {
		out[i] = a.narrow(out[i])
	}
	return out
}

func (a *app) narrow(c report.Cluster) report.Cluster {
	p := &c.Plan
	var waves []diff.Wave
	for _, w := range p.Waves {
		if w = keep(w, func(s diff.Step) string { return s.Node }, a.matchesNode); len(w) > 0 {
			waves = append(waves, w)
		}
	}
	p.Waves = waves
	p.Blocks = keep(p.Blocks, func(b diff.Block) string { return b.Node }, a.matchesNode)
	p.Waits = keep(p.Waits, func(w diff.Wait) string { return w.Node }, a.matchesNode)
	p.Notes = keep(p.Notes, func(n diff.Note) string { return n.Node }, a.matchesNode)
	p.Unseen = keep(p.Unseen, func(u diff.Unseen) string { return u.Node }, a.matchesNode)
	c.Drift = driftOf(c.Drift, a.matchesNode)
	c.Have = keep(c.Have, func(n actual.Node) string { return n.Name }, a.matchesNode)
	c.Nodes = len(c.Have)
	if c.Next != nil {
		next := a.narrow(*c.Next)
		c.Next = &next
	}
	return c
}

func keep[S ~[]T, T any](items S, node func(T) string, matches func(string) bool) S {
	return slices.DeleteFunc(slices.Clone(items), func(x T) bool { return !matches(node(x)) })
}

// layout is how text is laid out on a stream.
func (a *app) layout(w io.Writer) report.Options {
	return report.Options{Color: a.colored(w), Width: columns(w)}
}

// columns is the width of a terminal; 0 for anything else.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// isTerminal says that a person sits at a stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// ended makes an exit code an error of the command line; the report has said
// why already.
func ended(code int) error {
	if code == report.Done {
		return nil
	}
	return &exitError{code: code}
}

// preamble is the first line of what people read: whose fleet, from where.
func (a *app) preamble(source report.Source) {
	if !a.quiet {
		fmt.Fprintf(a.stdout, "%s\n\n", source.Words())
	}
}
