package embed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// run is one process of a service.
type run struct {
	cmd     *exec.Cmd
	asked   bool          // it was told to end
	ready   chan struct{} // closed once it said READY=1
	readied sync.Once
	ended   chan struct{} // closed once it is gone and its state is known
}

// begin runs what comes before the process, and the process.
func (s *service) begin(ctx context.Context, u unit) (*run, error) {
	n := s.systemd.node
	env := append(n.env(), "INVOCATION_ID="+s.invocation)
	for _, file := range u.environment {
		more, err := readEnvironment(n.path(strings.TrimPrefix(file, "-")))
		if err != nil && !strings.HasPrefix(file, "-") {
			return nil, fmt.Errorf("read the environment: %w", err)
		}
		env = append(env, more...)
	}
	for _, line := range u.pre {
		words, forgiven := s.words(line, "INVOCATION_ID", s.invocation)
		cmd := n.command(ctx, words[0], words[1:]...)
		out, err := cmd.CombinedOutput()
		if err != nil && !forgiven {
			return nil, fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	cmd, err := s.program(ctx, u.start)
	if err != nil {
		return nil, err
	}
	r := &run{cmd: cmd, ready: make(chan struct{}), ended: make(chan struct{})}
	r.cmd.Env = env
	record := &output{journal: &s.systemd.journal, unit: s.name}
	r.cmd.Stdout, r.cmd.Stderr = record, record
	r.cmd.WaitDelay = time.Second
	var notify *net.UnixConn
	if u.notify {
		var socket string
		if socket, notify, err = s.notifySocket(); err != nil {
			return nil, err
		}
		r.cmd.Env = append(r.cmd.Env, "NOTIFY_SOCKET="+socket)
		n.work.Go(func() { s.hear(r, notify) })
	}
	s.mu.Lock() // what it says is heard once it is known as the process
	err = r.cmd.Start()
	if err == nil {
		s.run, s.began = r, time.Now()
	}
	if err == nil && !u.notify {
		s.up(r)
	}
	s.mu.Unlock()
	if err != nil {
		if notify != nil {
			notify.Close()
		}
		return nil, err
	}
	n.work.Go(func() {
		err := r.cmd.Wait()
		record.end()
		if notify != nil {
			notify.Close()
		}
		s.over(r, u, err)
	})
	return r, nil
}

// notifySocket is where the process says how it is.
func (s *service) notifySocket() (string, *net.UnixConn, error) {
	n := s.systemd.node
	socket := n.notify + "." + s.name
	if n.confined {
		socket = n.path("/run/" + s.name + ".notify") // where it can be seen
	}
	_ = os.Remove(socket) // of the run before
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return "", nil, err
	}
	if err := n.give(socket); err != nil {
		return "", nil, errors.Join(err, conn.Close())
	}
	return socket, conn, nil
}

// program is the process of a service.
func (s *service) program(ctx context.Context, line string) (*exec.Cmd, error) {
	n := s.systemd.node
	if n.confined {
		words := strings.Fields(strings.TrimLeft(line, "-+!@:"))
		cmd := n.command(ctx, words[0], words[1:]...)
		return cmd, n.confine(cmd)
	}
	words, _ := s.words(line, "", "")
	return n.command(ctx, words[0], words[1:]...), nil
}

// hear takes what the process says of itself.
func (s *service) hear(r *run, notify *net.UnixConn) {
	buffer := make([]byte, 4096)
	for {
		got, err := notify.Read(buffer)
		if err != nil {
			return // closed: the process is gone
		}
		s.mu.Lock()
		for line := range strings.Lines(string(buffer[:got])) {
			switch word := strings.TrimSpace(line); {
			case s.run != r: // it is gone
			case word == "READY=1":
				if s.state == "reloading" {
					s.reloads++
				}
				s.up(r)
			case word == "RELOADING=1":
				s.state, s.sub = "reloading", "reload"
			case word == "STOPPING=1":
				s.state, s.sub = "deactivating", "stop-sigterm"
			}
		}
		s.mu.Unlock()
	}
}

// up notes that the process is ready. The caller holds mu.
func (s *service) up(r *run) {
	s.state, s.sub = "active", "running"
	r.readied.Do(func() { close(r.ready) })
}

// over is the end of a process.
func (s *service) over(r *run, u unit, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(r.ended)
	s.run, s.state, s.sub = nil, "", "dead"
	var exit *exec.ExitError
	switch {
	case r.asked || err == nil || errors.Is(err, exec.ErrWaitDelay):
		return
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		s.result = "signal"
	default:
		s.result = "exit-code"
	}
	s.state, s.sub = "failed", "failed"
	n := s.systemd.node
	if !u.restart || n.ctx.Err() != nil {
		return
	}
	s.state, s.sub = "activating", "auto-restart"
	n.work.Go(func() {
		select {
		case <-time.After(u.pause):
		case <-n.ctx.Done():
			return
		}
		s.job.Lock()
		defer s.job.Unlock()
		s.mu.Lock()
		again := s.sub == "auto-restart" // else somebody was quicker
		if again {
			s.restarts++
		}
		s.mu.Unlock()
		if again {
			_ = s.startHeld(n.ctx) // a failure is the unit's state
		}
	})
}

// end sends a signal, and SIGKILL when that does not help.
func (s *service) end(r *run, signal syscall.Signal) error {
	if err := r.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-r.ended:
		return nil
	case <-time.After(stopWithin):
	}
	if err := r.cmd.Cancel(); err != nil {
		return err
	}
	<-r.ended
	return nil
}
