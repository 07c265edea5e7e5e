//go:build linux

package embed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// confine makes a program see the node's folder as the whole file system: for
// one that knows no other root, as Vault. Who is not root does it in a user
// namespace.
func (n *Node) confine(cmd *exec.Cmd) error {
	// Links on the node name paths of this machine: these lead to the same files there.
	self := n.path(n.Root)
	if _, err := os.Lstat(self); err != nil {
		if err := os.MkdirAll(filepath.Dir(self), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("/", self); err != nil {
			return err
		}
	}
	cmd.Dir = "/"
	cmd.SysProcAttr.Chroot = n.Root
	if os.Getuid() != 0 {
		inNamespace(cmd, n.who)
	}
	return nil
}

// inNamespace gives a program a user namespace in which it may change its root.
func inNamespace(cmd *exec.Cmd, who identity) {
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(who.uid), HostID: int(who.uid), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(who.gid), HostID: int(who.gid), Size: 1}}
}

// tie ends a program with this one, however this one ends.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL }

// Confines says why this machine cannot confine services, or nil.
func Confines() error {
	if os.Getuid() == 0 {
		return nil
	}
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: "/"}
	inNamespace(cmd, worker())
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("no user namespace for a user without rights: %w", err)
	}
	return nil
}
