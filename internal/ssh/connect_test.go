package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// try connects once and returns what went wrong.
func (r *rig) try(t *testing.T, target actual.Target, change func(*Settings)) *PhaseError {
	t.Helper()
	settings := r.settings()
	if change != nil {
		change(&settings)
	}
	pool := New(settings)
	defer pool.Close()
	_, err := pool.Connect(t.Context(), target)
	if err == nil {
		return nil
	}
	var failed *PhaseError
	if !errors.As(err, &failed) {
		t.Fatalf("not a PhaseError: %v", err)
	}
	return failed
}

func TestConnectSaysInWhichPhaseItFailed(t *testing.T) {
	other, otherPEM := newKey(t)
	weak, _ := newRSA(t, 1024)
	for name, c := range map[string]struct {
		break_ func(t *testing.T, r *rig, s *Settings, target *actual.Target)
		phase  actual.Phase
		want   []string // in the error
		takes  time.Duration
	}{
		"a name without an address": {
			func(_ *testing.T, _ *rig, s *Settings, target *actual.Target) {
				target.Address = "eu-1.internal"
				s.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
			}, actual.PhaseDNS, []string{"eu-1.internal", "no address", "ssh.address"}, 0},
		"a name server that is silent": {
			func(_ *testing.T, _ *rig, s *Settings, target *actual.Target) {
				target.Address = "eu-1.internal"
				s.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) { <-ctx.Done(); return nil, ctx.Err() }
			}, actual.PhaseDNS, []string{"no answer within 5s"}, dnsTimeout},
		"an address that is not allowed": {
			func(_ *testing.T, r *rig, s *Settings, _ *actual.Target) {
				s.Allow = func(actual.Target, []netip.Addr) error { return errors.New("10.1.0.11 is outside trust.networks") }
				s.Dial = func(context.Context, string, string) (net.Conn, error) { panic("dialled all the same") }
			}, actual.PhaseTrust, []string{"outside trust.networks"}, 0},
		"nobody who allows": {
			func(_ *testing.T, r *rig, s *Settings, _ *actual.Target) {
				s.Allow = nil
				s.Dial = func(context.Context, string, string) (net.Conn, error) { panic("dialled all the same") }
			}, actual.PhaseTrust, []string{"nobody says where nodes may live"}, 0},
		"a port that is closed": {
			func(_ *testing.T, _ *rig, s *Settings, _ *actual.Target) {
				s.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
			}, actual.PhaseTCP, []string{"10.1.0.11:22", "connection refused", "is the host up"}, 0},
		"a node that swallows packets": {
			func(_ *testing.T, _ *rig, s *Settings, _ *actual.Target) {
				s.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			}, actual.PhaseTCP, []string{"no answer within 10s"}, tcpTimeout},
		"something that never speaks": {
			func(_ *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.raw = func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
			}, actual.PhaseTCP, []string{"speak SSH with 10.1.0.11:22: no answer within 15s"}, handshakeTimeout},
		"something that closes at once": {
			func(_ *testing.T, r *rig, _ *Settings, _ *actual.Target) { r.raw = func(net.Conn) {} },
			actual.PhaseTCP, []string{"speak SSH", "MaxStartups"}, 0},
		"a banner without end": {
			func(_ *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.raw = func(c net.Conn) {
					for {
						if _, err := fmt.Fprintln(c, strings.Repeat("x", 1<<20)); err != nil {
							return
						}
					}
				}
			}, actual.PhaseTCP, []string{"speak SSH"}, 0},
		"a banner, then silence": {
			func(_ *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.raw = func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-x\r\n"); _, _ = io.Copy(io.Discard, c) }
			}, actual.PhaseTCP, []string{"speak SSH"}, handshakeTimeout},
		"garbage for a key exchange": {
			func(_ *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.raw = func(c net.Conn) {
					fmt.Fprint(c, "SSH-2.0-x\r\n", strings.Repeat("\xff\x00\x1b[31m", 1000))
					_, _ = io.Copy(io.Discard, c)
				}
			}, actual.PhaseTCP, []string{"speak SSH"}, 0},
		"a web server": {
			func(_ *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.raw = func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }
			}, actual.PhaseTCP, []string{"speak SSH"}, 0},
		"another host key": {
			func(_ *testing.T, r *rig, _ *Settings, _ *actual.Target) { r.hostKeys = []ssh.Signer{other} },
			actual.PhaseHostKey, []string{"10.1.0.11:22 shows ssh-ed25519 " + ssh.FingerprintSHA256(other.PublicKey()), "but wanted is ssh-ed25519 SHA256:", "known_hosts:1", "replace that line"}, 0},
		"an unknown host": {
			func(t *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.knows(t, xknownhosts.Line([]string{"10.1.0.12"}, r.hostKey.PublicKey()))
			}, actual.PhaseHostKey, []string{"10.1.0.11:22 is not in", "it shows ssh-ed25519 SHA256:", "ssh-keygen -lf"}, 0},
		"the key of another node": {
			func(t *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.knows(t, xknownhosts.Line([]string{"10.1.0.11"}, r.hostKey.PublicKey()), xknownhosts.Line([]string{"10.1.0.12"}, other.PublicKey()))
				r.hostKeys = []ssh.Signer{other}
			}, actual.PhaseHostKey, []string{"but wanted is"}, 0},
		"a revoked host key": {
			func(t *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				line := xknownhosts.Line([]string{"10.1.0.11"}, r.hostKey.PublicKey())
				r.knows(t, line, "@revoked * "+strings.SplitN(line, " ", 2)[1])
			}, actual.PhaseHostKey, []string{"known_hosts:2 revokes"}, 0},
		"a short RSA host key": {
			func(t *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.hostKeys = []ssh.Signer{weak}
				r.knows(t, xknownhosts.Line([]string{"10.1.0.11"}, weak.PublicKey()))
			}, actual.PhaseHostKey, []string{"RSA key of 1024 bits", "at least 2048"}, 0},
		"a host that has only a key of another type": {
			func(t *testing.T, r *rig, _ *Settings, _ *actual.Target) { r.hostKeys = []ssh.Signer{newECDSA(t)} },
			actual.PhaseHostKey, []string{"agree with 10.1.0.11:22 on algorithms", "has for it ssh-ed25519 SHA256:"}, 0},
		"a host that has only SHA-1": {
			func(_ *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.config.KeyExchanges = []string{ssh.InsecureKeyExchangeDH14SHA1}
			}, actual.PhaseHostKey, []string{"no common algorithm for key exchange", "must offer modern algorithms"}, 0},
		"a host that has only MACs on SHA-1": {
			func(_ *testing.T, r *rig, _ *Settings, _ *actual.Target) {
				r.config.Ciphers, r.config.MACs = []string{ssh.CipherAES128CTR}, []string{ssh.HMACSHA1}
			}, actual.PhaseHostKey, []string{"no common algorithm", "MAC"}, 0},
		"no known_hosts": {
			func(_ *testing.T, _ *rig, s *Settings, _ *actual.Target) { s.KnownHosts += ".gone" },
			actual.PhaseHostKey, []string{"read trust.known_hosts"}, 0},
		"known_hosts not set": {
			func(_ *testing.T, _ *rig, s *Settings, _ *actual.Target) { s.KnownHosts = "" },
			actual.PhaseHostKey, []string{"set trust.known_hosts"}, 0},
		"known_hosts that is none": {
			func(t *testing.T, r *rig, _ *Settings, _ *actual.Target) { r.knows(t, "what is this") },
			actual.PhaseHostKey, []string{"read trust.known_hosts", "known_hosts:1"}, 0},
		"no key": {
			func(_ *testing.T, _ *rig, s *Settings, _ *actual.Target) { s.Key += ".gone" },
			actual.PhaseAuth, []string{"read ssh.key", "ssh-keygen -t ed25519"}, 0},
		"a key that is none": {
			func(t *testing.T, r *rig, _ *Settings, _ *actual.Target) { r.write(t, r.key, "hunter2") },
			actual.PhaseAuth, []string{"is not a private key"}, 0},
		"a user who may not log in": {
			func(t *testing.T, r *rig, _ *Settings, _ *actual.Target) { r.write(t, r.key, string(otherPEM)) },
			actual.PhaseAuth, []string{"log in as reconciler at 10.1.0.11:22 with ssh-ed25519 SHA256:", "authorized_keys"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			settings, node := r.settings(), target()
			c.break_(t, r, &settings, &node)
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				failed := r.try(t, node, func(s *Settings) { *s = settings })
				if failed == nil {
					t.Fatal("connected")
				}
				if failed.Phase != c.phase {
					t.Errorf("phase %s, want %s: %v", failed.Phase, c.phase, failed)
				}
				for _, want := range c.want {
					if !strings.Contains(failed.Error(), want) {
						t.Errorf("error %q lacks %q", failed.Error(), want)
					}
				}
				if strings.ContainsAny(failed.Error(), "\x1b\x00") || !utf8.ValidString(failed.Error()) || strings.Contains(failed.Error(), "hunter2") {
					t.Errorf("error holds what it must not: %q", failed.Error())
				}
				if took := time.Since(began); took != c.takes {
					t.Errorf("took %v, want %v", took, c.takes)
				}
			})
		})
	}
}

func TestConnectEndsWithTheCallersContext(t *testing.T) {
	r := newRig(t)
	r.raw = func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	synctest.Test(t, func(t *testing.T) {
		pool := New(r.settings())
		defer pool.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := pool.Connect(ctx, target())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// Every byte at which the wire may break during the handshake ends in a
// PhaseError, and no goroutine stays.
func TestConnectSurvivesAWireThatBreaksAnywhere(t *testing.T) {
	r := newRig(t)
	for cut := 1; cut < 2000; cut += 13 {
		r.cutAfter = cut
		synctest.Test(t, func(t *testing.T) {
			if failed := r.try(t, target(), nil); failed != nil && failed.Phase != actual.PhaseTCP && failed.Phase != actual.PhaseAuth {
				t.Errorf("cut after %d bytes: %v", cut, failed)
			}
		})
	}
}

func TestConnectAsksForTheKeyTypesThatAreKnown(t *testing.T) {
	r := newRig(t)
	// The server prefers ECDSA and known_hosts has only its Ed25519 key.
	r.hostKeys = []ssh.Signer{newECDSA(t), r.hostKey}
	synctest.Test(t, func(t *testing.T) {
		if failed := r.try(t, target(), nil); failed != nil {
			t.Error(failed)
		}
	})
}

func TestConnectKnowsHostsByNamePortAndHash(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		pattern, address string
		port             int
	}{
		"a name":              {"eu-1.internal", "eu-1.internal", 22},
		"a name in capitals":  {"eu-1.internal", "EU-1.internal", 22},
		"another port":        {"[eu-1.internal]:2222", "eu-1.internal", 2222},
		"a wildcard":          {"*.internal", "eu-1.internal", 22},
		"a wildcard and port": {"*.internal", "eu-1.internal", 2222},
		"no port":             {"10.1.0.11", "10.1.0.11", 0},
		"a hash":              {xknownhosts.HashHostname("eu-1.internal"), "eu-1.internal", 22},
		"IPv6":                {"2001:db8::1", "2001:db8::1", 22},
	} {
		t.Run(name, func(t *testing.T) {
			key := strings.SplitN(xknownhosts.Line([]string{"x"}, r.hostKey.PublicKey()), " ", 2)[1]
			r.knows(t, c.pattern+" "+key)
			node := target()
			node.Address, node.Port = c.address, c.port
			synctest.Test(t, func(t *testing.T) {
				if failed := r.try(t, node, nil); failed != nil {
					t.Error(failed)
				}
			})
		})
	}
}

func TestConnectJudgesAndDialsWhatItResolvedOnce(t *testing.T) {
	r := newRig(t)
	r.knows(t, xknownhosts.Line([]string{"eu-1.internal"}, r.hostKey.PublicKey()))
	synctest.Test(t, func(t *testing.T) {
		var judged []netip.Addr
		var dialled []string
		asked := 0
		node := target()
		node.Address = "eu-1.internal"
		failed := r.try(t, node, func(s *Settings) {
			s.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				asked++
				return []netip.Addr{netip.MustParseAddr("::ffff:10.1.0.11"), netip.MustParseAddr("10.1.0.12")}, nil
			}
			s.Allow = func(_ actual.Target, resolved []netip.Addr) error { judged = resolved; return nil }
			s.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				dialled = append(dialled, address)
				if address == "10.1.0.11:22" {
					return nil, errors.New("connection refused")
				}
				return r.dial(ctx, network, address)
			}
		})
		if failed != nil {
			t.Fatal(failed)
		}
		if fmt.Sprint(asked, judged, dialled) != "1 [10.1.0.11 10.1.0.12] [10.1.0.11:22 10.1.0.12:22]" {
			t.Error(asked, judged, dialled)
		}
	})
}

// certified gives the server a certificate of its own host key.
func certified(t *testing.T, r *rig, authority ssh.Signer, change func(*ssh.Certificate)) {
	t.Helper()
	host := newECDSA(t) // of another type than the authority
	cert := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"10.1.0.11"}, ValidBefore: ssh.CertTimeInfinity}
	change(cert)
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, host)
	if err != nil {
		t.Fatal(err)
	}
	r.hostKeys = []ssh.Signer{signer}
}

func TestConnectBelievesAHostAuthority(t *testing.T) {
	authority, _ := newKey(t)
	line := "@cert-authority * " + strings.SplitN(xknownhosts.Line([]string{"x"}, authority.PublicKey()), " ", 2)[1]
	for name, c := range map[string]struct {
		change func(*ssh.Certificate)
		more   string // line of known_hosts
		port   int
		want   string // "" for a connection
	}{
		"a good one":          {func(*ssh.Certificate) {}, "", 22, ""},
		"on another port":     {func(*ssh.Certificate) {}, "", 2222, ""},
		"another principal":   {func(c *ssh.Certificate) { c.ValidPrincipals = []string{"10.1.0.12"} }, "", 22, "principal"},
		"expired":             {func(c *ssh.Certificate) { c.ValidBefore = 1 }, "", 22, "expired"},
		"not yet valid":       {func(c *ssh.Certificate) { c.ValidAfter = 1 << 40 }, "", 22, "not yet valid"},
		"of a user":           {func(c *ssh.Certificate) { c.CertType = ssh.UserCert }, "", 22, "certificate"},
		"a revoked authority": {func(*ssh.Certificate) {}, strings.Replace(line, "@cert-authority", "@revoked", 1), 22, "revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.knows(t, line, c.more)
			certified(t, r, authority, c.change)
			node := target()
			node.Port = c.port
			// Real time: the certificate is checked against it.
			failed := r.try(t, node, nil)
			switch {
			case c.want == "" && failed != nil:
				t.Error(failed)
			case c.want != "" && (failed == nil || failed.Phase != actual.PhaseHostKey || !strings.Contains(failed.Error(), c.want)):
				t.Errorf("%v, want %s", failed, c.want)
			}
		})
	}
}

func TestConnectUsesTheCertificateBesideTheKey(t *testing.T) {
	authority, _ := newKey(t)
	for name, c := range map[string]struct {
		end  uint64
		kind uint32
		key  bool // it is of our key
		want string
	}{
		"good":        {ssh.CertTimeInfinity, ssh.UserCert, true, ""},
		"expired":     {1, ssh.UserCert, true, "expired 1970"},
		"of a host":   {ssh.CertTimeInfinity, ssh.HostCert, true, "is not a user certificate"},
		"of a friend": {ssh.CertTimeInfinity, ssh.UserCert, false, "is of another key"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			cert := &ssh.Certificate{Key: r.ours.PublicKey(), CertType: c.kind, ValidPrincipals: []string{"reconciler"}, ValidBefore: c.end}
			if !c.key {
				cert.Key = r.hostKey.PublicKey()
			}
			if err := cert.SignCert(rand.Reader, authority); err != nil {
				t.Fatal(err)
			}
			r.write(t, certificatePath(r.key), string(ssh.MarshalAuthorizedKey(cert)))
			r.user = cert // the server takes the certificate alone
			failed := r.try(t, target(), nil)
			switch {
			case c.want == "" && failed != nil:
				t.Error(failed)
			case c.want != "" && (failed == nil || failed.Phase != actual.PhaseAuth || !strings.Contains(failed.Error(), c.want)):
				t.Errorf("%v, want %s", failed, c.want)
			}
		})
	}
}

func TestConnectSignsWithSHA2WhenOurKeyIsRSA(t *testing.T) {
	r := newRig(t)
	ours, private := newRSA(t, 2048)
	r.write(t, r.key, string(private))
	r.user = ours.PublicKey()
	if failed := r.try(t, target(), nil); failed != nil {
		t.Error(failed)
	}
	id, failed := New(r.settings()).files.load()
	if failed != nil {
		t.Fatal(failed)
	}
	if got := id.signer.(ssh.MultiAlgorithmSigner).Algorithms(); fmt.Sprint(got) != "[rsa-sha2-512 rsa-sha2-256]" {
		t.Errorf("signs with %v", got)
	}
}

func TestAlgorithmsHoldNoSHA1(t *testing.T) {
	c := ciphers()
	all := append(append(append(hostKeys(), c.KeyExchanges...), c.Ciphers...), c.MACs...)
	if len(all) < 20 {
		t.Fatalf("only %v", all)
	}
	for _, name := range all {
		if strings.Contains(name, "sha1") || strings.Contains(name, "dss") || strings.Contains(name, "cbc") || name == "ssh-rsa" || name == "ssh-rsa-cert-v01@openssh.com" {
			t.Errorf("%s is offered", name)
		}
	}
}

func TestConnectPausesAfterARefusalUntilOurFilesChange(t *testing.T) {
	r := newRig(t)
	_, wrong := newKey(t)
	right := r.key
	synctest.Test(t, func(t *testing.T) {
		r.write(t, r.folder+"/wrong", string(wrong))
		settings := r.settings()
		settings.Key = r.folder + "/wrong"
		pool := New(settings)
		defer pool.Close()
		connect := func() error { _, err := pool.Connect(t.Context(), target()); return err }
		dials := func() int { r.mu.Lock(); defer r.mu.Unlock(); return r.dials }

		if err := connect(); err == nil || dials() != 1 {
			t.Fatal(err, dials())
		}
		time.Sleep(29 * time.Second)
		var failed *PhaseError
		if err := connect(); dials() != 1 || !errors.As(err, &failed) || failed.Phase != actual.PhaseAuth || !strings.Contains(err.Error(), "not tried again for 1s") {
			t.Fatal(err, dials())
		}
		time.Sleep(time.Second)
		if err := connect(); err == nil || dials() != 2 {
			t.Fatal(err, dials())
		}
		time.Sleep(59 * time.Second) // the pause doubled
		if err := connect(); err == nil || dials() != 2 {
			t.Fatal(err, dials())
		}
		pool.files.key = right // as if the file had been replaced
		if err := connect(); err != nil {
			t.Fatal(err)
		}
	})
}
