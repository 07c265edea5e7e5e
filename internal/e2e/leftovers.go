//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What a rig leaves on the machine hangs on its name: a folder, network
// namespaces, control groups and mounts. Taking a rig down goes by the name
// alone, so that a later run can do it for one that crashed. Whose rig still
// lives is told by a lock that the kernel drops with its process. Processes
// are found by control group: none is killed that the rig did not start.

// rigsDir is on disk, not in memory, and the same for every run.
const rigsDir = "/var/tmp/reconciler-e2e"

// claim removes the rigs of dead runs, then makes the folder of this one. The
// rig is in use for as long as the file that is returned stays open.
func claim(name string) (dir string, use *os.File, err error) {
	if err := os.MkdirAll(rigsDir, 0o755); err != nil {
		return "", nil, err
	}
	all, err := lock(filepath.Join(rigsDir, "lock"), unix.LOCK_EX)
	if err != nil {
		return "", nil, err
	}
	defer all.Close()
	entries, err := os.ReadDir(rigsDir)
	if err != nil {
		return "", nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		mine, err := lock(filepath.Join(rigsDir, entry.Name(), "lock"), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue // another run is using it
		}
		err = removeRig(entry.Name())
		mine.Close()
		if err != nil {
			return "", nil, fmt.Errorf("clean up after an earlier run: %w", err)
		}
	}
	dir = filepath.Join(rigsDir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, err
	}
	use, err = lock(filepath.Join(dir, "lock"), unix.LOCK_EX)
	return dir, use, err
}

func lock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// removeRig takes down all that carries the name.
func removeRig(name string) error {
	if err := killCgroup(name); err != nil {
		return err
	}
	dir := filepath.Join(rigsDir, name)
	disks, err := filepath.Glob(filepath.Join(dir, "*", "disk"))
	if err != nil {
		return err
	}
	for _, disk := range disks {
		forgetNspawn(disk, name+"-"+filepath.Base(filepath.Dir(disk)))
		// The node's own view of the mount goes a moment after its last process.
		err := Until("unmount of "+disk, 10*time.Second, func() bool {
			err := unix.Unmount(disk, 0)
			return err == nil || err == unix.EINVAL
		})
		if err != nil {
			return err
		}
	}
	spaces, err := filepath.Glob(filepath.Join("/run/netns", name+"*"))
	if err != nil {
		return err
	}
	for _, space := range spaces {
		space = filepath.Base(space)
		if space != name && !strings.HasPrefix(space, name+"-") {
			continue
		}
		if out, err := exec.Command("ip", "netns", "delete", space).CombinedOutput(); err != nil {
			return fmt.Errorf("delete namespace %s: %w: %s", space, err, out)
		}
	}
	if err := removeCgroups(name); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// forgetNspawn removes what systemd-nspawn keeps under /run about a container
// that it had no chance to see end.
func forgetNspawn(disk, machine string) {
	var st syscall.Stat_t
	if syscall.Stat(disk, &st) == nil {
		os.Remove(fmt.Sprintf("/run/systemd/nspawn/locks/inode-%d:%d", st.Dev, st.Ino))
	}
	os.Remove(filepath.Join("/run/systemd/nspawn/propagate", machine))
	os.RemoveAll(filepath.Join("/run/systemd/nspawn/unix-export", machine))
}

// cgroup2 is where the unified hierarchy is mounted: alone, or beside the old ones.
func cgroup2() string {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return "/sys/fs/cgroup"
	}
	return "/sys/fs/cgroup/unified"
}

// makeCgroup makes a group for some of a rig's processes. Each node needs one
// of its own: two systemd in the same group would stop each other's services.
func makeCgroup(rig, part string) (string, error) {
	path := filepath.Join(cgroup2(), rig, part)
	return path, os.MkdirAll(path, 0o755)
}

// killCgroup kills every process of a group and of those below it, and waits
// until they are gone.
func killCgroup(path string) error {
	dir := filepath.Join(cgroup2(), path)
	err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill the processes of %s: %w", path, err)
	}
	return Until("end of the processes of "+path, 20*time.Second, func() bool {
		events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
		return err != nil || strings.Contains(string(events), "populated 0")
	})
}

// removeCgroups removes a group and those below it, empty of processes;
// systemd-nspawn mirrors them into the old named hierarchy where there is one.
func removeCgroups(path string) error {
	for _, root := range []string{cgroup2(), "/sys/fs/cgroup/systemd"} {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(root, path), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, dir := range slices.Backward(dirs) {
			if err := unix.Rmdir(dir); err != nil {
				return fmt.Errorf("remove control group %s: %w", dir, err)
			}
		}
	}
	return nil
}
