//go:build linux

package embed

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// programs is a folder with all programs of this machine.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, from := range strings.Split(system, ":") {
		entries, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			_ = os.Symlink(filepath.Join(from, e.Name()), filepath.Join(dir, e.Name())) // the first one counts
		}
	}
	return dir
}

func TestWhatAMachineLacksIsSaid(t *testing.T) {
	dir := programs(t)
	if err := tools(dir); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"awk", "flock", "find", "stat"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "stat"), []byte("#!/bin/sh\necho '?'\n"), 0o755); err != nil { // as that of busybox
		t.Fatal(err)
	}
	const want = "embedded machines need what this one does not have: awk, flock, GNU find, GNU stat"
	if err := tools(dir); err == nil || err.Error() != want {
		t.Errorf("it says %v, want %s", err, want)
	}
}

func TestAFolderIsEnteredByOthers(t *testing.T) {
	shut := t.TempDir()
	open := filepath.Join(shut, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	says := func() string {
		err := entered(open)
		if err == nil {
			return ""
		}
		return err.Error()
	}
	if err := os.Chmod(shut, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := says(); !strings.HasSuffix(got, " may not enter "+shut) {
		t.Errorf("a folder below one of mode 0700: %q", got)
	}
	if err := os.Chmod(shut, 0o711); err != nil {
		t.Fatal(err)
	}
	if got := says(); strings.HasSuffix(got, shut) || strings.HasSuffix(got, open) {
		t.Errorf("a folder that others may enter: %q", got)
	}
	if err := entered("/usr"); err != nil {
		t.Error(err)
	}
}

// TestProgramsRun mounts a file system that runs nothing, where only this test sees it.
func TestProgramsRun(t *testing.T) {
	const place = "EMBED_TEST_NOEXEC"
	dir := os.Getenv(place)
	if dir == "" {
		dir = t.TempDir()
		if err := Executes(dir); err != nil {
			t.Error(err)
		}
		cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestProgramsRun$")
		cmd.Env = append(os.Environ(), place+"="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
		switch out, err := cmd.CombinedOutput(); {
		case cmd.Process == nil || strings.Contains(string(out), "--- SKIP"):
			t.Skipf("nobody may mount here, not even for themselves: %v\n%s", err, out)
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_NOEXEC, ""); err != nil {
		t.Skip(err)
	}
	if err := Executes(dir); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a program on a file system mounted noexec: %v", err)
	}
}
