package hook

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/vaultfleet/reconciler/internal/inbound"
)

// served hears hooks on loopback until the test ends; end does it before.
func served(t *testing.T, h http.Handler) (address string, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- Serve(ctx, l, h) }()
	end = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-over:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Error("it does not end")
		}
	})
	t.Cleanup(end)
	return l.Addr().String(), end
}

// memory is what is held now, after what is not was thrown away.
func memory() (heap uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// settled waits until there are no more goroutines than there were.
func settled(t *testing.T, before int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there are %d goroutines, and were %d", runtime.NumGoroutine(), before)
		}
	}
}

// TestAFloodLeavesNothingBehind: 10,000 requests with bad signatures, on many
// connections at once; also where each of them is read and checked. What else this
// process does comes to its turn meanwhile, and the log stays short.
func TestAFloodLeavesNothingBehind(t *testing.T) {
	for name, limit := range map[string]rate.Limit{"most are too many": perSecond, "all are checked": rate.Inf} {
		t.Run(name, func(t *testing.T) {
			const requests, senders = 10_000, 50
			b := newBench(t)
			b.limit.SetLimit(limit)
			goroutines, heap := runtime.NumGoroutine(), memory()
			address, end := served(t, b)
			ticks := tick()
			begun := time.Now()
			codes := flood(t, "http://"+address+Path, requests, senders)
			took, ticked := time.Since(begun), ticks()
			end()
			settled(t, goroutines)
			if codes[401] < atOnce || codes[401]+codes[429] != requests || limit == rate.Inf && codes[429] > 0 || b.hints != 0 {
				t.Errorf("answers %v, %d hints", codes, b.hints)
			}
			if ticked < int(took/(100*time.Millisecond)) {
				t.Errorf("in %v the loop came to its turn %d times", took, ticked)
			}
			grown := int64(memory()) - int64(heap)
			if grown > 2<<20 {
				t.Errorf("%d bytes more are held", grown)
			}
			if n := strings.Count(b.log.String(), "\n"); n < 1 || n > 1+int(took/quiet) {
				t.Errorf("logged %d lines: %s", n, b.log.String())
			}
			t.Logf("%d requests in %v, %v, %d ticks of 10ms, %d bytes more", requests, took, codes, ticked, grown)
		})
	}
}

// tick is a loop that shares this process; the result ends it, and says how often
// it came to its turn.
func tick() func() int {
	stop, turns := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				turns <- n
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() int { close(stop); return <-turns }
}

// flood posts with a wrong signature, and counts the answers.
func flood(t *testing.T, url string, requests, senders int) map[int]int {
	t.Helper()
	transport := &http.Transport{MaxConnsPerHost: senders, MaxIdleConnsPerHost: senders}
	defer transport.CloseIdleConnections()
	var mu sync.Mutex
	codes := map[int]int{}
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for range requests / senders {
				r, _ := http.NewRequest(http.MethodPost, url, strings.NewReader(main))
				r.Header.Set(hubSignature, "sha256="+strings.Repeat("0", 64))
				answer, err := transport.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				mu.Lock()
				codes[answer.StatusCode]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return codes
}

func TestTooManyAreToldWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for range atOnce {
			b.post(http.Header{}, main)
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, Path, strings.NewReader(main))
		r.Header = github(main)
		if b.ServeHTTP(w, r); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		time.Sleep(time.Second)
		if code, hints := b.post(github(main), main); code != http.StatusAccepted || hints != 1 {
			t.Errorf("a second later: %d, %d hints", code, hints)
		}
		time.Sleep(quiet)
		b.log.Reset()
		b.post(http.Header{}, main)
		if said := b.log.String(); !strings.Contains(said, fmt.Sprintf("bad_signature=%d too_many=1", atOnce)) {
			t.Errorf("logged %s", said)
		}
	})
}

// TestWhoHoldsAConnectionLosesIt: one that sends its headers slowly, while the
// hook of somebody else is heard.
func TestWhoHoldsAConnectionLosesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		pipes := make(pipeListener)
		over := make(chan error)
		go func() { over <- Serve(ctx, pipes, b) }()
		for name, begin := range map[string]string{
			"no header":    "POST /hook HTTP/1.1\r\n",
			"half a body":  "POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nX-Gitlab-Token: x\r\n\r\nhalf",
			"nothing":      "",
			"no more then": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			mine, theirs := net.Pipe()
			pipes <- theirs
			go io.WriteString(mine, begin)
			begun := time.Now()
			_, _ = io.Copy(io.Discard, mine)
			if held := time.Since(begun); held > inbound.RequestTakes+time.Second {
				t.Errorf("%s: held for %v", name, held)
			}
			mine.Close()
		}
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

// pipeListener hands out what is put into it.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error { close(l); return nil }
func (pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestTheServerSpeaksPlainHTTPAndLittleOfIt(t *testing.T) {
	b := newBench(t)
	address, _ := served(t, b)
	for name, c := range map[string]struct{ says, want string }{
		"http/1.0":       {"POST /hook HTTP/1.0\r\nX-Gitlab-Token: " + typed + "\r\nContent-Length: 0\r\n\r\n", "202"},
		"expect":         {"POST /hook HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n", "401"},
		"dots":           {"POST /hook/../metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "404"},
		"http/2":         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 404"},
		"big headers":    {"POST /hook HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", "431"},
		"two lengths":    {"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
		"a length below": {"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400"},
		"no host":        {"POST /hook HTTP/1.1\r\n\r\n", "400"},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		go io.WriteString(conn, c.says)
		line, _ := bufio.NewReader(conn).ReadString('\n')
		if !strings.Contains(line, c.want) {
			t.Errorf("%s: answered %q, want %s", name, line, c.want)
		}
		conn.Close()
	}
}

// TestTheEndAnswersWhatIsInFlight: a forge that is told nothing shows a failure.
func TestTheEndAnswersWhatIsInFlight(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-goOn
		w.WriteHeader(http.StatusAccepted)
	})
	address, end := served(t, h)
	code := make(chan int, 1)
	go func() {
		answer, err := http.Post("http://"+address+Path, "", nil)
		if err != nil {
			code <- 0
			return
		}
		answer.Body.Close()
		code <- answer.StatusCode
	}()
	<-begun
	time.AfterFunc(50*time.Millisecond, func() { close(goOn) })
	end()
	if got := <-code; got != http.StatusAccepted {
		t.Errorf("answered %d", got)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("somebody still listens")
	}
}

func BenchmarkRefused(b *testing.B) {
	for name, h := range map[string]http.Header{
		"unsigned": {},
		"wrong":    {hubSignature: {"sha256=" + strings.Repeat("0", 64)}},
	} {
		b.Run(name, func(b *testing.B) {
			bench := newBench(b)
			bench.limit.SetLimit(1e9)
			bench.teller = newTeller(slog.New(slog.DiscardHandler))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(main))
				r.Header = h
				bench.ServeHTTP(nobody{}, r)
			}
		})
	}
}

// nobody is who does not read the answer.
type nobody struct{}

func (nobody) Header() http.Header         { return http.Header{} }
func (nobody) Write(p []byte) (int, error) { return len(p), nil }
func (nobody) WriteHeader(int)             {}
