package embed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// Account is the user that may log in on every node.
const Account = "reconciler"

// Port is that of SSH on every node.
const Port = 2222

// vaultPorts are those of Vault, which its services will want.
var vaultPorts = []uint16{8200, 8201}

// Options say what fleet is made.
type Options struct {
	// Dir is a folder of its own for all that the fleet is, absolute. Everybody
	// on this machine must be able to reach it when the fleet is made by root.
	Dir   string
	Nodes []string      // names
	Key   ssh.PublicKey // whose owner may log in
	// Confined services see their node's folder as the whole file system; others,
	// the simulator of Vault among them, must know of it. [Confines] says whether
	// that can be.
	Confined bool
}

// Fleet is some nodes that run.
type Fleet struct {
	Nodes  []*Node
	Shared string // folder that all nodes see

	run  string         // folder of the sockets; their names must be short
	hups chan os.Signal // those that this process was told to ignore; nil: it was not
}

// New makes the nodes and boots them. The caller closes the fleet.
func New(o Options) (*Fleet, error) {
	run, err := os.MkdirTemp("", "embed")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the sockets: %w", err)
	}
	f := &Fleet{run: run}
	if signal.Ignored(syscall.SIGHUP) { // nohup; a service is not deaf for that
		f.hups = make(chan os.Signal, 1)
		signal.Notify(f.hups, syscall.SIGHUP)
	}
	if err := f.boot(o); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Fleet) boot(o Options) error {
	for _, dir := range []string{o.Dir, f.run} {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	f.Shared = filepath.Join(o.Dir, "shared")
	if err := os.Mkdir(f.Shared, 0o700); err != nil {
		return err
	}
	if who := worker(); who.other {
		if err := os.Chown(f.Shared, int(who.uid), int(who.gid)); err != nil {
			return err
		}
	}
	listeners, err := addresses(len(o.Nodes))
	if err != nil {
		return err
	}
	for i, name := range o.Nodes {
		n, err := newNode(name, filepath.Join(o.Dir, name), filepath.Join(f.run, strconv.Itoa(i)), f.Shared, worker())
		if err != nil {
			drop(listeners[i:])
			return fmt.Errorf("make node %s: %w", name, err)
		}
		n.confined = o.Confined
		f.Nodes = append(f.Nodes, n)
		if err := n.serve(listeners[i], o.Key); err != nil {
			drop(listeners[i:])
			return fmt.Errorf("boot node %s: %w", name, err)
		}
	}
	return nil
}

// Close powers all nodes off and returns when nothing of them runs any more.
// Their folders stay.
func (f *Fleet) Close() error {
	var failed []error
	for _, n := range f.Nodes {
		failed = append(failed, n.close())
	}
	if f.hups != nil {
		signal.Stop(f.hups)
	}
	return errors.Join(append(failed, os.RemoveAll(f.run))...)
}

func drop(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// addresses listens on Port of as many addresses of loopback in a row, where
// nobody else does.
func addresses(count int) ([]net.Listener, error) {
	var last error
	for range 20 {
		last = nil
		listeners := make([]net.Listener, 0, count)
		second, third := byte(64+rand.N(180)), byte(rand.N(250))
		for i := range count {
			at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, second, third, byte(11 + i)}), Port)
			l, err := net.Listen("tcp", at.String())
			if err != nil {
				last = err
				break
			}
			listeners = append(listeners, l)
			if last = free(at.Addr(), vaultPorts); last != nil {
				break
			}
		}
		if len(listeners) == count && last == nil {
			return listeners, nil
		}
		drop(listeners)
	}
	return nil, fmt.Errorf("find addresses for the nodes: %w; what listens at that port of all addresses has to make room", last)
}

// free says why nobody could listen at these ports of an address, or nil.
func free(at netip.Addr, ports []uint16) error {
	for _, port := range ports {
		l, err := net.Listen("tcp", netip.AddrPortFrom(at, port).String())
		if err != nil {
			return err
		}
		l.Close()
	}
	return nil
}

// identity is who runs everything on the nodes: whoever we are, or, for root,
// the user without rights. The node script knows no other root folder than the
// host's when root runs it.
type identity struct {
	uid, gid uint32
	other    bool // it is not us
}

func worker() identity {
	const nobody = 65534
	if os.Getuid() == 0 {
		return identity{uid: nobody, gid: nobody, other: true}
	}
	return identity{uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}
}
