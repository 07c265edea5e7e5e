package signature

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// namespace is what git signs for.
const namespace = "git"

// minRSA is the shortest RSA key that counts, in bits: what ssh-keygen makes.
const minRSA = 3072

// verifySSH judges a signature in the format of PROTOCOL.sshsig.
func (s Signers) verifySSH(o object, now time.Time) (Signer, error) {
	body, err := unarmor(o.signature, "SSH SIGNATURE")
	if err != nil {
		return Signer{}, err
	}
	sig, err := sshsig.ParseSignature(body)
	switch {
	case errors.Is(err, sshsig.ErrUnsupportedHashAlgorithm):
		return Signer{}, refuse(FaultWeak, "its signature is over neither SHA-256 nor SHA-512; sign it again")
	case err != nil:
		return Signer{}, refuse(FaultMalformed, "its SSH signature cannot be read: %.200q", err)
	}
	if err := checkKey(sig.PublicKey); err != nil {
		return Signer{}, err
	}
	if err := checkFormat(sig); err != nil {
		return Signer{}, err
	}
	lines := s.linesOf(sig.PublicKey)
	if len(lines) == 0 {
		return Signer{}, refuse(FaultUnknown, "it is signed by the SSH key %s, which the allowed signers do not have; add it to them if you trust it", ssh.FingerprintSHA256(sig.PublicKey))
	}
	if sig.Namespace != namespace {
		return Signer{}, refuse(FaultBad, "its signature was made for the namespace %.40q and not for %q: it is that of something else", sig.Namespace, namespace)
	}
	if err := sshsig.Verify(bytes.NewReader(o.payload), sig, lines[0].key, sig.HashAlgorithm, namespace); err != nil {
		return Signer{}, refuse(FaultBad, "the key %s did not sign this commit: it was changed after it was signed, or the signature is that of another", lines[0])
	}
	return judge(lines, o.committed, now)
}

// checkKey refuses the keys whose signatures do not count whoever has them.
func checkKey(key ssh.PublicKey) error {
	switch key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return nil
	case ssh.KeyAlgoRSA:
		if bits := rsaBits(key); bits < minRSA {
			return refuse(FaultWeak, "the RSA key %s has %d bits; keys of %d and more count, or ssh-ed25519", ssh.FingerprintSHA256(key), bits, minRSA)
		}
		return nil
	case "ssh-dss":
		return refuse(FaultWeak, "the key %s is a DSA key, which can be forged; use ssh-ed25519", ssh.FingerprintSHA256(key))
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return refuse(FaultUnsupported, "the key is an SSH certificate, which is not supported; sign with the key itself")
	}
	return refuse(FaultUnsupported, "keys of the type %.40q are not supported; use ssh-ed25519", key.Type())
}

func rsaBits(key ssh.PublicKey) int {
	if k, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok {
			return k.N.BitLen()
		}
	}
	return 0
}

// checkFormat holds a signature to the format of its key, and RSA to SHA-2. The
// library looks at RSA alone, and lets bytes stand behind the signature.
func checkFormat(sig *sshsig.Signature) error {
	kind, format := sig.PublicKey.Type(), sig.Signature.Format
	sha2 := kind == ssh.KeyAlgoRSA && (format == ssh.KeyAlgoRSASHA256 || format == ssh.KeyAlgoRSASHA512)
	if !sha2 && (kind == ssh.KeyAlgoRSA || format != kind) {
		return refuse(FaultWeak, "its signature has the format %.40q, which does not count for a key of the type %s; sign it again with a newer program", format, kind)
	}
	if !strings.HasPrefix(kind, "sk-") && len(sig.Signature.Rest) > 0 {
		return refuse(FaultMalformed, "something stands behind its signature; sign it again")
	}
	return nil
}

// linesOf are those of a key. A key may have several, each for a time of its
// own, say.
func (s Signers) linesOf(key ssh.PublicKey) []line {
	var found []line
	for _, l := range s.lines {
		if bytes.Equal(l.key.Marshal(), key.Marshal()) {
			found = append(found, l)
		}
	}
	return found
}

// judge says whom the lines of a key name. If none counts, the error is that of
// the first.
func judge(lines []line, committed, now time.Time) (Signer, error) {
	signer := Signer{Kind: SSH, Fingerprint: ssh.FingerprintSHA256(lines[0].key)}
	var first error
	for _, l := range lines {
		if err := l.allows(committed, now); err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		for name := range strings.SplitSeq(l.principals, ",") {
			if !slices.Contains(signer.Principals, name) {
				signer.Principals = append(signer.Principals, name)
			}
		}
	}
	if signer.Principals == nil {
		return Signer{}, first
	}
	return signer, nil
}

// allows says whether a key counts for commits, at the date of this one and now.
func (l line) allows(committed, now time.Time) error {
	if l.namespaces != nil && !matchesList(namespace, *l.namespaces) {
		return refuse(FaultUnknown, `it is signed by %s, whom the allowed signers have for the namespaces %.100q alone; add "git" if it is to sign commits`, l, *l.namespaces)
	}
	switch {
	case !l.after.IsZero() && committed.Unix() < l.after.Unix():
		return refuse(FaultExpired, "it is signed by %s, who counts from %s on, and was committed %s", l, stamp(l.after), stamp(committed))
	case !l.after.IsZero() && now.Unix() < l.after.Unix():
		return refuse(FaultExpired, "it is signed by %s, who counts from %s on; is the clock of this machine right? It says %s", l, stamp(l.after), stamp(now))
	case !l.before.IsZero() && committed.Unix() > l.before.Unix():
		return refuse(FaultExpired, "it is signed by %s, who counted until %s, and was committed %s", l, stamp(l.before), stamp(committed))
	case !l.before.IsZero() && now.Unix() > l.before.Unix():
		return refuse(FaultExpired, "it is signed by %s, who counted until %s; a key that has expired is refused for earlier commits too, since their date is what their signer wrote; sign with a key that is valid, or move its valid-before", l, stamp(l.before))
	}
	return nil
}

func (l line) String() string {
	return fmt.Sprintf("%s (%.100q, line %d)", ssh.FingerprintSHA256(l.key), l.principals, l.number)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
