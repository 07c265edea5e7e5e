package signature_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/vaultfleet/reconciler/internal/signature"
)

// Item 170: a file of two blocks is read to its end, and whole.
func TestAKeyringIsReadWholeOrRefused(t *testing.T) {
	alice, bob := newEntity(t, "alice", 0), newEntity(t, "bob", 0)
	var private, both bytes.Buffer
	must(t, alice.SerializePrivate(&private, pgpAt(born())))
	must(t, alice.Serialize(&both))
	must(t, bob.Serialize(&both))
	good := public(t, alice)
	plain := newRepo(t).unsigned()
	ended := halfNamed(t)
	delete(ended.Identities, "halfnamed <halfnamed@example.com>")
	for name, c := range map[string]struct{ file, says string }{
		"one key":                         {good, ""},
		"two blocks":                      {public(t, bob) + good, ""},
		"two keys in one block":           {armored(t, openpgp.PublicKeyType, both.Bytes()), ""},
		"words around it":                 {"Alice:\n" + good + "That is all.\n", ""},
		"other line ends":                 {strings.ReplaceAll(good, "\n", "\r\n"), ""},
		"empty":                           {"", "gpg --armor --export"},
		"not armored":                     {both.String(), "gpg --armor --export"},
		"a private key":                   {armored(t, openpgp.PrivateKeyType, private.Bytes()), "not a public key"},
		"a private key as public":         {armored(t, openpgp.PublicKeyType, private.Bytes()), "it is a private key"},
		"a signature":                     {armored(t, openpgp.SignatureType, detached(t, alice, plain)), "not a public key"},
		"cut off":                         {good[:len(good)/2], "key block 1"},
		"good and cut off":                {good + good[:len(good)/2], "key block 2"},
		"good and rubbish":                {armored(t, openpgp.PublicKeyType, append(both.Bytes(), 0xcd, 1, 'x', 0xff)), "key block 1"},
		"nothing in the block":            {armored(t, openpgp.PublicKeyType, nil), "key block 1"},
		"a user ID without its beginning": {public(t, ended), "no user ID of its own"},
		"too long":                        {strings.Repeat("x\n", 1<<20), "allowed"},
	} {
		signers, err := signature.ParseKeyring([]byte(c.file))
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v; want %q", name, err, c.says)
			}
			continue
		}
		must(t, err)
		if _, err := signers.Verify(with(plain, armored(t, openpgp.SignatureType, detached(t, alice, plain))), now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
