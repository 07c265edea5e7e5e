package release

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// parse takes "sha256:" off a digest.
func parse(digest string) (string, error) {
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || !isHex(sum) {
		return "", fmt.Errorf("%.80q is not a digest: sha256: and 64 lower-case hex digits", digest)
	}
	return sum, nil
}

// isHex says that a text is a sha256 in lower-case hex.
func isHex(sum string) bool {
	return len(sum) == 64 && strings.Trim(sum, "0123456789abcdef") == ""
}

// sum is the sha256 of all that a reader gives, in hex.
func sum(ctx context.Context, r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, &patient{ctx, r}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// fetch copies a file of a source, never more than most bytes, and returns its
// sha256. A web page is never what was asked for: a proxy or a login stands in
// between.
func fetch(ctx context.Context, from source, name string, most int64, to io.Writer) (string, error) {
	in, err := from.open(ctx, name)
	if err != nil {
		return "", err
	}
	defer in.Close()
	counted := &io.LimitedReader{R: in, N: most + 1}
	buffered := bufio.NewReader(counted)
	if head, _ := buffered.Peek(512); strings.HasPrefix(http.DetectContentType(head), "text/html") {
		return "", fmt.Errorf("%s is a web page and not the file; a proxy or a login answers in place of the source", from.at(name))
	}
	got, err := sum(ctx, io.TeeReader(buffered, to))
	if err == nil && counted.N == 0 {
		err = fmt.Errorf("it has more than %d bytes, which no such file of a release has", most)
	}
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", from.at(name), err)
	}
	return got, nil
}

// check reads a file through, compares its sha256 and goes back to its
// beginning.
func check(ctx context.Context, f *os.File, want string) error {
	got, err := sum(ctx, f)
	if err != nil {
		return err
	}
	if got != want {
		return &MismatchError{Path: f.Name(), Says: saysLock, Want: want, Got: got}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// MismatchError says that a file is not the one that was named.
type MismatchError struct {
	Path string
	Says string // who named it
	Want string // sha256 in hex
	Got  string
}

// Who names a file.
const (
	saysLock = "vault.lock"
	saysSums = "its signed SHA256SUMS"
)

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s has sha256 %s, %s says %s; the file is not used: get the true release, or find out who changed one of the two (docs/operations.md, \"Add a version to vault.lock\")", e.Path, e.Got, e.Says, e.Want)
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
