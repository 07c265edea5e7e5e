package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// run starts a program and returns what it printed. Its stderr is dropped, and
// its words stay out of errors: programs print secrets when they fail. On a
// timeout it is killed with everything that it started.
func run(ctx context.Context, argv []string, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = slices.DeleteFunc(os.Environ(), ofManager)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for a grandchild that left the group and kept stdout
	out := &capped{room: maxPlain, full: cancel}
	cmd.Stdout = out
	err := cmd.Run()
	switch {
	case out.over:
		return out.data.Bytes(), fmt.Errorf("%s printed more than %d bytes", argv[0], maxPlain)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return out.data.Bytes(), fmt.Errorf("%s did not end within %s", argv[0], timeout)
	case ctx.Err() != nil:
		return out.data.Bytes(), fmt.Errorf("%s: %w", argv[0], ctx.Err())
	case err != nil:
		return out.data.Bytes(), fmt.Errorf("%s: %w; what it printed is not shown, since it may hold the secret: run it by hand", argv[0], err)
	}
	return out.data.Bytes(), nil
}

// ofManager says that a variable is how we speak with systemd. A program that had
// it could say in our name that we are well.
func ofManager(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return slices.Contains([]string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}, name)
}

// capped keeps what is written up to a limit, and says when that is passed.
type capped struct {
	data bytes.Buffer
	room int
	over bool
	full func()
}

func (c *capped) Write(p []byte) (int, error) {
	if len(p) > c.room {
		c.over = true
		c.full()
		return 0, io.ErrShortWrite
	}
	c.room -= len(p)
	return c.data.Write(p)
}
