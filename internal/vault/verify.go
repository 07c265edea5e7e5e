package vault

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// A certificate can be wrong in three ways, and only one of them is harmless
// to a look: it has run out (or has not begun), while its name and its issuer
// are right. Whoever holds its key is still the node. So crypto/tls is told not
// to verify, and the chain is verified here, where the difference can be told;
// the handshake itself proves the key in each case.

// Problems of actual.Certificate.
const (
	problemExpired   = "expired" // now is outside its validity
	problemAuthority = "unknown-authority"
	problemName      = "wrong-name"
)

// verifier says whether a server is the one that it should be.
type verifier struct {
	name  string
	roots *x509.CertPool
	own   []*x509.Certificate // of roots
	now   func() time.Time
}

func newVerifier(name string, cas [][]byte) verifier {
	v := verifier{name: name, roots: x509.NewCertPool(), now: time.Now}
	for _, text := range cas {
		for {
			var block *pem.Block
			if block, text = pem.Decode(text); block == nil {
				break
			}
			// What does not parse issues nothing; that the chain then fails
			// says so.
			if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
				v.roots.AddCert(cert)
				v.own = append(v.own, cert)
			}
		}
	}
	return v
}

// shake does the handshake, or closes the connection. With expired, a
// certificate that is only out of its time will do.
func (v verifier) shake(ctx context.Context, raw net.Conn, expired bool) (net.Conn, error) {
	conn := tls.Client(raw, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         v.name,
		InsecureSkipVerify: true, // verified in VerifyConnection, see above
		VerifyConnection: func(state tls.ConnectionState) error {
			problem, err := v.judge(state.PeerCertificates)
			if err == nil || expired && problem == problemExpired {
				return nil
			}
			return &CertificateError{Problem: problem, Err: err, leaf: state.PeerCertificates[0].Raw}
		},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// judge says what is wrong with a chain; a nil error means nothing.
func (v verifier) judge(chain []*x509.Certificate) (problem string, err error) {
	if len(chain) == 0 {
		return problemAuthority, errors.New("it shows none")
	}
	timely := v.issued(chain, v.now())
	if timely != nil && !v.everIssued(chain) {
		if len(v.own) == 0 {
			timely = errors.New("no CA is given to check it against")
		}
		return problemAuthority, tame(timely)
	}
	if err := chain[0].VerifyHostname(v.name); err != nil {
		return problemName, tame(err)
	}
	if timely != nil {
		return problemExpired, tame(timely)
	}
	return "", nil
}

// issued says whether one of our CAs issued the chain, seen at a time.
func (v verifier) issued(chain []*x509.Certificate, at time.Time) error {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: v.roots, Intermediates: between, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

// maxChain is how many certificates of a chain are asked for a time at which
// it was good; each costs a verification.
const maxChain = 4

// everIssued says whether there was, or will be, a time at which the chain is
// good. Such a time, if there is one, can be moved to where one of the
// certificates begins or ends.
func (v verifier) everIssued(chain []*x509.Certificate) bool {
	edges := append([]*x509.Certificate{}, chain[:min(len(chain), maxChain)]...)
	edges = append(edges, v.own...)
	for _, cert := range edges {
		for _, at := range []time.Time{cert.NotAfter, cert.NotBefore} {
			if v.issued(chain, at) == nil {
				return true
			}
		}
	}
	return false
}

// Bounds of what is kept of a certificate.
const maxNames = 100

// observe is a leaf as a fact.
func observe(leaf *x509.Certificate, problem string) *actual.Certificate {
	sum := sha256.Sum256(leaf.Raw)
	c := &actual.Certificate{
		Digest: "sha256:" + hex.EncodeToString(sum[:]), NotAfter: leaf.NotAfter.UTC(), Problem: problem,
	}
	for _, name := range leaf.DNSNames {
		c.Names = append(c.Names, clean(name, maxText))
	}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	if len(c.Names) > maxNames {
		c.Names = c.Names[:maxNames]
	}
	return c
}

// refused is the certificate that ended a handshake, if one did.
func refused(err error) *actual.Certificate {
	var wrong *CertificateError
	if !errors.As(err, &wrong) {
		return nil
	}
	leaf, err := x509.ParseCertificate(wrong.leaf)
	if err != nil {
		return nil
	}
	return observe(leaf, wrong.Problem)
}

// tame makes an error safe to print: names in it are the server's.
func tame(err error) error { return fmt.Errorf("%s", clean(err.Error(), maxText)) }
