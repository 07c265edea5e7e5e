package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/secret"
)

// canary is part of every secret of the tests.
const canary = "CANARY3F1C9D"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "relay" {
		if err := Relay(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "hang" {
		select {}
	}
	if len(os.Args) > 2 && os.Args[1] == "die" {
		die(os.Args[2])
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// says fails where an error does not have these words, or has a secret.
func says(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nwant it to say %q", err, w)
		}
	}
	clean(t, err.Error())
}

// clean fails where a text has a secret.
func clean(t testing.TB, text string) {
	t.Helper()
	if strings.Contains(strings.ToUpper(text), canary) {
		t.Errorf("a secret is in %s", text)
	}
}

func isRefused(err error) bool { _, ok := errors.AsType[*RefusedError](err); return ok }

func isPartly(err error) bool { _, ok := errors.AsType[*PartlyError](err); return ok }

func news(key string) Message {
	return Message{
		Key: key, At: time.Date(2026, 11, 18, 10, 0, 0, 0, time.UTC), Kind: New, Severity: Critical, Fleet: "acme", Source: "fleet.git",
		Title: "acme: 1 new drift", Text: "🔴 audit device: mode 0600 → 0644\nprod-eu eu-1 eu-2\n", Markdown: "| **new** | audit device |\n",
		HTML: "<p>audit device: mode 0600 → 0644</p>", Link: "https://reconciler.internal/D-121", JSON: json.RawMessage(`{"schema":"reconciler/drift-report"}`),
	}
}

func held(text string) func() (secret.Bytes, error) {
	return func() (secret.Bytes, error) { return secret.Of([]byte(text)), nil }
}

// logs are lines of a log, as they are written.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newLogs is a log that must have no secret in it at the end.
func newLogs(t testing.TB) (*logs, *slog.Logger) {
	l := &logs{}
	t.Cleanup(func() { clean(t, l.String()) })
	return l, slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestAMessageThatCannotBeSentIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Message)
		says   string
	}{
		"no key":        {func(m *Message) { m.Key = "" }, "has no key"},
		"another kind":  {func(m *Message) { m.Kind = "great" }, `"great" is no kind`},
		"no severity":   {func(m *Message) { m.Severity = "" }, `"" is no severity`},
		"no text":       {func(m *Message) { m.Text = " \n" }, "no text"},
		"no title":      {func(m *Message) { m.Title = "\x00" }, "no title"},
		"a script":      {func(m *Message) { m.Link = "javascript:alert(1)" }, "no http or https address"},
		"a login":       {func(m *Message) { m.Link = "https://u:p@h/" }, "no http or https address"},
		"half a report": {func(m *Message) { m.JSON = json.RawMessage(`{"a":`) }, "is not JSON"},
	} {
		m := news("k")
		c.change(&m)
		_, err := m.valid(time.Now())
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := news("k")
	m.Title, m.At = "two\r\nlines\x1b[31m "+strings.Repeat("ü", 300), time.Time{}
	now := time.Date(2026, 11, 18, 11, 0, 0, 0, time.UTC)
	got, err := m.valid(now)
	if err != nil || strings.ContainsAny(got.Title, "\r\n\x1b") || len([]rune(got.Title)) != maxTitle || !got.At.Equal(now) {
		t.Errorf("%q at %v, %v", got.Title, got.At, err)
	}
}

func TestTheIDOfAMessageIsThatOfItsKey(t *testing.T) {
	a, b := news("k"), news("k")
	b.Title = "another"
	if a.ID() != b.ID() || a.ID() == news("l").ID() || len(a.ID()) != len("msg_")+32 {
		t.Errorf("%s %s %s", a.ID(), b.ID(), news("l").ID())
	}
}

func TestATextThatIsTooLongLosesLinesAndSaysHowMany(t *testing.T) {
	lines := strings.Repeat("| a row of a table |\n", 500)
	for name, c := range map[string]struct{ text, ends string }{
		"rows":    {lines, ""},
		"a fence": {"````yaml\n```\n" + lines, "````\n"},
		"details": {"<details><summary>x</summary>\n\n" + lines + "</details>\n", "</details>\n"},
		"a word":  {strings.Repeat("x", 5000), ""},
	} {
		for most := 100; most < 3000; most += 37 {
			got := fit(c.text, most, leftOut("https://r/x"))
			if len(got) > most || !strings.Contains(got, "more lines: https://r/x") {
				t.Fatalf("%s: %d bytes of %d: %q", name, len(got), most, got)
			}
			head, _, _ := strings.Cut(got, "\n… and")
			if name != "a word" && !strings.HasSuffix(head, c.ends) {
				t.Fatalf("%s: what was opened is not closed: %q", name, got)
			}
			kept := 0
			for line := range strings.Lines(head) {
				if strings.HasPrefix(line, "|") && line != "| a row of a table |\n" {
					t.Fatalf("%s: a line is cut: %q", name, line)
				}
				kept++
			}
		}
		if got := fit(c.text, len(c.text), leftOut("")); got != c.text {
			t.Errorf("%s: a text that fits is changed", name)
		}
	}
}
