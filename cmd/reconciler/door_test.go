package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/web"
)

// certificate writes one of this host, and returns what trusts it.
func certificate(t *testing.T, dir string) (settings.TLS, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	of := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, &of, &of, key.Public(), key)
	check(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	files := settings.TLS{Cert: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key")}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	check(t, os.WriteFile(files.Cert, cert, 0o600))
	check(t, os.WriteFile(files.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return files, pool
}

// TestTheDoorIsChangedWithoutBeingClosed: at the same address the way becomes
// encrypted, and a token is asked for.
func TestTheDoorIsChangedWithoutBeingClosed(t *testing.T) {
	dir := t.TempDir()
	files, pool := certificate(t, dir)
	token := filepath.Join(dir, "token")
	check(t, os.WriteFile(token, []byte("0f1e2d3c4b5a69788796a5b4c3d2e1f0\n"), 0o600))
	e, err := listen("127.0.0.1:0", nil, web.Serve)
	check(t, err)
	defer e.close()
	address := e.listener.Addr().String()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	asked := func(url, header string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
		check(t, err)
		r.Header.Set("Authorization", header)
		answer, err := client.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		check(t, err)
		return answer.StatusCode, string(body)
	}
	through := func(h settings.HTTP) {
		t.Helper()
		d, err := openDoor(h, []byte("key"))
		check(t, err)
		e.tls.Store(d.tls)
		e.answer(d.guard.Protect(web.New(web.Options{Board: web.NewBoard()})), slog.New(slog.DiscardHandler), "")
	}
	through(settings.HTTP{})
	if code, body := asked("http://"+address, ""); code != 200 || !strings.Contains(body, "No cluster.") {
		t.Errorf("in the clear: %d %s", code, body)
	}
	through(settings.HTTP{TokenFile: token, TLS: files})
	if code, body := asked("https://"+address, "Bearer 0f1e2d3c4b5a69788796a5b4c3d2e1f0"); code != 200 || !strings.Contains(body, "No cluster.") {
		t.Errorf("encrypted: %d %s", code, body)
	}
	if code, body := asked("https://"+address, ""); code != 401 {
		t.Errorf("without the token: %d %s", code, body)
	}
	if code, body := asked("http://"+address, "Bearer 0f1e2d3c4b5a69788796a5b4c3d2e1f0"); code == 200 {
		t.Errorf("in the clear, when it should not be: %d %s", code, body)
	}
	through(settings.HTTP{})
	if code, body := asked("http://"+address, ""); code != 200 {
		t.Errorf("in the clear again: %d %s", code, body)
	}
}

func TestADoorThatCannotBeOpenedSaysWhy(t *testing.T) {
	dir := t.TempDir()
	files, _ := certificate(t, dir)
	file := func(text string) string {
		f := filepath.Join(dir, "file")
		check(t, os.WriteFile(f, []byte(text), 0o600))
		return f
	}
	for text, want := range map[string]string{"canary": "fewer than 16 characters", "canary canary canary": "in one line, without spaces", "canary-canary-canary\ncanary": "in one line", "": "fewer than 16"} {
		_, err := openDoor(settings.HTTP{TokenFile: file(text)}, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, wrong := range []settings.TLS{{Cert: files.Cert, Key: file("canary")}, {Cert: files.Key, Key: files.Key}, {Cert: files.Cert, Key: "/none"}} {
		if _, err := openDoor(settings.HTTP{TLS: wrong}, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}
