//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/vaultfleet/reconciler/internal/embed"
)

// demonstrate is the demo as a process of its own, of somebody who keeps files to
// themselves.
func demonstrate(t *testing.T, flags ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	named := filepath.Join(t.TempDir(), "reconciler")
	check(t, os.Symlink(self, named))
	cmd := exec.Command("/bin/sh", append([]string{"-c", `umask 077; exec "$0" demo --fast "$@"`, named}, flags...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+reachable(t))
	return cmd
}

// reachable is a temporary folder that everybody can reach, as /tmp is.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "demo")
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

func TestTheDemoSaysWhereItCannotLive(t *testing.T) {
	shut := filepath.Join(reachable(t), "shut")
	check(t, os.Mkdir(shut, 0o700))
	for dir, why := range map[string]string{
		reachable(t):                     "",
		"somewhere":                      "not one for shells and sockets",
		"/tmp/of a person":               "not one for shells and sockets",
		"/" + strings.Repeat("deep", 20): "not one for shells and sockets",
		"/no/such/folder":                "no such file",
		shut:                             map[bool]string{true: "may not enter " + shut}[os.Getuid() == 0],
	} {
		err := lives(dir)
		var refused *exitError
		if why == "" && err != nil || why != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), why) || !strings.Contains(refused.hint, "TMPDIR")) {
			t.Errorf("%s: %v, want %q", dir, err, why)
		}
	}
}

// TestTheDemoTellsItsStory plays all of it, does what it says can be tried then, and
// ends it.
func TestTheDemoTellsItsStory(t *testing.T) {
	t.Parallel()
	cmd := demonstrate(t, "--keep")
	pipe, err := cmd.StdoutPipe()
	check(t, err)
	var woe bytes.Buffer
	cmd.Stderr = &woe
	check(t, cmd.Start())
	defer func() { // where a step fails
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	var said strings.Builder
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if lines.Text() == "  r run" { // the last one, until it is told to end
			tryOut(t, said.String())
			check(t, cmd.Process.Signal(syscall.SIGINT))
		}
	}
	err = cmd.Wait()
	story, tips, _ := strings.Cut(said.String(), "In another shell:")
	if err != nil || woe.Len() > 0 || tips == "" {
		t.Fatalf("%v\n%s%s", err, &said, &woe)
	}
	if acts := strings.Count(story, "\n① ") + strings.Count(story, "\n⑥ "); acts != 2 || strings.Contains(story, "✗") || strings.Count(story, "  ✓ ") < 15 {
		t.Errorf("the story is\n%s", story)
	}
	leftovers(t, cmd, story)
	recording, err := os.ReadFile("../../docs/demo.svg")
	check(t, err)
	for line := range strings.Lines(story) {
		if claim, ok := strings.CutPrefix(line, "  ✓ "); ok && !strings.Contains(string(recording), "✓ "+strings.TrimSpace(claim)+"<") {
			t.Errorf("docs/demo.svg does not show %q: run docs/record", claim)
		}
	}
}

// tryOut types what the demo says can be tried, as it stands there.
func tryOut(t *testing.T, said string) {
	t.Helper()
	_, tips, _ := strings.Cut(said, "In another shell:")
	chapters := regexp.MustCompile(`(?m)(?:^  .*\n)+`).FindAllString(tips, -1)
	if len(chapters) != 4 {
		t.Errorf("what to try is\n%s", tips)
		return
	}
	shell, commit, hand, daemon := chapters[0], chapters[1], chapters[2], chapters[3]

	ada := atTerminal(t, "set -e\n"+shell+commit)
	ada.hears("Log less", `"debug" → "info"`, "3 reload only", "Only yes will do: ")
	ada.types("yes\n")
	ada.hears("In sync: 3 nodes in 1 cluster.", "in sync since", "eu-3 ")
	ada.ends(0)

	ada = atTerminal(t, shell+hand)
	ada.hears("stopped-by-hand on eu-2")
	ada.ends(5)

	ada = atTerminal(t, shell+daemon)
	ada.hears("reason=stopped-by-hand")
	ada.types("\x03")
	ada.ends(exitInterrupted)
}

// TestTheDemoEndsWithItsReader: a pipe that is closed ends it as Ctrl-C does.
func TestTheDemoEndsWithItsReader(t *testing.T) {
	t.Parallel()
	cmd := demonstrate(t)
	pipe, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(pipe)
	for lines.Scan() && !strings.Contains(lines.Text(), "eu-1  account  ✔") {
	}
	pipe.Close()
	_ = cmd.Wait() // its exit code is checked below
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("it exits %d", code)
	}
	leftovers(t, cmd, "")
}

// TestTheDemoLeavesNothingBehind stops it in the middle of things.
func TestTheDemoLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	if signal.Ignored(syscall.SIGHUP) { // nohup; what we start would ignore it as well
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	for _, at := range []struct {
		line   string
		signal syscall.Signal
	}{
		{"eu-3 is 127.", syscall.SIGINT},
		{"eu-1  account  ✔", syscall.SIGTERM},
		{"eu-2  unseal  ✔", syscall.SIGHUP},
	} {
		t.Run(at.line, func(t *testing.T) {
			t.Parallel()
			cmd := demonstrate(t)
			pipe, err := cmd.StdoutPipe()
			check(t, err)
			var said strings.Builder
			var woe bytes.Buffer
			cmd.Stderr = &woe
			check(t, cmd.Start())
			sent := false
			for lines := bufio.NewScanner(pipe); lines.Scan(); {
				said.WriteString(lines.Text() + "\n")
				if !sent && strings.Contains(lines.Text(), at.line) {
					sent = true
					check(t, cmd.Process.Signal(at.signal))
				}
				if strings.Contains(lines.Text(), "Stopping after the wave") { // somebody is impatient
					check(t, cmd.Process.Signal(syscall.SIGTERM))
				}
			}
			_ = cmd.Wait() // its exit code is checked below
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !sent {
				t.Errorf("it exits %d, want %d\n%s%s", code, exitInterrupted, said.String(), woe.String())
			}
			leftovers(t, cmd, said.String())
		})
	}
}

var loopback = regexp.MustCompile(`127\.\d+\.\d+\.\d+`)

// leftovers finds what a demo that has ended left behind.
func leftovers(t *testing.T, cmd *exec.Cmd, said string) {
	t.Helper()
	var dir string
	for _, v := range cmd.Env {
		if after, ok := strings.CutPrefix(v, "TMPDIR="); ok {
			dir = after
		}
	}
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		t.Errorf("it leaves %s", e.Name())
	}
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	check(t, err)
	for _, path := range environments {
		if env, err := os.ReadFile(path); err == nil && bytes.Contains(env, []byte(embed.RootVariable+"="+dir)) {
			t.Errorf("it leaves process %s", path)
		}
	}
	for _, address := range loopback.FindAllString(said, -1) {
		for _, port := range []string{"2222", "8200", "8201"} {
			if c, err := net.Dial("tcp", net.JoinHostPort(address, port)); err == nil {
				c.Close()
				t.Errorf("somebody still listens at %s:%s", address, port)
			}
		}
	}
}
