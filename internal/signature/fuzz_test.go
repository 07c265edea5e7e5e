package signature_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgp "github.com/ProtonMail/go-crypto/openpgp/ed25519"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/vaultfleet/reconciler/internal/signature"
	"golang.org/x/crypto/ssh"
)

// plainCommit is what the keys of the fuzz test sign, and nothing else.
const plainCommit = `tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
parent 1111111111111111111111111111111111111111
author Alice <alice@example.com> 1781524800 +0000
committer Alice <alice@example.com> 1781524800 +0000

Raise eu-1 to 1.21.0
`

// mergeCommit is signed too: it has more for a fuzzer to move around.
const mergeCommit = `tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
parent 1111111111111111111111111111111111111111
parent 2222222222222222222222222222222222222222
author Alice <alice@example.com> 1781524800 +0000
committer Alice <alice@example.com> 1781524800 -0330
encoding UTF-8
mergetag object 2222222222222222222222222222222222222222
 type commit
 tag v1
 tagger Bob <bob@example.com> 1781524800 +0000
 
 v1
 -----BEGIN SSH SIGNATURE-----
 VTFO
 -----END SSH SIGNATURE-----

gpgsig none
`

// fuzzKeys are keys that are the same in each process of a fuzz run.
func fuzzKeys(t testing.TB) (key, *openpgp.Entity) {
	t.Helper()
	raw := ed25519.NewKeyFromSeed(bytes.Repeat([]byte("a"), ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(raw)
	must(t, err)
	k := packet.NewSignerPrivateKey(born(), &pgp.PrivateKey{PublicKey: pgp.PublicKey{Point: raw[ed25519.SeedSize:]}, Key: raw})
	e := &openpgp.Entity{PrimaryKey: &k.PublicKey, PrivateKey: k, Identities: map[string]*openpgp.Identity{}}
	must(t, e.AddUserId("bob", "", "bob@example.com", pgpAt(born())))
	return key{signer: signer, public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))}, e
}

// fuzzSigners trust both.
func fuzzSigners(t testing.TB) signature.Signers {
	t.Helper()
	alice, bob := fuzzKeys(t)
	keys, err := signature.ParseKeyring([]byte(public(t, bob)))
	must(t, err)
	return allow(t, "alice@example.com "+alice.public).And(keys)
}

// FuzzVerify holds that whatever becomes of a signed commit, what is accepted
// is what was signed, as git takes the signature out of it.
func FuzzVerify(f *testing.F) {
	alice, bob := fuzzKeys(f)
	signers := fuzzSigners(f)
	for _, payload := range []string{plainCommit, mergeCommit} {
		bySSH := with([]byte(payload), alice.sign(f, []byte(payload)))
		byPGP := with([]byte(payload), armored(f, openpgp.SignatureType, detached(f, bob, []byte(payload))))
		for _, commit := range [][]byte{[]byte(payload), bySSH, byPGP, with(bySSH, "none"), with(byPGP, "none", "parent")} {
			f.Add(commit)
			f.Add(bytes.ReplaceAll(commit, []byte("\n"), []byte("\r\n")))
			f.Add(commit[:len(commit)*2/3])
		}
		if _, err := signers.Verify(bySSH, now()); err != nil {
			f.Fatal(err)
		}
		if _, err := signers.Verify(byPGP, now()); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, commit []byte) {
		before := bytes.Clone(commit)
		signer, err := signers.Verify(commit, now())
		if !bytes.Equal(before, commit) {
			t.Fatal("the commit was changed")
		}
		if err == nil {
			if payload := gitPayload(commit); payload != plainCommit && payload != mergeCommit {
				t.Fatalf("%s did not sign this:\n%s", signer, payload)
			}
			return
		}
		says(t, err)
	})
}

// FuzzSignature holds that no signature, under its armor, is read without an
// answer.
func FuzzSignature(f *testing.F) {
	alice, bob := fuzzKeys(f)
	signers := fuzzSigners(f)
	armor, _ := pem.Decode([]byte(alice.sign(f, []byte(plainCommit))))
	f.Add("SSH", armor.Bytes)
	f.Add("PGP", detached(f, bob, []byte(plainCommit)))
	f.Add("PGP", detached(f, bob, []byte("x")))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		text := string(pem.EncodeToMemory(&pem.Block{Type: kind + " SIGNATURE", Bytes: body}))
		if kind == "PGP" {
			text = strings.Replace(text, "\n", "\n\n", 1)
		}
		if _, err := signers.Verify(with([]byte(plainCommit), text), now()); err != nil {
			says(t, err)
		}
	})
}

// gitPayload is what git takes for signed (parse_signed_commit in commit.c).
func gitPayload(commit []byte) string {
	var payload strings.Builder
	signed := false
	for len(commit) > 0 {
		end := bytes.IndexByte(commit, '\n') + 1
		if commit[0] == '\n' || end == 0 {
			end = len(commit)
		}
		line := commit[:end]
		signed = bytes.HasPrefix(line, []byte("gpgsig ")) || bytes.HasPrefix(line, []byte("gpgsig-sha256 ")) || signed && line[0] == ' '
		if !signed {
			payload.Write(line)
		}
		commit = commit[end:]
	}
	return payload.String()
}

// says holds that an error is one of ours, and fit for a line of a terminal.
func says(t testing.TB, err error) {
	t.Helper()
	e, ok := errors.AsType[*signature.Error](err)
	known := []signature.Fault{
		signature.FaultUnsigned, signature.FaultMalformed, signature.FaultUnsupported, signature.FaultUnknown,
		signature.FaultBad, signature.FaultWeak, signature.FaultExpired, signature.FaultRevoked,
	}
	if !ok || !slices.Contains(known, e.Fault) {
		t.Fatalf("an error without a fault: %v", err)
	}
	if text := err.Error(); text == "" || len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("an error that is no line of words: %q", text)
	}
}

// FuzzParseAllowedSigners holds that a file is read line by line: what a line
// says does not depend on the others.
func FuzzParseAllowedSigners(f *testing.F) {
	for _, seed := range []string{
		"alice@example.com " + someEd25519,
		"# ours\n\n\"alice smith,*@example.com\" namespaces=\"git,!file\",valid-after=\"20260101\",valid-before=\"20270101120000Z\" " + someEd25519 + " laptop\r\n",
		"alice cert-authority,namespaces=\"a\\\"b\" " + someEd25519,
		"alice " + dsaKey,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, whole := signature.ParseAllowedSigners([]byte(text), time.UTC)
		if whole != nil {
			if strings.ContainsFunc(whole.Error(), unicode.IsControl) {
				t.Fatalf("an error that is no line of words: %q", whole)
			}
			return
		}
		for line := range strings.Lines(text) {
			trimmed := strings.Trim(line, " \t\r\n")
			if _, err := signature.ParseAllowedSigners([]byte(line), time.UTC); err != nil && trimmed != "" && trimmed[0] != '#' {
				t.Fatalf("%q is read among others, and alone: %v", line, err)
			}
		}
	})
}
