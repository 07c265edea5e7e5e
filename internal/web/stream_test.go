package web_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/internal/web/webtest"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// pipes is a listener of connections in memory, so that time is the test's.
type pipes struct {
	next chan net.Conn
	end  chan struct{}
	once sync.Once
	ours []net.Conn
}

func newPipes() *pipes { return &pipes{next: make(chan net.Conn), end: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.next:
		return c, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.end) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.next <- theirs
	p.ours = append(p.ours, ours)
	return ours
}

// served is a board that is served, and what ends that.
func served(t *testing.T, b *web.Board) (l *pipes, end context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, ended := newPipes(), make(chan error, 1)
	go func() { ended <- web.Serve(ctx, l, shows(b, nil)) }()
	return l, func() {
		cancel()
		for _, c := range l.ours {
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// listener is one browser that listens.
type listener struct {
	net.Conn
	*bufio.Reader
}

func listen(t *testing.T, l *pipes) listener {
	t.Helper()
	c := l.dial()
	if _, err := io.WriteString(c, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return listener{c, bufio.NewReader(c)}
}

// answer is the status and the header of the answer.
func (l listener) answer(t *testing.T) *http.Response {
	t.Helper()
	r, err := http.ReadResponse(l.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// event is the next message of a stream, without what only separates.
func event(t *testing.T, body *bufio.Reader) string {
	t.Helper()
	var lines []string
	for {
		line, err := body.ReadString('\n')
		if err != nil {
			return "ended"
		}
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		} else if len(lines) > 0 {
			return strings.Join(lines, " ")
		}
	}
}

func step(id string, kind apply.EventKind, detail string) apply.Event {
	return apply.Event{Kind: kind, Step: diff.Step{ID: id, Node: "n", Action: diff.ActionReload}, Detail: detail, At: webtest.Noon()}
}

func TestAStreamTellsWhatChangedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := webtest.Board(webtest.Sick()...)
		l, end := served(t, b)
		one := listen(t, l)
		answer := one.answer(t)
		if answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%v", answer.Header)
		}
		body := bufio.NewReader(answer.Body)
		says := func(want string) {
			t.Helper()
			if got := event(t, body); got != want {
				t.Errorf("it says %q, and not %q", got, want)
			}
		}
		says(`retry: 5000 event: hello data: {"cluster":"","n":8}`)

		b.Seen(webtest.Well("prod-ca", 5), webtest.Noon()) // as it was seen before anybody listened, which nobody knows any more
		says(`event: changed data: {"cluster":"prod-ca","n":9}`)
		b.Seen(webtest.Well("prod-ca", 5), webtest.Noon().Add(time.Minute)) // no news
		b.Event("prod-eu", step("1", apply.EventBegan, ""))
		says(`event: changed data: {"cluster":"prod-eu","n":10}`)
		b.Event("prod-eu", step("1", apply.EventWaiting, "sealed"))
		says(`event: changed data: {"cluster":"prod-eu","n":11}`)
		b.Event("prod-eu", step("1", apply.EventWaiting, "sealed")) // no news
		b.Event("prod-eu", step("1", apply.EventEnded, ""))
		says(`event: changed data: {"cluster":"prod-eu","n":12}`)
		b.Seen(webtest.Drifted("prod-ca"), webtest.Noon())
		says(`event: changed data: {"cluster":"prod-ca","n":13}`)
		b.Wants(webtest.Fleet, webtest.Source(), nil)
		says(`event: changed data: {"cluster":"","n":14}`)

		says(": it goes on") // after 15 quiet seconds: the test's clock goes by itself
		var over sync.WaitGroup
		over.Go(end)
		says("ended")
		over.Wait()
	})
}

// TestAStreamGoesOnForLongAndIsAskedAgain: the bounds of other requests do not hold for
// it, its own do.
func TestAStreamGoesOnForLongAndIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := served(t, web.NewBoard())
		defer end()
		one, began := listen(t, l), time.Now()
		body := bufio.NewReader(one.answer(t).Body)
		beats := 0
		for event(t, body) != "ended" {
			beats++
		}
		if lasted := time.Since(began); lasted != time.Hour || beats < 239 {
			t.Errorf("it lasted %v with %d beats", lasted, beats)
		}
	})
}

func TestAStreamEndsWithTheSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := web.NewBoard()
		l, end := served(t, b)
		defer end()
		one, began := listen(t, l), time.Now()
		body := bufio.NewReader(one.answer(t).Body)
		event(t, body)
		b.AskAgain()
		if got := event(t, body); got != "ended" || time.Since(began) > time.Second {
			t.Errorf("it goes on with %q", got)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := web.NewBoard()
		l, end := served(t, b)
		defer end()
		var all []listener
		for range 64 {
			one := listen(t, l)
			if code := one.answer(t).StatusCode; code != http.StatusOK {
				t.Fatalf("stream %d is answered %d", len(all), code)
			}
			all = append(all, one)
		}
		more := listen(t, l)
		if answer := more.answer(t); answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
			t.Errorf("the 65th is answered %d", answer.StatusCode)
		}
		more.Close()
		page := l.dial() // the pages are still answered
		if _, err := io.WriteString(page, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(page), nil)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", answer, err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		page.Close()
		all[0].Close()
		synctest.Wait()
		if code := listen(t, l).answer(t).StatusCode; code != http.StatusOK {
			t.Errorf("in the place of one that left: %d", code)
		}
	})
}

// TestWhoDoesNotReadIsDropped: nothing waits for him, and nothing piles up.
func TestWhoDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := webtest.Board(webtest.Well("prod", 3))
		l, end := served(t, b)
		defer end()
		slow := listen(t, l)
		slow.answer(t)
		began := time.Now()
		for range 100000 {
			b.Event("prod", step("1", apply.EventBegan, ""))
		}
		if time.Since(began) > 0 {
			t.Error("the daemon waits for a browser")
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		_ = slow.SetReadDeadline(time.Now().Add(time.Second))
		read, err := io.Copy(io.Discard, slow.Conn)
		if errors.Is(err, os.ErrDeadlineExceeded) || read > 16<<10 {
			t.Errorf("the connection stands, with %d bytes: %v", read, err)
		}
	})
}
