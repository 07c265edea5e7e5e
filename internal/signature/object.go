package signature

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// A commit object is lines of NAME SPACE VALUE, an empty line and the message:
// one tree, its parents, an author, a committer, then headers in no order. A
// line that begins with a space goes on with the header before it. What is
// signed is the object without its gpgsig header.
//
// Programs read one that is written otherwise in different ways. To git a
// gpgsig between two parents hides the second, and is taken out of what was
// signed nevertheless: the same signature would stand for another history. So
// what no program writes is refused.

// Caps on what is read, far above what programs write.
const (
	maxCommit    = 1 << 20  // bytes of a commit
	maxSignature = 16 << 10 // bytes of a signature with its armor
	maxHeaders   = 1000     // headers of a commit
)

// object is a commit, taken apart.
type object struct {
	payload   []byte    // what was signed
	signature []byte    // with its armor
	committed time.Time // when the committer says to have made it
}

// header is one header of a commit.
type header struct {
	name string
	raw  []byte // as it stands in the object, with the lines that go on with it
}

// value is a header's lines without its name, and without the spaces that they
// begin with.
func (h header) value() []byte {
	return bytes.ReplaceAll(h.raw[len(h.name)+1:], []byte("\n "), []byte("\n"))
}

// parse takes apart a commit that is signed.
func parse(commit []byte) (object, error) {
	if len(commit) > maxCommit {
		return object{}, refuse(FaultMalformed, "it has %d bytes, more than the %d that are allowed", len(commit), maxCommit)
	}
	head, message, found := bytes.Cut(commit, []byte("\n\n"))
	switch {
	case bytes.IndexByte(commit, 0) >= 0:
		return object{}, refuse(FaultMalformed, "it holds a NUL, where some programs stop to read")
	case bytes.IndexByte(head, '\r') >= 0:
		return object{}, refuse(FaultMalformed, "it holds a carriage return before its message, which some programs take for the end of a line")
	case !found:
		return object{}, refuse(FaultMalformed, "its headers have no end")
	}
	headers, err := readHeaders(head)
	if err != nil {
		return object{}, err
	}
	committed, err := checkOrder(headers)
	if err != nil {
		return object{}, err
	}
	o, err := split(headers, message)
	o.committed = committed
	return o, err
}

// Parents are the parents of a commit, given as the raw content of its object, in their
// order.
func Parents(commit []byte) (parents []string, err error) {
	head, _, _ := bytes.Cut(commit, []byte("\n\n"))
	headers, err := readHeaders(head)
	if err != nil {
		return nil, err
	}
	if _, err := checkOrder(headers); err != nil {
		return nil, err
	}
	for _, h := range headers {
		if h.name == "parent" {
			parents = append(parents, strings.TrimSuffix(string(h.value()), "\n"))
		}
	}
	return parents, nil
}

// readHeaders reads what stands before the message.
func readHeaders(head []byte) ([]header, error) {
	var headers []header
	for raw := range bytes.Lines(append(head[:len(head):len(head)], '\n')) {
		if raw[0] == ' ' && len(headers) > 0 {
			last := &headers[len(headers)-1]
			last.raw = append(last.raw, raw...)
			continue
		}
		name, _, found := bytes.Cut(raw, []byte(" "))
		if !found || len(name) == 0 {
			return nil, refuse(FaultMalformed, "its line %.40q is no header", raw)
		}
		headers = append(headers, header{string(name), bytes.Clone(raw)})
		if len(headers) > maxHeaders {
			return nil, refuse(FaultMalformed, "it has more than %d headers", maxHeaders)
		}
	}
	return headers, nil
}

// checkOrder holds the headers that say what a commit is to the one order in
// which programs write them, and says when it was committed.
func checkOrder(headers []header) (committed time.Time, err error) {
	at := 0
	next := func(name string) (string, bool) {
		if at == len(headers) || headers[at].name != name {
			return "", false
		}
		at++
		return strings.TrimSuffix(string(headers[at-1].value()), "\n"), true
	}
	tree, found := next("tree")
	switch {
	case found && isHex(tree, 64):
		return committed, refuse(FaultUnsupported, "it is of a repo whose object format is sha256, which is not supported; use a repo of sha1 objects")
	case !found && headers[0].name == "object":
		return committed, refuse(FaultMalformed, "it is an annotated tag, not a commit")
	case !found || !isHex(tree, 40):
		return committed, refuse(FaultMalformed, "it does not begin with its tree")
	}
	for parent, found := next("parent"); found; parent, found = next("parent") {
		if !isHex(parent, 40) {
			return committed, refuse(FaultMalformed, "it has the parent %.80q, which is no object ID", parent)
		}
	}
	for _, name := range []string{"author", "committer"} {
		who, found := next(name)
		committed, err = readDate(who)
		if !found || err != nil {
			return committed, refuse(FaultMalformed, "it has no %s in its place, as NAME <MAIL> SECONDS ZONE", name)
		}
	}
	for _, h := range headers[at:] {
		switch h.name {
		case "tree", "parent", "author", "committer":
			return committed, refuse(FaultMalformed, "it has a second %s, or one out of its place, and programs differ in which they read", h.name)
		}
	}
	return committed, nil
}

// split takes the signature out.
func split(headers []header, message []byte) (object, error) {
	var o object
	for _, h := range headers {
		switch {
		case h.name == "gpgsig-sha256":
			return object{}, refuse(FaultUnsupported, "it has a gpgsig-sha256 header, a signature of its sha256 form, which is not supported; sign it in a repo without extensions.compatObjectFormat")
		case h.name != "gpgsig":
			o.payload = append(o.payload, h.raw...)
		case o.signature != nil:
			return object{}, refuse(FaultMalformed, "it has two gpgsig headers, and programs differ in which they read; sign it again")
		case len(h.raw) > maxSignature:
			return object{}, refuse(FaultMalformed, "its signature has %d bytes, more than the %d that are allowed", len(h.raw), maxSignature)
		default:
			o.signature = h.value()
		}
	}
	if o.signature == nil {
		return object{}, unsigned(headers, message)
	}
	o.payload = append(append(o.payload, '\n'), message...)
	return o, nil
}

// unsigned names what might pass for a signature of the commit.
func unsigned(headers []header, message []byte) error {
	for _, h := range headers {
		if h.name == "mergetag" {
			return refuse(FaultUnsigned, "it is not signed: the signature in its mergetag header is that of a tag it merges; sign the merge itself (git merge -S)")
		}
	}
	if bytes.Contains(message, []byte(" SIGNATURE-----\n")) {
		return refuse(FaultUnsigned, "it is not signed: the signature in its message is that of a tag, or words; sign the commit itself (git commit -S)")
	}
	return refuse(FaultUnsigned, "it is not signed; sign it (git commit -S)")
}

// readDate reads the end of NAME <MAIL> SECONDS ZONE.
func readDate(who string) (time.Time, error) {
	_, date, _ := strings.Cut(who, "> ")
	digits, zone, _ := strings.Cut(date, " ")
	seconds, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil:
		return time.Time{}, err
	case strings.Contains(who, "\n"), strings.Count(who, "<") != 1 || strings.Count(who, ">") != 1,
		strconv.FormatInt(seconds, 10) != digits || seconds < 0,
		len(zone) != 5 || zone[0] != '+' && zone[0] != '-' || !isDigits(zone[1:]):
		return time.Time{}, strconv.ErrSyntax
	}
	return time.Unix(seconds, 0), nil
}

func isHex(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789abcdef") == ""
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }
