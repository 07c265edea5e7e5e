package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// Deadlines of the stages. None of them waits for a person.
const (
	dnsTimeout       = 5 * time.Second
	tcpTimeout       = 10 * time.Second
	handshakeTimeout = 15 * time.Second
)

// maxAddresses is how many addresses of a name are tried.
const maxAddresses = 8

// handshakeTrips is what connecting costs, in round trips: TCP, then banner and
// KEXINIT, ECDH, NEWKEYS with the service request, "none", the key offered, the
// key signed. x/crypto cannot do with fewer.
const handshakeTrips = 7

// dial goes through the stages in the order in which each makes the next one
// safe: nothing is sent to an address that trust does not allow, and we do not
// say who we are before the host proved who it is.
func (p *Pool) dial(ctx context.Context, target actual.Target) (*link, *PhaseError) {
	id, failed := p.files.load()
	if failed != nil {
		return nil, failed
	}
	addresses, failed := p.resolve(ctx, target.Address)
	if failed != nil {
		return nil, failed
	}
	if failed := p.allow(target, addresses); failed != nil {
		return nil, failed
	}
	raw, failed := p.connect(ctx, addresses, port(target))
	if failed != nil {
		return nil, failed
	}
	return p.handshake(ctx, target, id, raw)
}

func port(target actual.Target) int {
	if target.Port == 0 {
		return 22
	}
	return target.Port
}

// hostPort is the name of the host in known_hosts: as the spec has it, not
// what it resolved to.
func hostPort(target actual.Target) string {
	return net.JoinHostPort(strings.ToLower(target.Address), strconv.Itoa(port(target)))
}

// resolve asks for the addresses of a name once. They are judged and then
// dialled; nobody asks again in between.
func (p *Pool) resolve(ctx context.Context, host string) ([]netip.Addr, *PhaseError) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	ctx, cancel := within(ctx, dnsTimeout)
	defer cancel()
	found, err := p.settings.Resolve(ctx, host)
	if err == nil && len(found) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, &PhaseError{Phase: actual.PhaseDNS, Err: fmt.Errorf("resolve %q: %w", host, waited(ctx, err, dnsTimeout)),
			Hint: "mend the name or its DNS record, or give the node's IP address as ssh.address"}
	}
	if len(found) > maxAddresses {
		found = found[:maxAddresses]
	}
	addresses := make([]netip.Addr, len(found))
	for i, a := range found {
		addresses[i] = a.Unmap()
	}
	return addresses, nil
}

func (p *Pool) allow(target actual.Target, addresses []netip.Addr) *PhaseError {
	err := errors.New("nobody says where nodes may live")
	if p.settings.Allow != nil {
		err = p.settings.Allow(target, addresses)
	}
	if err != nil {
		return &PhaseError{Phase: actual.PhaseTrust, Err: err}
	}
	return nil
}

// connect takes the first address that answers. They share the deadline, so
// that one dead address does not cost the others their turn.
func (p *Pool) connect(ctx context.Context, addresses []netip.Addr, port int) (net.Conn, *PhaseError) {
	var last error
	share := tcpTimeout / time.Duration(len(addresses))
	for _, a := range addresses {
		at := netip.AddrPortFrom(a, uint16(port)).String()
		one, cancel := context.WithTimeout(ctx, share)
		raw, err := p.settings.Dial(one, "tcp", at)
		cancel()
		if err == nil {
			return raw, nil
		}
		last = fmt.Errorf("connect to %s: %w", at, err)
		if ctx.Err() != nil {
			last = fmt.Errorf("connect to %s: %w", at, context.Cause(ctx))
			break
		}
		if errors.Is(err, context.DeadlineExceeded) {
			last = fmt.Errorf("connect to %s: %w", at, silence{share})
		}
	}
	return nil, &PhaseError{Phase: actual.PhaseTCP, Err: last,
		Hint: "is the host up, does sshd listen there, does a firewall let us through?"}
}

// handshake proves the host to us and then us to the host.
func (p *Pool) handshake(ctx context.Context, target actual.Target, id *identity, raw net.Conn) (*link, *PhaseError) {
	host := hostPort(target)
	algorithms := id.known.algorithms(host)
	if len(algorithms) == 0 {
		raw.Close()
		return nil, hostKeyError("put a modern key of the host into "+id.known.file, "%s is known only by %s, which is too weak", host, id.known.wants(host))
	}
	wire := &counted{Conn: raw}
	checked := &verdict{}
	config := &ssh.ClientConfig{
		Config:            ciphers(),
		User:              target.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(id.signer)},
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-reconciler",
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			if failed := id.known.check(host, remote, key); failed != nil {
				checked.failed = failed
				return failed
			}
			checked.passed = true
			return nil
		},
	}
	ctx, cancel := within(ctx, handshakeTimeout)
	defer cancel()
	// The deadline of the connection would do, but for a caller that gives up
	// earlier.
	stop := context.AfterFunc(ctx, func() { wire.Close() })
	conn, channels, requests, err := ssh.NewClientConn(wire, host, config)
	gaveUp := !stop()
	if err != nil {
		failed := checked.explain(target, id, waited(ctx, err, handshakeTimeout), err)
		failed.answered = ctx.Err() == nil
		return nil, failed
	}
	wire.trips.Add(handshakeTrips)
	l := newLink(conn, channels, requests, wire, p.settings.Sessions)
	if gaveUp {
		l.kill(context.Cause(ctx))
		<-l.done
		return nil, &PhaseError{Phase: actual.PhaseAuth, Err: context.Cause(ctx)}
	}
	return l, nil
}

// verdict is how far the handshake came. It is written by the handshake, which
// is over when it is read.
type verdict struct {
	failed *PhaseError
	passed bool
}

// explain says in which phase a handshake failed.
func (v *verdict) explain(target actual.Target, id *identity, text, err error) *PhaseError {
	host := hostPort(target)
	var none *ssh.AlgorithmNegotiationError
	switch {
	case v.failed != nil:
		return v.failed
	case v.passed:
		return &PhaseError{Phase: actual.PhaseAuth, Err: fmt.Errorf("log in as %s at %s with %s: %w", target.User, host, fingerprint(id.signer.PublicKey()), text),
			Hint: fmt.Sprintf("is its public half in ~%s/.ssh/authorized_keys there, and may that user log in?", target.User)}
	case errors.As(err, &none):
		return hostKeyError("the host must offer modern algorithms; "+id.known.file+" has for it "+id.known.wants(host), "agree with %s on algorithms: %w", host, text)
	}
	return &PhaseError{Phase: actual.PhaseTCP, Err: fmt.Errorf("speak SSH with %s: %w", host, text),
		Hint: "something listens there, but it did not finish an SSH handshake: is it sshd, and is it overloaded or refusing us (MaxStartups, PerSourcePenalties)?"}
}
