package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// fileCap is the most bytes that a file of a spec may have, 1 MiB: the probe
// hashes no larger one.
const fileCap = 1 << 20

// staged are the files of a step as the stage verb reads them: "put ROLE MODE
// OWNER GROUP SHA256 SIZE PATH" and the bytes, for each; then "end COUNT".
type staged struct {
	text bytes.Buffer
}

// gather opens every file and writes the stream. It may hold secrets.
func gather(ctx context.Context, puts []diff.Put, contents apply.Contents) (*staged, error) {
	s := &staged{}
	for _, p := range puts {
		if err := s.add(ctx, p, contents); err != nil {
			s.wipe()
			return nil, fmt.Errorf("%s: %w", p.Path, err)
		}
	}
	fmt.Fprintf(&s.text, "end %d\n", len(puts))
	return s, nil
}

func (s *staged) add(ctx context.Context, p diff.Put, contents apply.Contents) error {
	for _, word := range []string{p.Role, p.Mode, p.Owner, p.Group, p.Path} {
		if word == "" || strings.ContainsAny(word, " \t\n") {
			return fmt.Errorf("%q cannot be sent to a node", word)
		}
	}
	r, err := contents(ctx, p.Digest)
	if err != nil {
		return fmt.Errorf("open its content: %w", err)
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, fileCap+1))
	if err != nil {
		return fmt.Errorf("read its content: %w", err)
	}
	defer clear(body)
	if len(body) > fileCap {
		return fmt.Errorf("it has more than %d bytes", fileCap)
	}
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	if strings.HasPrefix(p.Digest, "sha256:") && p.Digest != "sha256:"+digest {
		return errors.New("its content is not what the plan was made for")
	}
	fmt.Fprintf(&s.text, "put %s %s %s %s %s %d %s\n", p.Role, p.Mode, p.Owner, p.Group, digest, len(body), p.Path)
	s.text.Write(body)
	return nil
}

func (s *staged) stream() io.Reader { return bytes.NewReader(s.text.Bytes()) }

// wipe overwrites what was gathered, as far as Go lets us.
func (s *staged) wipe() { clear(s.text.Bytes()) }
