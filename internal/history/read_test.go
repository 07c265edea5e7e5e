package history

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vaultfleet/reconciler/internal/report"
)

// fill writes events past the queue.
func fill(t testing.TB, db *sql.DB, events []report.Event) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	w := page{ctx: t.Context(), tx: tx}
	for _, e := range events {
		w.event("the repo", e.Cluster, e)
	}
	must(t, w.err)
	must(t, tx.Commit())
}

// TestPagesAreTheWholeInOrder: whatever is asked for, page after page holds what a
// plain filter over all events leaves, in the same order.
func TestPagesAreTheWholeInOrder(t *testing.T) {
	state := t.TempDir()
	db, err := openFile(t.Context(), File(state))
	must(t, err)
	defer db.Close()
	rapid.Check(t, func(rt *rapid.T) {
		_, err := db.Exec("DELETE FROM event; DELETE FROM touched; DELETE FROM sqlite_sequence")
		must(t, err)
		var all []report.Event
		for range rapid.IntRange(0, 30).Draw(rt, "events") {
			all = append(all, report.Event{Kind: report.EventWave, At: noon.Add(time.Duration(rapid.IntRange(0, 9).Draw(rt, "at")) * time.Hour),
				Cluster:     rapid.SampledFrom([]string{"prod-eu", "prod-us", "test"}).Draw(rt, "cluster"),
				EventDetail: report.EventDetail{Nodes: rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a-1", "a-2", "b-1"}), rapid.ID[string]).Draw(rt, "nodes")}})
		}
		fill(t, db, all)
		f := Filter{Cluster: rapid.SampledFrom([]string{"", "*", "prod-*", "test", "none"}).Draw(rt, "cluster"),
			Node: rapid.SampledFrom([]string{"", "*", "a-*", "b-1"}).Draw(rt, "node"), Limit: rapid.IntRange(1, 7).Draw(rt, "limit")}
		if rapid.Bool().Draw(rt, "since") {
			f.Since = noon.Add(3 * time.Hour)
		}
		if rapid.Bool().Draw(rt, "until") {
			f.Until = noon.Add(7 * time.Hour)
		}
		type row struct {
			at time.Time
			id int64
		}
		var want []row
		for i, e := range all {
			touches := f.Node == "" || slices.ContainsFunc(e.Nodes, func(n string) bool { return matches(f.Node, n) })
			if touches && matches(f.Cluster, e.Cluster) && !e.At.Before(f.Since) && (f.Until.IsZero() || e.At.Before(f.Until)) {
				want = append(want, row{e.At, int64(i + 1)})
			}
		}
		slices.SortFunc(want, func(a, b row) int {
			return newest(spot{a.at.UnixMilli(), a.id}, spot{b.at.UnixMilli(), b.id})
		})
		r, err := Read(t.Context(), state)
		must(t, err)
		defer r.Close()
		var got []row
		for {
			events, before, err := r.Recent(t.Context(), f)
			must(t, err)
			if len(events) > f.Limit {
				rt.Fatalf("%d events, the limit is %d", len(events), f.Limit)
			}
			for _, e := range events {
				_, number, err := split(e.ID)
				must(t, err)
				got = append(got, row{e.At, number})
			}
			if f.Before = before; before == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("%+v: %s", f, cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)))
		}
	})
}

// BenchmarkAMillionEvents says how long the history of a large fleet takes to
// answer.
func BenchmarkAMillionEvents(b *testing.B) {
	state := b.TempDir()
	db, err := openFile(b.Context(), File(state))
	must(b, err)
	for _, query := range []string{
		`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 3999) INSERT INTO place SELECT i + 1, 'the repo',
			CASE i / 4 WHEN 7 THEN 'rare' ELSE format('prod-%03d', i / 4) END, CASE i % 4 WHEN 0 THEN '' ELSE format('eu-%d', i % 4) END FROM n`,
		`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) INSERT INTO event SELECT i + 1, 1795435200000 + 30000 * i,
			4 * (i % 1000) + 1, 'wave', '1111111111111111', 'done', '{"nodes":["eu-1"],"deeds":[{"action":"restart","nodes":["eu-1"]}]}' FROM n`,
		`INSERT INTO touched SELECT place, at, id FROM event`,
		`INSERT INTO touched SELECT place + 1 + id % 3, at, id FROM event`,
	} {
		_, err := db.Exec(query)
		must(b, err)
	}
	must(b, db.Close())
	since := time.UnixMilli(1795435200000).AddDate(0, 3, 0)
	for name, f := range map[string]Filter{
		"all":             {},
		"one cluster":     {Cluster: "rare"},
		"most clusters":   {Cluster: "prod-*"},
		"one node of all": {Node: "eu-1"},
		"a week":          {Cluster: "prod-0*", Since: since, Until: since.AddDate(0, 0, 7)},
		"none":            {Cluster: "none"},
	} {
		b.Run(name, func(b *testing.B) {
			f.Limit = 50
			for b.Loop() {
				r, err := Read(b.Context(), state)
				must(b, err)
				if _, _, err := r.Recent(b.Context(), f); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/op")
		})
	}
}
