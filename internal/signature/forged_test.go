package signature_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/signature"
)

// forgery is a commit that git did not make as it is.
type forgery struct {
	name     string
	commit   []byte
	fault    signature.Fault
	stricter string // why we refuse what git accepts
}

// Items 102 to 107 of the catalogue of bad input. Each object is made from one
// that alice signed, and git is asked as well.
func TestWhatIsNoSignedCommit(t *testing.T) {
	r, alice, mallory := newRepo(t), newKey(t, "alice", "-t", "ed25519"), newKey(t, "mallory", "-t", "ed25519")
	allowed := "alice@example.com " + alice.public
	cases := headerForgeries(t, r, alice, mallory)
	cases = append(cases, identityForgeries(t, r, alice)...)
	cases = append(cases, byteForgeries(t, r, alice)...)
	cases = append(cases, armorForgeries(t, r, alice)...)
	for _, c := range cases {
		if accepted := r.accepts(c.commit, allowed); accepted != (c.fault == "" || c.stricter != "") {
			t.Errorf("%s: git accepts it: %t", c.name, accepted)
		}
		_, err := allow(t, allowed).Verify(c.commit, now())
		if fault(err) != c.fault || (err == nil) != (c.fault == "") {
			t.Errorf("%s: fault %q, want %q: %v\n%.2000s", c.name, fault(err), c.fault, err, c.commit)
		}
	}
}

const (
	twoReadings = "programs read it in different ways"
	noProgram   = "no program writes it"
)

// headerForgeries are about which headers there are, and in which order.
func headerForgeries(t testing.TB, r repo, alice, mallory key) []forgery {
	plain := r.unsigned()
	good := r.commit(alice)
	parent := "parent " + r.git("rev-parse", "HEAD~1") + "\n"
	signed := func(payload []byte, behind ...string) []byte { return with(payload, alice.sign(t, payload), behind...) }
	merge := change(t, plain, "author ", parent+"author ")
	twoTrees := change(t, plain, "\n", "\ntree "+strings.Repeat("1", 40)+"\n")
	encoding := change(t, plain, "\n\n", "\nencoding UTF-8\n\n")
	tagged := change(t, plain, "\n\n", "\nmergetag object "+strings.Repeat("1", 40)+"\n type commit\n tag v1\n tagger Alice <alice@example.com> 1 +0000\n \n gpgsig -----BEGIN\n"+
		" "+strings.ReplaceAll(alice.sign(t, []byte("v1")), "\n", "\n ")+"\n\n")
	sha256 := bytes.Replace(good, []byte("gpgsig "), []byte("gpgsig-sha256 "), 1)
	return []forgery{
		{name: "as git signs it", commit: good},
		{name: "as we sign it", commit: signed(plain)},
		{name: "not signed", commit: plain, fault: signature.FaultUnsigned},
		{name: "signed for another commit", commit: with(merge, alice.sign(t, plain)), fault: signature.FaultBad},

		{name: "a second gpgsig, by mallory", commit: with(good, mallory.sign(t, plain)), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "two gpgsig, the first by mallory", commit: with(with(plain, mallory.sign(t, plain)), alice.sign(t, plain)), fault: signature.FaultMalformed},
		{name: "two gpgsig with a header between them", commit: with(with(encoding, alice.sign(t, encoding)), alice.sign(t, encoding), "committer"), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a second gpgsig that is no signature", commit: with(good, "none"), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a gpgsig-sha256 besides", commit: change(t, good, "gpgsig ", "gpgsig-sha256 none\ngpgsig "), fault: signature.FaultUnsupported, stricter: "what it says is not looked at"},
		{name: "a gpgsig-sha256 alone", commit: sha256, fault: signature.FaultUnsupported},
		{name: "an empty gpgsig", commit: change(t, plain, "\n\n", "\ngpgsig \n\n"), fault: signature.FaultMalformed},
		{name: "a gpgsig without a value", commit: change(t, plain, "\n\n", "\ngpgsig\n\n"), fault: signature.FaultMalformed},

		{name: "a second tree, signed", commit: signed(twoTrees), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a second tree, put in later", commit: change(t, good, "\n", "\ntree "+strings.Repeat("1", 40)+"\n"), fault: signature.FaultMalformed},
		{name: "a second tree at the end, signed", commit: signed(change(t, plain, "\n\n", "\ntree "+strings.Repeat("1", 40)+"\n\n")), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "the tree behind the author, signed", commit: signed(change(t, plain[bytes.IndexByte(plain, '\n')+1:], "committer ", string(plain[:46])+"committer ")), fault: signature.FaultMalformed},
		{name: "a merge", commit: signed(merge)},
		{name: "a merge whose second parent the signature hides", commit: signed(merge, "parent"), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a commit whose parents the signature hides", commit: signed(merge, "tree"), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a parent behind the committer, signed", commit: signed(change(t, plain, "\n\n", "\n"+parent+"\n")), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a second author, signed", commit: signed(change(t, plain, "committer ", "author Bob <bob@example.com> 1 +0000\ncommitter ")), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a second committer, signed", commit: signed(change(t, plain, "\n\n", "\ncommitter Bob <bob@example.com> 1 +0000\n\n")), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "the committer before the author, signed", commit: signed(change(t, change(t, plain, "author ", "x "), "committer ", "author ")), fault: signature.FaultMalformed},

		{name: "with an encoding", commit: signed(encoding)},
		{name: "with the signature before the encoding, as JGit writes it", commit: signed(encoding, "committer")},
		{name: "with a header of another program", commit: signed(change(t, plain, "\n\n", "\nchange-id zxkv\n\n"))},
		{name: "with a tag that it merges", commit: signed(tagged)},
		{name: "only the tag that it merges is signed", commit: tagged, fault: signature.FaultUnsigned},
		{name: "the tag that it merges was changed", commit: change(t, signed(tagged), "tag v1", "tag v2"), fault: signature.FaultBad},
		{name: "a line that is no header, signed", commit: signed(change(t, plain, "\n\n", "\nrubbish\n\n")), fault: signature.FaultMalformed, stricter: noProgram},
		{name: "an author of two lines, signed", commit: signed(change(t, plain, "\ncommitter ", "\n x\ncommitter ")), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "an author whose mail is in a second line, signed", commit: signed(change(t, plain, "author Alice ", "author Alice\n ")), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a first line that goes on with none, signed", commit: signed([]byte(" x\n" + string(plain))), fault: signature.FaultMalformed},
		{name: "more headers than anybody writes", commit: signed(change(t, plain, "\n\n", strings.Repeat("\nx y", 1001)+"\n\n")), fault: signature.FaultMalformed, stricter: noProgram},
	}
}

// identityForgeries are about the values of the headers that there are.
func identityForgeries(t testing.TB, r repo, alice key) []forgery {
	plain := r.unsigned()
	date := fmt.Sprintf("%d +0000\n\n", committed().Unix())
	signed := func(from, to string) []byte {
		payload := change(t, plain, from, to)
		return with(payload, alice.sign(t, payload))
	}
	cases := []forgery{
		{name: "the message changed", commit: change(t, r.commit(alice), "eu-1", "eu-2"), fault: signature.FaultBad},
		{name: "the date changed", commit: change(t, r.commit(alice), strings.TrimSpace(date), "1 +0000"), fault: signature.FaultBad},
		{name: "without a name", commit: signed("committer Alice ", "committer ")},
		{name: "in another zone", commit: signed(date, "1 -0330\n\n")},
	}
	for _, c := range []struct{ name, from, to, stricter string }{
		{"a tree in capitals", "tree 4b825dc6", "tree 4B825DC6", noProgram},
		{"a tree of 39 digits", "tree 4", "tree ", ""},
		{"a parent of 39 digits", "parent ", "parent " + strings.Repeat("1", 39) + "\nparent ", ""},
		{"a parent in capitals", "parent ", "parent " + strings.Repeat("A", 40) + "\nparent ", noProgram},
		{"no date", " " + date, "\n\n", noProgram},
		{"no zone", " +0000\n\n", "\n\n", noProgram},
		{"a zone in words", "+0000\n\n", "+UTC0\n\n", noProgram},
		{"a negative date", date, "-1 +0000\n\n", noProgram},
		{"a date that begins with 0", date, "0" + date, noProgram},
		{"a date of 20 digits", date, "99999999999999999999 +0000\n\n", ""},
		{"two dates", date, "1 +0000> " + date, twoReadings},
		{"two mails", "<alice@example.com> " + date, "<bob@example.com> <alice@example.com> " + date, twoReadings},
		{"a mail that is open", "<alice@example.com> " + date, "alice@example.com> " + date, ""},
		{"a name that closes a mail", "committer Alice", "committer Ali>ce", twoReadings},
		{"a mail inside out", "<alice@example.com> " + date, ">alice@example.com< > " + date, noProgram},
	} {
		cases = append(cases, forgery{c.name, signed(c.from, c.to), signature.FaultMalformed, c.stricter})
	}
	return cases
}

// byteForgeries are about the object as bytes.
func byteForgeries(t testing.TB, r repo, alice key) []forgery {
	plain, good := r.unsigned(), r.commit(alice)
	signed := func(payload []byte) []byte { return with(payload, alice.sign(t, payload)) }
	fake := "\n\ngpgsig " + strings.ReplaceAll(alice.sign(t, plain), "\n", "\n ") + "\n\n"
	r.git("-c", "user.signingKey="+alice.file, "tag", "-s", "-m", "v1", "v1")
	tag := r.raw("v1")
	return []forgery{
		{name: "nothing", fault: signature.FaultMalformed},
		{name: "no message", commit: signed(plain[:bytes.Index(plain, []byte("\n\n"))+2])},
		{name: "no end of the headers", commit: good[:bytes.Index(good, []byte("\n\n"))], fault: signature.FaultMalformed},
		{name: "cut off", commit: good[:len(good)-1], fault: signature.FaultBad},
		{name: "longer than it was signed", commit: append(bytes.Clone(good), '\n'), fault: signature.FaultBad},
		{name: "a megabyte of words", commit: signed(append(bytes.Clone(plain), bytes.Repeat([]byte("x\n"), 1<<19)...)), fault: signature.FaultMalformed, stricter: "what is read is bounded"},
		{name: "a message with other line ends", commit: signed(append(bytes.Clone(plain), "one\r\ntwo\r\n"...))},
		{name: "other line ends", commit: bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), fault: signature.FaultMalformed},
		{name: "a carriage return in a name, signed", commit: signed(change(t, plain, "Alice", "Alice\rBob")), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a NUL in the message, signed", commit: signed(append(bytes.Clone(plain), "one\x00two\n"...)), fault: signature.FaultMalformed, stricter: twoReadings},
		{name: "a NUL in a name, signed", commit: signed(change(t, plain, "Alice", "Alice\x00Bob")), fault: signature.FaultMalformed},

		{name: "a header in the message, signed", commit: signed(append(bytes.Clone(plain), fake...))},
		{name: "a header in the message alone", commit: append(bytes.Clone(plain), fake...), fault: signature.FaultUnsigned},
		{name: "the signature behind the message, as of a tag", commit: append(bytes.Clone(plain), alice.sign(t, plain)...), fault: signature.FaultUnsigned},
		{name: "the tag on it is signed", commit: plain, fault: signature.FaultUnsigned},
		{name: "a signed tag", commit: tag, fault: signature.FaultMalformed},
	}
}

// armorForgeries are about the signature as text.
func armorForgeries(t testing.TB, r repo, alice key) []forgery {
	plain := r.unsigned()
	armor := alice.sign(t, plain)
	lines := strings.Split(strings.TrimSpace(armor), "\n")
	second := strings.Join(lines[2:], "\n")
	last := strings.TrimSuffix(lines[len(lines)-2], "=")
	loose := strings.Replace(armor, last, last[:len(last)-1]+string(last[len(last)-1]+1), 1)
	return []forgery{
		{name: "an empty line behind the armor, as GitHub writes it", commit: with(plain, armor+"\n\n")},
		{name: "thousands of empty lines behind the armor", commit: with(plain, armor+strings.Repeat("\n", 16<<10)), fault: signature.FaultMalformed, stricter: "what is read is bounded"},
		{name: "bits behind the last byte", commit: with(plain, loose), fault: signature.FaultMalformed},
		{name: "in lines of another length", commit: with(plain, lines[0]+"\n"+lines[1][:10]+"\n"+lines[1][10:]+"\n"+second)},
		{name: "in one line", commit: with(plain, strings.Join(lines, "")), fault: signature.FaultMalformed},
		{name: "words behind the armor", commit: with(plain, armor+"words"), fault: signature.FaultMalformed, stricter: noProgram},
		{name: "two armors", commit: with(plain, armor+armor), fault: signature.FaultMalformed, stricter: noProgram},
		{name: "words before the armor", commit: with(plain, "words\n"+armor), fault: signature.FaultMalformed},
		{name: "an empty line before the armor", commit: with(plain, "\n"+armor), fault: signature.FaultMalformed},
		{name: "the armor cut off", commit: with(plain, strings.Join(lines[:3], "\n")), fault: signature.FaultMalformed},
		{name: "the armor's end alone missing", commit: with(plain, strings.Join(lines[:len(lines)-1], "\n")), fault: signature.FaultMalformed},
		{name: "a line of the armor missing", commit: with(plain, lines[0]+"\n"+second), fault: signature.FaultMalformed},
		{name: "the armor's first line alone", commit: with(plain, lines[0]), fault: signature.FaultMalformed},
		{name: "an empty armor", commit: with(plain, lines[0]+"\n"+lines[len(lines)-1]), fault: signature.FaultMalformed},
		{name: "a header in the armor", commit: with(plain, lines[0]+"\nComment: x\n\n"+strings.Join(lines[1:], "\n")), fault: signature.FaultMalformed},
		{name: "other line ends in the armor", commit: with(plain, strings.ReplaceAll(armor, "\n", "\r\n")), fault: signature.FaultMalformed},
		{name: "blanks in the armor", commit: with(plain, strings.Replace(armor, lines[1], lines[1]+" ", 1)), fault: signature.FaultMalformed, stricter: noProgram},
		{name: "no base64", commit: with(plain, strings.Replace(armor, lines[1], strings.Repeat("*", 70), 1)), fault: signature.FaultMalformed},
		{name: "too long", commit: with(plain, lines[0]+"\n"+strings.Repeat(lines[1]+"\n", 300)+second), fault: signature.FaultMalformed},
		{name: "an X.509 signature", commit: with(plain, "-----BEGIN SIGNED MESSAGE-----\nMIAG\n-----END SIGNED MESSAGE-----\n"), fault: signature.FaultUnsupported},
		{name: "an OpenPGP message", commit: with(plain, "-----BEGIN PGP MESSAGE-----\n\nMIAG\n-----END PGP MESSAGE-----\n"), fault: signature.FaultMalformed},
		{name: "an SSH signature in an OpenPGP armor", commit: with(plain, strings.ReplaceAll(armor, "SSH", "PGP")), fault: signature.FaultMalformed},
		{name: "a key", commit: with(plain, alice.public), fault: signature.FaultMalformed},
	}
}

// TestASignatureCanHideAParentFromGit holds the reason for the order that
// headers have to have: git takes a signature out of what was signed wherever
// it stands, and reads no parents behind it.
func TestASignatureCanHideAParentFromGit(t *testing.T) {
	r, alice := newRepo(t), newKey(t, "alice", "-t", "ed25519")
	r.unsigned()
	plain := r.unsigned()
	id := r.store(with(plain, alice.sign(t, plain), "tree"))
	if parents := r.git("log", "-1", "--format=%P", id); parents != "" {
		t.Errorf("git reads the parents %s", parents)
	}
}

// Git can be told to keep objects by another hash. They are not read anywhere
// else here, so they are not verified either.
func TestASHA256RepoIsNotSupported(t *testing.T) {
	r, alice := newRepo(t, "--object-format=sha256"), newKey(t, "alice", "-t", "ed25519")
	commit := r.commit(alice)
	allowed := "alice@example.com " + alice.public
	if !r.accepts(commit, allowed) {
		t.Error("git refuses its own commit")
	}
	if _, err := allow(t, allowed).Verify(commit, now()); fault(err) != signature.FaultUnsupported {
		t.Errorf("fault %q: %v", fault(err), err)
	}
}
