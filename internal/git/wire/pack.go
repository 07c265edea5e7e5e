package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

const (
	agent     = "reconciler"
	maxAdvert = 16 << 20 // bytes of a list of refs
	maxNamed  = 10       // branches that are named to whoever misspelt one
)

// errTooMany says that a list of refs does not end.
var errTooMany = fmt.Errorf("its list of refs is longer than %d MiB", maxAdvert>>20)

// order is a request for all that a commit needs beyond what is had, in protocol
// version 0: what comes back is an acknowledgement and the pack.
func order(want string, haves []string) ([]byte, error) {
	var out bytes.Buffer
	e := pktline.NewEncoder(&out)
	err := e.Encodef("want %s ofs-delta side-band-64k no-progress agent=%s\n", want, agent)
	err = errors.Join(err, e.Flush())
	for _, h := range haves {
		err = errors.Join(err, e.Encodef("have %s\n", h))
	}
	err = errors.Join(err, e.EncodeString("done\n"))
	return out.Bytes(), err
}

// receive reads what an order brings, and hands the pack on.
func receive(from io.Reader, to io.Writer) error {
	buffered := bufio.NewReader(from)
	var acknowledged packp.ServerResponse
	if err := acknowledged.Decode(buffered, false); err != nil {
		return said(err)
	}
	if _, err := io.Copy(to, sideband.NewDemuxer(sideband.Sideband64k, buffered)); err != nil {
		return said(err)
	}
	return nil
}

// said makes a text of the server's fit for a line of ours.
func said(err error) error {
	var line *pktline.ErrorLine
	if errors.As(err, &line) {
		return fmt.Errorf("the server says: %s", plain(line.Text))
	}
	return err
}

// plain is a text of others, cut and without what steers a terminal.
func plain(text string) string {
	return fmt.Sprintf("%.200q", strings.ToValidUTF8(text, "�"))
}

// advertised is what a ref stands at by a list of all refs.
func advertised(from io.Reader, ref string) (string, error) {
	limited := &capped{from, maxAdvert}
	refs := packp.NewAdvRefs()
	err := refs.Decode(limited)
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		return "", &NoRefError{Ref: ref}
	case errors.Is(err, packp.ErrEmptyInput):
		return "", errors.New("the server said nothing")
	case err != nil:
		return "", fmt.Errorf("read its list of refs: %w", said(err))
	}
	if h, ok := refs.References[ref]; ok {
		return h.String(), nil
	}
	var there []string
	for name := range refs.References {
		there = append(there, name)
	}
	return "", noRef(ref, there)
}

// NoRefError says that a repository does not have a ref.
type NoRefError struct {
	Ref      string
	Branches []string // that it has, sorted; some of them
}

func noRef(ref string, there []string) *NoRefError {
	e := &NoRefError{Ref: ref}
	for _, name := range there {
		if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			e.Branches = append(e.Branches, branch)
		}
	}
	slices.Sort(e.Branches)
	return e
}

func (e *NoRefError) Error() string {
	name, what := strings.CutPrefix(e.Ref, "refs/heads/")
	is := map[bool]string{true: "branch", false: "ref"}[what]
	if len(e.Branches) == 0 {
		return fmt.Sprintf("it has no %s %s; it has no branch at all yet, or none that this login may see", is, name)
	}
	shown := e.Branches
	if len(shown) > maxNamed {
		shown = append(slices.Clone(shown[:maxNamed]), "…")
	}
	return fmt.Sprintf("it has no %s %s; it has %s", is, name, plain(strings.Join(shown, ", ")))
}

// capped reads up to so many bytes; more is an error.
type capped struct {
	from io.Reader
	left int
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMany
	}
	n, err := c.from.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// isHash says that a text is the ID of an object.
func isHash(text string) bool {
	return len(text) == 40 && plumbing.IsHash(text) && strings.ToLower(text) == text
}
