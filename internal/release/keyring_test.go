package release_test

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/vaultfleet/reconciler/internal/release"
)

const days = 24 * time.Hour

// born is when the keys under test are made, and now when signatures are
// checked.
func born() time.Time { return time.Date(2021, 4, 19, 0, 0, 0, 0, time.UTC) }
func now() time.Time  { return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC) }

func at(when time.Time) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return when }}
}

// newKey is a key that was made at born and lives for some time, zero for ever.
func newKey(t testing.TB, name string, lives time.Duration) *openpgp.Entity {
	t.Helper()
	c := at(born())
	c.KeyLifetimeSecs = uint32(lives / time.Second)
	e, err := openpgp.NewEntity(name, "", name+"@example.org", c)
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

// renew lets a key live longer; what was published before keeps its end.
func renew(t testing.TB, key *openpgp.Entity, lives time.Duration) {
	t.Helper()
	for _, id := range key.Identities {
		end := uint32(lives / time.Second)
		id.SelfSignature.KeyLifetimeSecs = &end
		id.SelfSignature.CreationTime = id.SelfSignature.CreationTime.Add(time.Hour)
		must(t, id.SelfSignature.SignUserId(id.UserId.Id, key.PrimaryKey, key.PrivateKey, at(born())))
	}
}

func sign(t testing.TB, key *openpgp.Entity, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, openpgp.DetachSign(&b, key, strings.NewReader(content), at(born().Add(days))))
	return b.Bytes()
}

func ringOf(t testing.TB, files ...string) release.Keyring {
	t.Helper()
	var ring release.Keyring
	for _, text := range files {
		more, err := ring.With("keys.asc", []byte(text))
		must(t, err)
		ring = more
	}
	return ring
}

func fault(err error) release.Fault {
	if e, ok := errors.AsType[*release.SignatureError](err); ok {
		return e.Fault
	}
	return ""
}

func TestTheKeyOfHashiCorpIsBuiltIn(t *testing.T) {
	ring, err := release.HashiCorp()
	must(t, err)
	_, err = ring.Check([]byte("x"), sign(t, newKey(t, "mallory", 0), "x"), now())
	if fault(err) != release.FaultUnknown || !strings.Contains(err.Error(), "C874011F0AB405110D02105534365D9472D7468F") {
		t.Errorf("a stranger's signature: %v", err)
	}
}

// The key of 2021, which expired 2026-04-18, looks the same but for its dates.
func TestTheKeyOfHashiCorpIsTheRenewedOne(t *testing.T) {
	text, err := os.ReadFile("hashicorp.asc")
	must(t, err)
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	must(t, err)
	end := time.Date(2030, 3, 1, 0, 0, 0, 0, time.UTC)
	for day, signs := range map[time.Time]bool{end.Add(-days): true, end.Add(2 * days): false} {
		if _, can := keys[0].SigningKey(day); can != signs || len(keys) != 1 {
			t.Errorf("%d keys; on %v it signs: %t", len(keys), day, can)
		}
	}
}

// Entry 166 of the catalogue of bad input, as far as keys go: what each key
// makes of one signature, and the way out that the error names.
func TestWhoseSignatureCounts(t *testing.T) {
	const content = "sums"
	good, old, stranger := newKey(t, "good", 0), newKey(t, "old", 1000*days), newKey(t, "mallory", 0)
	soon := newKey(t, "soon", 3000*days)

	renewed := newKey(t, "renewed", 1000*days)
	expiredCopy := public(t, renewed)
	renew(t, renewed, 4000*days)

	revoked := newKey(t, "revoked", 0)
	byRevoked, unrevokedCopy := sign(t, revoked, content), public(t, revoked)
	must(t, revoked.RevokeKey(packet.KeyRetired, "", at(born().Add(2*days))))

	sub := newKey(t, "sub", 0)
	must(t, sub.AddSigningSubkey(at(born())))
	bySub := sign(t, sub, content)

	expiring := at(born())
	expiring.KeyLifetimeSecs = uint32(1000 * days / time.Second)
	oldSub := newKey(t, "oldsub", 0)
	must(t, oldSub.AddSigningSubkey(expiring))
	byOldSub := sign(t, oldSub, content)

	lostSub := newKey(t, "lostsub", 0)
	must(t, lostSub.AddSigningSubkey(at(born())))
	byLostSub := sign(t, lostSub, content)
	must(t, lostSub.RevokeSubkey(&lostSub.Subkeys[1], packet.KeyCompromised, "", at(born().Add(2*days))))

	future := at(now().Add(days))
	unborn, err := openpgp.NewEntity("unborn", "", "", future)
	must(t, err)
	var byUnborn bytes.Buffer
	must(t, openpgp.DetachSign(&byUnborn, unborn, strings.NewReader(content), future))

	for name, c := range map[string]struct {
		ring      release.Keyring
		signature []byte
		fault     release.Fault
		says      string
	}{
		"a key of ours":                          {ringOf(t, public(t, good)), sign(t, good, content), "", ""},
		"one of several keys":                    {ringOf(t, public(t, old)+public(t, good)), sign(t, good, content), "", ""},
		"a signing subkey of ours":               {ringOf(t, public(t, sub)), bySub, "", ""},
		"one of two signatures":                  {ringOf(t, public(t, good)), append(sign(t, stranger, content), sign(t, good, content)...), "", ""},
		"a key that will expire":                 {ringOf(t, public(t, soon)), sign(t, soon, content), "", ""},
		"expired first, renewed in a later file": {ringOf(t, expiredCopy, public(t, renewed)), sign(t, renewed, content), "", ""},
		"renewed first, expired in a later file": {ringOf(t, public(t, renewed), expiredCopy), sign(t, renewed, content), "", ""},

		"another key":           {ringOf(t, public(t, good)), sign(t, stranger, content), release.FaultUnknown, "releases.keys"},
		"nobody is trusted":     {release.Keyring{}, sign(t, good, content), release.FaultUnknown, "releases.keys"},
		"an expired key":        {ringOf(t, public(t, old)), sign(t, old, content), release.FaultExpired, "expired 2024-01-14; get the renewed key"},
		"the expired copy only": {ringOf(t, expiredCopy), sign(t, renewed, content), release.FaultExpired, "releases.keys"},
		"an expired subkey":     {ringOf(t, public(t, oldSub)), byOldSub, release.FaultExpired, "expired 2024-01-14"},
		"a key of the future":   {ringOf(t, public(t, unborn)), byUnborn.Bytes(), release.FaultExpired, "set the clock"},
		"a revoked key":         {ringOf(t, public(t, revoked)), byRevoked, release.FaultRevoked, "successor"},
		"revoked in one copy":   {ringOf(t, public(t, revoked), unrevokedCopy), byRevoked, release.FaultRevoked, "successor"},
		"revoked in the second": {ringOf(t, unrevokedCopy+public(t, revoked)), byRevoked, release.FaultRevoked, "successor"},
		"a revoked subkey":      {ringOf(t, public(t, lostSub)), byLostSub, release.FaultRevoked, "successor"},
		"of another content":    {ringOf(t, public(t, good)), sign(t, good, "other"), release.FaultBad, "changed on its way"},
		"bad, by an old key":    {ringOf(t, public(t, old)), sign(t, old, "other"), release.FaultBad, "changed on its way"},
		"cut off":               {ringOf(t, public(t, good)), sign(t, good, content)[:20], release.FaultBad, ".sig file"},
		"empty":                 {ringOf(t, public(t, good)), nil, release.FaultBad, ".sig file"},
		"no signature at all":   {ringOf(t, public(t, good)), []byte("<html>"), release.FaultBad, ".sig file"},
		"over SHA-224":          {ringOf(t, public(t, good)), weakly(t, good, content), release.FaultWeak, "SHA-256"},
	} {
		signer, err := c.ring.Check([]byte(content), c.signature, now())
		switch {
		case fault(err) != c.fault || (err == nil) != (c.fault == ""):
			t.Errorf("%s: fault %q, want %q: %v", name, fault(err), c.fault, err)
		case err != nil && !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v; want %q", name, err, c.says)
		case err == nil && len(signer.Fingerprint) != 40:
			t.Errorf("%s: signed by %v", name, signer)
		}
	}
	if _, err := ringOf(t, public(t, soon)).Check([]byte(content), sign(t, soon, content), now().Add(3000*days)); fault(err) != release.FaultExpired {
		t.Errorf("the same key later: %v", err)
	}
}

// weakly signs over SHA-224. SHA-1 is refused in the same place; the library
// does not sign over it any more.
func weakly(t testing.TB, key *openpgp.Entity, content string) []byte {
	t.Helper()
	s := &packet.Signature{
		Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA224,
		CreationTime: born().Add(days), IssuerKeyId: &key.PrimaryKey.KeyId,
	}
	h := crypto.SHA224.New()
	_, err := io.WriteString(h, content)
	must(t, err)
	must(t, s.Sign(h, key.PrivateKey, at(born())))
	var b bytes.Buffer
	must(t, s.Serialize(&b))
	return b.Bytes()
}

// Entry 170: a file of two blocks, the first expired, is read to its end.
func TestAllBlocksOfAKeyFileAreRead(t *testing.T) {
	key := newKey(t, "signer", 1000*days)
	expired := public(t, key)
	renew(t, key, 4000*days)
	renewed := public(t, key)
	for name, file := range map[string]string{
		"expired before renewed":               expired + renewed,
		"renewed before expired":               renewed + expired,
		"with words between them":              "The old key:\n" + expired + "and the new one:\n\n" + renewed + "That is all.\n",
		"with the line ends of another system": strings.ReplaceAll(expired+renewed, "\n", "\r\n"),
	} {
		if _, err := ringOf(t, file).Check([]byte("x"), sign(t, key, "x"), now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeyFileIsReadWholeOrRefused(t *testing.T) {
	key, other := newKey(t, "signer", 0), newKey(t, "other", 0)
	must(t, other.AddSigningSubkey(at(born())))
	var private, bare, grafted bytes.Buffer
	must(t, key.SerializePrivate(&private, at(born())))
	must(t, other.Subkeys[1].PublicKey.Serialize(&bare))
	must(t, key.Serialize(&grafted)) // with a subkey that another key bound to itself
	must(t, other.Subkeys[1].PublicKey.Serialize(&grafted))
	must(t, other.Subkeys[1].Sig.Serialize(&grafted))
	good := public(t, key)
	for name, c := range map[string]struct{ file, want string }{
		"empty":                   {"", "gpg --armor --export"},
		"not armored":             {bare.String(), "gpg --armor --export"},
		"private":                 {armored(t, openpgp.PrivateKeyType, private.Bytes()), "key block 1 of keys.asc"},
		"a signature":             {armored(t, openpgp.SignatureType, sign(t, key, "x")), "not a public key"},
		"a subkey alone":          {armored(t, openpgp.PublicKeyType, bare.Bytes()), "key block 1"},
		"a subkey of another key": {armored(t, openpgp.PublicKeyType, grafted.Bytes()), "subkey signature invalid"},
		"cut off":                 {good[:len(good)/2], "key block 1"},
		"good and cut off":        {good + good[:len(good)/2], "key block 2"},
		"nothing in the block":    {armored(t, openpgp.PublicKeyType, nil), "key block 1"},
	} {
		if _, err := (release.Keyring{}).With("keys.asc", []byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}
