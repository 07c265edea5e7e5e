package release

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgp "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/vaultfleet/reconciler/internal/keyfile"
)

// Signer is whose signature was found good.
type Signer struct {
	Fingerprint string // of the primary key, upper-case hex
	Name        string // its user ID, as the key itself says
}

func (s Signer) String() string { return fmt.Sprintf("%s (%.100q)", s.Fingerprint, s.Name) }

// Fault is why a signature does not count. Each has another way out.
type Fault string

// The faults, from what tells least to what tells most.
const (
	FaultUnknown Fault = "unknown" // no key of the keyring made it
	FaultBad     Fault = "bad"     // a key of ours is named, and did not sign this content
	FaultWeak    Fault = "weak"    // its hash can be forged
	FaultExpired Fault = "expired" // it would be good, had the key or the signature not expired
	FaultRevoked Fault = "revoked" // it would be good, had the key not been revoked
)

// tells is how much a fault tells: of several keys the one that comes nearest
// to having signed is the one to speak of.
func (f Fault) tells() int {
	switch f {
	case FaultUnknown:
		return 0
	case FaultBad:
		return 1
	case FaultWeak:
		return 2
	case FaultExpired:
		return 3
	case FaultRevoked:
		return 4
	}
	panic("no such fault: " + f)
}

// SignatureError says that a signature does not make its content true, and what
// would.
type SignatureError struct {
	Fault Fault
	text  string
}

func (e *SignatureError) Error() string { return e.text }

// Check says who of the keyring signed a content; otherwise the error is a
// [SignatureError]. A key that has expired by now is refused even for what it
// signed while it was valid: when that was, only the signature itself says, and
// whoever has the old key can say what they like.
//
// Each key is tried alone. Of two with one fingerprint, expired and renewed,
// the library would try the first and no other.
func (k Keyring) Check(content, signature []byte, now time.Time) (Signer, error) {
	var good []*openpgp.Entity
	revoked := map[string]bool{} // a copy without the revocation does not bring a key back
	worst := unknownSigner(k, signature)
	for _, key := range k.keys {
		fault := checkBy(key, content, signature, now)
		if fault == nil {
			good = append(good, key)
		} else if fault.Fault.tells() > worst.Fault.tells() {
			worst = fault
		}
		if key.Revoked(now) || fault != nil && fault.Fault == FaultRevoked {
			revoked[keyfile.Fingerprint(key)] = true
		}
	}
	for _, key := range good {
		if !revoked[keyfile.Fingerprint(key)] {
			return signerOf(key), nil
		}
		worst = revokedKey(key)
	}
	return Signer{}, worst
}

// checkBy tries one key.
func checkBy(key *openpgp.Entity, content, signature []byte, now time.Time) *SignatureError {
	at := &packet.Config{Time: func() time.Time { return now }}
	made, _, err := openpgp.VerifyDetachedSignature(openpgp.EntityList{key}, bytes.NewReader(content), bytes.NewReader(signature), at)
	switch {
	case errors.Is(err, pgp.ErrUnknownIssuer):
		return &SignatureError{Fault: FaultUnknown}
	case errors.Is(err, pgp.ErrKeyRevoked):
		return revokedKey(key)
	case errors.Is(err, pgp.ErrKeyExpired):
		return expiredKey(key, made, now)
	case errors.Is(err, pgp.ErrSignatureExpired):
		return &SignatureError{FaultExpired, fmt.Sprintf("the signature by %s, made %s, has expired or is of the future; is the clock of this machine right? Otherwise get the newest signature", signerOf(key), day(made.CreationTime))}
	case err != nil:
		return &SignatureError{FaultBad, fmt.Sprintf("the signature by %s does not fit (%v): what was signed was changed on its way, or cut off; compare it with another source, and use this one no more until you know why", signerOf(key), err)}
	case made.Hash != crypto.SHA256 && made.Hash != crypto.SHA384 && made.Hash != crypto.SHA512:
		return &SignatureError{FaultWeak, fmt.Sprintf("the signature by %s is over %v, which can be forged; get one over SHA-256 or better", signerOf(key), made.Hash)}
	}
	return nil
}

func revokedKey(key *openpgp.Entity) *SignatureError {
	return &SignatureError{FaultRevoked, fmt.Sprintf("the signature is by %s, a key that was revoked: it may be in other hands; get a release that is signed by its successor, and name that one's file under releases.keys in reconciler.yaml", signerOf(key))}
}

// expiredKey says since when a primary key, or the subkey that signed, counts
// no more.
func expiredKey(key *openpgp.Entity, made *packet.Signature, now time.Time) *SignatureError {
	self, _ := key.PrimarySelfSignature()
	tried := []openpgp.Key{{PublicKey: key.PrimaryKey, SelfSignature: self}}
	tried = append(tried, openpgp.EntityList{key}.KeysById(*made.IssuerKeyId)...)
	for _, k := range tried {
		if k.PublicKey.CreationTime.After(now) {
			return &SignatureError{FaultExpired, fmt.Sprintf("the signature is by %s, whose key was made %s and counts from then on; set the clock of this machine, which says %s", signerOf(key), day(k.PublicKey.CreationTime), day(now))}
		}
		if k.PublicKey.KeyExpired(k.SelfSignature, now) {
			end := k.PublicKey.CreationTime.Add(time.Duration(*k.SelfSignature.KeyLifetimeSecs) * time.Second)
			return &SignatureError{FaultExpired, fmt.Sprintf("the signature is by %s, and fits, but that key expired %s; get the renewed key (https://www.hashicorp.com/security) and name its file under releases.keys in reconciler.yaml, or install a newer reconciler", signerOf(key), day(end))}
		}
	}
	return &SignatureError{FaultExpired, fmt.Sprintf("the signature is by %s, whose key has expired", signerOf(key))}
}

// unknownSigner names whoever the signature says that it is by.
func unknownSigner(k Keyring, signature []byte) *SignatureError {
	var by, known []string
	packets := packet.NewReader(bytes.NewReader(signature))
	for {
		p, err := packets.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) && len(by) == 0 {
				return &SignatureError{FaultBad, "the signature file holds no OpenPGP signature; get the binary .sig file that stands beside the sums"}
			}
			break
		}
		if s, ok := p.(*packet.Signature); ok && s.IssuerKeyId != nil {
			by = append(by, fmt.Sprintf("%016X", *s.IssuerKeyId))
		}
	}
	if len(by) == 0 {
		return &SignatureError{FaultBad, "the signature file names no signer; get the binary .sig file that stands beside the sums"}
	}
	for _, key := range k.keys {
		known = append(known, signerOf(key).String())
	}
	return &SignatureError{FaultUnknown, fmt.Sprintf("the signature is by the key %s, and trusted is %s; if you trust the signer too, name the file of that key under releases.keys in reconciler.yaml", strings.Join(by, ", "), strings.Join(known, ", "))}
}

func signerOf(key *openpgp.Entity) Signer {
	s := Signer{Fingerprint: keyfile.Fingerprint(key)}
	if id := key.PrimaryIdentity(); id != nil {
		s.Name = id.Name
	}
	return s
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
