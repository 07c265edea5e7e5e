package embed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// What runs on a node learns of it by its environment.
const (
	RootVariable    = "RECONCILER_NODE_ROOT"     // the folder that is its file system, for the node script
	AddressVariable = "RECONCILER_EMBED_ADDRESS" // the node's own, on loopback
	SharedVariable  = "RECONCILER_EMBED_SHARED"  // a folder that all nodes of the fleet see
)

//go:embed shims
var shims embed.FS

// Node is one machine.
type Node struct {
	Name    string
	Address string // loopback, its own
	Root    string // folder that is its file system
	HostKey string // its line of a known_hosts file

	who     identity
	shared  string // folder that all nodes of the fleet see
	notify  string // where services say how they are: the names of these sockets begin so
	systemd *systemd
	// confined: services see Root as the whole file system.
	confined bool

	ctx  context.Context // ends with its power
	off  context.CancelFunc
	work sync.WaitGroup // everything that runs
}

func newNode(name, root, notify, shared string, who identity) (*Node, error) {
	n := &Node{Name: name, Root: root, notify: notify, shared: shared, who: who}
	n.ctx, n.off = context.WithCancel(context.Background())
	n.systemd = newSystemd(n)
	for _, dir := range []string{"shims", "etc/systemd/system", "run", "tmp", "usr/local/bin", "usr/local/libexec", "opt", "var/lib", "var/log", "proc/sys/kernel/random"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return nil, err
		}
	}
	for path, text := range map[string]string{
		"etc/machine-id": random(16) + "\n",
		"etc/passwd":     "root:x:0:0:root:/root:/bin/sh\n",
		"etc/group":      "root:x:0:\n",
	} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	if err := n.placeShims(); err != nil {
		return nil, err
	}
	return n, n.own()
}

// placeShims puts the programs in front that a host has and we cannot be.
func (n *Node) placeShims() error {
	to := filepath.Join(n.Root, "shims")
	files, err := shims.ReadDir("shims")
	if err != nil {
		return err
	}
	for _, f := range files {
		body, err := shims.ReadFile("shims/" + f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, f.Name()), body, 0o755); err != nil {
			return err
		}
	}
	return os.Symlink("systemctl", filepath.Join(to, "journalctl"))
}

// give makes a socket one for who runs things here, and for nobody else.
func (n *Node) give(socket string) error {
	if err := os.Chmod(socket, 0o600); err != nil || !n.who.other {
		return err
	}
	return os.Lchown(socket, int(n.who.uid), int(n.who.gid))
}

// own gives everything to who runs things here.
func (n *Node) own() error {
	if !n.who.other {
		return nil
	}
	return filepath.WalkDir(n.Root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(n.who.uid), int(n.who.gid))
	})
}

// serve is the node's boot: a boot id, systemd, SSH. The listener is the caller's
// again when it fails.
func (n *Node) serve(l net.Listener, login ssh.PublicKey) error {
	boot := random(16)
	boot = boot[:8] + "-" + boot[8:12] + "-" + boot[12:16] + "-" + boot[16:20] + "-" + boot[20:]
	if err := os.WriteFile(n.path("/proc/sys/kernel/random/boot_id"), []byte(boot+"\n"), 0o644); err != nil {
		return err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	at := l.Addr().(*net.TCPAddr)
	n.Address = at.IP.String()
	n.HostKey = knownhosts.Line([]string{l.Addr().String()}, signer.PublicKey())
	server := &sshd{node: n, config: config(signer, login)}
	n.accept(l, server.serve)
	return nil
}

// accept serves each connection, until the node's power ends.
func (n *Node) accept(l net.Listener, serve func(net.Conn)) {
	n.work.Go(func() {
		stop := context.AfterFunc(n.ctx, func() { l.Close() })
		defer stop()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n.work.Go(func() { serve(conn) })
		}
	})
}

// close is the power button: everything ends, and has ended when it returns.
func (n *Node) close() error {
	n.off()
	err := n.systemd.powerOff()
	n.work.Wait()
	return errors.Join(err, n.sweep())
}

// sweep ends what made itself a process group of its own. It is told by the
// environment that everything here was begun with.
func (n *Node) sweep() error {
	mark := []byte(RootVariable + "=" + n.Root + "\x00")
	for range 100 {
		environments, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil {
			return err
		}
		left := false
		for _, path := range environments {
			if env, err := os.ReadFile(path); err != nil || !bytes.Contains(env, mark) {
				continue // gone, or somebody else's
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil || pid == os.Getpid() {
				continue
			}
			left = true
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d of node %s: %w", pid, n.Name, err)
			}
		}
		if !left {
			return nil
		}
		time.Sleep(10 * time.Millisecond) // a killed process is gone a moment later
	}
	return fmt.Errorf("processes of node %s do not end", n.Name)
}

// Systemctl is what systemctl says on the node, to a person who is logged in
// there.
func (n *Node) Systemctl(args ...string) string {
	t := n.systemd.systemctl(args)
	return strings.TrimSpace(t.Stdout + t.Stderr)
}

// Shell runs a script on the node, as somebody who is logged in there, and returns
// what it printed.
func (n *Node) Shell(script, stdin string) (string, error) {
	cmd, begun, err := n.shell(script)
	if err != nil {
		return "", err
	}
	defer begun()
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("on %s, %s: %w: %s", n.Name, script, err, out)
	}
	return string(out), nil
}

// Reload reloads a service, and returns once the reload has ended, by the word of
// its process.
func (n *Node) Reload(unit string) error {
	s := n.systemd.service(unit + ".service")
	before := s.reloaded()
	if err := s.reload(); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); s.reloaded() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s on %s did not end its reload within a minute", unit, n.Name)
		}
	}
	return nil
}

// Started is when the process of a service was started, by systemd's clock.
func (n *Node) Started(unit string) time.Time {
	s := n.systemd.service(unit + ".service")
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.began
}

// Journal is what a service said.
func (n *Node) Journal(unit string) string {
	return n.systemd.journalctl([]string{"-o", "cat", "-u", unit}).Stdout
}

// path is where a path of the node lies on this machine.
func (n *Node) path(on string) string { return filepath.Join(n.Root, on) }

// env is the environment of everything that runs on the node. Its PATH is that of
// the node script.
func (n *Node) env() []string {
	return []string{RootVariable + "=" + n.Root,
		AddressVariable + "=" + n.Address, SharedVariable + "=" + n.shared,
		"PATH=" + n.path("/shims") + ":" + n.path("/usr/local/bin") + ":" + system, "HOME=/nonexistent", "USER=" + Account}
}

// system is where the programs of this machine are that nodes have as well. What an
// operator installed here is not on them.
const system = "/usr/sbin:/usr/bin:/sbin:/bin"

// command is a program on the node, at the head of a process group that ends
// with the node's power.
func (n *Node) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = n.Root, n.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if n.who.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: n.who.uid, Gid: n.who.gid}
	}
	tie(cmd)
	cmd.Cancel = func() error {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return nil
	}
	return cmd
}

// shell is a command line on the node, with the tools of systemd. Who calls it calls
// begun once the command has begun, or does not begin.
func (n *Node) shell(line string) (cmd *exec.Cmd, begun func(), err error) {
	cmd = n.command(n.ctx, "/bin/sh", "-c", line)
	begun, err = n.systemd.reach(cmd)
	return cmd, begun, err
}

func random(bytes int) string {
	b := make([]byte, bytes)
	if _, err := rand.Read(b); err != nil {
		panic(fmt.Sprint("no randomness: ", err)) // crypto/rand never fails
	}
	return hex.EncodeToString(b)
}
