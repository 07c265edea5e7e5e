package signature_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vaultfleet/reconciler/internal/signature"
	"golang.org/x/crypto/ssh"
)

// blob is a signature as PROTOCOL.sshsig has it.
type blob struct {
	Magic     [6]byte
	Version   uint32
	PublicKey []byte
	Namespace string
	Reserved  string
	Hash      string
	Signature []byte
	Rest      []byte `ssh:"rest"`
}

// sshsigned is what is signed.
type sshsigned struct {
	Magic     [6]byte
	Namespace string
	Reserved  string
	Hash      string
	Digest    []byte
}

func magic() [6]byte { return [6]byte([]byte("SSHSIG")) }

// sshsigForgery is a signature that ssh-keygen does not make, or not for git.
type sshsigForgery struct {
	blob
	sign func(data []byte) *ssh.Signature
}

// by is a good signature, to be spoilt.
func by(t testing.TB, s ssh.Signer) sshsigForgery {
	algorithm := s.PublicKey().Type()
	if algorithm == ssh.KeyAlgoRSA {
		algorithm = ssh.KeyAlgoRSASHA512
	}
	return sshsigForgery{
		blob{Magic: magic(), Version: 1, PublicKey: s.PublicKey().Marshal(), Namespace: "git", Hash: "sha512"},
		func(data []byte) *ssh.Signature { return signAs(t, s, data, algorithm) },
	}
}

func signAs(t testing.TB, s ssh.Signer, data []byte, algorithm string) *ssh.Signature {
	t.Helper()
	sig, err := s.(ssh.AlgorithmSigner).SignWithAlgorithm(rand.Reader, data, algorithm)
	must(t, err)
	return sig
}

// armor signs a payload.
func (f sshsigForgery) armor(t testing.TB, payload []byte) string {
	t.Helper()
	digest := map[string]func() []byte{
		"sha1":   func() []byte { d := sha1.Sum(payload); return d[:] },
		"sha256": func() []byte { d := sha256.Sum256(payload); return d[:] },
		"sha512": func() []byte { d := sha512.Sum512(payload); return d[:] },
	}[f.Hash]
	f.blob.Signature = ssh.Marshal(f.sign(ssh.Marshal(sshsigned{magic(), f.Namespace, "", f.Hash, digest()})))
	return string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: ssh.Marshal(f.blob)}))
}

// onHardware signs as a FIDO key does, which says in flags whether it was
// touched.
func onHardware(t testing.TB, flags byte) (sshsigForgery, string) {
	t.Helper()
	const application = "ssh:"
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	raw := ssh.Marshal(struct{ Type, Key, Application string }{ssh.KeyAlgoSKED25519, string(public), application})
	key, err := ssh.ParsePublicKey(raw)
	must(t, err)
	return sshsigForgery{
		blob{Magic: magic(), Version: 1, PublicKey: raw, Namespace: "git", Hash: "sha512"},
		func(data []byte) *ssh.Signature {
			app, digest := sha256.Sum256([]byte(application)), sha256.Sum256(data)
			tail := []byte{flags, 0, 0, 0, 7} // and a counter
			return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(private, slices.Concat(app[:], tail, digest[:])), Rest: tail}
		},
	}, string(ssh.MarshalAuthorizedKey(key))
}

// dsaKey is one that newer programs neither make nor take.
const dsaKey = "ssh-dss AAAAB3NzaC1kc3MAAACBAMpYfw0/Kys9EoxcL7NfAZg7S/JXUmr9/1MJCVGC5ZqBTzxVO2sYJmd+tI9JpS5zf23zIfL44H5FxS2rYthVwNDnK1wRtM8JcBXyrb17idd3NFYGuPPQXperbUSKRqBFL9mTr9h9kHZaBDDIRXhLBRn4VMYORWVJ4GPVHPCtvikPAAAAFQD2m71hZudE/pEwdtXnTh3sBjeOxwAAAIB2dj1FD97WLqDkqE7FPQZwHCojMm6q+2XHkfNaiE78ZtB7BvxtY3r4XfR6mDaMOGobkJEFA5ywwXH45Tqy0XkADjy4/vhjN3Bs4r2uTtYDyrqmBErDzdX3hfJU+jdTRWUZfhhNF307BtARPwFwRfdW0FaMyUHJWWZnZiMEFOFTlwAAAIEAlHJ+ImCoiGw406IRmnhyESL/5fpgc03i1XijSson3bJ/pS+MfsVkNIVBFQcEb9ILtdSnBVTs9pOhvt09OfSdy03TOXM87A5U12HRLvK1zKIaM83dGmIZ8b08rmi5wrSjsMbl8RAnnK6usQ+xxiyVUBaOwYiWFPj4HevSUPT7z2w="

// Signatures by keys that count, which do not: items 103 and 105 of the
// catalogue of bad input.
func TestWhatIsNoSSHSignature(t *testing.T) {
	r, alice, rsa := newRepo(t), newKey(t, "alice", "-t", "ed25519"), newKey(t, "rsa", "-t", "rsa", "-b", "3072")
	plain := r.unsigned()
	touched, touchedKey := onHardware(t, 1)
	untouched, untouchedKey := onHardware(t, 0)
	allowed := "alice@example.com " + alice.public + "\nalice@example.com " + rsa.public + "\nalice@example.com " + touchedKey + "alice@example.com " + untouchedKey
	for _, c := range []struct {
		name     string
		make     func() string
		fault    signature.Fault
		stricter string
	}{
		{"by ssh-keygen for git", func() string { return keygenSign(r, alice, "git", plain) }, "", ""},
		{"by ssh-keygen for files", func() string { return keygenSign(r, alice, "file", plain) }, signature.FaultBad, ""},
		{"for nothing", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.Namespace = "" }), signature.FaultBad, ""},
		{"for git and more", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.Namespace = "git\x00file" }), signature.FaultBad, ""},
		{"over SHA-512", spoilt(t, by(t, alice.signer), plain), "", ""},
		{"over SHA-256", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.Hash = "sha256" }), "", ""},
		{"over SHA-1", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.Hash = "sha1" }), signature.FaultWeak, ""},
		{"of another version", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.Version = 2 }), signature.FaultMalformed, ""},
		{"of another protocol", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.Magic[0] = 'X' }), signature.FaultMalformed, ""},
		{"with something in what is reserved", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.Reserved = "x" }), "", ""},
		{"with something behind it", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.Rest = []byte("x") }), signature.FaultMalformed, ""},
		{"with something behind its inner part", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.sign = longer(f.sign) }), signature.FaultMalformed, ""},
		{"by nobody", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.PublicKey = nil }), signature.FaultMalformed, ""},
		{"by another than it says", spoilt(t, by(t, rsa.signer), plain, func(f *sshsigForgery) { f.PublicKey = alice.signer.PublicKey().Marshal() }), signature.FaultWeak, ""},

		{"RSA over SHA-512", spoilt(t, by(t, rsa.signer), plain), "", ""},
		{"RSA over SHA-256", spoilt(t, by(t, rsa.signer), plain, func(f *sshsigForgery) { f.sign = as(t, rsa, ssh.KeyAlgoRSASHA256) }), "", ""},
		{"RSA over SHA-1", spoilt(t, by(t, rsa.signer), plain, func(f *sshsigForgery) { f.sign = as(t, rsa, ssh.KeyAlgoRSA) }), signature.FaultMalformed, ""},
		{"RSA over SHA-1 under another name", spoilt(t, by(t, rsa.signer), plain, func(f *sshsigForgery) { f.sign = named(as(t, rsa, ssh.KeyAlgoRSA), ssh.KeyAlgoRSASHA512) }), signature.FaultBad, ""},
		{"Ed25519 under the name of RSA", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.sign = named(f.sign, ssh.KeyAlgoRSASHA512) }), signature.FaultWeak, ""},

		{"DSA", spoilt(t, by(t, alice.signer), plain, func(f *sshsigForgery) { f.PublicKey = parsed(t, dsaKey).Marshal() }), signature.FaultWeak, ""},
		{"by hardware", spoilt(t, touched, plain), "", ""},
		{"by hardware that nobody touched", spoilt(t, untouched, plain), signature.FaultBad, "whoever has the machine could sign"},
	} {
		commit := with(plain, c.make())
		if accepted := r.accepts(commit, allowed); accepted != (c.fault == "" || c.stricter != "") {
			t.Errorf("%s: git accepts it: %t", c.name, accepted)
		}
		_, err := allow(t, allowed).Verify(commit, now())
		if fault(err) != c.fault || (err == nil) != (c.fault == "") {
			t.Errorf("%s: fault %q, want %q: %v", c.name, fault(err), c.fault, err)
		}
	}
}

func spoilt(t testing.TB, f sshsigForgery, payload []byte, how ...func(*sshsigForgery)) func() string {
	for _, spoil := range how {
		spoil(&f)
	}
	return func() string { return f.armor(t, payload) }
}

func parsed(t testing.TB, line string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	must(t, err)
	return key
}

func as(t testing.TB, k key, algorithm string) func([]byte) *ssh.Signature {
	return func(data []byte) *ssh.Signature { return signAs(t, k.signer, data, algorithm) }
}

func named(sign func([]byte) *ssh.Signature, format string) func([]byte) *ssh.Signature {
	return func(data []byte) *ssh.Signature { s := sign(data); s.Format = format; return s }
}

func longer(sign func([]byte) *ssh.Signature) func([]byte) *ssh.Signature {
	return func(data []byte) *ssh.Signature { s := sign(data); s.Rest = []byte("x"); return s }
}

// keygenSign is what ssh-keygen itself signs, for any namespace.
func keygenSign(r repo, k key, namespace string, payload []byte) string {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "payload")
	must(r.t, os.WriteFile(file, payload, 0o600))
	r.run(nil, "ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", k.file, file)
	armor, err := os.ReadFile(file + ".sig")
	must(r.t, err)
	return string(armor)
}
