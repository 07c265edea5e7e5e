//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// An Operator runs the built reconciler in a folder, on the rig's switch.
type Operator struct {
	Dir  string
	Env  []string      // KEY=VALUE, on top of PATH and HOME; nothing else is inherited
	Wait time.Duration // how long a command may take; zero means five minutes
	// Failpoint is where a command kills itself (cmd/reconciler/failpoint_on.go),
	// in a build of its own; empty is the build that is released.
	Failpoint string

	rig *Rig
}

// Ended is what a command did.
type Ended struct {
	Stdout, Stderr string
	Code           int // -1 when a signal ended it
}

// Operator is somebody who works in dir, with these variables set.
func (r *Rig) Operator(dir string, env ...string) Operator {
	return Operator{Dir: dir, Env: env, rig: r}
}

// Run runs reconciler with these arguments to its end.
func (o Operator) Run(args ...string) Ended {
	o.rig.t.Helper()
	return o.await(o.Start(args...))
}

// Other runs another program to its end, from the place where reconciler works.
func (o Operator) Other(program string, args ...string) Ended {
	o.rig.t.Helper()
	return o.await(o.start(program, args))
}

func (o Operator) await(running *Running) Ended {
	o.rig.t.Helper()
	limit := o.Wait
	if limit == 0 {
		limit = 5 * time.Minute
	}
	select {
	case <-running.Done:
	case <-time.After(limit):
		running.Kill()
		o.rig.t.Fatalf("%q did not end in %s\n%s", running.cmd.Args, limit, running.Stderr())
	}
	return running.Ended()
}

// Running is a program in the background. It is killed with the rig.
type Running struct {
	Done <-chan struct{} // closed when it has ended

	cmd            *exec.Cmd
	stdout, stderr stream
}

// Start starts reconciler with these arguments and returns at once.
func (o Operator) Start(args ...string) *Running {
	o.rig.t.Helper()
	build := o.rig.product
	if o.Failpoint != "" {
		build = o.rig.mortal
	}
	binary, err := build()
	o.rig.must(err)
	return o.start(binary, args)
}

func (o Operator) start(program string, args []string) *Running {
	o.rig.t.Helper()
	home := filepath.Join(o.rig.Dir, "home")
	o.rig.must(os.MkdirAll(home, 0o700))

	// nsenter becomes the command, so that a signal to it reaches the program.
	r := &Running{cmd: exec.Command("nsenter", append([]string{"--net=/run/netns/" + string(o.rig.netns), "--", program}, args...)...)}
	r.cmd.Dir = o.Dir
	r.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "RECONCILER_FAILPOINT=" + o.Failpoint}, o.Env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	o.rig.must(startIn(r.cmd, o.rig.tools))
	done := make(chan struct{})
	r.Done = done
	go func() {
		r.cmd.Wait() // the exit code tells
		close(done)
	}()
	return r
}

// Ended waits for the end and says what there was.
func (r *Running) Ended() Ended {
	<-r.Done
	return Ended{r.Stdout(), r.Stderr(), r.cmd.ProcessState.ExitCode()}
}

// Stdout and Stderr are what it has printed so far.
func (r *Running) Stdout() string { return r.stdout.String() }
func (r *Running) Stderr() string { return r.stderr.String() }

// Kill ends it as a crash does, with no chance to tidy up.
func (r *Running) Kill() { r.signal(syscall.SIGKILL) }

// Pause stops it where it is, as SIGSTOP, a suspended machine or a snapshot
// does; Continue lets it go on, with no idea of the time between.
func (r *Running) Pause()    { r.signal(syscall.SIGSTOP) }
func (r *Running) Continue() { r.signal(syscall.SIGCONT) }

// Terminate asks it to end, as systemd does.
func (r *Running) Terminate() { r.signal(syscall.SIGTERM) }

func (r *Running) signal(s syscall.Signal) {
	// One that has ended already is no error: tests race with the end on purpose.
	_ = r.cmd.Process.Signal(s)
	if s == syscall.SIGKILL {
		<-r.Done
	}
}

// A stream collects output while others read it.
type stream struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// build builds the product as it is released, without cgo, but for these flags.
func (r *Rig) build(name string, flags ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	binary := filepath.Join(r.Dir, name)
	args := append([]string{"build", "-trimpath", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/reconciler")...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build reconciler: %w", err), errors.New(string(out)))
	}
	return binary, nil
}
