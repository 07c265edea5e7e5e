package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// listOf is the request of protocol version 2 for the refs with a prefix.
func listOf(prefix string) ([]byte, error) {
	var out bytes.Buffer
	e := pktline.NewEncoder(&out)
	err := e.EncodeString("command=ls-refs\n", "agent="+agent+"\n", "object-format=sha1\n")
	out.WriteString("0001") // the delimiter, which pktline does not know
	err = errors.Join(err, e.EncodeString("ref-prefix "+prefix+"\n"), e.Flush())
	return out.Bytes(), err
}

// listed is what refs stand at by an answer to [listOf]. A prefix is a hint that
// a server may ignore.
func listed(from io.Reader) (map[string]string, error) {
	refs := map[string]string{}
	lines := pktline.NewScanner(&capped{from, maxAdvert})
	for lines.Scan() {
		line := strings.TrimSuffix(string(lines.Bytes()), "\n")
		if line == "" {
			return refs, nil // the end
		}
		id, rest, _ := strings.Cut(line, " ")
		name, _, _ := strings.Cut(rest, " ")
		if !isHash(id) || name == "" {
			return nil, fmt.Errorf("%s is not a ref", plain(line))
		}
		refs[name] = id
	}
	if err := lines.Err(); err != nil {
		return nil, said(err)
	}
	return nil, io.ErrUnexpectedEOF
}

// speaksV2 says that the answer to the first request is of a server that knows
// ls-refs of protocol version 2. Whatever else it is, the text stays readable.
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
