package signature_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/signature"
)

// some are keys that nobody signs with.
const (
	someEd25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIIWEy1BLxd0GKAdkLfJS0n9NkOsqMsk2P/rMJvDGbbg"
	someCert    = "ssh-ed25519-cert-v01@openssh.com AAAA"
)

func TestAllowedSignersAreReadWholeOrRefused(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"alice@example.com " + someEd25519, ""},
		{"alice@example.com " + someEd25519 + " alice's laptop\n", ""},
		{"# ours\n\nalice@example.com " + someEd25519, ""},
		{`alice@example.com namespaces="a,\"b\",git" ` + someEd25519, ""},
		{`alice@example.com valid-after="20260101",valid-before="20260101235959utc" ` + someEd25519, ""},

		{"", "add a line such as"},
		{"\n# ours\n", "add a line such as"},
		{"# ours\n\nalice@example.com\n", "line 3: it has no key"},
		{"alice@example.com ssh-ed25519", "line 1: it has no key"},
		{someEd25519, "line 1: it begins with a key"},
		{"alice@example.com ssh-ed25519 AAAA*", "line 1: the key is not base64"},
		{"alice@example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIIWEy1B", "line 1: read the key"},
		{"alice@example.com ssh-rsa " + someEd25519[12:], "the key is of the type ssh-ed25519"},
		{"alice@example.com ssh-none AAAA", "line 1: read the key"},
		{"alice@example.com " + dsaKey, "DSA"},
		{"alice@example.com " + someCert, "line 1: read the key"},
		{"alice@example.com,, " + someEd25519, "one of the principals is empty"},
		{"! " + someEd25519, "one of the principals is empty"},
		{`"" ` + someEd25519, "one of the principals is empty"},
		{`"alice ` + someEd25519, "no closing quote"},
		{`alice"x y" ` + someEd25519, "a quote stands amid"},
		{`"alice"x ` + someEd25519, "a quote stands amid"},
		{"alice,!alice " + someEd25519, "are nobody"},

		{"alice no-touch-required " + someEd25519, `unknown option "no-touch-required"`},
		{"alice cert-authority " + someEd25519, "SSH certificates are not verified"},
		{`alice Cert-Authority,namespaces="git" ` + someEd25519, "SSH certificates are not verified"},
		{`alice namespaces ` + someEd25519, "namespaces is empty"},
		{`alice namespaces="" ` + someEd25519, "namespaces is empty"},
		{`alice namespaces="git",namespaces="git" ` + someEd25519, "given twice"},
		{`alice namespaces=git ` + someEd25519, "not quoted"},
		{`alice namespaces="git ` + someEd25519, "no closing quote"},
		{`alice namespaces="git"x ` + someEd25519, "goes on behind its quotes"},
		{`alice namespaces="git", ` + someEd25519, `unknown option ""`},
		{`alice ,namespaces="git" ` + someEd25519, `unknown option ""`},
		{`alice namespaces="git" , valid-before="20250101" ` + someEd25519, "line 1: the key is not base64"},
		{`alice valid-after="20260101",valid-after="20260101" ` + someEd25519, "valid-after is given twice"},
		{`alice valid-before="20260101",valid-before="20260101" ` + someEd25519, "valid-before is given twice"},
		{`alice valid-after="20260101Z",valid-before="20260101Z" ` + someEd25519, "not later"},
		{`alice valid-after ` + someEd25519, "is no time"},
		{`alice valid-after="2026-01-01" ` + someEd25519, "is no time"},
		{`alice valid-after="20260231" ` + someEd25519, "is no time"},
		{`alice valid-after="2026010112" ` + someEd25519, "is no time"},
		{`alice valid-after="20260101ZUTC" ` + someEd25519, "is no time"},
		{`alice valid-before="19700101Z" ` + someEd25519, "is no time"},
		{`alice valid-before="+1y" ` + someEd25519, "is no time"},
		{strings.Repeat("# \n", 1<<19), "allowed"},
	} {
		_, err := signature.ParseAllowedSigners([]byte(c.text), time.UTC)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.100s: %v; want %q", c.text, err, c.says)
		}
	}
}

// An error names the way out, and the signer is named as their file has them.
func TestWhoSignedAndWhyNot(t *testing.T) {
	r, alice, bob := newRepo(t), newKey(t, "alice", "-t", "ed25519"), newKey(t, "bob", "-t", "ed25519")
	commit := r.commit(alice)
	both := allow(t, "alice@example.com,alice@example.org "+alice.public+"\n\"alice smith,alice@example.com\" "+alice.public)
	signer, err := both.Verify(commit, now())
	if err != nil || !slices.Equal(signer.Principals, []string{"alice@example.com", "alice@example.org", "alice smith"}) {
		t.Errorf("%+v, %v", signer, err)
	}
	fingerprint := strings.Fields(r.run(nil, "ssh-keygen", "-l", "-f", alice.file))[1]
	if want := fingerprint + ` ("alice@example.com,alice@example.org,alice smith")`; signer.String() != want {
		t.Errorf("%s; want %s", signer, want)
	}
	for says, signers := range map[string]signature.Signers{
		"by the SSH key " + fingerprint + ", which the allowed signers do not have; add it": allow(t, "bob "+bob.public),
		"which the allowed signers do not have":                                             {},
		`"alice", line 2), who counted until 2026-07-01T00:00:00Z; a key that has expired`:  allow(t, "bob "+bob.public+"\nalice valid-before=\"20260701Z\" "+alice.public),
		`who counts from 2026-07-01T00:00:00Z on, and was committed 2026-06-15T12:00:00Z`:   allow(t, "alice valid-after=\"20260701Z\" "+alice.public),
		`whom the allowed signers have for the namespaces "file" alone; add "git"`:          allow(t, "alice namespaces=\"file\" "+alice.public),
		`until 2025-01-01T00:00:00Z, and was committed`:                                     allow(t, "alice valid-before=\"20250101Z\" "+alice.public+"\nbob namespaces=\"file\" "+alice.public),
	} {
		if _, err := signers.Verify(commit, now()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
	_, err = allow(t, "alice "+alice.public).Verify(with(r.unsigned(), keygenSign(r, alice, "file", r.raw("HEAD"))), now())
	if err == nil || !strings.Contains(err.Error(), `for the namespace "file" and not for "git"`) {
		t.Errorf("a signature of a file: %v", err)
	}
	_, err = allow(t, "alice valid-after=\"20260601Z\" "+alice.public).Verify(commit, committed().Add(-30*days))
	if err == nil || !strings.Contains(err.Error(), "is the clock of this machine right? It says 2026-05-16") {
		t.Errorf("by a clock that is wrong: %v", err)
	}
}

// Signers of both kinds are held together.
func TestSignersOfBothKindsCount(t *testing.T) {
	r, alice := newRepo(t), newKey(t, "alice", "-t", "ed25519")
	bob := newEntity(t, "bob", 0)
	keys, err := signature.ParseKeyring([]byte(public(t, bob)))
	must(t, err)
	signers := allow(t, "alice "+alice.public).And(keys)
	plain := r.unsigned()
	bySSH, byPGP := with(plain, alice.sign(t, plain)), with(plain, armored(t, "PGP SIGNATURE", detached(t, bob, plain)))
	for kind, commit := range map[signature.Kind][]byte{signature.SSH: bySSH, signature.OpenPGP: byPGP} {
		if signer, err := signers.Verify(commit, now()); err != nil || signer.Kind != kind {
			t.Errorf("%s: %+v, %v", kind, signer, err)
		}
	}
	if _, err := keys.Verify(bySSH, now()); fault(err) != signature.FaultUnknown {
		t.Errorf("by an SSH key, where only OpenPGP keys are trusted: %v", err)
	}
	if _, err := allow(t, "alice "+alice.public).Verify(byPGP, now()); fault(err) != signature.FaultUnknown {
		t.Errorf("by an OpenPGP key, where only SSH keys are trusted: %v", err)
	}
}
