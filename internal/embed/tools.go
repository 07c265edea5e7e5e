package embed

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// The tools of systemd, systemctl and journalctl, are one small script. Whatever is
// begun on a node has two pipes to the node's systemd: by one a tool asks, by the
// other it is answered. This program, as a tool, would take longer to start than half
// of what a look starts.

// told is the answer to a call of a tool.
type told struct {
	Stdout string
	Stderr string
	Code   int
}

// reach gives a command the pipes, as file descriptors 3 and 4. Who calls it calls
// begun once the command has them, or does not begin.
func (s *systemd) reach(cmd *exec.Cmd) (begun func(), err error) {
	asked, asks, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	hears, answers, err := os.Pipe()
	if err != nil {
		asked.Close()
		asks.Close()
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{asks, hears}
	s.node.work.Go(func() { s.answer(asked, answers) })
	return func() {
		asks.Close()
		hears.Close()
	}, nil
}

// answer answers the calls of one command and of what it begins, one after the other.
func (s *systemd) answer(asked, answers *os.File) {
	defer asked.Close()
	defer answers.Close()
	stop := context.AfterFunc(s.node.ctx, func() { // what went its own way holds the other ends
		asked.Close()
		answers.Close()
	})
	defer stop()
	for calls := bufio.NewScanner(asked); calls.Scan(); {
		words := strings.Fields(calls.Text())
		if len(words) == 0 {
			continue
		}
		t := told{Stderr: words[0] + " is not known on an embedded node\n", Code: 1}
		switch words[0] {
		case "systemctl":
			t = s.systemctl(words[1:])
		case "journalctl":
			t = s.journalctl(words[1:])
		}
		fmt.Fprintf(answers, "%d %d %d\n%s%s", t.Code, len(t.Stdout), len(t.Stderr), t.Stdout, t.Stderr) // whoever asked may be gone
	}
}
