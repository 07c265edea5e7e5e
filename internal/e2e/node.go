//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/unix"
)

// powerOff is SIGRTMIN+4, which systemd as init takes for "power off" (systemd(1)).
const powerOff = unix.Signal(34 + 4)

// A Node is one Debian machine. Its disk lives as long as the rig: it survives
// a reboot and a power cut.
type Node struct {
	Name    string
	Address string
	Via     string // address of the switch for a [Proxy] to this node
	Dir     string // this machine's files about the node
	Cert    []byte // PEM; for Vault's listener, signed by the rig's CA
	CertKey []byte // PEM

	rig    *Rig
	netns  namespace
	nspawn *exec.Cmd
	ended  chan struct{} // closed when nspawn has ended
}

func (n *Node) disk() string   { return filepath.Join(n.Dir, "disk") }
func (n *Node) cgroup() string { return filepath.Join(n.rig.name, n.Name) }

// install mounts the node's disk over the base and makes it a machine of its
// own, as an operator would have prepared it. It returns the host's public keys.
func (n *Node) install(base string) ([]string, error) {
	for _, dir := range []string{"upper", "work", "disk"} {
		if err := os.MkdirAll(filepath.Join(n.Dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s",
		base, filepath.Join(n.Dir, "upper"), filepath.Join(n.Dir, "work"))
	if err := unix.Mount("overlay", n.disk(), "overlay", 0, layers); err != nil {
		return nil, fmt.Errorf("mount disk: %w", err)
	}
	var err error
	if n.Cert, n.CertKey, err = n.rig.CA.Issue(n.Name, n.Address, n.Via, "127.0.0.1", "localhost"); err != nil {
		return nil, err
	}
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for _, other := range n.rig.Nodes {
		fmt.Fprintf(&hosts, "%s %s\n", other.Address, other.Name)
	}
	id := make([]byte, 16) // with none, systemd takes the boot for the machine's first
	rand.Read(id)
	script := `
echo "$6" >/etc/machine-id
echo "$1" >/etc/hostname
printf %s "$2" >/etc/hosts
useradd --system --user-group --home-dir /etc/vault.d --shell /usr/sbin/nologin vault
useradd --create-home --shell /bin/sh "$3"
install -d -m 0700 -o "$3" -g "$3" "/home/$3/.ssh"
printf %s "$4" >"/home/$3/.ssh/authorized_keys"
printf %s "$5" >"/etc/sudoers.d/$3"
chmod 0440 "/etc/sudoers.d/$3"
visudo -cqf "/etc/sudoers.d/$3"
for type in ed25519 ecdsa; do
	ssh-keygen -q -t $type -N '' -C "$1" -f /etc/ssh/ssh_host_${type}_key
done
cat /etc/ssh/ssh_host_*_key.pub`
	out, err := n.run(nil, script, n.Name, hosts.String(), Account,
		string(ssh.MarshalAuthorizedKey(n.rig.signer.PublicKey())), n.rig.options.Sudoers,
		hex.EncodeToString(id))
	return strings.Split(strings.TrimSpace(string(out)), "\n"), err
}

// start powers the node on and does not wait for it.
func (n *Node) start() error {
	if n.running() {
		return fmt.Errorf("boot %s: it runs", n.Name)
	}
	if err := n.netns.batch("link set eth0 up"); err != nil {
		return err
	}
	group, err := makeCgroup(n.rig.name, n.Name)
	if err != nil {
		return err
	}
	console, err := os.OpenFile(filepath.Join(n.Dir, "console"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer console.Close()
	cmd := exec.Command("systemd-nspawn", "--quiet", "--settings=no", "--register=no", "--keep-unit",
		"--directory="+n.disk(), "--boot", "--console=pipe",
		// The machine's name is a path under /run of this machine; the host's
		// name is the node's own affair.
		"--machine="+n.rig.name+"-"+n.Name, "--hostname="+n.Name,
		"--network-namespace-path=/run/netns/"+string(n.netns),
		"--resolv-conf=off", "--timezone=off", "--link-journal=no")
	cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	cmd.Stdout, cmd.Stderr = console, console
	if err := startIn(cmd, group); err != nil {
		return fmt.Errorf("boot %s: %w", n.Name, err)
	}
	ended := make(chan struct{})
	n.nspawn, n.ended = cmd, ended
	go func() {
		cmd.Wait() // how it ended does not matter: a power cut is an error too
		close(ended)
	}()
	return nil
}

// startIn starts a command inside a control group, and apart from the
// terminal: an interrupt there is for the test, which then takes the rig down.
func startIn(cmd *exec.Cmd, group string) error {
	dir, err := os.Open(group)
	if err != nil {
		return err
	}
	defer dir.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	return cmd.Start()
}

// up returns when sshd answers and systemd has nothing left to start.
func (n *Node) up() error {
	err := Until("sshd on "+n.Name, time.Minute, func() bool { return n.greets() || !n.running() })
	if err != nil {
		return err
	}
	if !n.running() {
		return fmt.Errorf("boot %s: systemd-nspawn ended: %s", n.Name, n.nspawn.ProcessState)
	}
	var state string
	return Until("systemd on "+n.Name, time.Minute, func() bool {
		// A degraded system is up all the same; systemctl exits with 1 for it.
		state, _ = n.Exec("systemctl is-system-running --wait 2>&1")
		state = strings.TrimSpace(state)
		return state == "running" || state == "degraded"
	})
}

// greets reports whether sshd says its banner to somebody on the switch.
func (n *Node) greets() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := n.rig.Dial(ctx, "tcp", net.JoinHostPort(n.Address, "22"))
	if err != nil {
		return false
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	banner := make([]byte, 4)
	_, err = io.ReadFull(conn, banner)
	return err == nil && string(banner) == "SSH-"
}

func (n *Node) running() bool {
	if n.nspawn == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// init returns the process that is the node's PID 1, as this machine counts.
// It is looked for each time: a node that reboots by itself has a new one.
func (n *Node) init() (int, error) {
	if !n.running() {
		return 0, fmt.Errorf("%s is off", n.Name)
	}
	parent := strconv.Itoa(n.nspawn.Process.Pid)
	children, err := os.ReadFile(filepath.Join("/proc", parent, "task", parent, "children"))
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(children)) {
		status, err := os.ReadFile(filepath.Join("/proc", child, "status"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			fields := strings.Fields(line)
			if len(fields) == 3 && fields[0] == "NSpid:" && fields[2] == "1" {
				return strconv.Atoi(child)
			}
		}
	}
	return 0, fmt.Errorf("%s has no init yet", n.Name)
}

// Boot powers the node on and returns when it is up.
func (n *Node) Boot() {
	n.rig.t.Helper()
	n.rig.must(n.start())
	n.rig.must(n.up())
}

// Shutdown powers the node off in good order.
func (n *Node) Shutdown() {
	n.rig.t.Helper()
	init, err := n.init()
	n.rig.must(err)
	n.rig.must(unix.Kill(init, powerOff))
	select {
	case <-n.ended:
	case <-time.After(2 * time.Minute):
		n.rig.t.Fatalf("%s does not shut down", n.Name)
	}
	n.rig.must(n.netns.batch("link set eth0 down"))
}

// Reboot shuts the node down in good order and boots it again.
func (n *Node) Reboot() {
	n.rig.t.Helper()
	n.Shutdown()
	n.Boot()
}

// PowerCut ends the node at once. Its cable goes dead before its processes do,
// so that nobody is told: no connection is closed, none is refused.
func (n *Node) PowerCut() {
	n.rig.t.Helper()
	n.rig.must(n.netns.batch("link set eth0 down"))
	n.rig.must(killCgroup(n.cgroup()))
	<-n.ended
	// A group that was killed once kills whatever is born into it later (seen
	// on Linux 6.18); the next boot makes a new one.
	n.rig.must(removeCgroups(n.cgroup()))
}

// Exec runs a script of sh -eu on the node as root, without SSH, and returns
// its stdout. On a node that is off it works on the disk.
func (n *Node) Exec(script string) (string, error) {
	out, err := n.run(nil, script)
	return string(out), err
}

// Must is [Node.Exec] for a script that has to succeed.
func (n *Node) Must(script string) string {
	n.rig.t.Helper()
	out, err := n.Exec(script)
	n.rig.must(err)
	return out
}

// Put writes a file on the node, in place of the one that was there, and makes
// the folders above it. The owner is USER or USER:GROUP, the mode octal.
func (n *Node) Put(path string, content io.Reader, owner, mode string) {
	n.rig.t.Helper()
	_, err := n.run(content, `
mkdir -p "$(dirname "$1")"
cat >"$1.part"
chown "$2" "$1.part"
chmod "$3" "$1.part"
mv "$1.part" "$1"`, path, owner, mode)
	n.rig.must(err)
}

// Get reads a file of the node.
func (n *Node) Get(path string) []byte {
	n.rig.t.Helper()
	out, err := n.run(nil, `cat "$1"`, path)
	n.rig.must(err)
	return out
}

func (n *Node) run(stdin io.Reader, script string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	enter := []string{"chroot", n.disk()}
	if n.running() {
		init, err := n.init()
		if err != nil {
			return nil, err
		}
		enter = []string{"nsenter", "--target", strconv.Itoa(init),
			"--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"}
	}
	enter = append(enter, "/bin/sh", "-euc", script, "sh")
	cmd := exec.CommandContext(ctx, enter[0], append(enter[1:], args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := startIn(cmd, n.rig.tools)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("run on %s: %w: %s", n.Name, errors.Join(err, ctx.Err()), strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), err
}

// StopSSHD ends sshd; nobody new gets in, sessions that are open stay. A
// reboot or StartSSHD brings it back.
func (n *Node) StopSSHD() { n.rig.t.Helper(); n.Must("systemctl stop ssh") }

// StartSSHD starts sshd and returns when it answers.
func (n *Node) StartSSHD() {
	n.rig.t.Helper()
	n.Must("systemctl start ssh")
	n.rig.must(Until("sshd on "+n.Name, 10*time.Second, n.greets))
}

// HangSSHD freezes sshd with all its sessions and what runs in them:
// connections are accepted by the kernel, then nothing is ever said.
func (n *Node) HangSSHD() { n.rig.t.Helper(); n.Must("systemctl freeze ssh") }

// ThawSSHD lets sshd and its sessions go on where they were.
func (n *Node) ThawSSHD() { n.rig.t.Helper(); n.Must("systemctl thaw ssh") }

// RemountReadOnly makes a folder of the node read-only until RemountWritable
// or a boot; what has a file in it open for writing keeps it.
func (n *Node) RemountReadOnly(path string) {
	n.rig.t.Helper()
	_, err := n.run(nil, `mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"`, path)
	n.rig.must(err)
}

// RemountWritable undoes RemountReadOnly.
func (n *Node) RemountWritable(path string) {
	n.rig.t.Helper()
	_, err := n.run(nil, `umount "$1"`, path)
	n.rig.must(err)
}

// SSH logs in as the service account from the reconciler's side of the switch.
func (n *Node) SSH() (*ssh.Client, error) {
	known, err := knownhosts.New(n.rig.KnownHosts)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(n.Address, "22")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := n.rig.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	c, channels, requests, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: Account, Auth: []ssh.AuthMethod{ssh.PublicKeys(n.rig.signer)}, HostKeyCallback: known,
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, channels, requests), nil
}

// lastWords is what helps to see why a test failed on this node.
func (n *Node) lastWords() string {
	console, _ := os.ReadFile(filepath.Join(n.Dir, "console"))
	journal, err := n.Exec("journalctl --no-pager --lines=40 2>&1")
	if err != nil {
		journal = err.Error()
	}
	return fmt.Sprintf("console: %s\njournal: %s", console[max(0, len(console)-2000):], journal)
}
