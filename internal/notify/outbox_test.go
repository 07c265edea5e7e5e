package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
)

// drawer is a sink that notes what it takes, and fails as it is told to.
type drawer struct {
	mu   sync.Mutex
	got  []string // keys
	try  []string // keys and when, since the start
	fail func(m Message) error
	hang bool
	t0   time.Time
}

func (d *drawer) Send(ctx context.Context, m Message) error {
	d.mu.Lock()
	fail, hang := d.fail, d.hang
	d.try = append(d.try, fmt.Sprintf("%s@%v", m.Key, time.Since(d.t0).Round(time.Second)))
	d.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if fail != nil {
		if err := fail(m); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, m.Key)
	return nil
}

func (d *drawer) all() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.got, " ")
}

func (d *drawer) tries() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.try)
}

func (d *drawer) set(fail func(Message) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

// open is an outbox that sends until the test ends, or stop is called.
func open(t testing.TB, dir string, sinks map[string]Sink) (o *Outbox, log *logs, stop func()) {
	t.Helper()
	l, logger := newLogs(t)
	o, err := Open(dir, logger)
	must(t, err)
	must(t, o.Use(sinks))
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { o.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); run.Wait(); o.Close() })
	t.Cleanup(stop)
	return o, l, stop
}

func put(t testing.TB, o *Outbox, kind Kind, sinks string, keys ...string) {
	t.Helper()
	for _, k := range keys {
		m := news(k)
		m.Kind = kind
		must(t, o.Put(strings.Fields(sinks), m))
	}
}

func want(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func down(Message) error { return errors.New("it is down") }

// files are what lies in the folder of a sink's queue.
func files(t testing.TB, dir, sink string) (names []string) {
	entries, err := os.ReadDir(filepath.Join(dir, sink, "queue"))
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestEachSinkGetsEachMessageOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a, b := &drawer{}, &drawer{}
		o, _, stop := open(t, dir, map[string]Sink{"a": a, "b": b})
		put(t, o, New, "a b", "1", "2", "2", "3")
		put(t, o, Digest, "b", "4", "1")
		synctest.Wait()
		want(t, "a", a.all(), "1 2 3")
		want(t, "b", b.all(), "1 2 3 4")
		stop()
		o, _, _ = open(t, dir, map[string]Sink{"a": a, "b": b})
		put(t, o, New, "a b", "1", "4", "5")
		synctest.Wait()
		want(t, "a after a restart", a.all(), "1 2 3 4 5")
		want(t, "b after a restart", b.all(), "1 2 3 4 5")
		time.Sleep(31 * 24 * time.Hour)
		put(t, o, New, "a", "1")
		synctest.Wait()
		want(t, "a after a month", a.all(), "1 2 3 4 5 1")
	})
}

func TestASinkThatIsDownDelaysNobodyAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := &drawer{t0: time.Now(), fail: down}, &drawer{}, &drawer{hang: true}
		o, log, _ := open(t, t.TempDir(), map[string]Sink{"a": a, "b": b, "c": c})
		before := time.Now()
		put(t, o, New, "a b c", "1", "2")
		if time.Since(before) != 0 {
			t.Errorf("who puts a message waited %v", time.Since(before))
		}
		synctest.Wait()
		want(t, "b", b.all(), "1 2")
		time.Sleep(5 * time.Minute)
		want(t, "tries", strings.Join(a.tries(), " "), "1@0s 1@15s 1@45s 1@1m45s 1@3m45s")
		s := o.States()
		if len(s) != 3 || s[0].Sink != "a" || s[0].Pending != 2 || s[0].LastError != "it is down" || !s[0].LastSent.IsZero() || s[1].Pending != 0 || s[1].LastError != "" || s[1].LastSent.IsZero() || s[2].Pending != 2 {
			t.Errorf("%+v", s)
		}
		a.set(nil)
		time.Sleep(10 * time.Minute)
		want(t, "a", a.all(), "2 1") // the fifth failure let the next one be tried
		if s := o.States(); s[0].LastError != "" || s[0].Pending != 0 || s[0].LastSent.IsZero() {
			t.Errorf("%+v", s[0])
		}
		if n := strings.Count(log.String(), "sink=a"); n != 2 || !strings.Contains(log.String(), "messages are sent again") {
			t.Errorf("%d lines about a:\n%s", n, log)
		}
	})
}

func TestTheLongestPauseIsAQuarterOfAnHourOrWhatIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &drawer{t0: time.Now(), fail: func(Message) error { return fmt.Errorf("post: %w", &outbound.BusyError{Status: 429, After: time.Hour}) }}
		o, _, _ := open(t, t.TempDir(), map[string]Sink{"a": a})
		put(t, o, New, "a", "1")
		time.Sleep(150 * time.Minute)
		want(t, "tries", strings.Join(a.tries(), " "), "1@0s 1@1h0m0s 1@2h0m0s")
		a.set(down)
		time.Sleep(10 * time.Hour)
		tries := a.tries()
		want(t, "the last of tries", tries[len(tries)-1], "1@12h29m0s")
		want(t, "the one before", tries[len(tries)-2], "1@12h14m0s")
	})
}

func TestAMessageThatASinkStumblesOverDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &drawer{fail: func(m Message) error {
			if m.Key == "bad" {
				return errors.New("it answers 500")
			}
			return nil
		}}
		o, _, _ := open(t, t.TempDir(), map[string]Sink{"a": a})
		put(t, o, New, "a", "bad", "2", "3")
		time.Sleep(10 * time.Minute)
		want(t, "a", a.all(), "2 3")
		put(t, o, New, "a", "4")
		synctest.Wait()
		want(t, "a at once", a.all(), "2 3 4")
		a.set(nil)
		time.Sleep(time.Hour)
		want(t, "a", a.all(), "2 3 4 bad")
	})
}

func TestMessagesComeInOrderAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &drawer{fail: down}
		o, _, _ := open(t, t.TempDir(), map[string]Sink{"a": a})
		put(t, o, New, "a", "1", "2", "3", "4", "5", "6")
		time.Sleep(6 * time.Hour)
		a.set(nil)
		time.Sleep(15 * time.Minute)
		got := strings.Fields(a.all())
		if !slices.IsSorted(got[1:]) || len(got) != 6 { // the first is who found out
			t.Errorf("%q", got)
		}
	})
}

func TestWhatIsRefusedIsDroppedAndWhatReachesSomeIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &drawer{fail: func(m Message) error {
			switch m.Key {
			case "bad":
				return &RefusedError{errors.New("it answers 422")}
			case "half":
				return &PartlyError{errors.New("not to ops@example.com")}
			case "defect":
				panic("nil map")
			}
			return nil
		}}
		o, log, _ := open(t, t.TempDir(), map[string]Sink{"a": a})
		put(t, o, New, "a", "bad", "half")
		synctest.Wait()
		s := o.States()[0]
		if s.Pending != 0 || s.Dropped != 1 || s.LastSent.IsZero() || !strings.Contains(s.LastError, "not to ops") || len(a.tries()) != 2 {
			t.Errorf("%+v after %q", s, a.tries())
		}
		for _, words := range []string{"a message is refused, and dropped", "it answers 422", "a message did not reach everybody"} {
			if !strings.Contains(log.String(), words) {
				t.Errorf("not said: %s\n%s", words, log)
			}
		}
		put(t, o, New, "a", "half", "2", "defect")
		synctest.Wait()
		want(t, "a", a.all(), "2")
		if s := o.States()[0]; !strings.Contains(s.LastError, "please report it: nil map") || s.Pending != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAMessageIsGivenUpAfterThreeDaysAlsoAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := &drawer{fail: down}
		o, _, stop := open(t, dir, map[string]Sink{"a": a})
		put(t, o, New, "a", "1")
		time.Sleep(2 * 24 * time.Hour)
		stop()
		o, log, _ := open(t, dir, map[string]Sink{"a": a})
		put(t, o, New, "a", "2")
		time.Sleep(25 * time.Hour)
		if s := o.States()[0]; s.Pending != 1 || s.Dropped != 1 {
			t.Errorf("%+v", s)
		}
		if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "given up: it could not be sent for 3 days") {
			t.Error(log)
		}
		a.set(nil)
		time.Sleep(time.Hour)
		want(t, "a", a.all(), "2")
		put(t, o, New, "a", "1") // it was never sent
		synctest.Wait()
		want(t, "a", a.all(), "2 1")
	})
}

func TestDyingBetweenSendingAndNotingSendsTheSameAgain(t *testing.T) {
	dir := t.TempDir()
	_, logger := newLogs(t)
	o, err := Open(dir, logger)
	must(t, err)
	must(t, o.Use(map[string]Sink{"a": &drawer{}}))
	put(t, o, New, "a", "1", "2")
	first := files(t, dir, "a")
	kept, err := os.ReadFile(filepath.Join(dir, "a", "queue", first[0]))
	must(t, err)
	o.Close() // it was sent, and we died before that was noted
	synctest.Test(t, func(t *testing.T) {
		a := &drawer{}
		_, _, stop := open(t, dir, map[string]Sink{"a": a})
		synctest.Wait()
		want(t, "sent", a.all(), "1 2")
		stop()
		// It was noted, and we died before its file was gone.
		must(t, os.WriteFile(filepath.Join(dir, "a", "queue", first[0]), kept, 0o600))
		open(t, dir, map[string]Sink{"a": a})
		synctest.Wait()
		want(t, "sent", a.all(), "1 2")
		if left := files(t, dir, "a"); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

func TestAProcessThatIsKilledAfterSendingSendsTheSameAgain(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "die", dir)
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it was not killed: %v", err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "received"))
	must(t, err)
	got := make(chan string)
	open(t, filepath.Join(dir, "outbox"), map[string]Sink{"a": sinkFunc(func(m Message) error { got <- m.ID(); return nil })})
	if again := <-got; again != string(before) || again == "" {
		t.Errorf("sent %q, and then %q", before, again)
	}
}

type sinkFunc func(Message) error

func (f sinkFunc) Send(_ context.Context, m Message) error { return f(m) }

// die is a process that has an outbox in dir, and is killed once its sink has a message.
func die(dir string) {
	o, err := Open(filepath.Join(dir, "outbox"), slog.New(slog.DiscardHandler))
	if err == nil {
		err = o.Use(map[string]Sink{"a": sinkFunc(func(m Message) error {
			_ = os.WriteFile(filepath.Join(dir, "received"), []byte(m.ID()), 0o600)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		})})
	}
	if err == nil {
		err = o.Put([]string{"a"}, news("k"))
	}
	if err == nil {
		o.Run(context.Background())
	}
}

func TestWhatACrashOrAPersonLeftInTheFolderIsNoMessage(t *testing.T) {
	dir := t.TempDir()
	queue := filepath.Join(dir, "a", "queue")
	must(t, os.MkdirAll(queue, 0o700))
	for name, text := range map[string]string{
		"0000000000000001.json": `{"formatVersion":"1.0","since":"2026-11-18T10:00:00Z","message":{"key":"1"}}`, "0000000000000002.json": "{", "0000000000000003.json": "",
		".0000000000000004.json.123.tmp": "{", "README": "mine", "1.json": "{}", "00000000000000zz.json": "{}",
	} {
		must(t, os.WriteFile(filepath.Join(queue, name), []byte(text), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "a", "sent"), []byte(`{"id":"msg_1","at":1}`+"\nnot JSON\n\n"+`{"id":"msg_2","a`), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
	synctest.Test(t, func(t *testing.T) {
		a := &drawer{}
		o, log, stop := open(t, dir, map[string]Sink{"a": a})
		put(t, o, New, "a", "1")
		synctest.Wait()
		want(t, "sent", a.all(), "1")
		if left := files(t, dir, "a"); strings.Join(left, " ") != "00000000000000zz.json 1.json README" {
			t.Errorf("left: %q", left)
		}
		if n := strings.Count(log.String(), "a message is lost"); n != 3 {
			t.Errorf("%d are said to be lost\n%s", n, log)
		}
		stop()
		o, _, _ = open(t, dir, map[string]Sink{"a": a})
		put(t, o, New, "a", "1")
		synctest.Wait()
		want(t, "sent after a line that was cut off", a.all(), "1")
	})
}

func TestTooManyMessagesPushOutTheOldestDigests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &drawer{fail: down}
		o, log, _ := open(t, t.TempDir(), map[string]Sink{"a": a})
		o.workers["a"].queue.limits = limits{4, 1 << 20}
		put(t, o, New, "a", "1")
		synctest.Wait() // it was tried: one that is under way would not be given up
		put(t, o, Digest, "a", "d1", "d2")
		put(t, o, New, "a", "2", "3", "4")
		put(t, o, Digest, "a", "d3") // not worth one of those
		if w := o.workers["a"].queue.waiting; w[0].id != news("1").ID() || w[3].kind == Digest {
			t.Errorf("a digest took the place of %s", news("1").ID())
		}
		put(t, o, Resolved, "a", "5")
		if s := o.States()[0]; s.Pending != 4 || s.Dropped != 4 {
			t.Errorf("%+v", s)
		}
		if !strings.Contains(log.String(), "a message is dropped") || !strings.Contains(log.String(), "kind=digest") {
			t.Error(log)
		}
		a.set(nil)
		time.Sleep(time.Hour)
		want(t, "sent", a.all(), "2 3 4 5")
		a.set(down)
		o.workers["a"].queue.limits = limits{100, 1000}
		put(t, o, New, "a", "6", "7", "8", "9")
		if q := o.workers["a"].queue; q.bytes > 1000 || len(q.waiting) == 4 {
			t.Errorf("%d bytes of %d messages", q.bytes, len(q.waiting))
		}
	})
}

func TestTenThousandMessagesToADeadSinkTakeLittle(t *testing.T) {
	dir := inMemory(t)
	_, logger := newLogs(t)
	o, err := Open(dir, logger)
	must(t, err)
	defer o.Close()
	must(t, o.Use(map[string]Sink{"a": &drawer{fail: down}}))
	text := strings.Repeat("a row of a large report\n", 400)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for n := range 10_000 {
		m := news(fmt.Sprint(n))
		m.Text = text
		must(t, o.Put([]string{"a"}, m))
	}
	after := heap()
	if more := int64(after) - int64(before); more > 1<<20 {
		t.Errorf("%d KiB more are held", more>>10)
	} else {
		t.Logf("%d KiB for %d messages", more>>10, len(o.workers["a"].queue.waiting))
	}
	if n := len(files(t, dir, "a")); n != most().count {
		t.Errorf("%d files", n)
	}
}

// inMemory is a folder where waiting for a disk takes no time, where there is one.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "outbox")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestAFolderThatCannotBeWrittenIsSaidAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := &drawer{fail: down}
		o, _, _ := open(t, dir, map[string]Sink{"a": a, "b": &drawer{}})
		put(t, o, New, "a", "1")
		synctest.Wait()
		queue := filepath.Join(dir, "a", "queue")
		must(t, os.Rename(queue, queue+".away"))
		err := o.Put([]string{"a", "b", "nobody"}, news("2"))
		says(t, err, "keep a message for a:", `there is no sink "nobody"`)
		if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "for b") {
			t.Error(err)
		}
		must(t, os.Rename(queue+".away", queue))
		put(t, o, New, "a", "2")
		a.set(nil)
		time.Sleep(time.Hour)
		want(t, "sent", a.all(), "1 2")
	})
}

func TestAMessageThatCannotBeNotedAsSentIsNotSentTwiceByThisProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := &drawer{}
		o, log, _ := open(t, dir, map[string]Sink{"a": a})
		must(t, os.Mkdir(filepath.Join(dir, "a", "sent"), 0o700)) // in the way
		put(t, o, New, "a", "1", "1")
		synctest.Wait()
		put(t, o, New, "a", "1")
		synctest.Wait()
		want(t, "sent", a.all(), "1")
		if !strings.Contains(log.String(), "may be sent again after a restart") {
			t.Error(log)
		}
		must(t, os.Remove(filepath.Join(dir, "a", "sent")))
		put(t, o, New, "a", "2")
		synctest.Wait()
		text, err := os.ReadFile(filepath.Join(dir, "a", "sent"))
		must(t, err)
		if got, err := openTold(filepath.Join(dir, "a", "sent"), time.Now()); err != nil || !got.has(news("2").ID(), time.Now()) {
			t.Errorf("%s, %v", text, err)
		}
	})
}

func TestWhatIsToldGrowsNoFurtherThanItMust(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sent")
	now := time.Date(2026, 11, 18, 10, 0, 0, 0, time.UTC)
	told, err := openTold(path, now)
	must(t, err)
	for n := range 400 {
		must(t, told.add(fmt.Sprint("msg_", n%20), now.Add(time.Duration(n)*time.Second)))
	}
	again, err := openTold(path, now)
	must(t, err)
	if told.lines > 300 || len(again.ids) != 20 || again.last() != now.Add(399*time.Second) {
		t.Errorf("%d lines, %d messages, the last at %v", told.lines, len(again.ids), again.last())
	}
	for n := range maxTold + 10 {
		told.ids[fmt.Sprint("x", n)] = now.Unix() + int64(n)
	}
	must(t, told.tidy(now))
	if len(told.ids) > maxTold || !told.has(fmt.Sprint("x", maxTold+9), now) || told.has("x0", now) {
		t.Errorf("%d are remembered", len(told.ids))
	}
}

func TestSinksMayChangeWhileMessagesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		old, a, b := &drawer{fail: down}, &drawer{}, &drawer{}
		o, log, _ := open(t, dir, map[string]Sink{"a": old})
		put(t, o, New, "a", "1")
		synctest.Wait()
		must(t, o.Use(map[string]Sink{"b": b}))
		err := o.Put([]string{"a", "b"}, news("2"))
		says(t, err, "does not name it any more")
		synctest.Wait()
		want(t, "b", b.all(), "2")
		if s := o.States(); len(s) != 1 || s[0].Sink != "b" {
			t.Errorf("%+v", s)
		}
		if !strings.Contains(log.String(), "messages wait for a sink that reconciler.yaml does not name") {
			t.Error(log)
		}
		must(t, o.Use(map[string]Sink{"a": a, "b": b}))
		synctest.Wait() // at once, whatever the old one was waited for
		want(t, "a", a.all(), "1")
		if err := o.Use(map[string]Sink{"../x": a}); err == nil {
			t.Error("a sink is named ../x")
		}
	})
}

func TestAnOutboxIsOneProcessesAndIsNobodyElses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "notify")
	_, logger := newLogs(t)
	o, err := Open(dir, logger)
	must(t, err)
	if _, err := Open(dir, logger); err == nil {
		t.Error("it is open twice")
	}
	must(t, o.Use(map[string]Sink{"a": &drawer{}}))
	put(t, o, New, "a", "1")
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	}))
	o.Close()
	o, err = Open(dir, logger)
	must(t, err)
	o.Close()
}

func TestAMessageThatIsTooLargeIsNotKept(t *testing.T) {
	dir := t.TempDir()
	o, _, _ := open(t, dir, map[string]Sink{"a": &drawer{}})
	m := news("k")
	m.Markdown = strings.Repeat("x", maxMessage)
	says(t, o.Put([]string{"a"}, m), "at most 1048576 are kept")
	m.Kind = "x"
	says(t, o.Put([]string{"a"}, m), "is no kind")
}

func TestTheDaemonsEndWaitsForWhatIsBeingSentAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := &drawer{hang: true}
		o, _, stop := open(t, dir, map[string]Sink{"a": a})
		put(t, o, New, "a", "1")
		synctest.Wait()
		stop()
		a.hang = false
		open(t, dir, map[string]Sink{"a": a})
		synctest.Wait()
		want(t, "sent", a.all(), "1")
	})
}
