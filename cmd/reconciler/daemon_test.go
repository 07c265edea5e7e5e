//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/vaultfleet/reconciler/internal/demo"
)

// A script's daemon is `reconciler run` beside it: `daemon` starts one, `says`
// waits for what its log says, and `ends` tells it to end.

type keeperKey struct{}

// keeper is a daemon, with what it prints in files.
type keeper struct {
	cmd         *exec.Cmd
	stdout, log string
	heard       int           // bytes of the log that were waited for
	over        chan struct{} // closed once it has ended
}

func keeperOf(ts *testscript.TestScript) *keeper { return ts.Value(keeperKey{}).(*keeper) }

// daemon_ starts the daemon: daemon FLAG…
func daemon_(ts *testscript.TestScript, _ bool, flags []string) {
	k := keeperOf(ts)
	*k = keeper{stdout: ts.MkAbs("daemon.stdout"), log: ts.MkAbs("daemon.log"), over: make(chan struct{})}
	stdout, err := os.Create(k.stdout)
	ts.Check(err)
	defer stdout.Close()
	log, err := os.Create(k.log)
	ts.Check(err)
	defer log.Close()
	args := append([]string{"run"}, flags...)
	if stage, ok := ts.Value(stageKey{}).(*demo.Stage); ok {
		args = append([]string{"--config", stage.Config}, args...)
	}
	cmd := exec.Command("reconciler", args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+ts.Getenv("NOTIFY_SOCKET"), "WATCHDOG_USEC="+ts.Getenv("WATCHDOG_USEC"))
	cmd.Stdout, cmd.Stderr = stdout, log
	ts.Check(cmd.Start())
	k.cmd = cmd
	over := k.over
	go func() {
		_ = cmd.Wait() // `ends` checks how it went
		close(over)
	}()
	ts.Defer(func() {
		_ = cmd.Process.Kill() // it has ended, unless the script failed
		<-over
	})
}

// signals sends the daemon a signal: signals NAME
func signals(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(keeperOf(ts).cmd.Process.Signal(unix.SignalNum("SIG" + args[0])))
}

// says waits for something in the daemon's log, after what was waited for last:
// says PATTERN
func says(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile(args[0] + `.*\n`)
	ts.Check(err)
	k := keeperOf(ts)
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		log := ts.ReadFile(k.log)
		if at := pattern.FindStringIndex(log[k.heard:]); at != nil {
			k.heard += at[1]
			return
		}
		if k.ended(0) || time.Now().After(end) {
			ts.Fatalf("the daemon does not say %s. It said before:\n%sand since:\n%s", args[0], log[:k.heard], log[k.heard:])
		}
	}
}

// ended says that the daemon has ended, or does within some time.
func (k *keeper) ended(within time.Duration) bool {
	select {
	case <-k.over:
		return true
	case <-time.After(within):
		return false
	}
}

// ends tells the daemon to end, and says which code it ends with: ends SIGNAL
// CODE. What it printed is there for stdout and stderr.
func ends(ts *testscript.TestScript, _ bool, args []string) {
	k := keeperOf(ts)
	ts.Check(k.cmd.Process.Signal(unix.SignalNum("SIG" + args[0])))
	if !k.ended(time.Minute) {
		ts.Fatalf("the daemon does not end. It said:\n%s", ts.ReadFile(k.log))
	}
	fmt.Fprint(ts.Stdout(), ts.ReadFile(k.stdout))
	fmt.Fprint(ts.Stderr(), ts.ReadFile(k.log))
	if code := k.cmd.ProcessState.ExitCode(); fmt.Sprint(code) != args[1] {
		ts.Fatalf("the daemon's exit code is %d, want %s", code, args[1])
	}
}

// discreet says that what was printed last holds no secret of the stage, no token
// and no stack.
func discreet(ts *testscript.TestScript, _ bool, _ []string) {
	s := stageOf(ts)
	secrets, err := s.Shares()
	ts.Check(err)
	for _, file := range []string{"ssh.key", "age.key", demo.Holder + ".key"} {
		for line := range strings.Lines(ts.ReadFile(filepath.Join(s.Dir, file))) {
			if len(line) > 20 && line[0] != '-' && line[0] != '#' { // no header, and not the public half
				secrets = append(secrets, strings.TrimSpace(line))
			}
		}
	}
	if len(secrets) < 3+3 {
		ts.Fatalf("the stage has %d secrets", len(secrets))
	}
	for _, stream := range []string{"stdout", "stderr"} {
		said := ts.ReadFile(stream)
		for _, secret := range secrets {
			if strings.Contains(said, secret) {
				ts.Fatalf("a secret stands in %s", stream)
			}
		}
		if found := regexp.MustCompile(`hv[sb]\.|PRIVATE KEY|goroutine \d|panic:`).FindString(said); found != "" {
			ts.Fatalf("%q stands in %s", found, stream)
		}
	}
}
