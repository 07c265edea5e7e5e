// Command reconciler keeps fleets of HashiCorp Vault servers in the state that
// a git repository describes.
//
// This package wires the rooms together: one file per command, and no
// decisions.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // windows are told in zones, and a bare host may know none

	"github.com/vaultfleet/reconciler/internal/embed/simvault"
	"github.com/vaultfleet/reconciler/internal/report"
)

// Exit codes, a promise (docs/operations.md).
const (
	exitFailed      = 1
	exitUsage       = 64
	exitInternal    = 70
	exitInterrupted = 130
)

func main() {
	simvault.Main()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the exit: the code says how it went.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(stderr, "reconciler: error: internal: %v\n%s", p, debug.Stack())
			fmt.Fprintln(stderr, "reconciler: hint: this is a defect of the reconciler: please report it with the lines above")
			code = exitInternal
		}
	}()
	ctx, stop := interruptible()
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, signals: func() { signal.Reset(os.Interrupt, syscall.SIGTERM) }}
	root := newRoot(a)
	root.SetArgs(args)
	code = exitCode(root.ExecuteContext(ctx), stderr)
	for _, err := range a.leftOut {
		code = report.Worst(code, exitCode(err, stderr))
	}
	if a.held != nil {
		code = report.Worst(code, report.Blocked)
	}
	return code
}

// interruptible is a context that the first SIGINT or SIGTERM ends; its cause
// tells which.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			cancel(&signalled{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// signalled is the end of a context by a signal.
type signalled struct{ signal os.Signal }

func (s *signalled) Error() string { return s.signal.String() + " received" }

// Is says that nothing failed: somebody wanted it to end.
func (s *signalled) Is(target error) bool { return target == context.Canceled }

// exitCode tells an error to a person and to a shell.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	var coded *exitError
	isCoded := errors.As(err, &coded)
	if !isCoded || coded.err != nil {
		fmt.Fprintf(stderr, "reconciler: error: %v\n", err)
	}
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(stderr, "reconciler: hint: %s\n", hint)
	}
	switch {
	case isCoded:
		return coded.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// hintOf is the way out that an error names; "" where it names none.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// exitError ends the program with a code of its own. Without err nothing is
// printed: the command has said it already.
type exitError struct {
	code int
	err  error
	hint string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Hint is what to do next; empty when there is nothing to say.
func (e *exitError) Hint() string { return e.hint }

// usage is an error in how the command was called.
func usage(hint, format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...), hint: hint}
}
