//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Home is the address of the reconciler's side of the switch.
const Home = "10.77.0.1"

// A namespace is a network namespace, by the name that ip(8) knows it under.
type namespace string

// do runs fn on a thread of its own inside the namespace. A socket stays in
// the namespace that it was made in, whoever uses it later.
func (ns namespace) do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine, so that no
		// other goroutine finds itself in the namespace.
		runtime.LockOSThread()
		done <- ns.enter(fn)
	}()
	return <-done
}

func (ns namespace) enter(fn func() error) error {
	f, err := os.Open("/run/netns/" + string(ns))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", ns, err)
	}
	return fn()
}

// batch runs lines of ip(8) in the namespace.
func (ns namespace) batch(lines ...string) error {
	cmd := exec.Command("ip", "-n", string(ns), "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("set up namespace %s: %w: %s", ns, err, out)
	}
	return nil
}

func (ns namespace) make() error {
	if out, err := exec.Command("ip", "netns", "add", string(ns)).CombinedOutput(); err != nil {
		return fmt.Errorf("add namespace %s: %w: %s", ns, err, out)
	}
	return nil
}

// makeNetwork lays the switch, and a cable from it to each node. The switch
// also answers under each node's Via address, for a [Proxy] to listen on.
func (r *Rig) makeNetwork() error {
	if err := r.netns.make(); err != nil {
		return err
	}
	lines := []string{
		"link set lo up",
		"link add switch type bridge",
		"address add " + Home + "/24 dev switch",
		"link set switch up",
	}
	for i, n := range r.Nodes {
		if err := n.netns.make(); err != nil {
			return err
		}
		port := fmt.Sprintf("port%d", i+1)
		lines = append(lines,
			"address add "+n.Via+"/24 dev switch",
			fmt.Sprintf("link add %s type veth peer name eth0 netns %s", port, n.netns),
			"link set "+port+" master switch up")
	}
	if err := r.netns.batch(lines...); err != nil {
		return err
	}
	for _, n := range r.Nodes {
		if err := n.netns.batch("link set lo up", "address add "+n.Address+"/24 dev eth0"); err != nil {
			return err
		}
	}
	return nil
}

// Dial connects from the reconciler's side of the switch. The address is an IP
// address and a port; the signature is that of [net.Dialer.DialContext].
func (r *Rig) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = r.netns.do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens on the reconciler's side of the switch, where the nodes reach it.
func (r *Rig) Listen(address string) (net.Listener, error) { return r.netns.listen(address) }

// Listen listens on the node itself, without a process on it.
func (n *Node) Listen(address string) (net.Listener, error) { return n.netns.listen(address) }

func (ns namespace) listen(address string) (listener net.Listener, err error) {
	err = ns.do(func() error {
		listener, err = net.Listen("tcp", address)
		return err
	})
	return listener, err
}

// Partition drops every packet between the node and the peers, given by
// address; without peers, between the node and everyone. Connections hang, as
// they do when a cable is pulled: nobody is told. It replaces the partition
// that the node had.
func (n *Node) Partition(peers ...string) {
	n.rig.t.Helper()
	drop := []string{"iif != lo drop", "oif != lo drop"}
	if len(peers) > 0 {
		set := "{ " + strings.Join(peers, ", ") + " }"
		drop = []string{"ip saddr " + set + " drop", "ip daddr " + set + " drop"}
	}
	n.Heal()
	n.rig.must(n.nft(fmt.Sprintf(`table inet partition {
	chain in { type filter hook input priority 0; %s; }
	chain out { type filter hook output priority 0; %s; }
}`, drop[0], drop[1])))
}

// Heal ends the node's partition, if it has one.
func (n *Node) Heal() {
	n.rig.t.Helper()
	n.rig.must(n.nft("table inet partition\ndelete table inet partition"))
}

func (n *Node) nft(rules string) error {
	cmd := exec.Command("nsenter", "--net=/run/netns/"+string(n.netns), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("filter packets of %s: %w", n.Name, err), errors.New(string(out)))
	}
	return nil
}
