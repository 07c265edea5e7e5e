package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// parse takes "sha256:" off a digest.
func parse(digest string) (string, error) {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%.80q is not a digest: sha256: and 64 lower-case hex digits", digest)
	}
	return sum, nil
}

// sum is the sha256 of all that a reader gives, in hex.
func sum(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, &patient{ctx, r}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// check reads a file through, compares its sha256 and goes back to its
// beginning.
func check(ctx context.Context, f *os.File, want string) error {
	got, err := sum(ctx, f)
	if err != nil {
		return err
	}
	if got != want {
		return &MismatchError{Path: f.Name(), Want: want, Got: got}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// MismatchError says that a file is not the one that the lock names.
type MismatchError struct {
	Path string
	Want string // sha256 of the lock, in hex
	Got  string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s has sha256 %s, vault.lock says %s; the file is not used: get the true release, or look at who changed the lock (docs/operations.md, \"Add a version to vault.lock\")", e.Path, e.Got, e.Want)
}

// patient reads until its context ends.
type patient struct {
	ctx context.Context
	r   io.Reader
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}
