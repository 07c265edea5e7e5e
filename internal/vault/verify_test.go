package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

func TestStatusJudgesTheCertificate(t *testing.T) {
	for name, c := range map[string]struct {
		ca, leaf func(*x509.Certificate)
		name     string // asked for
		cas      func(*authority) [][]byte
		problem  string
		read     bool // the status was read all the same
	}{
		"good":             {nil, nil, "vault.internal", nil, "", true},
		"good, by an IP":   {nil, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 1, 0, 11)} }, "10.1.0.11", nil, "", true},
		"good, by an IPv6": {nil, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} }, "2001:db8::1", nil, "", true},
		"good, among other CAs": {nil, nil, "vault.internal", func(a *authority) [][]byte {
			return [][]byte{newAuthority(t, nil).pem(), []byte("no PEM"), append([]byte("# ours\n"), a.pem()...)}
		}, "", true},
		"expired": {nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "vault.internal", nil, "expired", true},
		"expired for years, its CA too": {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-24 * time.Hour) },
			func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(-72*time.Hour), time.Now().Add(-48*time.Hour)
			}, "vault.internal", nil, "expired", true},
		"its CA alone expired": {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, nil, "vault.internal", nil, "expired", true},
		"not yet valid":        {nil, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, "vault.internal", nil, "expired", true},
		"another name":         {nil, func(c *x509.Certificate) { c.DNSNames = []string{"other.internal"} }, "vault.internal", nil, "wrong-name", false},
		"the name as CN only": {nil, func(c *x509.Certificate) { c.DNSNames = nil; c.Subject = pkix.Name{CommonName: "vault.internal"} },
			"vault.internal", nil, "wrong-name", false},
		"expired and another name": {nil, func(c *x509.Certificate) {
			c.DNSNames, c.NotAfter = []string{"other.internal"}, time.Now().Add(-time.Minute)
		}, "vault.internal", nil, "wrong-name", false},
		"another CA": {nil, nil, "vault.internal", func(*authority) [][]byte { return [][]byte{newAuthority(t, nil).pem()} }, "unknown-authority", false},
		"another CA and expired": {nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "vault.internal",
			func(*authority) [][]byte { return [][]byte{newAuthority(t, nil).pem()} }, "unknown-authority", false},
		"no CA":           {nil, nil, "vault.internal", func(*authority) [][]byte { return nil }, "unknown-authority", false},
		"not of a server": {nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "vault.internal", nil, "unknown-authority", false},
		"outside the CA's constraints": {func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"example.com"}, true
		}, nil, "vault.internal", nil, "unknown-authority", false},
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t, c.ca)
			s := newServerOf(t, ca, c.leaf)
			s.serving()
			cas := [][]byte{ca.pem()}
			if c.cas != nil {
				cas = c.cas(ca)
			}
			client := s.clientFor(t, c.name, cas...)
			v, certificate, err := client.Status(t.Context())
			if c.read != (err == nil) || c.read != (v != actual.Vault{}) {
				t.Fatalf("status %+v, %v", v, err)
			}
			if certificate == nil || certificate.Problem != c.problem || certificate.Digest == "" || certificate.NotAfter.IsZero() {
				t.Fatalf("certificate %+v, want problem %q", certificate, c.problem)
			}
			if !c.read {
				var wrong *CertificateError
				if !errors.As(err, &wrong) || wrong.Problem != c.problem || s.asked() != 0 {
					t.Errorf("asked %d times: %v", s.asked(), err)
				}
			}
			// A token travels only to a certificate without any problem.
			before := s.asked()
			if _, err := client.Devices(t.Context(), "hvs.canary"); c.problem != "" && (err == nil || s.asked() != before) {
				t.Errorf("a token was sent in spite of %s", c.problem)
			}
		})
	}
}

func TestStatusBoundsWhatACertificateSays(t *testing.T) {
	s := newServerOf(t, newAuthority(t, nil), func(c *x509.Certificate) {
		for i := range 1000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.internal", i))
		}
	})
	s.serving()
	_, certificate, err := s.client(t).Status(t.Context())
	if err != nil || len(certificate.Names) != maxNames {
		t.Errorf("%d names, %v", len(certificate.Names), err)
	}
}

func TestStatusRefusesOldTLS(t *testing.T) {
	s := newServer(t)
	s.serving()
	s.newest = tls.VersionTLS11
	if _, _, err := s.client(t).Status(t.Context()); err == nil || s.asked() != 0 {
		t.Errorf("asked %d times: %v", s.asked(), err)
	}
}

func TestStatusSaysWhenNothingAnswers(t *testing.T) {
	c := New(func(context.Context) (net.Conn, error) { return nil, errors.New("tunnel: connection refused\x1b[31m") }, "vault.internal", nil)
	_, certificate, err := c.Status(t.Context())
	if certificate != nil || err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%+v, %q", certificate, err)
	}
}

// A listener shows a reloaded certificate to new connections only.
func TestRenewSeesAReloadedCertificate(t *testing.T) {
	s := newServer(t)
	s.serving()
	client := s.client(t)
	digest := func() string {
		t.Helper()
		_, certificate, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return certificate.Digest
	}
	first := digest()
	s.mu.Lock()
	s.leaf = s.authority.leaf(t, nil)
	s.mu.Unlock()
	if digest() != first {
		t.Error("the connection was not kept")
	}
	client.Renew()
	if digest() == first {
		t.Error("the old certificate is still seen")
	}
}
