//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRigBootsThreeNodes(t *testing.T) {
	var name string
	// In a test of its own, so that the rig is gone when the outer one looks.
	t.Run("three nodes", func(t *testing.T) {
		rig := NewRig(t, 3)
		name = rig.name
		for _, n := range rig.Nodes {
			if got := strings.TrimSpace(login(t, n, "sudo -n /bin/sh -c 'id -un; hostname'")); got != "root\n"+n.Name {
				t.Errorf("over SSH and sudo %s says %q", n.Name, got)
			}
			if state := strings.TrimSpace(n.Must("systemctl is-system-running")); state != "running" {
				t.Errorf("systemd on %s is %s\n%s", n.Name, state, n.Must("systemctl --failed --no-pager"))
			}
			for _, other := range rig.Nodes {
				n.Must("timeout 5 bash -c ': <>/dev/tcp/" + other.Name + "/22'")
			}
		}
		first := rig.Nodes[0]
		first.Put("/etc/vault.d/kept", strings.NewReader("kept\n"), "vault:vault", "0640")
		before := first.Must("cat /proc/1/stat | cut -d' ' -f22")

		first.Reboot()
		if got := first.Must("stat -c '%U %a' /etc/vault.d/kept; cat /etc/vault.d/kept"); got != "vault 640\nkept\n" {
			t.Errorf("after a reboot the file is %q", got)
		}
		if first.Must("cat /proc/1/stat | cut -d' ' -f22") == before {
			t.Error("after a reboot it is still the same init")
		}

		first.PowerCut()
		if first.greets() {
			t.Error("a node without power answers")
		}
		if got := string(first.Get("/etc/vault.d/kept")); got != "kept\n" {
			t.Errorf("on the disk of the dead node the file is %q", got)
		}
		first.Boot()
		if got := login(t, first, "cat /etc/hostname"); got != "node-1\n" {
			t.Errorf("after a power cut it says %q", got)
		}
	})
	if name != "" {
		gone(t, name)
	}
}

func TestRigHurtsNodes(t *testing.T) {
	rig := NewRig(t, 2)
	n := rig.Nodes[0]

	open, err := n.SSH()
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	n.StopSSHD()
	if n.greets() {
		t.Error("a stopped sshd answers")
	}
	if _, _, err := open.SendRequest("still@there", true, nil); err != nil {
		t.Errorf("the open session ended with sshd: %v", err)
	}
	n.StartSSHD()

	n.HangSSHD()
	if n.greets() {
		t.Error("a hanging sshd answers")
	}
	n.ThawSSHD()
	login(t, n, "true")

	n.Partition()
	if n.greets() {
		t.Error("a node that is cut off answers")
	}
	n.Partition(rig.Nodes[1].Address)
	login(t, n, "true")
	if _, err := n.Exec("timeout 1 bash -c ': <>/dev/tcp/node-2/22'"); err == nil {
		t.Error("it reaches the node that it is cut off from")
	}
	n.Heal()
	n.Must("timeout 5 bash -c ': <>/dev/tcp/node-2/22'")

	n.Must("mkdir -p /opt/vault/data")
	n.RemountReadOnly("/opt/vault")
	if _, err := n.Exec("touch /opt/vault/data/x"); err == nil || !strings.Contains(err.Error(), "Read-only") {
		t.Errorf("writing below a read-only folder: %v", err)
	}
	n.RemountWritable("/opt/vault")
	n.Must("touch /opt/vault/data/x")
}

func TestProxyDelaysCountsAndCuts(t *testing.T) {
	rig := NewRig(t, 1)
	n := rig.Nodes[0]
	echo, err := n.Listen(":7")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); io.Copy(conn, conn) }()
		}
	}()

	const delay = 20 * time.Millisecond
	proxy := n.Proxy("7", delay)
	conn, err := rig.Dial(t.Context(), "tcp", proxy.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 10)
	begin := time.Now()
	for range 3 {
		fmt.Fprint(conn, "0123")
		fmt.Fprint(conn, "456789")
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < 6*delay {
		t.Errorf("three round trips took %s, less than the delay", took)
	}
	if got, want := proxy.Traffic(), (Traffic{ToNode: 30, FromNode: 30, Connections: 1, RoundTrips: 3}); got != want {
		t.Errorf("traffic %+v, want %+v", got, want)
	}

	proxy.CutAfter(4)
	fmt.Fprint(conn, "0123456789")
	if rest, err := io.ReadAll(conn); err == nil || len(rest) > 4 {
		t.Errorf("after the cut it read %q, %v", rest, err)
	}
	if got := proxy.Traffic().ToNode; got != 34 {
		t.Errorf("%d bytes reached the node, want 34", got)
	}
}

func TestCrashedRunIsCleanedUp(t *testing.T) {
	const marker = "RECONCILER_E2E_CRASH"
	if os.Getenv(marker) != "" {
		rig := NewRig(t, 1)
		fmt.Println("crashing:", rig.name)
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if os.Getenv("RECONCILER_E2E") == "1" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashedRunIsCleanedUp$")
		cmd.Env = append(os.Environ(), marker+"=1")
		out, err := cmd.CombinedOutput()
		_, name, found := strings.Cut(string(out), "crashing: ")
		name, _, _ = strings.Cut(name, "\n")
		if err == nil || !found {
			t.Fatalf("the run that was to crash: %v\n%s", err, out)
		}
		if _, err := os.Stat(filepath.Join(cgroup2(), name)); err != nil {
			t.Fatalf("the crash left nothing to clean up: %v", err)
		}
		defer gone(t, name)
	}
	NewRig(t, 1)
}

// login runs a command on the node as the service account.
func login(t *testing.T, n *Node, command string) string {
	t.Helper()
	client, err := n.SSH()
	if err != nil {
		t.Fatalf("log in to %s: %v", n.Name, err)
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var stderr bytes.Buffer
	session.Stderr = &stderr
	out, err := session.Output(command)
	if err != nil {
		t.Fatalf("%s on %s: %v\n%s", command, n.Name, err, stderr.String())
	}
	return string(out)
}

// gone fails the test when a rig left something on the machine. An empty
// control group is removed only when no process is left in it.
func gone(t *testing.T, name string) {
	t.Helper()
	for _, pattern := range []string{
		"/run/netns/" + name + "*", "/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name,
		filepath.Join(rigsDir, name), "/run/systemd/nspawn/*/" + name + "*",
	} {
		left, err := filepath.Glob(pattern)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || bytes.Contains(mounts, []byte(name)) {
		t.Errorf("mounts left behind: %v\n%s", err, mounts)
	}
}
