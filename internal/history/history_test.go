package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// teller keeps what a history told.
type teller struct {
	mu    sync.Mutex
	words []string
}

func (l *teller) tell(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		err = errors.New("again")
	}
	l.words = append(l.words, err.Error())
}

// in opens a history, and writes a story into it.
func in(t testing.TB, state string, story func(*History)) *teller {
	t.Helper()
	told := &teller{}
	h := Open(state, Options{Tell: told.tell})
	story(h)
	h.Close()
	return told
}

func ask(t testing.TB, state string, f Filter) []report.Event {
	t.Helper()
	r, err := Read(t.Context(), state)
	must(t, err)
	defer r.Close()
	f.Limit = max(f.Limit, 1000)
	events, _, err := r.Recent(t.Context(), f)
	must(t, err)
	return events
}

// lines are the events of a state folder, the oldest first.
func lines(t testing.TB, state string) string {
	t.Helper()
	events := ask(t, state, Filter{})
	slices.Reverse(events)
	var b strings.Builder
	must(t, report.History(&b, report.Options{}, report.NewHistory(events, "")))
	return b.String()
}

func node(name string, leader bool) actual.Node {
	return actual.Node{Name: name, Service: &actual.Service{ActiveState: "active", LoadState: "loaded"},
		Vault: &actual.Vault{Initialized: true, Version: "1.20.4", Leader: leader, LeaderAddress: "https://eu-1:8200", Applied: 7}}
}

func restart(node string) diff.Step {
	return diff.Step{ID: "restart-" + node, Node: node, Action: diff.ActionRestart, Effect: diff.EffectRestartUnseal, Cause: diff.CauseCommit,
		Why: "the version is another", Changes: []diff.Change{{What: "vault", From: "1.20.4", To: "1.21.0"}}}
}

// turn is one of a cluster of three, some minutes after noon.
func turn(minute int, waves ...diff.Wave) loop.Turned {
	at := noon.Add(time.Duration(minute) * time.Minute)
	return loop.Turned{Cluster: "prod", At: at, Have: []actual.Node{node("eu-1", true), node("eu-2", false), node("eu-3", false)},
		Memory: diff.Memory{Accepted: diff.Accepted{Commit: "1111111111111111", Digest: "d1"}},
		Plan:   diff.Plan{Cluster: "prod", Commit: "1111111111111111", Digest: "d1", Mode: "enforce", Waves: waves}}
}

func done(t loop.Turned, outcome diff.Outcome) loop.Turned {
	for _, s := range t.Plan.Waves[0] {
		t.Results = append(t.Results, apply.Result{Step: s, Took: 30 * time.Second,
			Try: diff.Try{Op: fmt.Sprint("op-", s.Node, t.At.Unix()), Step: s.ID, Node: s.Node, Action: s.Action, Outcome: outcome, At: t.At.Add(40 * time.Second)}})
	}
	return t
}

func TestAnUpgradeReadsAsAStory(t *testing.T) {
	state := t.TempDir()
	told := in(t, state, func(h *History) {
		seen := h.Of("the repo")
		seen(turn(0))
		all := []diff.Wave{{restart("eu-2")}, {restart("eu-3")}, {restart("eu-1")}}
		next := func(minute, wave int, outcome diff.Outcome) loop.Turned {
			t := turn(minute, all[wave:]...)
			t.Memory.Accepted = diff.Accepted{Commit: "2222222222222222", Digest: "d2"}
			t.Plan.Commit, t.Plan.Digest = "2222222222222222", "d2"
			for i := range wave {
				n := &t.Have[slices.IndexFunc(t.Have, func(n actual.Node) bool { return n.Name == all[i][0].Node })]
				n.Vault.Version = "1.21.0"
			}
			if wave < len(all) {
				t = done(t, outcome)
			}
			return t
		}
		seen(next(1, 0, diff.OutcomeDone))
		seen(next(2, 1, diff.OutcomeFailed))
		seen(next(3, 1, diff.OutcomeDone))
		seen(next(4, 2, diff.OutcomeDone))
		seen(next(5, 3, ""))
		seen(next(6, 3, ""))
	})
	want := `WHEN                  ID    CLUSTER  COMMIT        OUTCOME  WHAT
2026-11-23T12:00:00Z  C-1   prod     111111111111           the spec of commit 111111111111 is in force
2026-11-23T12:00:00Z  N-2   prod                            eu-1: version 1.20.4, unsealed, role leader, service active
2026-11-23T12:00:00Z  N-3   prod                            eu-2: version 1.20.4, unsealed, role follower, service active
2026-11-23T12:00:00Z  N-4   prod                            eu-3: version 1.20.4, unsealed, role follower, service active
2026-11-23T12:00:00Z  P-5   prod     111111111111  in-sync  in sync
2026-11-23T12:01:00Z  C-6   prod     222222222222           the spec of commit 222222222222 is in force
2026-11-23T12:01:00Z  P-7   prod     222222222222  planned  to do: restart eu-2 eu-3 eu-1
2026-11-23T12:01:40Z  W-8   prod     222222222222  done     restart eu-2
2026-11-23T12:02:00Z  N-9   prod                            eu-2: version 1.20.4 → 1.21.0
2026-11-23T12:02:40Z  W-10  prod     222222222222  failed   restart eu-3
2026-11-23T12:03:40Z  W-11  prod     222222222222  done     restart eu-3
2026-11-23T12:04:00Z  N-12  prod                            eu-3: version 1.20.4 → 1.21.0
2026-11-23T12:04:40Z  W-13  prod     222222222222  done     restart eu-1
2026-11-23T12:05:00Z  N-14  prod                            eu-1: version 1.20.4 → 1.21.0
2026-11-23T12:05:00Z  P-15  prod     222222222222  in-sync  in sync
`
	if got := lines(t, state); got != want {
		t.Error(cmp.Diff(want, got))
	}
	if len(told.words) > 0 {
		t.Errorf("told: %q", told.words)
	}
}

func TestATurnThatChangesNothingWritesNothing(t *testing.T) {
	state := t.TempDir()
	in(t, state, func(h *History) { h.Of("r")(turn(0)) })
	whole := func() string {
		var all string
		for _, end := range []string{"", "-wal"} {
			b, err := os.ReadFile(File(state) + end)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			all += string(b)
		}
		return all
	}
	before := whole()
	in(t, state, func(h *History) {
		for i := range 20 {
			quiet := turn(i)
			for j := range quiet.Have { // indexes grow with every write to the cluster
				quiet.Have[j].Vault.Applied, quiet.Have[j].At = uint64(100*i), quiet.At
			}
			h.Of("r")(quiet)
			waiting := quiet
			waiting.Plan.Waits = []diff.Wait{{Reason: diff.WaitPause, Detail: fmt.Sprint(i)}}
			h.Of("r")(waiting)
		}
		h.Of("r")(loop.Turned{Cluster: "prod", Err: errors.New("no spec")})
		stale := done(turn(1, diff.Wave{restart("eu-1")}), diff.OutcomeStale)
		stale.Plan = turn(1).Plan
		h.Of("r")(stale)
	})
	if whole() != before {
		t.Error("the file is another:\n" + lines(t, state))
	}
}

func TestWhatTheFileHasIsPrivate(t *testing.T) {
	state := t.TempDir()
	h := Open(state, Options{Tell: func(err error) { t.Error(err) }})
	for i := range 3 {
		h.Of("r")(turn(i, diff.Wave{restart(fmt.Sprint("eu-", i+1))}))
	}
	for h.pending() {
		time.Sleep(time.Millisecond)
	}
	files, err := filepath.Glob(File(state) + "*")
	must(t, err)
	if len(files) != 3 {
		t.Errorf("files: %v", files)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
	if n := len(ask(t, state, Filter{})); n == 0 {
		t.Error("nothing can be read beside the one that writes")
	}
	h.Close()
	if n := len(ask(t, state, Filter{})); n == 0 {
		t.Error("nothing can be read once nobody writes")
	}
}

// pending says that something waits to be written, or is being.
func (h *History) pending() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.todo) > 0 || len(h.sums) == 0
}

func TestAPersonsWordIsWrittenOnceWhoeverHearsItFirst(t *testing.T) {
	hold := diff.Leave{Kind: diff.LeaveHold, Node: "eu-2", By: "ada", Reason: "new disk", At: noon.Add(10 * time.Minute), Until: noon.Add(2 * time.Hour)}
	heard := func(minute int, leaves ...diff.Leave) loop.Turned {
		x := turn(minute)
		x.Memory.Leaves = leaves
		return x
	}
	lifted := diff.Leave{Kind: diff.LeaveHold, Node: "eu-2", By: "bob", Reason: "the disk is in", At: noon.Add(20 * time.Minute)}
	for name, story := range map[string]struct {
		story func(h *History)
		want  []string
	}{
		"by the command": {func(h *History) {
			h.Said("prod", report.VerbGranted, hold)
			h.Of("r")(heard(9))        // had loaded its memory before
			h.Of("r")(heard(11, hold)) // has heard it
			h.Said("prod", report.VerbLifted, lifted)
			h.Of("r")(heard(19, hold)) // had loaded its memory before
			h.Of("r")(heard(25))
		}, []string{"held: eu-2, by ada, until 2026-11-23T14:00:00Z: new disk", "resumed: eu-2, by bob: the disk is in"}},
		"by the turns alone": {func(h *History) {
			h.Of("r")(heard(11, hold))
			h.Of("r")(heard(12, hold))
			h.Of("r")(heard(25))
			h.Of("r")(heard(26))
		}, []string{"held: eu-2, by ada, until 2026-11-23T14:00:00Z: new disk", "resumed: eu-2"}},
		"until its time is up": {func(h *History) {
			h.Of("r")(heard(11, hold))
			h.Of("r")(heard(121))
			h.Of("r")(heard(122))
		}, []string{"held: eu-2, by ada, until 2026-11-23T14:00:00Z: new disk", "the hold has ended: eu-2"}},
		"twice": {func(h *History) {
			h.Of("r")(heard(11, hold))
			h.Said("prod", report.VerbLifted, lifted)
			again := hold
			again.At, again.Reason = noon.Add(30*time.Minute), "another disk"
			h.Of("r")(heard(31, again))
		}, []string{"held: eu-2, by ada, until 2026-11-23T14:00:00Z: new disk", "resumed: eu-2, by bob: the disk is in", "held: eu-2, by ada, until 2026-11-23T14:00:00Z: another disk"}},
	} {
		state := t.TempDir()
		in(t, state, func(h *History) { h.Of("r")(turn(0)) })
		in(t, state, story.story)
		var got []string
		for line := range strings.Lines(lines(t, state)) {
			if _, words, ok := strings.Cut(strings.TrimSpace(line), "  granted  "); ok {
				got = append(got, words)
			} else if fields := strings.Fields(line); fields[1][0] == 'H' {
				_, words, _ := strings.Cut(strings.TrimSpace(line), fields[3])
				got = append(got, strings.TrimSpace(words))
			}
		}
		if diff := cmp.Diff(story.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestATurnThatComesLateTakesNothingBack(t *testing.T) {
	state := t.TempDir()
	newer := turn(10)
	newer.Have[0].Vault.Version = "1.21.0"
	in(t, state, func(h *History) {
		h.Of("r")(turn(0))
		h.Of("r")(newer)   // of an apply
		h.Of("r")(turn(9)) // of the daemon, whose turn took long
	})
	if n := len(ask(t, state, Filter{Node: "eu-1"})); n != 2 {
		t.Errorf("%d events of eu-1:\n%s", n, lines(t, state))
	}
	in(t, state, func(h *History) { h.Of("r")(turn(11)) })
	if n := len(ask(t, state, Filter{Node: "eu-1"})); n != 3 {
		t.Errorf("%d events of eu-1:\n%s", n, lines(t, state))
	}
}

func TestAFileOfANewerReleaseIsLeftAlone(t *testing.T) {
	state := t.TempDir()
	in(t, state, func(h *History) { h.Of("r")(turn(0)) })
	db, err := connect(File(state), forWriting)
	must(t, err)
	_, err = db.Exec("PRAGMA user_version = 99")
	must(t, err)
	must(t, db.Close())
	before, err := os.ReadFile(File(state))
	must(t, err)
	told := in(t, state, func(h *History) {
		for i := range 3 {
			h.Of("r")(done(turn(i, diff.Wave{restart("eu-1")}), diff.OutcomeDone))
		}
	})
	if len(told.words) != 1 || !strings.Contains(told.words[0], "newer release of reconciler (schema 99, this one knows 1)") {
		t.Errorf("told: %q", told.words)
	}
	after, err := os.ReadFile(File(state))
	must(t, err)
	if string(before) != string(after) {
		t.Error("it was changed")
	}
	if _, err := Read(t.Context(), state); !errors.As(err, new(*NewerError)) {
		t.Errorf("read: %v", err)
	}
}

func TestADamagedFileIsSetAsideAndANewOneBegun(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"no database": func([]byte) []byte { return []byte(strings.Repeat("this is no database. ", 400)) },
		"a torn page": func(b []byte) []byte {
			for at := 4096; at < len(b); at += 4096 {
				copy(b[at:], strings.Repeat("\xff", 64))
			}
			return b
		},
	} {
		state := t.TempDir()
		in(t, state, func(h *History) { h.Of("r")(turn(0)) })
		b, err := os.ReadFile(File(state))
		must(t, err)
		must(t, os.WriteFile(File(state), damage(b), 0o600))
		if r, err := Read(t.Context(), state); err == nil {
			r.Close()
		} else if !errors.As(err, new(*UnreadableError)) {
			t.Errorf("%s: read: %v", name, err)
		}
		told := in(t, state, func(h *History) {
			h.Of("r")(done(turn(1, diff.Wave{restart("eu-1")}), diff.OutcomeDone))
			h.Of("r")(done(turn(2, diff.Wave{restart("eu-1")}), diff.OutcomeDone))
		})
		if len(told.words) != 2 || !strings.Contains(told.words[0], "was damaged") || told.words[1] != "again" {
			t.Errorf("%s: told %q", name, told.words)
		}
		if aside, _ := filepath.Glob(File(state) + ".damaged-*Z"); len(aside) != 1 {
			t.Errorf("%s: set aside: %v", name, aside)
		}
		waves := 0
		for _, e := range ask(t, state, Filter{}) {
			if e.Kind == report.EventWave {
				waves++
			}
		}
		if waves != 2 {
			t.Errorf("%s: %d waves:\n%s", name, waves, lines(t, state))
		}
	}
}

func TestAFileThatIsDeletedIsBegunAnew(t *testing.T) {
	state := t.TempDir()
	told := in(t, state, func(h *History) {
		h.Of("r")(turn(0))
		for h.pending() {
			time.Sleep(time.Millisecond)
		}
		must(t, os.Remove(File(state))) // and not what lies beside it
		h.Of("r")(done(turn(1, diff.Wave{restart("eu-1")}), diff.OutcomeDone))
		h.Of("r")(done(turn(2, diff.Wave{restart("eu-2")}), diff.OutcomeDone))
	})
	if got := lines(t, state); strings.Count(got, "done     restart eu") != 2 || !strings.Contains(got, "2026-11-23T12:01:00Z  C-1 ") || len(told.words) > 0 {
		t.Errorf("told %q:\n%s", told.words, got)
	}
}

func TestATurnThatCannotBeWrittenWholeIsNotWrittenInPart(t *testing.T) {
	state := t.TempDir()
	told := in(t, state, func(h *History) {
		h.Of("r")(turn(0))
		h.queue(record{cluster: "prod", at: noon, stands: map[string]string{whatNode + "eu-1": "null"}, steps: []report.StepDone{{Op: "a"}, {Op: "a"}}}) // which the file refuses
		h.Of("r")(turn(1, diff.Wave{restart("eu-1")}))
	})
	if len(told.words) != 2 || told.words[1] != "again" {
		t.Errorf("told %q", told.words)
	}
	if got := lines(t, state); strings.Count(got, " N-") != 3 || strings.Contains(got, " W-") || !strings.Contains(got, "1 turn since") || !strings.Contains(got, "to do: restart eu-1") {
		t.Error(got)
	}
}

func TestAFileThatIsNotWrittenIsClosed(t *testing.T) {
	state, beat := t.TempDir(), make(chan time.Time)
	h := newHistory(state, Options{Tell: func(err error) { t.Error(err) }}, beat)
	go h.write()
	h.Of("r")(turn(0))
	for h.pending() {
		time.Sleep(time.Millisecond)
	}
	open := func() bool {
		_, err := os.Stat(File(state) + "-wal")
		return err == nil
	}
	beat <- noon
	if !open() {
		t.Error("it was closed at once")
	}
	beat <- noon
	beat <- noon // the one before was heard out
	if open() {
		t.Error("it is open, and was not written between two beats")
	}
	h.Of("r")(turn(1, diff.Wave{restart("eu-1")}))
	h.Close()
	if got := lines(t, state); strings.Count(got, " P-") != 2 || strings.Count(got, " N-") != 3 {
		t.Error(got)
	}
}

func TestWhatCouldNotBeWrittenIsAGap(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state") // is not there
	told := &teller{}
	h := Open(state, Options{Tell: told.tell})
	for i := range 3 {
		h.Of("r")(done(turn(i, diff.Wave{restart("eu-1")}), diff.OutcomeDone))
	}
	for h.losses() < 3 {
		time.Sleep(time.Millisecond)
	}
	must(t, os.Mkdir(state, 0o700))
	h.Of("r")(done(turn(3, diff.Wave{restart("eu-1")}), diff.OutcomeDone))
	h.Of("r")(turn(4))
	h.Close()
	if len(told.words) != 2 || !strings.Contains(told.words[0], "no such file") || told.words[1] != "again" {
		t.Errorf("told: %q", told.words)
	}
	var gaps []report.Gap
	for _, e := range ask(t, state, Filter{Cluster: "prod"}) {
		if e.Gap != nil {
			gaps = append(gaps, *e.Gap)
		}
	}
	if len(gaps) != 1 || gaps[0].Turns != 3 {
		t.Errorf("gaps: %+v", gaps)
	}
}

func (h *History) losses() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost.Turns
}

func TestNobodyWaitsForAFullQueue(t *testing.T) {
	told := &teller{}
	h := &History{file: File(t.TempDir()), tell: told.tell, todo: make(chan any, 2)} // and nobody writes
	for i := range 5 {
		h.Of("r")(turn(i))
	}
	if h.losses() != 3 || len(told.words) != 1 || !strings.Contains(told.words[0], "wait to be written already") {
		t.Errorf("lost %d, told %q", h.losses(), told.words)
	}
}

func TestWhatIsOlderThanIsKeptIsDeleted(t *testing.T) {
	state := t.TempDir()
	at := func(minute int) loop.Turned {
		return done(turn(minute, diff.Wave{restart(fmt.Sprint("eu-", minute%3+1))}), diff.OutcomeDone)
	}
	in(t, state, func(h *History) {
		for minute := range 700 { // more than a batch
			h.Of("r")(at(minute))
			for len(h.todo) > 500 {
				time.Sleep(time.Millisecond)
			}
		}
		h.Episode(Episode{Cluster: "prod", ID: "D-1", Opened: noon, Closed: noon.Add(time.Minute)})
		h.Episode(Episode{Cluster: "prod", ID: "D-2", Opened: noon})
	})
	h := &History{file: File(state), keep: time.Hour, tell: func(err error) { t.Error(err) }}
	db, err := openFile(t.Context(), h.file)
	must(t, err)
	h.db = db
	defer h.shut()
	count := func(table string) (n int) {
		must(t, db.QueryRow("SELECT count(*) FROM "+table).Scan(&n))
		return n
	}
	if n := count("step"); n != 700 {
		t.Fatalf("%d steps", n)
	}
	marks := count("last")
	batches := 1
	for h.prune(t.Context(), batches > 1, noon.Add(699*time.Minute)) {
		batches++
	}
	if batches != 4 || h.prune(t.Context(), false, noon.Add(700*time.Minute)) {
		t.Errorf("%d batches", batches)
	}
	if count("step") != 61 || count("last") != marks || count("episode") != 1 {
		t.Errorf("%d steps, %d marks of %d, %d episodes", count("step"), count("last"), marks, count("episode"))
	}
	for _, orphan := range []string{
		"SELECT count(*) FROM step WHERE event NOT IN (SELECT id FROM event)", "SELECT count(*) FROM plan WHERE event NOT IN (SELECT id FROM event)",
		"SELECT count(*) FROM touched WHERE event NOT IN (SELECT id FROM event)", "SELECT count(*) FROM event WHERE id NOT IN (SELECT event FROM touched)",
	} {
		var n int
		must(t, db.QueryRow(orphan).Scan(&n))
		if n != 0 {
			t.Errorf("%s: %d", orphan, n)
		}
	}
	h.keep = 0
	if h.prune(t.Context(), false, noon.AddDate(100, 0, 0)) || count("step") != 61 {
		t.Error("deleted, and nothing is to be")
	}
}

func TestACopyIsWholeAndTakesNobodysPlace(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	to := filepath.Join(dir, "history.db")
	if ok, err := Copy(t.Context(), state, to); ok || err != nil {
		t.Fatalf("of nothing: %v %v", ok, err)
	}
	h := Open(state, Options{Tell: func(err error) { t.Error(err) }})
	defer h.Close()
	h.Of("r")(turn(0))
	for h.pending() {
		time.Sleep(time.Millisecond)
	}
	if ok, err := Copy(t.Context(), state, to); !ok || err != nil {
		t.Fatalf("beside the one that writes: %v %v", ok, err)
	}
	if lines(t, dir) != lines(t, state) {
		t.Error(cmp.Diff(lines(t, state), lines(t, dir)))
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := Copy(t.Context(), state, to); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another: %v", err)
	}
}

func TestShow(t *testing.T) {
	state := t.TempDir()
	wave := done(turn(1, diff.Wave{restart("eu-2"), restart("eu-3")}), diff.OutcomeDone)
	in(t, state, func(h *History) { h.Of("r")(wave) })
	r, err := Read(t.Context(), state)
	must(t, err)
	defer r.Close()
	for id, want := range map[string]string{
		"W-6": "W-6 2", "w-6": "W-6 2", "P-5": "P-5 plan", "restart-eu-3": "W-6 1 eu-3", wave.Results[0].Try.Op: "W-6 1 eu-2",
		wave.Plan.Fingerprint(): "P-5 plan", "N-2": "N-2", "W-5": "unknown", "P-99": "unknown", "D-1": "unknown", "nonsense": "unknown", "sha256:00": "unknown",
	} {
		e, plan, steps, err := r.Show(context.Background(), id)
		got := e.ID
		switch {
		case errors.As(err, new(*UnknownError)):
			got = "unknown"
		case err != nil:
			got = err.Error()
		case plan != nil:
			got += " plan"
			if diff := cmp.Diff(wave.Plan, *plan); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		case len(steps) > 0:
			got += fmt.Sprint(" ", len(steps))
			if len(steps) == 1 {
				got += " " + steps[0].Node
			}
			if s := steps[0]; s.Ended.Sub(s.Started) != 30*time.Second || s.Changes[0].To != "1.21.0" || s.Effect != diff.EffectRestartUnseal {
				t.Errorf("%s: %+v", id, s)
			}
		}
		if got != want {
			t.Errorf("show %s: %s, want %s", id, got, want)
		}
	}
}

func TestADriftIsToldFromItsBeginningToItsEnd(t *testing.T) {
	state := t.TempDir()
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	drift := Episode{Cluster: "prod", ID: "D-1f0c22ab", Kind: diff.DriftChanged, Severity: diff.SeverityHigh, Path: "/etc/vault.d/vault.hcl", Nodes: []string{"eu-1"}, At: at(1), Opened: at(1)}
	sure := drift
	sure.At, sure.Confirmed = at(2), at(2)
	spread := sure
	spread.At, spread.Nodes = at(3), []string{"eu-1", "eu-2"}
	closed := spread
	closed.At, closed.Closed = at(5), at(5)
	again := spread
	again.At, again.Opened = at(8), at(7)
	again.Confirmed = at(8)
	once := drift
	once.ID, once.Closed = "D-22", at(2)
	missed := closed
	missed.ID, missed.Severity = "D-33", diff.SeverityCritical
	for range 2 { // after a restart everything that is remembered is told once more
		in(t, state, func(h *History) {
			h.Of("r")(turn(0))
			for _, e := range []Episode{drift, sure, sure, spread, closed, once, missed} {
				h.Episode(e)
			}
		})
		drift, sure, spread = closed, closed, closed
	}
	in(t, state, func(h *History) { h.Episode(again) })
	_, got, _ := strings.Cut(lines(t, state), "in sync\n")
	want := strings.Join([]string{
		"2026-11-23T12:02:00Z  E-6   prod                   opened   drift D-1f0c22ab, high: /etc/vault.d/vault.hcl changed on eu-1",
		"2026-11-23T12:02:00Z  E-9   prod                   opened   drift D-33, critical: /etc/vault.d/vault.hcl changed on eu-1 eu-2",
		"2026-11-23T12:03:00Z  E-7   prod                   spread   drift D-1f0c22ab, high: /etc/vault.d/vault.hcl changed on eu-1 eu-2",
		"2026-11-23T12:05:00Z  E-8   prod                   closed   drift D-1f0c22ab, high: /etc/vault.d/vault.hcl changed on eu-1 eu-2",
		"2026-11-23T12:05:00Z  E-10  prod                   closed   drift D-33, critical: /etc/vault.d/vault.hcl changed on eu-1 eu-2",
		"2026-11-23T12:08:00Z  E-11  prod                   opened   drift D-1f0c22ab, high: /etc/vault.d/vault.hcl changed on eu-1 eu-2", "",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if events := ask(t, state, Filter{Node: "eu-2", Since: at(1)}); len(events) != 5 {
		t.Errorf("%d events of eu-2", len(events))
	}
}
