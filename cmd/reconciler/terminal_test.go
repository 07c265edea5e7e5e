//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// person is somebody at a terminal, with a shell that does some lines.
type person struct {
	t        *testing.T
	shell    *exec.Cmd
	terminal *os.File // their end of it
	said     string
	heard    int // bytes of said
}

// openTerminal is a terminal from both its ends: a person's, and a program's.
func openTerminal(t *testing.T) (terminal, far *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	check(t, err)
	t.Cleanup(func() { terminal.Close() })
	control, err := terminal.SyscallConn()
	check(t, err)
	var number int
	check(t, control.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}))
	check(t, err)
	far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	check(t, err)
	return terminal, far
}

// atTerminal gives lines to a shell at a terminal. As one that is typed into, it
// outlives a Ctrl-C.
func atTerminal(t *testing.T, lines string) *person {
	t.Helper()
	terminal, far := openTerminal(t)
	defer far.Close()
	shell := exec.Command("/bin/sh", "-c", "trap : INT\n"+lines)
	shell.Env = append(os.Environ(), "NO_COLOR=1", "GIT_CONFIG_GLOBAL=/dev/null")
	shell.Stdin, shell.Stdout, shell.Stderr = far, far, far
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(t, shell.Start())
	check(t, terminal.SetDeadline(time.Now().Add(2*time.Minute)))
	return &person{t: t, shell: shell, terminal: terminal}
}

// read reads what came, and says whether more may come.
func (p *person) read() bool {
	buffer := make([]byte, 4096)
	n, err := p.terminal.Read(buffer)
	p.said += strings.ReplaceAll(string(buffer[:n]), "\r", "")
	return err == nil
}

// hears waits for words, in this order.
func (p *person) hears(words ...string) {
	p.t.Helper()
	for _, w := range words {
		for !strings.Contains(p.said[p.heard:], w) {
			if !p.read() {
				p.t.Fatalf("nothing says %q in\n%s", w, p.said)
			}
		}
		p.heard += strings.Index(p.said[p.heard:], w) + len(w)
	}
}

func (p *person) types(text string) {
	p.t.Helper()
	_, err := p.terminal.WriteString(text)
	check(p.t, err)
}

// ends waits for the end of the lines, and expects an exit code of the last one.
func (p *person) ends(code int) {
	p.t.Helper()
	for p.read() {
	}
	_ = p.shell.Wait() // its exit code is checked below
	if got := p.shell.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("the exit code is %d, want %d\n%s", got, code, p.said)
	}
}
