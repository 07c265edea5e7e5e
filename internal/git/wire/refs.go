package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

const (
	maxRefs  = 16 << 20 // bytes of a list of refs
	maxNamed = 10       // branches that are named to whoever misspelt one
)

// errTooMany says that a list of refs does not end.
var errTooMany = fmt.Errorf("its list of refs is longer than %d MiB", maxRefs>>20)

// listOf is the request of protocol version 2 for the refs with a prefix.
func listOf(prefix string) ([]byte, error) {
	var out bytes.Buffer
	e := pktline.NewEncoder(&out)
	err := e.EncodeString("command=ls-refs\n", "agent="+agent+"\n", "object-format=sha1\n")
	out.WriteString("0001") // the delimiter, which pktline does not know
	err = errors.Join(err, e.EncodeString("ref-prefix "+prefix+"\n"), e.Flush())
	return out.Bytes(), err
}

// speaksV2 says that the answer to the first request is of a server that knows
// ls-refs of protocol version 2.
func speaksV2(answer []byte) bool {
	lines := pktline.NewScanner(bytes.NewReader(answer))
	two, lists := false, false
	for range 64 {
		if !lines.Scan() {
			break
		}
		line := strings.TrimSuffix(string(lines.Bytes()), "\n")
		two = two || line == "version 2"
		lists = lists || line == "ls-refs" || strings.HasPrefix(line, "ls-refs=")
	}
	return two && lists
}

// readRefs reads a list of refs for what one of them stands at: that of protocol
// version 0, with which a server begins, or an answer to [listOf], whose prefix is a
// hint that a server may ignore. Of the others it keeps some names.
func readRefs(from io.Reader, ref string) (tip string, err error) {
	lines := pktline.NewScanner(&capped{from, maxRefs, errTooMany})
	var branches []string
	for begun := false; lines.Scan(); begun = true {
		line := strings.TrimSuffix(string(lines.Bytes()), "\n")
		switch {
		case line == "" && tip != "":
			return tip, nil
		case line == "":
			return "", noRef(ref, branches)
		case !begun && strings.HasPrefix(line, "# service="): // of HTTP, and ended by itself
			if lines.Scan() && len(lines.Bytes()) > 0 {
				return "", errSurprise{"its list of refs does not begin as one"}
			}
			continue
		case !begun && line == "version 1", strings.HasPrefix(line, "shallow "):
			continue
		}
		id, name, ok := refOf(line)
		if !ok {
			return "", errSurprise{fmt.Sprintf("%.60q is not a ref", line)}
		}
		if name == ref {
			tip = id
		}
		if branch, is := strings.CutPrefix(name, "refs/heads/"); is && len(branches) <= maxNamed {
			branches = append(branches, branch)
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("read its list of refs: %w", surprising(err))
	}
	return "", errSurprise{"its list of refs has no end"}
}

// refOf reads ID SPACE NAME, and what follows behind a NUL or a space.
func refOf(line string) (id, name string, ok bool) {
	id, rest, _ := strings.Cut(line, " ")
	name = rest
	if end := strings.IndexAny(rest, " \x00"); end >= 0 {
		name = rest[:end]
	}
	return id, name, isHash(id) && name != ""
}

// errSurprise says that a server does not speak as a git server does, or not as
// this one did.
type errSurprise struct{ text string }

func (e errSurprise) Error() string { return e.text }

// surprising makes an error of the protocol a surprise.
func surprising(err error) error {
	if errors.Is(err, pktline.ErrInvalidPktLen) {
		return errSurprise{err.Error()}
	}
	return err
}

// NoRefError says that a repository does not have a ref.
type NoRefError struct {
	Ref      string
	Branches []string // that it has, sorted; some of them
}

func noRef(ref string, branches []string) *NoRefError {
	slices.Sort(branches)
	return &NoRefError{ref, branches}
}

func (e *NoRefError) Error() string {
	name, isBranch := strings.CutPrefix(e.Ref, "refs/heads/")
	is := map[bool]string{true: "branch", false: "ref"}[isBranch]
	if len(e.Branches) == 0 {
		return fmt.Sprintf("it has no %s %s; it has no branch at all yet, or none that this login may see", is, name)
	}
	shown := e.Branches
	if len(shown) > maxNamed {
		shown = append(slices.Clone(shown[:maxNamed]), "…")
	}
	return fmt.Sprintf("it has no %s %s; it has %.300q", is, name, strings.Join(shown, ", "))
}

// capped reads up to so many bytes; more is an error.
type capped struct {
	from io.Reader
	left int
	over error
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, c.over
	}
	n, err := c.from.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// isHash says that a text is the ID of an object.
func isHash(text string) bool {
	return len(text) == 40 && plumbing.IsHash(text) && strings.ToLower(text) == text
}
