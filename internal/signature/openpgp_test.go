package signature_test

import (
	"bytes"
	"crypto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/vaultfleet/reconciler/internal/signature"
)

// born is when the OpenPGP keys under test are made.
func born() time.Time { return committed().Add(-1000 * days) }

func pgpAt(when time.Time) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return when }}
}

// newEntity is a key that lives for some time, zero for ever.
func newEntity(t testing.TB, name string, lives time.Duration, how ...func(*packet.Config)) *openpgp.Entity {
	t.Helper()
	c := pgpAt(born())
	c.KeyLifetimeSecs = uint32(lives / time.Second)
	for _, change := range how {
		change(c)
	}
	e, err := openpgp.NewEntity(name, "", name+"@example.com", c)
	must(t, err)
	return e
}

// public is a key as it is published.
func public(t testing.TB, key *openpgp.Entity) string {
	t.Helper()
	var raw bytes.Buffer
	must(t, key.Serialize(&raw))
	return armored(t, openpgp.PublicKeyType, raw.Bytes())
}

func armored(t testing.TB, kind string, raw []byte) string {
	t.Helper()
	var text bytes.Buffer
	w, err := armor.Encode(&text, kind, nil)
	must(t, err)
	_, err = w.Write(raw)
	must(t, err)
	must(t, w.Close())
	return text.String() + "\n"
}

// detached is a signature as gpg makes it, without its armor: by the subkey
// that signs, or else by the primary key, whether that may or not.
func detached(t testing.TB, key *openpgp.Entity, payload []byte, how ...func(*packet.Signature)) []byte {
	t.Helper()
	k, ok := key.SigningKey(committed())
	if !ok {
		k = openpgp.Key{PublicKey: key.PrimaryKey, PrivateKey: key.PrivateKey}
	}
	s := &packet.Signature{
		Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: k.PublicKey.PubKeyAlgo, Hash: crypto.SHA512,
		CreationTime: committed(), IssuerKeyId: &k.PublicKey.KeyId, IssuerFingerprint: k.PublicKey.Fingerprint,
	}
	for _, change := range how {
		change(s)
	}
	h := s.Hash.New()
	if s.SigType == packet.SigTypeText {
		payload = bytes.ReplaceAll(payload, []byte("\n"), []byte("\r\n"))
	}
	_, err := h.Write(payload)
	must(t, err)
	must(t, s.Sign(h, k.PrivateKey, pgpAt(committed())))
	var b bytes.Buffer
	must(t, s.Serialize(&b))
	return b.Bytes()
}

// pgpCase is a commit with an OpenPGP signature, and whom it is held against.
type pgpCase struct {
	name      string
	keys      string
	signature string
	fault     signature.Fault
	stricter  string // why we refuse what git accepts
	milder    string // why we accept what git refuses
}

// Where gpg is installed, git's verdict is asked for too.
func TestWhoseOpenPGPSignatureCounts(t *testing.T) {
	r := newRepo(t)
	plain := r.unsigned()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Log("gpg is not installed: git is not asked")
	}
	for _, c := range append(pgpKeys(t, plain), pgpForgeries(t, plain)...) {
		commit := with(plain, c.signature)
		if accepted, asked := askGPG(r, commit, c.keys); asked && accepted != ((c.fault == "" || c.stricter != "") && c.milder == "") {
			t.Errorf("%s: git accepts it: %t", c.name, accepted)
		}
		signers, err := signature.ParseKeyring([]byte(c.keys))
		if c.fault == refused {
			if err == nil {
				t.Errorf("%s: the keys are read", c.name)
			}
			continue
		}
		must(t, err)
		signer, err := signers.Verify(commit, now())
		if fault(err) != c.fault || (err == nil) != (c.fault == "") {
			t.Errorf("%s: fault %q, want %q: %v", c.name, fault(err), c.fault, err)
		}
		if err == nil && (signer.Kind != signature.OpenPGP || len(signer.Fingerprint) != 40 || len(signer.Principals) != 1 || !strings.HasSuffix(signer.Principals[0], "@example.com>")) {
			t.Errorf("%s: signed by %+v", c.name, signer)
		}
	}
}

// pgpKeys are about whose signature it is.
func pgpKeys(t testing.TB, plain []byte) []pgpCase {
	alice, mallory := newEntity(t, "alice", 0), newEntity(t, "mallory", 0)
	sign := func(key *openpgp.Entity) string { return armored(t, openpgp.SignatureType, detached(t, key, plain)) }

	subkey := newEntity(t, "subkey", 0)
	must(t, subkey.AddSigningSubkey(pgpAt(born())))

	expired := newEntity(t, "expired", 1010*days) // after the commit, and before now
	byExpired, expiredCopy := sign(expired), public(t, expired)
	for _, id := range expired.Identities {
		forever := uint32(0)
		id.SelfSignature.KeyLifetimeSecs = &forever
		id.SelfSignature.CreationTime = id.SelfSignature.CreationTime.Add(time.Hour)
		must(t, id.SelfSignature.SignUserId(id.UserId.Id, expired.PrimaryKey, expired.PrivateKey, pgpAt(born())))
	}

	short := pgpAt(born())
	short.KeyLifetimeSecs = uint32(1010 * days / time.Second)
	oldSubkey := newEntity(t, "oldsubkey", 0)
	must(t, oldSubkey.AddSigningSubkey(short))

	revoked := newEntity(t, "revoked", 0)
	byRevoked, unrevokedCopy := sign(revoked), public(t, revoked)
	must(t, revoked.RevokeKey(packet.KeyRetired, "", pgpAt(committed().Add(days))))

	lostSubkey := newEntity(t, "lostsubkey", 0)
	must(t, lostSubkey.AddSigningSubkey(pgpAt(born())))
	byLostSubkey, unlostCopy := sign(lostSubkey), public(t, lostSubkey)
	must(t, lostSubkey.RevokeSubkey(&lostSubkey.Subkeys[1], packet.KeyCompromised, "", pgpAt(committed().Add(days))))

	lostPublic := public(t, lostSubkey)
	withoutSubkey := newEntity(t, "lost", 0)
	must(t, withoutSubkey.AddSigningSubkey(pgpAt(born())))
	byLost, lostCopy := sign(withoutSubkey), public(t, withoutSubkey)
	must(t, withoutSubkey.RevokeKey(packet.KeyRetired, "", pgpAt(committed().Add(days))))
	withoutSubkey.Subkeys = nil

	unborn := newEntity(t, "unborn", 0, func(c *packet.Config) { c.Time = func() time.Time { return committed().Add(60 * days) } })
	later := newEntity(t, "later", 0, func(c *packet.Config) { c.Time = func() time.Time { return committed().Add(days) } })
	rsa := func(bits int) func(*packet.Config) {
		return func(c *packet.Config) { c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, bits }
	}
	long, brief := newEntity(t, "long", 0, rsa(3072)), newEntity(t, "brief", 0, rsa(2048))
	briefSubkey := newEntity(t, "briefsubkey", 0)
	must(t, briefSubkey.AddSigningSubkey(&packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048, Time: pgpAt(born()).Time}))
	half := halfNamed(t)
	encrypting := newEntity(t, "encrypting", 0)
	for _, id := range encrypting.Identities {
		id.SelfSignature.FlagSign = false
		must(t, id.SelfSignature.SignUserId(id.UserId.Id, encrypting.PrimaryKey, encrypting.PrivateKey, pgpAt(born())))
	}

	return []pgpCase{
		{name: "Ed25519", keys: public(t, alice), signature: sign(alice)},
		{name: "RSA of 3072 bits", keys: public(t, long), signature: sign(long)},
		{name: "RSA of 2048 bits", keys: public(t, brief), signature: sign(brief), fault: refused, stricter: "short keys do not count"},
		{name: "a signing subkey", keys: public(t, subkey), signature: sign(subkey)},
		{name: "one of several keys in one block after another", keys: public(t, mallory) + public(t, alice), signature: sign(alice)},
		{name: "another key", keys: public(t, alice), signature: sign(mallory), fault: signature.FaultUnknown},
		{name: "a key that may not sign", keys: public(t, encrypting), signature: sign(encrypting), fault: signature.FaultUnknown},
		{name: "a key that expired since the commit", keys: expiredCopy, signature: byExpired, fault: signature.FaultExpired},
		{name: "an expired copy and a renewed one", keys: expiredCopy + public(t, expired), signature: byExpired},
		{name: "a renewed copy and an expired one", keys: public(t, expired) + expiredCopy, signature: byExpired},
		{name: "a subkey that expired since the commit", keys: public(t, oldSubkey), signature: sign(oldSubkey), fault: signature.FaultExpired},
		{name: "a revoked key", keys: public(t, revoked), signature: byRevoked, fault: signature.FaultRevoked},
		{name: "revoked in the first copy", keys: public(t, revoked) + unrevokedCopy, signature: byRevoked, fault: signature.FaultRevoked},
		{name: "revoked in the second copy", keys: unrevokedCopy + public(t, revoked), signature: byRevoked, fault: signature.FaultRevoked},
		{name: "a revoked subkey", keys: public(t, lostSubkey), signature: byLostSubkey, fault: signature.FaultRevoked},
		{name: "a subkey revoked in the second copy", keys: unlostCopy + lostPublic, signature: byLostSubkey, fault: signature.FaultRevoked},
		{name: "revoked in a copy without the subkey", keys: lostCopy + public(t, withoutSubkey), signature: byLost, fault: signature.FaultRevoked},
		{name: "a subkey of RSA of 2048 bits", keys: public(t, briefSubkey), signature: sign(briefSubkey), fault: signature.FaultWeak, stricter: "short keys do not count"},
		{name: "a user ID of which only the end is known", keys: public(t, half), signature: sign(half)},
		{name: "a key of the future", keys: public(t, unborn), signature: sign(unborn), fault: signature.FaultExpired},
		{name: "signed before the key was there", keys: public(t, later), signature: sign(later), fault: signature.FaultBad},
	}
}

// halfNamed is a key with a second user ID, of which it only says that it is
// revoked.
func halfNamed(t testing.TB) *openpgp.Entity {
	t.Helper()
	e := newEntity(t, "halfnamed", 0)
	must(t, e.AddUserId("gone", "", "gone@example.com", pgpAt(born())))
	gone := e.Identities["gone <gone@example.com>"]
	end := &packet.Signature{
		Version: 4, SigType: packet.SigTypeCertificationRevocation, PubKeyAlgo: e.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA512,
		CreationTime: committed(), IssuerKeyId: &e.PrimaryKey.KeyId,
	}
	must(t, end.SignUserId(gone.UserId.Id, e.PrimaryKey, e.PrivateKey, pgpAt(committed())))
	gone.Signatures = []*packet.Signature{end}
	return e
}

// pgpForgeries are about what it is.
func pgpForgeries(t testing.TB, plain []byte) []pgpCase {
	alice, mallory := newEntity(t, "alice", 0), newEntity(t, "mallory", 0)
	keys := public(t, alice)
	good := ofLength(t, alice, plain, 2)
	text := armored(t, openpgp.SignatureType, good)
	wrap := func(raw []byte) string { return armored(t, openpgp.SignatureType, raw) }
	changed := func(how func(*packet.Signature)) string { return wrap(detached(t, alice, plain, how)) }
	const checksums = "checksums MUST be ignored (RFC 9580, 6.1); gpg 2.2 does not"
	return []pgpCase{
		{name: "of another content", keys: keys, signature: wrap(detached(t, alice, []byte("x"))), fault: signature.FaultBad},
		{name: "over SHA-256", keys: keys, signature: changed(func(s *packet.Signature) { s.Hash = crypto.SHA256 })},
		{name: "over SHA-224", keys: keys, signature: changed(func(s *packet.Signature) { s.Hash = crypto.SHA224 }), fault: signature.FaultWeak, stricter: "it is shorter than is due"},
		{name: "over text", keys: keys, signature: changed(func(s *packet.Signature) { s.SigType = packet.SigTypeText }), fault: signature.FaultMalformed, stricter: "it does not tell the ends of lines apart"},
		{name: "over nothing but itself", keys: keys, signature: changed(func(s *packet.Signature) { s.SigType = 0x02 }), fault: signature.FaultMalformed},
		{name: "of the future", keys: keys, signature: changed(func(s *packet.Signature) { s.CreationTime = now().Add(days) }), fault: signature.FaultExpired, stricter: "the clock of one of us is wrong"},
		{name: "that has expired", keys: keys, signature: changed(func(s *packet.Signature) { lives := uint32(60); s.SigLifetimeSecs = &lives }), fault: signature.FaultExpired},
		{name: "twice", keys: keys, signature: wrap(append(bytes.Clone(good), good...)), fault: signature.FaultMalformed},
		{name: "and one by mallory", keys: keys, signature: wrap(append(bytes.Clone(good), detached(t, mallory, plain)...)), fault: signature.FaultMalformed},
		{name: "behind one by mallory", keys: keys, signature: wrap(append(detached(t, mallory, plain), good...)), fault: signature.FaultMalformed},
		{name: "and a user ID", keys: keys, signature: wrap(append(bytes.Clone(good), 0xcd, 1, 'x')), fault: signature.FaultMalformed},
		{name: "cut off", keys: keys, signature: wrap(good[:len(good)-1]), fault: signature.FaultMalformed},
		{name: "a key", keys: keys, signature: strings.ReplaceAll(keys, "PUBLIC KEY BLOCK", "SIGNATURE"), fault: signature.FaultMalformed},
		{name: "no packet", keys: keys, signature: wrap([]byte("x")), fault: signature.FaultMalformed},

		{name: "with headers in the armor", keys: keys, signature: strings.Replace(text, "\n\n", "\nVersion: GnuPG v2\nComment: x\n\n", 1)},
		{name: "without a checksum", keys: keys, signature: checksum(text, "")},
		{name: "without a checksum, and not padded", keys: keys, signature: checksum(wrap(ofLength(t, alice, plain, 0)), ""), milder: checksums},
		{name: "with a wrong checksum", keys: keys, signature: checksum(text, "=AAAA\n"), milder: checksums},
		{name: "an empty line behind the armor, as GitHub writes it", keys: keys, signature: text + "\n\n"},
		{name: "without an empty line", keys: keys, signature: strings.Replace(text, "\n\n", "\n", 1), fault: signature.FaultMalformed},
		{name: "a header in the armor that is none", keys: keys, signature: strings.Replace(text, "\n\n", "\nVersion\n\n", 1), fault: signature.FaultMalformed},
		{name: "words behind the armor", keys: keys, signature: text + "words", fault: signature.FaultMalformed, stricter: noProgram},
		{name: "two armors", keys: keys, signature: text + text, fault: signature.FaultMalformed},
		{name: "an armor that is cut off", keys: keys, signature: text[:len(text)/2], fault: signature.FaultMalformed},
	}
}

// ofLength signs until a signature has so many bytes more than some threes: the
// rest of them is padded in base64.
func ofLength(t testing.TB, key *openpgp.Entity, payload []byte, rest int) []byte {
	t.Helper()
	for words := ""; ; words += "x" {
		sig := detached(t, key, payload, func(s *packet.Signature) {
			s.Notations = []*packet.Notation{{Name: "words@example.com", Value: []byte(words), IsHumanReadable: true}}
		})
		if len(sig)%3 == rest {
			return sig
		}
	}
}

// checksum puts another checksum into an armor.
func checksum(armor, line string) string {
	before, after, _ := strings.Cut(armor, "\n=")
	_, end, _ := strings.Cut(after, "\n")
	return before + "\n" + line + end
}

// askGPG is git's verdict by the gpg program, which lives at the time of now.
func askGPG(r repo, commit []byte, keys string) (accepts, asked bool) {
	r.t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		return false, false
	}
	home := r.t.TempDir()
	must(r.t, os.Chmod(home, 0o700))
	must(r.t, os.WriteFile(filepath.Join(home, "gpg.conf"), []byte("batch\nno-autostart\nfaked-system-time "+now().Format("20060102T150405")+"!\n"), 0o600))
	r.env = append(r.env[:len(r.env):len(r.env)], "GNUPGHOME="+home)
	r.run([]byte(keys), "gpg", "-q", "--import")
	_, err := r.try(nil, "git", "verify-commit", r.store(commit))
	return err == nil, true
}
