package ssh

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// minRSA is the smallest RSA host key that we believe, in bits (NIST SP
// 800-131A).
const minRSA = 2048

// known is who the nodes are: the lines of known_hosts, @cert-authority and
// @revoked included.
type known struct {
	file string
	db   *knownhosts.HostKeyDB
}

// algorithms are the host key algorithms to ask a host for. The peer shows one
// key only, of the first algorithm that both know: without the right list, a
// host whose Ed25519 key is known and that shows its ECDSA key looks like an
// impostor (golang/go#29286). An empty list means that every key known for the
// host is of a kind that we do not accept.
func (k known) algorithms(host string) []string {
	keys := k.db.HostKeys(host)
	if len(keys) == 0 {
		return hostKeys() // to say in the error which key it has
	}
	var wanted []string
	for _, key := range keys {
		switch {
		case key.Cert:
			// The line has the authority's type; the host's may be another.
			for _, a := range hostKeys() {
				if strings.Contains(a, "-cert-") {
					wanted = append(wanted, a)
				}
			}
		case key.Type() == ssh.KeyAlgoRSA:
			wanted = append(wanted, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			wanted = append(wanted, key.Type())
		}
	}
	accepted, chosen := hostKeys(), []string(nil)
	for _, a := range wanted {
		if slices.Contains(accepted, a) && !slices.Contains(chosen, a) {
			chosen = append(chosen, a)
		}
	}
	return chosen
}

// check says whether a key is one that the file has for the host.
func (k known) check(host string, remote net.Addr, key ssh.PublicKey) *PhaseError {
	got := fingerprint(key)
	if bits := rsaBits(key); bits > 0 && bits < minRSA {
		return hostKeyError("give the host a new host key (ssh-keygen -A) and put it into "+k.file,
			"%s shows an RSA key of %d bits (%s); at least %d are needed", host, bits, got, minRSA)
	}
	err := k.db.HostKeyCallback()(host, remote, key)
	var wrong *xknownhosts.KeyError
	var revoked *xknownhosts.RevokedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return hostKeyError("if the revocation is a mistake, remove that line",
			"%s shows %s, which %s:%d revokes", host, got, revoked.Revoked.Filename, revoked.Revoked.Line)
	case errors.As(err, &wrong) && len(wrong.Want) == 0:
		return hostKeyError("compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host itself, then add the key to "+k.file,
			"%s is not in %s; it shows %s", host, k.file, got)
	case errors.As(err, &wrong):
		return hostKeyError("if the host was rebuilt, compare on the host itself and replace that line; if not, somebody else answers at its address",
			"%s shows %s, but wanted is %s", host, got, wantedKeys(wrong.Want))
	}
	return hostKeyError("see the @cert-authority and @revoked lines of "+k.file, "%s shows %s: %v", host, got, tame(err))
}

// wants says which keys the file has for a host, for people.
func (k known) wants(host string) string {
	var all []string
	for _, key := range k.db.HostKeys(host) {
		all = append(all, fingerprint(key.PublicKey))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, " or ")
}

func wantedKeys(keys []xknownhosts.KnownKey) string {
	var all []string
	for _, key := range keys {
		all = append(all, fmt.Sprintf("%s (%s:%d)", fingerprint(key.Key), key.Filename, key.Line))
	}
	return strings.Join(all, " or ")
}

// fingerprint is type and SHA-256 of a key; of a certificate, of the key that
// it is for and of its authority.
func fingerprint(key ssh.PublicKey) string {
	if cert, ok := key.(*ssh.Certificate); ok {
		return fmt.Sprintf("%s %s signed by %s", cert.Key.Type(), ssh.FingerprintSHA256(cert.Key), ssh.FingerprintSHA256(cert.SignatureKey))
	}
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

// rsaBits is the size of an RSA key, 0 of another.
func rsaBits(key ssh.PublicKey) int {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if public, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok {
			return public.N.BitLen()
		}
	}
	return 0
}

func hostKeyError(hint, format string, args ...any) *PhaseError {
	return &PhaseError{Phase: actual.PhaseHostKey, Err: fmt.Errorf(format, args...), Hint: hint}
}
