package signature_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"github.com/vaultfleet/reconciler/internal/signature"
	"golang.org/x/crypto/ssh"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const days = 24 * time.Hour

// committed is when the commits under test are made, and now when they are
// looked at.
func committed() time.Time { return time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC) }
func now() time.Time       { return committed().Add(30 * days) }

// repo is a repository of the git program, whose verdict is asked for.
type repo struct {
	t   testing.TB
	dir string
	env []string
}

func newRepo(t testing.TB, args ...string) repo {
	t.Helper()
	home := t.TempDir()
	r := repo{t, filepath.Join(home, "fleet"), append(os.Environ(),
		"HOME="+home, "GNUPGHOME="+home, "TZ=UTC", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=alice@example.com",
		"GIT_COMMITTER_NAME=Alice", "GIT_COMMITTER_EMAIL=alice@example.com")}.at(committed())
	must(t, os.Mkdir(r.dir, 0o755))
	r.git(append([]string{"init", "-q", "-b", "main"}, args...)...)
	r.git("config", "gpg.format", "ssh")
	return r
}

// at is the repo at another time; in is in another time zone, as TZ has it.
func (r repo) at(when time.Time) repo {
	date := fmt.Sprintf("@%d +0000", when.Unix())
	r.env = append(r.env[:len(r.env):len(r.env)], "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	return r
}

func (r repo) in(zone string) repo {
	r.env = append(r.env[:len(r.env):len(r.env)], "TZ="+zone)
	return r
}

func (r repo) try(stdin []byte, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(r.t.Context(), program, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = r.dir, r.env, bytes.NewReader(stdin)
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(failed.Stderr), err
	}
	return string(out), err
}

func (r repo) git(args ...string) string { r.t.Helper(); return r.run(nil, "git", args...) }

func (r repo) run(stdin []byte, program string, args ...string) string {
	r.t.Helper()
	out, err := r.try(stdin, program, args...)
	if err != nil {
		r.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// raw is the content of an object; store makes an object of any content.
func (r repo) raw(name string) []byte {
	r.t.Helper()
	out, err := r.try(nil, "git", "cat-file", r.git("cat-file", "-t", name), name)
	must(r.t, err)
	return []byte(out)
}

func (r repo) store(commit []byte) string {
	r.t.Helper()
	return r.run(commit, "git", "hash-object", "-t", "commit", "-w", "--literally", "--stdin")
}

// commit has git make a signed commit and returns its content.
func (r repo) commit(k key) []byte {
	r.t.Helper()
	r.git("-c", "user.signingKey="+k.file, "commit", "-q", "-S", "--allow-empty", "-m", "Raise eu-1 to 1.21.0")
	return r.raw("HEAD")
}

// unsigned is the content of a commit that git made without a signature.
func (r repo) unsigned() []byte {
	r.t.Helper()
	r.git("commit", "-q", "--allow-empty", "-m", "Raise eu-1 to 1.21.0")
	return r.raw("HEAD")
}

// accepts is git's verdict.
func (r repo) accepts(commit []byte, allowed string) bool {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "allowed_signers")
	must(r.t, os.WriteFile(file, []byte(allowed), 0o600))
	_, err := r.try(nil, "git", "-c", "gpg.ssh.allowedSignersFile="+file, "verify-commit", r.store(commit))
	return err == nil
}

// key is an SSH key that ssh-keygen made.
type key struct {
	file   string // of the private key
	public string // as it stands in allowed signers
	signer ssh.Signer
}

func newKey(t testing.TB, name string, args ...string) key {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", append([]string{"-q", "-N", "", "-C", "", "-f", file}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	private, err := os.ReadFile(file)
	must(t, err)
	signer, err := ssh.ParsePrivateKey(private)
	must(t, err)
	return key{file, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), signer}
}

// sign signs anything as git would, without git looking at it.
func (k key) sign(t testing.TB, payload []byte) string {
	t.Helper()
	sig, err := sshsig.Sign(bytes.NewReader(payload), k.signer, sshsig.HashSHA512, "git")
	must(t, err)
	return string(sshsig.Armor(sig))
}

// with puts a signature into a commit as its last header, as git does, or
// behind the header that is named.
func with(commit []byte, signature string, behind ...string) []byte {
	head, message, _ := strings.Cut(string(commit), "\n\n")
	header := "gpgsig " + strings.ReplaceAll(strings.TrimSuffix(signature, "\n"), "\n", "\n ")
	if len(behind) == 0 {
		return []byte(head + "\n" + header + "\n\n" + message)
	}
	before, after, found := strings.Cut("\n"+head, "\n"+behind[0]+" ")
	if !found {
		panic("no header " + behind[0])
	}
	line, after, _ := strings.Cut(after, "\n")
	return []byte((before + "\n" + behind[0] + " " + line + "\n" + header + "\n" + after + "\n\n" + message)[1:])
}

// change replaces what must be there.
func change(t testing.TB, commit []byte, from, to string) []byte {
	t.Helper()
	if !bytes.Contains(commit, []byte(from)) {
		t.Fatalf("%q is not in\n%s", from, commit)
	}
	return bytes.Replace(commit, []byte(from), []byte(to), 1)
}

func allow(t testing.TB, text string) signature.Signers {
	t.Helper()
	s, err := signature.ParseAllowedSigners([]byte(text), time.UTC)
	must(t, err)
	return s
}

func fault(err error) signature.Fault {
	if e, ok := errors.AsType[*signature.Error](err); ok {
		return e.Fault
	}
	return ""
}
