//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestRun runs the stories of testdata/run: the daemon itself, over fleets whose
// nodes may not be dialled. Every script finds two fleet repos, fleet/ with the
// cluster prod and other/ with the cluster test, a systemd that hears what the
// daemon tells it, and a free address in $HTTP.
func TestRun(t *testing.T) {
	t.Parallel() // it waits more than it works
	repo := material(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/run",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for path, body := range repo {
				if err := lay(filepath.Join(env.WorkDir, "fleet", path), body); err != nil {
					return err
				}
				path = strings.Replace(path, "clusters/prod/", "clusters/test/", 1)
				body = strings.NewReplacer("cluster: prod\n", "cluster: test\n", "fleet: acme\n", "fleet: labs\n").Replace(body)
				if err := lay(filepath.Join(env.WorkDir, "other", path), body); err != nil {
					return err
				}
			}
			for _, v := range []string{"HTTP", "HTTP2"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				env.Setenv(v, l.Addr().String())
				if err := l.Close(); err != nil {
					return err
				}
			}
			env.Values[keeperKey{}] = &keeper{}
			if err := hearSystemd(env); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "id"), sshKey(t), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"git":     git_,
			"commit":  commit,
			"daemon":  daemon_,
			"signals": signals,
			"says":    says,
			"ends":    ends,
			"hears":   hears,
			"gets":    gets,
			"lacks":   lacks,
			"fill":    fill,
			"settled": settled,
			"begun":   begun,
		},
	})
}

type systemdKey struct{}

// systemd is what a daemon told it, in order.
type systemd struct {
	mu    sync.Mutex
	words []string
}

func hearSystemd(env *testscript.Env) error {
	dir, err := os.MkdirTemp("", "sd") // a socket's path has to be short
	if err != nil {
		return err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		return err
	}
	env.Defer(func() { conn.Close(); os.RemoveAll(dir) })
	env.Setenv("NOTIFY_SOCKET", conn.LocalAddr().String())
	env.Setenv("WATCHDOG_USEC", "300000")
	s := &systemd{}
	env.Values[systemdKey{}] = s
	go func() {
		for text := make([]byte, 4096); ; {
			n, err := conn.Read(text)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.words = append(s.words, strings.ReplaceAll(string(text[:n]), "\n", " "))
			s.mu.Unlock()
		}
	}()
	return nil
}

// hears waits until systemd is told something, after what was waited for last:
// hears PATTERN
func hears(ts *testscript.TestScript, _ bool, args []string) {
	pattern, s := regexp.MustCompile("^"+args[0]+"$"), ts.Value(systemdKey{}).(*systemd)
	found := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, w := range s.words {
			if pattern.MatchString(w) {
				s.words = s.words[i+1:]
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(time.Minute); !found(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("systemd is not told %s, but %q", args[0], s.words)
		}
	}
}

// gets waits until an address answers so: gets ADDRESS PATH CODE PATTERN [HEADER: VALUE]
func gets(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[3])
	ask, err := http.NewRequest(http.MethodGet, "http://"+args[0]+args[1], nil)
	ts.Check(err)
	if len(args) > 4 {
		name, value, _ := strings.Cut(args[4], ": ")
		if ask.Header.Set(name, value); name == "Host" {
			ask.Host = value
		}
	}
	var last string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		answer, err := http.DefaultClient.Do(ask)
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(answer.Body)
		ts.Check(err)
		answer.Body.Close()
		last = fmt.Sprint(answer.StatusCode, " ", string(body))
		if fmt.Sprint(answer.StatusCode) == args[2] && pattern.Match(body) {
			return
		}
	}
	ts.Fatalf("%s%s does not answer %s %s, but %s", args[0], args[1], args[2], args[3], last)
}

// lacks says that a page does not hold something: lacks ADDRESS PATH PATTERN
func lacks(ts *testscript.TestScript, _ bool, args []string) {
	answer, err := http.Get("http://" + args[0] + args[1])
	ts.Check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	ts.Check(err)
	if found := regexp.MustCompile("(?m)^.*(?:" + args[2] + ").*$").Find(body); found != nil {
		ts.Fatalf("%s%s holds %s", args[0], args[1], found)
	}
}

// fill copies a file with the variables of the script put in: fill FROM TO
func fill(ts *testscript.TestScript, _ bool, args []string) {
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}
