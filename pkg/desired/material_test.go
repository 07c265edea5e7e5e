package desired_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
)

var newMaterial = flag.Bool("material", false, "make the example's throw-away certificates anew")

const exampleRepo = "../../examples/fleet-repo"

// TestMaterial makes the certificates of the example fleet. The keys go into
// the repo encrypted to an identity that is forgotten on return.
func TestMaterial(t *testing.T) {
	if !*newMaterial {
		t.Skip("run with -material to make the certificates anew")
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(exampleRepo, "clusters/prod-eu/tls")
	ca, caKey := certificate(t, "acme throw-away CA", "", nil, nil)
	write(t, filepath.Join(folder, "ca.crt"), pemOf("CERTIFICATE", ca.Raw))
	for name, address := range map[string]string{"eu-1": "10.1.0.11", "eu-2": "10.1.0.12", "eu-3": "10.1.0.13"} {
		cert, key := certificate(t, name, address, ca, caKey)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name+".crt"), pemOf("CERTIFICATE", cert.Raw))
		var sealed bytes.Buffer
		w, err := age.Encrypt(&sealed, identity.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(pemOf("PRIVATE KEY", der)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name+".key.age"), sealed.Bytes())
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func write(t *testing.T, at string, body []byte) {
	t.Helper()
	if err := os.WriteFile(at, body, 0o644); err != nil {
		t.Fatal(err)
	}
}

// certificate signs one: a CA when it has no parent.
func certificate(t *testing.T, name, address string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(20, 0, 0),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if parent == nil {
		parent, parentKey = template, key
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	} else {
		template.DNSNames = []string{name}
		template.IPAddresses = append(template.IPAddresses, netip.MustParseAddr(address).AsSlice(), netip.MustParseAddr("127.0.0.1").AsSlice())
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}
