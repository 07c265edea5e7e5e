package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vaultfleet/reconciler/internal/lease/flock"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func load(t testing.TB, s *store.Store, cluster string) (diff.Memory, uint64) {
	t.Helper()
	m, rev, err := s.Load(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	return m, rev
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func try(step int, outcome diff.Outcome) diff.Try {
	return diff.Try{Op: fmt.Sprint("op", step), Step: fmt.Sprint("step", step), Node: "eu-1", Action: diff.ActionRestart, Outcome: outcome, Count: 1, At: noon}
}

func TestMemoryIsWhatWasSavedWithTriesAndLeavesOverIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, ctx := open(t, dir), t.Context()
	if m, rev := load(t, s, "prod-eu"); m.Known || rev != 0 {
		t.Fatalf("a new cluster: %+v at %d", m, rev)
	}
	must(t, s.Grant(ctx, "prod-eu", diff.Leave{Kind: diff.LeaveInit, By: "alice", At: noon}))
	m, rev := load(t, s, "prod-eu")
	if m.Known || len(m.Leaves) != 1 {
		t.Fatalf("before the first save: %+v", m)
	}
	m.Known, m.ClusterID, m.Members = true, "c1", []diff.Member{{Name: "eu-1", Run: "boot/1/1"}}
	rev, err := s.Save(ctx, "prod-eu", m, rev)
	must(t, err)
	must(t, s.Append(ctx, "prod-eu", try(1, diff.OutcomeIntent)))
	must(t, s.Append(ctx, "prod-eu", try(1, diff.OutcomeDone)))
	must(t, s.Grant(ctx, "prod-eu", diff.Leave{Kind: diff.LeaveHold, By: "bob", At: noon}))
	must(t, s.Grant(ctx, "prod-eu", diff.Leave{Kind: diff.LeaveHold, Node: "eu-2", By: "bob", At: noon}))
	must(t, s.Grant(ctx, "prod-eu", diff.Leave{Kind: diff.LeaveHold, By: "carol", At: noon}))
	must(t, s.Lift(ctx, "prod-eu", diff.Leave{Kind: diff.LeaveInit, By: "alice"}))

	want := diff.Memory{Known: true, ClusterID: "c1", Members: []diff.Member{{Name: "eu-1", Run: "boot/1/1", Acted: "boot/1/1"}},
		Tries: []diff.Try{try(1, diff.OutcomeDone)}, Leaves: []diff.Leave{
			{Kind: diff.LeaveHold, Node: "eu-2", By: "bob", At: noon}, {Kind: diff.LeaveHold, By: "carol", At: noon}}}
	for name, s := range map[string]*store.Store{"this process": s, "another": open(t, dir)} {
		got, at := load(t, s, "prod-eu")
		if d := cmp.Diff(want, got); d != "" || at != rev+6 {
			t.Errorf("%s, at %d: %s", name, at, d)
		}
	}
}

func TestSaveComparesAndSwaps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	daemon, cli, ctx := open(t, dir), open(t, dir), t.Context()
	rev, err := daemon.Save(ctx, "a", diff.Memory{Known: true}, 0)
	must(t, err)
	if _, err := cli.Save(ctx, "a", diff.Memory{}, 0); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("a second birth: %v, want ErrConflict", err)
	}
	must(t, cli.Grant(ctx, "a", diff.Leave{Kind: diff.LeaveHold, By: "alice", At: noon}))
	if _, err := daemon.Save(ctx, "a", diff.Memory{Known: true, Newest: "1.21.0"}, rev); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("over a hold: %v, want ErrConflict", err)
	}
	m, rev := load(t, daemon, "a")
	if len(m.Leaves) != 1 {
		t.Fatalf("the hold is lost: %+v", m)
	}
	m.Newest = "1.21.0"
	if _, err := daemon.Save(ctx, "a", m, rev); err != nil {
		t.Fatal(err)
	}
}

func TestSavingWhatHasNotChangedWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	m := diff.Memory{Known: true, Members: []diff.Member{{Name: "eu-1"}}}
	rev, err := s.Save(t.Context(), "a", m, 0)
	must(t, err)
	before, err := os.Stat(filepath.Join(dir, "clusters/a/journal"))
	must(t, err)
	again, err := s.Save(t.Context(), "a", m, rev)
	must(t, err)
	after, err := os.Stat(filepath.Join(dir, "clusters/a/journal"))
	must(t, err)
	if again != rev || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		t.Fatalf("revision %d → %d, size %d → %d", rev, again, before.Size(), after.Size())
	}
}

func TestWhatLoadReturnsIsTheCallersOwn(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state"))
	_, err := s.Save(t.Context(), "a", diff.Memory{Known: true, Members: []diff.Member{{Name: "eu-1"}}}, 0)
	must(t, err)
	m, _ := load(t, s, "a")
	m.Members[0].Name = "changed"
	if m, _ := load(t, s, "a"); m.Members[0].Name != "eu-1" {
		t.Fatal("a caller changed the store's memory")
	}
}

func TestLiftSaysWhenThereIsNothingToLift(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, ctx := open(t, dir), t.Context()
	hold := diff.Leave{Kind: diff.LeaveHold, By: "alice"}
	if err := s.Lift(ctx, "a", hold); !errors.Is(err, store.ErrNoLeave) {
		t.Fatalf("unknown cluster: %v", err)
	}
	if names, err := s.Clusters(); err != nil || len(names) != 0 {
		t.Fatalf("lifting made a cluster: %v, %v", names, err)
	}
	must(t, s.Grant(ctx, "a", hold))
	if err := s.Lift(ctx, "a", diff.Leave{Kind: diff.LeaveHold, Node: "eu-1"}); !errors.Is(err, store.ErrNoLeave) {
		t.Fatalf("other node: %v", err)
	}
	must(t, s.Lift(ctx, "a", hold))
	if err := s.Lift(ctx, "a", hold); !errors.Is(err, store.ErrNoLeave) {
		t.Fatalf("twice: %v", err)
	}
}

func TestATornRecordIsCutByTheNextWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "clusters/a/journal")
	ctx := t.Context()
	must(t, open(t, dir).Append(ctx, "a", try(1, diff.OutcomeDone)))
	first, err := os.ReadFile(path)
	must(t, err)
	must(t, open(t, dir).Append(ctx, "a", try(2, diff.OutcomeIntent)))
	both, err := os.ReadFile(path)
	must(t, err)
	for n := len(first); n < len(both); n++ {
		must(t, os.WriteFile(path, both[:n], 0o600))
		s := open(t, dir)
		if m, rev := load(t, s, "a"); rev != 1 || len(m.Tries) != 1 {
			t.Fatalf("cut at %d: %+v at %d", n, m, rev)
		}
		must(t, s.Append(ctx, "a", try(3, diff.OutcomeDone)))
		if m, rev := load(t, open(t, dir), "a"); rev != 2 || len(m.Tries) != 2 || m.Tries[1].Step != "step3" {
			t.Fatalf("cut at %d, then: %+v at %d", n, m, rev)
		}
	}
}

func TestADamagedJournalRefusesEverythingAndSaysHowToGoOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "clusters/a/journal")
	s, ctx := open(t, dir), t.Context()
	must(t, s.Append(ctx, "a", try(1, diff.OutcomeDone)))
	must(t, s.Append(ctx, "a", try(2, diff.OutcomeDone)))
	must(t, s.Append(ctx, "b", try(1, diff.OutcomeDone)))
	data, err := os.ReadFile(path)
	must(t, err)
	data[50] ^= 1
	must(t, os.WriteFile(path, data, 0o600))

	s = open(t, dir)
	_, _, loaded := s.Load(ctx, "a")
	_, saved := s.Save(ctx, "a", diff.Memory{}, 2)
	for name, err := range map[string]error{"load": loaded, "save": saved,
		"append": s.Append(ctx, "a", try(3, diff.OutcomeDone)),
		"grant":  s.Grant(ctx, "a", diff.Leave{Kind: diff.LeaveHold}),
		"lift":   s.Lift(ctx, "a", diff.Leave{Kind: diff.LeaveHold})} {
		corrupt, ok := errors.AsType[*store.CorruptError](err)
		if !ok || corrupt.Path != path || !strings.Contains(err.Error(), "takeover") {
			t.Errorf("%s: %v", name, err)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil || !cmp.Equal(data, after) {
		t.Error("the evidence was changed")
	}
	if m, _ := load(t, s, "b"); len(m.Tries) != 1 {
		t.Error("another cluster suffers")
	}
}

func TestAJournalIsCompactedAndGoesOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, other, ctx := open(t, dir), open(t, dir), t.Context()
	m := diff.Memory{Known: true, ClusterID: "c1"}
	_, err := s.Save(ctx, "a", m, 0)
	must(t, err)
	var largest int64
	const writes = 1500 // of about 200 bytes: past the limit more than twice
	for i := range writes {
		must(t, s.Append(ctx, "a", try(i%3, diff.OutcomeDone)))
		info, err := os.Stat(filepath.Join(dir, "clusters/a/journal"))
		must(t, err)
		largest = max(largest, info.Size())
		if i%100 == 0 {
			must(t, other.Grant(ctx, "a", diff.Leave{Kind: diff.LeaveHold, By: fmt.Sprint(i), At: noon}))
		}
	}
	if largest > 128<<10 {
		t.Errorf("grew to %d bytes", largest)
	}
	for name, s := range map[string]*store.Store{"this": s, "other": other, "new": open(t, dir)} {
		m, rev := load(t, s, "a")
		if rev != 1+writes+writes/100 || m.ClusterID != "c1" || len(m.Tries) != 3 || m.Leaves[0].By != "1400" {
			t.Errorf("%s: %+v at %d", name, m, rev)
		}
	}
}

func TestClustersAreListedAndNamesCannotLeaveTheFolder(t *testing.T) {
	s, ctx := open(t, filepath.Join(t.TempDir(), "state")), t.Context()
	for _, name := range []string{"prod-us", "prod-eu", "lab"} {
		must(t, s.Append(ctx, name, try(1, diff.OutcomeDone)))
	}
	names, err := s.Clusters()
	if d := cmp.Diff([]string{"lab", "prod-eu", "prod-us"}, names); d != "" || err != nil {
		t.Fatal(d, err)
	}
	for _, name := range []string{"", ".", "..", "../../etc", "a/b", `a\b`, "a\x00b", "a\nb", ".hidden", strings.Repeat("x", 201), "a\xff"} {
		if err := s.Append(ctx, name, try(1, diff.OutcomeDone)); err == nil {
			t.Errorf("%q passed for a cluster's name", name)
		}
	}
}

func TestTheStateFolderIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	open(t, dir)
	wide := filepath.Join(t.TempDir(), "given")
	must(t, os.Mkdir(wide, 0o755))
	open(t, wide)
	for _, dir := range []string{dir, wide} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	shared := t.TempDir()
	must(t, os.Chmod(shared, 0o755))
	must(t, os.Mkdir(filepath.Join(shared, "of somebody else"), 0o755))
	if _, err := store.Open(shared); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a shared folder: %v", err)
	}
	if info, _ := os.Stat(shared); info.Mode().Perm() != 0o755 {
		t.Errorf("a shared folder's mode was changed to %v", info.Mode())
	}
}

func TestWritableChecksTheStateFolderItself(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	must(t, s.Writable(t.Context()))
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Fatalf("leftovers: %v", entries)
	}
	must(t, os.RemoveAll(dir))
	if err := s.Writable(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a lost state folder: %v", err)
	}
}

func TestAWaitForTheLockEndsWithTheContext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	must(t, s.Append(t.Context(), "a", try(1, diff.OutcomeDone)))
	held, err := flock.Try(filepath.Join(dir, "clusters/a/lock"))
	must(t, err)
	defer held.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := s.Load(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v, want the deadline", err)
	}
}

func TestGoroutinesShareAStore(t *testing.T) {
	s, ctx := open(t, filepath.Join(t.TempDir(), "state")), t.Context()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 10 {
				if err := s.Append(ctx, fmt.Sprint("c", i%2), try(10*i+n, diff.OutcomeDone)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, name := range []string{"c0", "c1"} {
		if m, rev := load(t, s, name); rev != 40 || len(m.Tries) != 40 {
			t.Errorf("%s: %d tries at %d", name, len(m.Tries), rev)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "state"))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		must(b, s.Append(b.Context(), "a", try(i%20, diff.OutcomeDone)))
	}
}

// fiveNodes is the memory of a usual cluster.
func fiveNodes() diff.Memory {
	m := diff.Memory{Known: true, ClusterID: "7a0bd9e3-2b1f-1f0c-c6d1-5a4c6b8f3a10", Newest: "1.21.0"}
	for i := range 5 {
		m.Members = append(m.Members, diff.Member{Name: fmt.Sprint("eu-", i), Address: "10.1.0.11", ID: fmt.Sprint("eu-", i),
			Joined: true, Device: "253:1", Run: "c2a0c1f4/812/99871", Open: "c2a0c1f4/812/99871", Index: 88123})
	}
	for i := range 20 {
		m = m.Record(try(i, diff.OutcomeDone))
	}
	return m
}

func BenchmarkLoadKnown(b *testing.B) { benchmarkLoad(b, false) }
func BenchmarkLoadCold(b *testing.B)  { benchmarkLoad(b, true) }

func benchmarkLoad(b *testing.B, cold bool) {
	dir := filepath.Join(b.TempDir(), "state")
	s := open(b, dir)
	_, err := s.Save(b.Context(), "a", fiveNodes(), 0)
	must(b, err)
	for i := range 100 {
		must(b, s.Append(b.Context(), "a", try(i%20, diff.OutcomeDone)))
	}
	b.ReportAllocs()
	for b.Loop() {
		if cold {
			s = open(b, dir)
		}
		load(b, s, "a")
	}
}

func TestACopyIsWhatWasPromised(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	for i := range 3 {
		must(t, s.Append(t.Context(), "a", try(i, diff.OutcomeDone)))
	}
	journal := filepath.Join(dir, "clusters", "a", "journal")
	whole, err := os.ReadFile(journal)
	must(t, err)
	must(t, os.WriteFile(journal, append(whole[:len(whole):len(whole)], whole[:40]...), 0o600)) // a write that a crash cut off
	copied, err := open(t, dir).Copy(t.Context(), "a")
	must(t, err)
	if string(copied) != string(whole) {
		t.Errorf("%d bytes, want %d", len(copied), len(whole))
	}
	if _, err := s.Copy(t.Context(), "b"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of nobody: %v", err)
	}
}
