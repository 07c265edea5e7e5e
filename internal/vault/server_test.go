package vault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, change func(*x509.Certificate)) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Acme CA"},
		NotBefore: time.Now().Add(-365 * 24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// leaf issues a server certificate for vault.internal.
func (a *authority) leaf(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"vault.internal"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// server is a Vault that answers what a test wants and writes down what it was
// asked.
type server struct {
	*httptest.Server
	authority *authority

	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by path without /v1/
	seen    []*http.Request
	bodies  []string
	leaf    tls.Certificate
	newest  uint16 // TLS version; 0: any
}

func newServer(t testing.TB) *server {
	t.Helper()
	return newServerOf(t, newAuthority(t, nil), nil)
}

func newServerOf(t testing.TB, ca *authority, change func(*x509.Certificate)) *server {
	t.Helper()
	s := &server{authority: ca, answers: map[string]http.HandlerFunc{}, leaf: ca.leaf(t, change)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen, s.bodies = append(s.seen, r), append(s.bodies, string(body))
		answer := s.answers[r.URL.Path]
		s.mu.Unlock()
		if answer == nil {
			answer = says(404, `{"errors":[]}`)
		}
		answer(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return &tls.Config{Certificates: []tls.Certificate{s.leaf}, MinVersion: s.newest, MaxVersion: s.newest}, nil
	}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// client is one that believes the server.
func (s *server) client(t testing.TB) *Client {
	t.Helper()
	return s.clientFor(t, "vault.internal", s.authority.pem())
}

func (s *server) clientFor(t testing.TB, name string, cas ...[]byte) *Client {
	t.Helper()
	c := New(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}, name, cas)
	t.Cleanup(c.Close)
	return c
}

func (s *server) set(path string, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers["/v1/"+path] = answer
}

func (s *server) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// says is an answer of JSON.
func says(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

// The answers of a Vault 1.21.0 on raft, shortened.
const (
	sealOpen   = `{"type":"shamir","initialized":true,"sealed":false,"t":3,"n":5,"progress":0,"nonce":"","version":"1.21.0","build_date":"2025-10-21T00:00:00Z","migration":false,"cluster_name":"c","cluster_id":"b0e3","recovery_seal":false,"storage_type":"raft","removed_from_cluster":false}`
	sealShut   = `{"type":"shamir","initialized":true,"sealed":true,"t":3,"n":5,"progress":1,"nonce":"x","version":"1.21.0","storage_type":"raft","removed_from_cluster":false}`
	sealNew    = `{"type":"shamir","initialized":false,"sealed":true,"t":0,"n":0,"progress":0,"version":"1.21.0","storage_type":"raft"}`
	healthOpen = `{"initialized":true,"sealed":false,"standby":false,"version":"1.21.0","cluster_id":"b0e3"}`
	healthShut = `{"initialized":true,"sealed":true,"standby":true,"version":"1.21.0"}`
	healthNew  = `{"initialized":false,"sealed":true,"standby":true,"version":"1.21.0"}`
	leaderSelf = `{"ha_enabled":true,"is_self":true,"leader_address":"https://10.1.0.11:8200","raft_committed_index":1200,"raft_applied_index":1199}`
	leaderNone = `{"ha_enabled":true,"is_self":false,"leader_address":"","raft_committed_index":7,"raft_applied_index":7}`
)

// serving makes the server an active, unsealed Vault.
func (s *server) serving() {
	s.set("sys/seal-status", says(200, sealOpen))
	s.set("sys/health", says(200, healthOpen))
	s.set("sys/leader", says(200, leaderSelf))
}
