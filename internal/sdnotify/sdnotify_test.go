package sdnotify_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/sdnotify"
)

// systemd is the end of the socket that systemd reads.
type systemd struct{ *net.UnixConn }

func newSystemd(t *testing.T) systemd {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", conn.LocalAddr().String())
	return systemd{conn}
}

// hears is the next message, "" if none comes for some time.
func (s systemd) hears(within time.Duration) string {
	text := make([]byte, 4096)
	_ = s.SetReadDeadline(time.Now().Add(within))
	n, err := s.Read(text)
	if err != nil {
		return ""
	}
	return string(text[:n])
}

func TestSystemdIsToldInItsWords(t *testing.T) {
	s := newSystemd(t)
	m := sdnotify.New(slog.New(slog.DiscardHandler))
	for _, c := range []struct {
		tell func()
		want string
	}{
		{m.Ready, "READY=1"},
		{m.Stopping, "STOPPING=1"},
		{func() { m.Status("one\nSTOPPING=1\x1b[2J") }, "STATUS=one STOPPING=1 [2J"},
	} {
		c.tell()
		if got := s.hears(10 * time.Second); got != c.want {
			t.Errorf("it hears %q, want %q", got, c.want)
		}
	}
	m.Status("one STOPPING=1 [2J")
	m.Reloading()
	var at int64
	if n, err := fmt.Sscanf(s.hears(10*time.Second), "RELOADING=1\nMONOTONIC_USEC=%d", &at); n != 1 || at <= 0 {
		t.Errorf("a reload is not told with its time: %v", err)
	}
}

func TestTheWatchdogIsFedOnlyWhileAllGoesOn(t *testing.T) {
	s := newSystemd(t)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	var mu sync.Mutex
	var hung []string
	late := func() []string { mu.Lock(); defer mu.Unlock(); return hung }
	set := func(to []string) { mu.Lock(); defer mu.Unlock(); hung = to }
	var log bytes.Buffer
	m := sdnotify.New(slog.New(slog.NewTextHandler(&log, nil)))
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); m.Watch(ctx, late) }()
	for range 3 {
		if got := s.hears(10 * time.Second); got != "WATCHDOG=1" {
			t.Fatalf("it hears %q", got)
		}
	}
	set([]string{"the turns of a"})
	for s.hears(200*time.Millisecond) != "" { // what was under way
	}
	if got := s.hears(300 * time.Millisecond); got != "" {
		t.Errorf("it hears %q while a loop hangs", got)
	}
	set(nil)
	if got := s.hears(10 * time.Second); got != "WATCHDOG=1" {
		t.Errorf("it hears %q after the loop went on", got)
	}
	stop()
	<-over
	if n := strings.Count(log.String(), "the turns of a"); n != 1 {
		t.Errorf("it is logged %d times\n%s", n, &log)
	}
}

func TestTimeIsAskedForOnlyWhileAllGoesOn(t *testing.T) {
	s := newSystemd(t)
	m := sdnotify.New(slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	m.Extend(ctx, func() []string { return nil }) // has ended already
	ctx, stop = context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); m.Extend(ctx, func() []string { return nil }) }()
	if got := s.hears(10 * time.Second); got != "EXTEND_TIMEOUT_USEC=60000000" {
		t.Errorf("it hears %q", got)
	}
	stop()
	<-over
	ctx, stop = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	m.Extend(ctx, func() []string { return []string{"the turns of a"} })
	if got := s.hears(100 * time.Millisecond); got != "" {
		t.Errorf("it hears %q while a loop hangs", got)
	}
}

func TestWithoutSystemdNothingIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	var log bytes.Buffer
	m := sdnotify.New(slog.New(slog.NewTextHandler(&log, nil)))
	m.Ready()
	m.Status("well")
	m.Watch(t.Context(), func() []string { return nil }) // returns: there is no watchdog
	if log.Len() > 0 {
		t.Error(log.String())
	}
}
