package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// identity is both sides of trust as the files had it at one time: who the
// nodes are, and who we are.
type identity struct {
	known  known
	signer ssh.Signer
	stamp  string // changes when one of the files does
}

// files reads the identity anew when one of its files changed, so that an
// operator's edit counts at the next connection.
type files struct {
	knownHosts, key string
	names           Names

	mu   sync.Mutex
	last *identity
}

func (f *files) load() (*identity, *PhaseError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stamp := f.stamp()
	if f.last != nil && f.last.stamp == stamp {
		return f.last, nil
	}
	if f.knownHosts == "" {
		return nil, hostKeyError("set "+f.names.KnownHosts, "nothing says who the host is")
	}
	db, err := knownhosts.NewDB(f.knownHosts)
	if err != nil {
		return nil, hostKeyError("it has the format of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT", "read %s: %w", f.names.KnownHosts, err)
	}
	signer, failed := readSigner(f.key, f.names.Key)
	if failed != nil {
		return nil, failed
	}
	f.last = &identity{known: known{file: f.knownHosts, db: db}, signer: signer, stamp: stamp}
	return f.last, nil
}

func (f *files) stamp() string {
	s := f.knownHosts + ";" + f.key + ";"
	for _, path := range []string{f.knownHosts, f.key, certificatePath(f.key)} {
		if info, err := os.Stat(path); err == nil {
			s += fmt.Sprintf("%d/%d;", info.ModTime().UnixNano(), info.Size())
		} else {
			s += "none;"
		}
	}
	return s
}

// certificatePath is where ssh(1) looks for the certificate of a key.
func certificatePath(key string) string { return key + "-cert.pub" }

// readSigner reads our one key, with its certificate when there is one. One
// only: sshd counts each offered key as a try.
func readSigner(path, name string) (ssh.Signer, *PhaseError) {
	if path == "" {
		return nil, authError("set "+name, "nothing says with which key to log in")
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, authError("make one with `ssh-keygen -t ed25519 -N '' -f "+path+"`", "read %s: %w", name, err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, authError("use a key of its own without one (ssh-keygen -p removes it), mode 600", "%s %s has a passphrase, and nobody is there to type it", name, path)
	}
	if err != nil {
		// The parser's error may quote what it read.
		return nil, authError("it must be an OpenSSH or PEM private key", "%s %s is not a private key", name, path)
	}
	if signer, err = withoutSHA1(signer); err != nil {
		return nil, authError("make an Ed25519 key", "%s %s: %w", name, path, err)
	}
	return withCertificate(signer, certificatePath(path))
}

// withoutSHA1 keeps an RSA key from signing with SHA-1 for a server that asks
// for it.
func withoutSHA1(signer ssh.Signer) (ssh.Signer, error) {
	kind := signer.PublicKey().Type()
	if kind == ssh.KeyAlgoRSA {
		algorithms, ok := signer.(ssh.AlgorithmSigner)
		if !ok {
			return nil, errors.New("the key cannot sign with SHA-2")
		}
		return ssh.NewSignerWithAlgorithms(algorithms, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
	}
	if !slices.Contains(ssh.SupportedAlgorithms().PublicKeyAuths, kind) {
		return nil, fmt.Errorf("keys of type %s are too weak", kind)
	}
	return signer, nil
}

func withCertificate(signer ssh.Signer, path string) (ssh.Signer, *PhaseError) {
	line, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return signer, nil
	}
	if err != nil {
		return nil, authError("", "read the certificate of ssh.key: %w", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	cert, ok := key.(*ssh.Certificate)
	if err != nil || !ok || cert.CertType != ssh.UserCert {
		return nil, authError("remove it or have the key signed again", "%s is not a user certificate", path)
	}
	if end := cert.ValidBefore; end != ssh.CertTimeInfinity && uint64(time.Now().Unix()) >= end {
		return nil, authError("have the key signed again, or remove the certificate", "%s expired %s", path, time.Unix(int64(end), 0).UTC().Format(time.RFC3339))
	}
	both, err := ssh.NewCertSigner(cert, signer)
	if err != nil {
		return nil, authError("remove it or have the key signed again", "%s is of another key: %w", path, err)
	}
	return both, nil
}

func authError(hint, format string, args ...any) *PhaseError {
	return &PhaseError{Phase: actual.PhaseAuth, Err: fmt.Errorf(format, args...), Hint: hint}
}
