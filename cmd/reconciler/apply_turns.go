package main

import (
	"context"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// converge brings the clusters to their specs, some at a time, and returns
// what became of each.
func (r *applying) converge(ctx context.Context, w *world, whole []wanted, limits *report.Document) []report.Cluster {
	out := make([]report.Cluster, len(whole))
	atOnce(r.parallel, len(whole), func(i int) {
		out[i] = r.one(ctx, w, whole[i], limits)
	})
	return out
}

func (r *applying) one(ctx context.Context, w *world, want wanted, limits *report.Document) report.Cluster {
	ports, spec, err := w.cluster(ctx, want)
	c := told(want.Cluster, loop.Turned{Err: err})
	if err == nil {
		c = r.bring(ctx, ports, spec, limits)
	}
	c.Broken = want.broken
	return c
}

// bring takes turns until a cluster comes to rest, and gathers what was done.
func (r *applying) bring(ctx context.Context, ports loop.Ports, spec loop.Spec, limits *report.Document) report.Cluster {
	name := spec.Cluster.Name
	if !r.quiet {
		ports.Watch = r.progress.Watch(name)
	}
	if limits != nil {
		ports.Leave = limits.Covers
	}
	var results []apply.Result
	last := loop.Converge(ctx, ports, spec, func(t loop.Turned) {
		results = append(results, t.Results...)
		if !t.Cut(ctx) {
			r.history.Of(r.named)(t)
		}
		if !r.quiet {
			r.progress.Tell(time.Now(), name, waiting(t.Plan))
		}
	})
	c := told(spec.Cluster, last)
	c.Results = results
	if last.Err == nil && allDone(last.Results) {
		c.Plan.Waves = c.Plan.Waves[1:] // interrupted before the next look could say so
	}
	return c
}

// allDone says that there was a wave, and that it came to its goal.
func allDone(results []apply.Result) bool {
	for _, r := range results {
		if r.Try.Outcome != diff.OutcomeDone {
			return false
		}
	}
	return len(results) > 0
}

// waiting is what a cluster waits for, in one line.
func waiting(p diff.Plan) string {
	var parts []string
	for _, w := range p.Waits {
		parts = append(parts, string(w.Reason)+": "+w.Detail)
	}
	if len(p.Waves) > 0 || len(parts) == 0 {
		return ""
	}
	return "waits: " + strings.Join(parts, "; ")
}
