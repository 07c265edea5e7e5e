package sim

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// material is a CA, a certificate per node and an age-encrypted file in the
// place of each key, by repo path: the simulation never looks into a key.
func material(t *testing.T, nodes int) map[string]string {
	t.Helper()
	files := map[string]string{}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	files["clusters/prod/tls/ca.crt"] = sign(t, ca, ca, key)
	for i := 1; i <= nodes; i++ {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: fmt.Sprint("eu-", i)},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(fmt.Sprint("10.1.0.1", i))}}
		files[fmt.Sprintf("clusters/prod/tls/eu-%d.crt", i)] = sign(t, leaf, ca, key)
		files[fmt.Sprintf("clusters/prod/tls/eu-%d.key.age", i)] = encrypt(t, identity.Recipient(), fmt.Sprint("key of eu-", i))
	}
	return files
}

func sign(t *testing.T, leaf, parent *x509.Certificate, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func encrypt(t *testing.T, to age.Recipient, text string) string {
	t.Helper()
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	w, err := age.Encrypt(armored, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := armored.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// contentsOf opens a cluster's contents; what is encrypted stands for itself.
func contentsOf(c desired.Cluster) apply.Contents {
	return func(_ context.Context, digest string) (io.ReadCloser, error) {
		body, ok := c.Content(digest)
		if !ok {
			return nil, fmt.Errorf("no content %s at this commit", digest)
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
}
