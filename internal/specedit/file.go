package specedit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const nullTag = "!!null"

// file is a text and its nodes.
type file struct {
	text []byte
	root *yaml.Node
}

// read takes a file with one document that is a map, and nothing in it that stands for
// what is written elsewhere.
func read(text []byte) (*file, error) {
	var doc, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil {
		return nil, errors.New("the file cannot be read as YAML")
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("a second document begins in the file")
	}
	if !utf8.Valid(text) || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("the file holds no map of keys")
	}
	if err := simple(doc.Content[0]); err != nil {
		return nil, err
	}
	return &file{text, doc.Content[0]}, nil
}

// simple refuses what a spec may not have, and what could be changed in one place and
// would be in another.
func simple(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return fmt.Errorf("line %d: an anchor, an alias or a tag stands here", n.Line)
	}
	for _, c := range n.Content {
		if err := simple(c); err != nil {
			return err
		}
	}
	return nil
}

// same says that two trees are read as the same values, whatever their style.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) || a.ShortTag() != b.ShortTag() || a.Kind == yaml.ScalarNode && a.Value != b.Value && a.ShortTag() != nullTag {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// start is where a node begins in the text. Lines and columns of the parser count from
// 1, and columns count characters; what ends a line is what ends one to the parser.
func (f *file) start(n *yaml.Node) int {
	at := 0
	for line := 1; line < n.Line && at < len(f.text); line++ {
		for at < len(f.text) {
			size, ends := f.character(at)
			if at += size; ends {
				break
			}
		}
	}
	for column := 1; column < n.Column && at < len(f.text); column++ {
		size, _ := f.character(at)
		at += size
	}
	return at
}

// character is the length of what stands at a place, and whether it ends a line.
func (f *file) character(at int) (size int, ends bool) {
	r, size := utf8.DecodeRune(f.text[at:])
	switch {
	case r == '\r' && at+1 < len(f.text) && f.text[at+1] == '\n':
		return 2, true
	case r == '\r', r == '\n', r == '\u0085', r == '\u2028', r == '\u2029':
		return size, true
	}
	return size, false
}

// errLines is of what begins and ends on lines of its own in ways that are not
// followed here.
var errLines = errors.New("it is written over several lines")

// end is where a node ends in the text.
func (f *file) end(n *yaml.Node) (int, error) {
	at := f.start(n)
	switch {
	case n.Kind == yaml.ScalarNode:
		return f.endScalar(n, at)
	case n.Style&yaml.FlowStyle != 0:
		return f.endFlow(n, at)
	case len(n.Content) == 0:
		return 0, errLines
	}
	last := n.Content[len(n.Content)-1]
	if n.Kind == yaml.MappingNode && empty(last) {
		return f.colon(n.Content[len(n.Content)-2])
	}
	return f.end(last)
}

// empty says that nothing is written where a value belongs.
func empty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == nullTag && n.Value == "" && n.Style == 0
}

func (f *file) endScalar(n *yaml.Node, at int) (int, error) {
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, errLines
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return f.endQuoted(at, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return f.endQuoted(at, '\'')
	case !bytes.HasPrefix(f.text[at:], []byte(n.Value)):
		return 0, errLines
	}
	return at + len(n.Value), nil
}

// endQuoted is behind the quote that closes.
func (f *file) endQuoted(at int, quote byte) (int, error) {
	if at >= len(f.text) || f.text[at] != quote {
		return 0, errLines
	}
	for at++; at < len(f.text); at++ {
		switch c := f.text[at]; {
		case c == '\\' && quote == '"':
			at++
		case c == quote && quote == '\'' && at+1 < len(f.text) && f.text[at+1] == quote:
			at++
		case c == quote:
			return at + 1, nil
		}
	}
	return 0, errLines
}

// endFlow is behind the bracket that closes: after the last item only blanks, a comma
// and comments stand before it.
func (f *file) endFlow(n *yaml.Node, at int) (int, error) {
	closing := byte('}')
	if n.Kind == yaml.SequenceNode {
		closing = ']'
	}
	at++
	if len(n.Content) > 0 {
		var err error
		if at, err = f.endLast(n); err != nil {
			return 0, err
		}
	}
	for at < len(f.text) {
		switch c := f.text[at]; c {
		case closing:
			return at + 1, nil
		case '#':
			for at < len(f.text) {
				size, ends := f.character(at)
				if at += size; ends {
					break
				}
			}
		case ' ', '\t', '\r', '\n', ',':
			at++
		default:
			return 0, errLines
		}
	}
	return 0, errLines
}

// endLast is where the last entry of a map, or item of a list, ends.
func (f *file) endLast(n *yaml.Node) (int, error) {
	last := n.Content[len(n.Content)-1]
	if n.Kind == yaml.MappingNode && empty(last) {
		key := n.Content[len(n.Content)-2]
		if at, err := f.colon(key); err == nil {
			return at, nil
		}
		return f.end(key) // {a}: a key alone
	}
	return f.end(last)
}

// colon is behind the colon of a key.
func (f *file) colon(key *yaml.Node) (int, error) {
	at, err := f.end(key)
	if err != nil {
		return 0, err
	}
	for at < len(f.text) && f.text[at] == ' ' {
		at++
	}
	if at >= len(f.text) || f.text[at] != ':' {
		return 0, errLines
	}
	return at + 1, nil
}

// line are the beginning of the line that a place is on, and its end without what ends
// it.
func (f *file) line(at int) (begin, end int) {
	begin, end = at, at
	for begin > 0 && f.text[begin-1] != '\n' && f.text[begin-1] != '\r' {
		begin--
	}
	for end < len(f.text) && f.text[end] != '\n' && f.text[end] != '\r' {
		end++
	}
	return begin, end
}

// isFree says that only blanks or a comment stand in a stretch of a line.
func isFree(stretch []byte) bool {
	stretch = bytes.TrimLeft(stretch, " \t")
	return len(stretch) == 0 || stretch[0] == '#'
}

// newline is what ends the lines of the file.
func (f *file) newline() string {
	if bytes.Contains(f.text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}
