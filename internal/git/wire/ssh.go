package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
)

// SSH is a repository on a host that lets us run git-upload-pack.
type SSH struct {
	Path string // of the repository there
	// Run runs a command there; it ends with the context.
	Run   func(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) error
	Quiet time.Duration // for how long it may send nothing; zero: 30 s
}

// Tip is what a ref stands at.
func (s SSH) Tip(ctx context.Context, ref string) (string, error) {
	tip, err := s.converse(ctx, []byte("0000"), func(from io.Reader) (string, error) { return readRefs(from, ref) })
	return tip, tame(err)
}

// Pack gets all that a commit needs beyond what is had, as a pack.
func (s SSH) Pack(ctx context.Context, want string, haves []string, to io.Writer) error {
	request, err := order(want, haves)
	if err != nil {
		return err
	}
	_, err = s.converse(ctx, request, func(from io.Reader) (string, error) {
		// It lists its refs before it has heard what is wanted.
		var none *NoRefError
		if _, err := readRefs(from, ""); err != nil && !errors.As(err, &none) {
			return "", err
		}
		return "", receive(from, to)
	})
	return tame(err)
}

var errEnough = errors.New("enough was heard")

// converse runs git-upload-pack, which is told all that we say at once, and reads
// what it says meanwhile.
func (s SSH) converse(ctx context.Context, request []byte, read func(from io.Reader) (string, error)) (string, error) {
	ctx, heard, end := outbound.Watch(ctx, s.Quiet)
	defer end()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := s.Run(ctx, "git-upload-pack "+quoted(s.Path), bytes.NewReader(request), &watched{in, heard})
		in.CloseWithError(err)
		ended <- err
	}()
	answer, err := read(out)
	out.CloseWithError(errEnough)
	if err == nil {
		end() // whatever the host still does is of no use
	}
	if ran := <-ended; err != nil && ran != nil && !errors.Is(ran, errEnough) {
		return "", ran // which says more than that an answer was cut
	}
	if err != nil {
		return "", fmt.Errorf("git-upload-pack: %w", err)
	}
	return answer, nil
}

// watched notes each time that something is written.
type watched struct {
	io.Writer
	heard func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.heard()
	return w.Writer.Write(p)
}

// quoted is a path as one word of a shell.
func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }
