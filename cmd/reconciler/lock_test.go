package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestLock runs the stories of testdata/lock. Each finds the example fleet in
// fleet/, releases of several signers in releases/ and, as the same over https,
// at $MIRROR and, through the proxy at $PROXY alone, at https://example.com.
// The keys are in NAME.asc.
func TestLock(t *testing.T) {
	releases := t.TempDir()
	mirror := httptest.NewTLSServer(http.FileServer(http.Dir(releases)))
	t.Cleanup(mirror.Close) // the stories run when this function is over
	proxy := httptest.NewServer(tunnel(mirror.Listener.Addr().String()))
	t.Cleanup(proxy.Close)
	signer, old := pgpKey(t, "signer", time.Now(), 0), pgpKey(t, "old", time.Now().Add(-48*time.Hour), 24*time.Hour)
	for version, key := range map[string]*openpgp.Entity{"1.21.0": signer, "1.21.1": signer, "1.20.0": old, "1.19.0": pgpKey(t, "mallory", time.Now(), 0)} {
		publish(t, releases, version, key)
	}
	changed := filepath.Join(releases, "vault/1.18.0/vault_1.18.0_SHA256SUMS")
	publish(t, releases, "1.18.0", signer)
	if err := os.WriteFile(changed, fmt.Appendf(nil, "%x  vault_1.18.0_linux_amd64.zip\n", sha256.Sum256(nil)), 0o644); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/lock",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("MIRROR", mirror.URL)
			env.Setenv("PROXY", strings.Replace(proxy.URL, "://", "://ada:hunter2@", 1))
			env.Setenv("SSL_CERT_FILE", filepath.Join(env.WorkDir, "ca.crt"))
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mirror.Certificate().Raw})
			for name, body := range map[string]string{
				"ca.crt": string(ca), "signer.asc": public(t, signer), "old.asc": public(t, old),
				"with-folder.yaml": "format: 1\nfleet: acme\nreleases: {source: \"file://" + env.WorkDir + "/releases\"}\n",
			} {
				if err := lay(filepath.Join(env.WorkDir, name), body); err != nil {
					return err
				}
			}
			if err := os.CopyFS(filepath.Join(env.WorkDir, "releases"), os.DirFS(releases)); err != nil {
				return err
			}
			return copyFleet(filepath.Join(env.WorkDir, "fleet"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// tunnel is a proxy that asks for a password and leads everywhere to one place.
func tunnel(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		if r.Method != http.MethodConnect || user != "ada" || password != "hunter2" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		there, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		go func() {
			io.Copy(there, buffered)
			there.Close()
		}()
		io.Copy(here, there)
	}
}

func pgpKey(t *testing.T, name string, made time.Time, lives time.Duration) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity(name, "", "", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return made }, KeyLifetimeSecs: uint32(lives / time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t *testing.T, key *openpgp.Entity) string {
	t.Helper()
	var text bytes.Buffer
	w, err := armor.Encode(&text, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// publish lays out a version for two platforms, signed.
func publish(t *testing.T, releases, version string, key *openpgp.Entity) {
	t.Helper()
	files := map[string]string{}
	sums := ""
	for platform, machine := range map[string]string{"linux_amd64": "\x3e", "linux_arm64": "\xb7"} {
		var archive bytes.Buffer
		z := zip.NewWriter(&archive)
		w, err := z.Create("vault")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "\x7fELF\x02\x01\x01%s\x02\x00%s\x00 this stands for vault %s", strings.Repeat("\x00", 9), machine, version)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		name := "vault_" + version + "_" + platform + ".zip"
		files[name] = archive.String()
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256(archive.Bytes()), name)
	}
	var signature bytes.Buffer
	made := key.PrimaryKey.CreationTime
	if err := openpgp.DetachSign(&signature, key, strings.NewReader(sums), &packet.Config{Time: func() time.Time { return made }}); err != nil {
		t.Fatal(err)
	}
	files["vault_"+version+"_SHA256SUMS"] = sums
	files["vault_"+version+"_SHA256SUMS.sig"] = signature.String()
	for name, body := range files {
		if err := lay(filepath.Join(releases, "vault", version, name), body); err != nil {
			t.Fatal(err)
		}
	}
}
