package release_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/release"
)

// web is how a server under test is reached.
func web(s *httptest.Server) release.Web {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return release.Web{Roots: roots}
}

// serve starts a mirror below /mirror.
func serve(t testing.TB, answer http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewTLSServer(answer)
	t.Cleanup(s.Close)
	return s, s.URL + "/mirror/"
}

func TestAMirrorIsAsGoodAsAFolder(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	var asked []string
	s, source := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		http.StripPrefix("/mirror", http.FileServer(http.Dir(folder))).ServeHTTP(w, r)
	})
	c.Web = web(s)
	for range 2 { // the second is from the cache
		f, err := c.Binary(t.Context(), source, "1.21.0", "linux_amd64", lock)
		must(t, err)
		f.Close()
	}
	if len(asked) != 1 || asked[0] != "/mirror/vault/1.21.0/vault_1.21.0_linux_amd64.zip" {
		t.Errorf("asked for %v", asked)
	}
	if names := cached(t, c); len(names) != 1 {
		t.Errorf("cache holds %v", names)
	}
}

func TestAMirrorMayServeWhatItLikesTheLockDecides(t *testing.T) {
	c, _, lock := mirror(t, honest(t))
	s, source := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(archive(t, member{"vault", vault + " with a back door", nil}))
	})
	c.Web = web(s)
	_, err := c.Binary(t.Context(), source, "1.21.0", "linux_amd64", lock)
	wrong, ok := errors.AsType[*release.MismatchError](err)
	if !ok || wrong.Want != lock.Archive[7:] || wrong.Says != "vault.lock" {
		t.Errorf("%v", err)
	}
	if names := cached(t, c); len(names) != 0 {
		t.Errorf("cache holds %v", names)
	}
}

func TestWhatAMirrorAnswersInsteadOfAFile(t *testing.T) {
	var leaked bool
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked = true }))
	defer plain.Close()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"not there":  {status(404), "vault_1.21.0_linux_amd64.zip: it is not there (404 Not Found): is there such a release"},
		"forbidden":  {status(403), "(403 Forbidden): is there such a release"},
		"a login":    {status(401), "let this machine read it without"},
		"broken":     {status(503), "503 Service Unavailable"},
		"a part":     {status(206), "206 Partial Content"},
		"nothing":    {status(200), "has sha256 e3b0c442"},
		"a web page": {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<!DOCTYPE html><title>Log in")) }, "is a web page"},
		"back to http": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, plain.URL+"/x?token=hunter2", http.StatusFound)
		}, "only https is followed"},
		"a circle": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"?token=hunter2", http.StatusFound)
		}, "redirects more than 5 times"},
		"away, and nothing there": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/store" {
				w.WriteHeader(404)
				return
			}
			http.Redirect(w, r, "/store?token=hunter2", http.StatusFound)
		}, "404 Not Found"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			w.Write([]byte("PK\x03\x04 and no more"))
		}, "the download broke off after 16 bytes: unexpected EOF"},
		"a header without end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, "exceeded"},
	} {
		cache, _, lock := mirror(t, honest(t))
		s, source := serve(t, c.answer)
		cache.Web = web(s)
		_, err := cache.Binary(t.Context(), source, "1.21.0", "linux_amd64", lock)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if names := cached(t, cache); len(names) != 0 {
			t.Errorf("%s: cache holds %v", name, names)
		}
	}
	if leaked {
		t.Error("plain http was spoken")
	}
}

func TestARedirectWithinHTTPSIsFollowed(t *testing.T) {
	c, _, lock := mirror(t, honest(t))
	s, source := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/store" {
			w.Write(honest(t))
			return
		}
		http.Redirect(w, r, "/store", http.StatusFound)
	})
	c.Web = web(s)
	f, err := c.Binary(t.Context(), source, "1.21.0", "linux_amd64", lock)
	must(t, err)
	f.Close()
}

func TestAMirrorMustShowWhoItIs(t *testing.T) {
	c, _, lock := mirror(t, honest(t))
	s, source := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked a stranger") })
	if _, err := c.Binary(t.Context(), source, "1.21.0", "linux_amd64", lock); err == nil || !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Errorf("a certificate of nobody's: %v", err)
	}
	c.Web = web(s)
	other := strings.Replace(source, "127.0.0.1", "localhost", 1)
	if _, err := c.Binary(t.Context(), other, "1.21.0", "linux_amd64", lock); err == nil || !strings.Contains(err.Error(), "not localhost") {
		t.Errorf("a certificate of another host: %v", err)
	}
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	c.Web = web(old)
	if _, err := c.Binary(t.Context(), old.URL, "1.21.0", "linux_amd64", lock); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
}

// A download may take as long as it needs, while something comes.
func TestASilentMirrorIsGivenUp(t *testing.T) {
	for name, begin := range map[string]string{"at once": "", "in the middle": "PK\x03\x04"} {
		c, _, lock := mirror(t, honest(t))
		s, source := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if begin != "" {
				w.Write([]byte(begin))
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		})
		c.Web = web(s)
		c.Web.Quiet = 200 * time.Millisecond
		if _, err := c.Binary(t.Context(), source, "1.21.0", "linux_amd64", lock); err == nil || !strings.Contains(err.Error(), "nothing came for 200ms") {
			t.Errorf("silent %s: %v", name, err)
		}
	}
}

func TestADownloadEndsWithItsContext(t *testing.T) {
	c, _, lock := mirror(t, honest(t))
	ctx, cancel := context.WithCancel(t.Context())
	s, source := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("PK\x03\x04"))
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	c.Web = web(s)
	if _, err := c.Binary(ctx, source, "1.21.0", "linux_amd64", lock); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if names, err := filepath.Glob(filepath.Join(c.Folder, "partial-*")); err != nil || len(names) != 0 {
		t.Errorf("cache holds %v", names)
	}
}
