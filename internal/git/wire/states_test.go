package wire_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/vaultfleet/reconciler/internal/git/wire"
)

// says is a host whose git-upload-pack says the same whatever it is asked.
func says(write func(out io.Writer) error) wire.SSH {
	return wire.SSH{Path: "/x", Run: func(_ context.Context, _ string, _ io.Reader, out io.Writer) error { return write(out) }}
}

// TestAListOfRefsHasAnEnd: state 92 of the catalogue of bad input, a million refs and
// more. They are read as they come and none is kept.
func TestAListOfRefsHasAnEnd(t *testing.T) {
	refs := func(out io.Writer) error {
		lines := strings.Repeat(pkt(strings.Repeat("a", 40)+" refs/heads/x\n"), 1000)
		for {
			if _, err := io.WriteString(out, lines); err != nil {
				return err
			}
		}
	}
	r := newRepository(t)
	web := serve(t, r)
	web.front = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, pkt("# service=git-upload-pack\n")+"0000")
		}
		_ = refs(w) // until nobody reads on
		return true
	}
	for way, s := range map[string]server{"ssh": says(refs), "https": web.open(t, r, wire.Options{})} {
		if tip, err := s.Tip(t.Context(), branch); err == nil || !strings.Contains(err.Error(), "its list of refs is longer than 16 MiB") {
			t.Errorf("%s: %s %v", way, tip, err)
		}
	}
}

// TestNamesOfRefsAreWordsAlone: state 93. They are held against the one that is
// followed, and shown to whoever misspelt it; none becomes a path or an argument.
func TestNamesOfRefsAreWordsAlone(t *testing.T) {
	id, other := strings.Repeat("a", 40), strings.Repeat("b", 40)
	for words, name := range map[string]string{
		"it climbs":                "refs/heads/../../x",
		"a path":                   "/etc/passwd",
		"an option":                "--upload-pack=id",
		"a line break":             "refs/heads/x\n" + other + " " + branch,
		"NUL":                      "refs/heads/x\x00" + branch,
		"words that steer":         "refs/heads/\x1b[31m\u202ex",
		"not UTF-8":                "refs/heads/\xff",
		"the branch in capitals":   "refs/heads/MAIN",
		"a longer name":            branch + "x",
		"a tag called like it":     "refs/tags/main",
		"it ends as the branch":    "refs/heads/refs/heads/main",
		"very long":                "refs/heads/" + strings.Repeat("x", 60_000),
		"the branch, dressed up":   "refs/heads/./main",
		"a peeled one":             branch + "^{}",
		"a branch of another repo": "refs/remotes/origin/main",
	} {
		line := pkt(other + " " + name + "\n")
		both := says(func(out io.Writer) error {
			_, err := io.WriteString(out, line+pkt(id+" "+branch+"\n")+"0000")
			return err
		})
		if tip, err := both.Tip(t.Context(), branch); tip != id || err != nil {
			t.Errorf("%s: %s %v", words, tip, err)
		}
		alone := says(func(out io.Writer) error { _, err := io.WriteString(out, line+"0000"); return err })
		tip, err := alone.Tip(t.Context(), branch)
		if none, ok := errors.AsType[*wire.NoRefError](err); !ok || tip != "" || none.Ref != branch {
			t.Errorf("%s, alone: %s %v", words, tip, err)
		}
		if text := err.Error(); len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }) {
			t.Errorf("%s, alone: it tells %q", words, text)
		}
	}
}

// TestACertificateHasToBeGoodNow: state 113.
func TestACertificateHasToBeGoodNow(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	const day = 24 * time.Hour
	for words, c := range map[string]struct {
		from, until time.Duration // from now on
		known       bool
		want        string
	}{
		"expired":       {-2 * day, -day, true, "expired"},
		"not yet valid": {day, 2 * day, true, "not yet valid"},
		"of another CA": {-day, day, false, "give the file of its CA"},
	} {
		now := time.Now()
		raw, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: now.Add(c.from), NotAfter: now.Add(c.until), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		}, &x509.Certificate{}, key.Public(), key)
		must(t, err)
		web := httptest.NewUnstartedServer(http.NotFoundHandler())
		web.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
		web.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}
		web.StartTLS()
		roots := x509.NewCertPool()
		if c.known {
			own, err := x509.ParseCertificate(raw)
			must(t, err)
			roots.AddCert(own)
		}
		s := wire.NewHTTPS(web.URL+"/fleet.git", wire.Options{Roots: roots, Login: func() (string, string, error) { return "git", "canary", nil }})
		if _, err := s.Tip(t.Context(), branch); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v; want %q", words, err, c.want)
		}
		web.Close()
	}
}
