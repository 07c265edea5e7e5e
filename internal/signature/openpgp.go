package signature

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgp "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/vaultfleet/reconciler/internal/keyfile"
)

// verifyOpenPGP judges a detached signature as gpg makes it. Each key is tried
// alone: of two copies with one fingerprint, expired and renewed, the library
// would try the first and no other.
func (s Signers) verifyOpenPGP(o object, now time.Time) (Signer, error) {
	body, err := unarmor(o.signature, "PGP SIGNATURE")
	if err != nil {
		return Signer{}, err
	}
	sig, err := readSignature(body)
	if err != nil {
		return Signer{}, err
	}
	var good *openpgp.Entity
	var worst error
	for _, key := range s.keys {
		err := checkBy(key, sig, o.payload, body, now)
		switch {
		case err == nil:
			good = key
		case faultOf(err) == FaultRevoked:
			return Signer{}, err
		case faultOf(err) != FaultUnknown && worst == nil:
			worst = err
		}
	}
	switch {
	case good != nil && s.revoked(good, now):
		return Signer{}, revokedKey(good)
	case good != nil:
		return signerOf(good), nil
	case worst != nil:
		return Signer{}, worst
	}
	return Signer{}, refuse(FaultUnknown, "it is signed by the OpenPGP key %016X, which is none of those that are trusted; add it to their file if you trust it", *sig.IssuerKeyId)
}

// readSignature reads the one packet that a signature is. Of several the
// library would take the first that it knows; gpg's verdict is on all of them.
func readSignature(body []byte) (*packet.Signature, error) {
	packets := packet.NewOpaqueReader(bytes.NewReader(body))
	first, err := packets.Next()
	if err != nil {
		return nil, refuse(FaultMalformed, "its OpenPGP signature is cut off (%.100q); sign it again", err)
	}
	if _, err := packets.Next(); !errors.Is(err, io.EOF) {
		return nil, refuse(FaultMalformed, "its OpenPGP signature has more than one packet; sign it again, by one key")
	}
	p, err := first.Parse()
	if err != nil {
		return nil, refuse(FaultMalformed, "its OpenPGP signature cannot be read: %.200q", err)
	}
	sig, ok := p.(*packet.Signature)
	switch {
	case !ok || sig.IssuerKeyId == nil:
		return nil, refuse(FaultMalformed, "its OpenPGP signature is none, or names no signer; sign it again")
	case sig.SigType != packet.SigTypeBinary:
		// One over text does not tell the ends of lines apart.
		return nil, refuse(FaultMalformed, "its OpenPGP signature is of the type %#02x, not over the bytes of a document; sign it again (gpg --detach-sign without --textmode)", uint8(sig.SigType))
	case sig.Hash != crypto.SHA256 && sig.Hash != crypto.SHA384 && sig.Hash != crypto.SHA512:
		return nil, refuse(FaultWeak, "its OpenPGP signature is over %v; sign it again over SHA-256 or better", sig.Hash)
	}
	return sig, nil
}

// checkBy tries one key.
func checkBy(key *openpgp.Entity, sig *packet.Signature, payload, body []byte, now time.Time) error {
	at := &packet.Config{Time: func() time.Time { return now }}
	_, _, err := openpgp.VerifyDetachedSignature(openpgp.EntityList{key}, bytes.NewReader(payload), bytes.NewReader(body), at)
	name := signerOf(key)
	switch {
	case errors.Is(err, pgp.ErrUnknownIssuer):
		return refuse(FaultUnknown, "it is not signed by %s", name)
	case errors.Is(err, pgp.ErrKeyRevoked):
		return revokedKey(key)
	case errors.Is(err, pgp.ErrKeyExpired):
		return refuse(FaultExpired, "it is signed by %s, a key that has expired or begins later; is the clock of this machine right? It says %s. Otherwise renew the key and put it in its file again", name, stamp(now))
	case errors.Is(err, pgp.ErrSignatureExpired):
		return refuse(FaultExpired, "the signature by %s has expired or is of the future; is the clock of this machine right? It says %s. Otherwise sign again", name, stamp(now))
	case err != nil:
		return refuse(FaultBad, "%s did not sign this commit (%.100q): it was changed after it was signed, or the signature is that of another", name, err)
	}
	for _, k := range (openpgp.EntityList{key}).KeysById(*sig.IssuerKeyId) {
		if err := checkStrength(k.PublicKey); err != nil {
			return err
		}
		if sig.CreationTime.Before(k.PublicKey.CreationTime) {
			return refuse(FaultBad, "the signature by %s is of %s, when the key was not there yet", name, stamp(sig.CreationTime))
		}
	}
	return nil
}

// revoked says whether one copy of a key is revoked.
func (s Signers) revoked(key *openpgp.Entity, now time.Time) bool {
	for _, other := range s.keys {
		if keyfile.Fingerprint(other) == keyfile.Fingerprint(key) && other.Revoked(now) {
			return true
		}
	}
	return false
}

func revokedKey(key *openpgp.Entity) error {
	return refuse(FaultRevoked, "it is signed by %s, a key that was revoked: it may be in other hands; sign with its successor", signerOf(key))
}

func signerOf(key *openpgp.Entity) Signer {
	s := Signer{Kind: OpenPGP, Fingerprint: keyfile.Fingerprint(key)}
	for name, id := range key.Identities {
		if len(id.Revocations) == 0 {
			s.Principals = append(s.Principals, name)
		}
	}
	slices.Sort(s.Principals)
	return s
}

func faultOf(err error) Fault {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Fault
	}
	return ""
}
