package signature_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/signature"
)

// refused is the verdict on a file of allowed signers that is not read at all.
const refused signature.Fault = "refused"

// sshCase is a commit that git signed, and whom it is held against. Git's
// verdict is ours, but where the case says why not.
type sshCase struct {
	name     string
	allowed  string // {NAME} stands for a key
	fault    signature.Fault
	stricter string        // why we refuse what git accepts
	milder   string        // why we accept what git refuses
	by       string        // alice, where nothing is said
	at, now  time.Duration // when it is committed and looked at, from the usual times on
	zone     string        // TZ
}

// Items 103 to 106 of the catalogue of bad input: whose signature counts.
func TestWhoseSSHSignatureCounts(t *testing.T) {
	r := newRepo(t)
	keys := map[string]key{
		"alice": newKey(t, "alice", "-t", "ed25519"), "mallory": newKey(t, "mallory", "-t", "ed25519"), "ca": newKey(t, "ca", "-t", "ed25519"),
		"p256": newKey(t, "p256", "-t", "ecdsa", "-b", "256"), "p384": newKey(t, "p384", "-t", "ecdsa", "-b", "384"), "p521": newKey(t, "p521", "-t", "ecdsa", "-b", "521"),
		"rsa": newKey(t, "rsa", "-t", "rsa", "-b", "3072"), "shortrsa": newKey(t, "shortrsa", "-t", "rsa", "-b", "2048"),
	}
	keys["certified"] = certify(r, keys["ca"], keys["alice"])
	for _, c := range sshCases() {
		for name, k := range keys {
			c.allowed = strings.ReplaceAll(c.allowed, "{"+name+"}", k.public)
		}
		if c.by == "" {
			c.by = "alice"
		}
		commit := r.at(committed().Add(c.at)).commit(keys[c.by])
		if accepted := r.in(c.zone).accepts(commit, c.allowed); accepted != ((c.fault == "" || c.stricter != "") && c.milder == "") {
			t.Errorf("%s: git accepts it: %t", c.name, accepted)
		}
		signers, err := signature.ParseAllowedSigners([]byte(c.allowed), zone(c.zone))
		if c.fault == refused {
			if err == nil {
				t.Errorf("%s: the allowed signers are read", c.name)
			}
			continue
		}
		must(t, err)
		signer, err := signers.Verify(commit, now().Add(c.now))
		if fault(err) != c.fault || (err == nil) != (c.fault == "") {
			t.Errorf("%s: fault %q, want %q: %v", c.name, fault(err), c.fault, err)
		}
		if err == nil && (signer.Kind != signature.SSH || !strings.HasPrefix(signer.Fingerprint, "SHA256:") || len(signer.Principals) == 0) {
			t.Errorf("%s: signed by %+v", c.name, signer)
		}
	}
}

func sshCases() []sshCase {
	const (
		second, day = time.Second, 24 * time.Hour
		date        = "the date of a commit is whatever its signer wrote"
		file        = "a line that cannot be read may forbid something"
	)
	return []sshCase{
		{name: "ed25519", allowed: "alice@example.com {alice}"},
		{name: "ECDSA on P-256", by: "p256", allowed: "alice@example.com {p256}"},
		{name: "ECDSA on P-384", by: "p384", allowed: "alice@example.com {p384}"},
		{name: "ECDSA on P-521", by: "p521", allowed: "alice@example.com {p521}"},
		{name: "RSA of 3072 bits", by: "rsa", allowed: "alice@example.com {rsa}"},
		{name: "RSA of 2048 bits", by: "shortrsa", allowed: "alice@example.com {shortrsa}", fault: refused, stricter: "short keys do not count"},
		{name: "RSA of 2048 bits, unknown", by: "shortrsa", allowed: "alice@example.com {alice}", fault: signature.FaultWeak},
		{name: "one of several keys", allowed: "bob@example.com {p256}\nalice@example.com {alice}"},
		{name: "another key", by: "mallory", allowed: "alice@example.com {alice}", fault: signature.FaultUnknown},
		{name: "another key of another type", by: "mallory", allowed: "alice@example.com {p256}", fault: signature.FaultUnknown},
		{name: "of another mail than the committer's", allowed: "bob@example.com {alice}"},
		{name: "nobody", allowed: "# nobody\n", fault: refused},

		{name: "several principals", allowed: "alice@example.com,alice@example.org {alice}"},
		{name: "a pattern of principals", allowed: "*@example.com {alice}"},
		{name: "a pattern and one that is forbidden", allowed: "*@example.com,!mallory@example.com {alice}"},
		{name: "principals in quotes", allowed: `"alice smith,alice@example.com" {alice}`},
		{name: "only one that is forbidden", allowed: "!alice@example.com {alice}", fault: refused},
		{name: "all are forbidden", allowed: "alice@example.com,*,!* {alice}", fault: refused},
		{name: "no principals", allowed: "{alice}", fault: refused},
		{name: "principals without a closing quote", allowed: `"alice@example.com {alice}`, fault: refused},

		{name: "for git", allowed: `alice@example.com namespaces="git" {alice}`},
		{name: "for git among others", allowed: `alice@example.com namespaces="file,git" {alice}`},
		{name: "for everything", allowed: `alice@example.com namespaces="*" {alice}`},
		{name: "for a pattern", allowed: `alice@example.com namespaces="g?t" {alice}`},
		{name: "in capitals", allowed: `alice@example.com NAMESPACES="git" {alice}`},
		{name: "for files", allowed: `alice@example.com namespaces="file" {alice}`, fault: signature.FaultUnknown},
		{name: "for a longer name", allowed: `alice@example.com namespaces="github" {alice}`, fault: signature.FaultUnknown},
		{name: "for all but git", allowed: `alice@example.com namespaces="*,!git" {alice}`, fault: signature.FaultUnknown},
		{name: "for files as one, for git as another", allowed: "alice@example.com namespaces=\"file\" {alice}\nbob@example.com namespaces=\"git\" {alice}",
			milder: "git looks for the principals of the first line alone; the file says whom it is for"},
		{name: "for files and for git as the same", allowed: "alice@example.com namespaces=\"file\" {alice}\nalice@example.com namespaces=\"git\" {alice}"},

		{name: "valid from a day before on", allowed: `alice@example.com valid-after="20260614Z" {alice}`},
		{name: "valid from that second on", allowed: `alice@example.com valid-after="20260615120000Z" {alice}`},
		{name: "valid from the next second on", allowed: `alice@example.com valid-after="20260615120001Z" {alice}`, fault: signature.FaultExpired},
		{name: "committed a second too early", allowed: `alice@example.com valid-after="20260615120000Z" {alice}`, at: -second, fault: signature.FaultExpired},
		{name: "valid until a year later", allowed: `alice@example.com valid-before="20270615Z" {alice}`},
		{name: "valid until that second", allowed: `alice@example.com valid-before="20260615120000Z" {alice}`, now: -30 * day},
		{name: "valid until the second before", allowed: `alice@example.com valid-before="20260615115959Z" {alice}`, now: -30 * day, fault: signature.FaultExpired},
		{name: "valid until that minute", allowed: `alice@example.com valid-before="202606151200Z" {alice}`, now: -30 * day},
		{name: "expired before the commit", allowed: `alice@example.com valid-before="20250101Z" {alice}`, fault: signature.FaultExpired},
		{name: "expired since the commit", allowed: `alice@example.com valid-before="20260701Z" {alice}`, fault: signature.FaultExpired, stricter: date},
		{name: "expired a second ago", allowed: `alice@example.com valid-before="20260715120000Z" {alice}`, now: second, fault: signature.FaultExpired, stricter: date},
		{name: "expires this second", allowed: `alice@example.com valid-before="20260715120000Z" {alice}`},
		{name: "expired, and dated back to 1970", allowed: `alice@example.com valid-before="20250101Z" {alice}`, at: -time.Duration(committed().Unix()-1) * second, fault: signature.FaultExpired, stricter: date},
		{name: "expired, and dated to the second 0", allowed: `alice@example.com valid-before="20250101Z" {alice}`, at: -time.Duration(committed().Unix()) * second, fault: signature.FaultExpired},
		{name: "not yet valid, and dated ahead", allowed: `alice@example.com valid-after="20300101Z" {alice}`, at: 5 * 365 * day, fault: signature.FaultExpired, stricter: date},
		{name: "dated to 2106, no times", allowed: `alice@example.com {alice}`, at: 80 * 365 * day},
		{name: "between two times", allowed: `alice@example.com valid-after="20260101Z",valid-before="20270101Z",namespaces="git" {alice}`},
		{name: "two times the wrong way round", allowed: `alice@example.com valid-after="20270101Z",valid-before="20260101Z" {alice}`, fault: refused},
		{name: "local time, after it", allowed: `alice@example.com valid-before="20260615090000" {alice}`, now: -30 * day, zone: "XYZ3"},
		{name: "local time, before it", allowed: `alice@example.com valid-before="20260615085959" {alice}`, now: -30 * day, zone: "XYZ3", fault: signature.FaultExpired},
		{name: "one line expired, the next valid", allowed: "alice@example.com valid-before=\"20250101Z\" {alice}\nalice@example.com valid-after=\"20250101Z\" {alice}"},

		{name: "an authority", allowed: "alice@example.com cert-authority {alice}", fault: refused},
		{name: "a certificate by an authority", by: "certified", allowed: "alice@example.com cert-authority {ca}", fault: refused, stricter: "certificates are not verified here"},
		{name: "a certificate of a key that is allowed", by: "certified", allowed: "alice@example.com {alice}", fault: signature.FaultUnsupported},

		{name: "comments, empty lines and words behind the key", allowed: "# ours\n\n  \t\n  # more\n\talice@example.com\t{alice} alice's laptop\n"},
		{name: "the line ends of another system", allowed: "# ours\r\nalice@example.com {alice}\r\n"},
		{name: "an unknown option", allowed: `alice@example.com verify-required {alice}`, fault: refused},
		{name: "an unknown option of another", allowed: "alice@example.com {alice}\nbob@example.com verify-required {p256}", fault: refused, stricter: file},
		{name: "rubbish behind it", allowed: "alice@example.com {alice}\nrubbish", fault: refused, stricter: file},
		{name: "rubbish before it", allowed: "rubbish\nalice@example.com {alice}", fault: refused, stricter: file},
	}
}

// certify has an authority sign a key; the certificate lies beside its private
// key, where ssh-keygen looks for it.
func certify(r repo, ca, k key) key {
	r.t.Helper()
	copied := newKey(r.t, "certified", "-t", "ed25519")
	r.run(nil, "cp", k.file, copied.file)
	r.run(nil, "cp", k.file+".pub", copied.file+".pub")
	r.run(nil, "ssh-keygen", "-q", "-s", ca.file, "-I", "alice", "-n", "alice@example.com", "-V", "always:forever", copied.file+".pub")
	copied.file += "-cert.pub"
	return copied
}

// zone is what TZ stands for: nothing, or XYZ and the hours to the west.
func zone(tz string) *time.Location {
	if tz == "" {
		return time.UTC
	}
	return time.FixedZone("XYZ", -3*60*60)
}
