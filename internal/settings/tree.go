package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// YAML says one thing in many ways, and some of them say something else than
// they seem to: a second document is dropped, a null list item vanishes, the
// last of two equal keys wins, an anchor puts text where nobody reads it.
// What is left here is maps, lists and plain scalars.

// Limits of one file. Nobody writes such a file by hand.
const (
	maxBytes = 1 << 20
	maxDepth = 64
)

// reader gathers the problems of one file.
type reader struct {
	file     string
	problems []desired.Problem
	sinks    []*yaml.Node // that drift reports name
}

// at says that something is wrong with a node.
func (r *reader) at(n *yaml.Node, hint, format string, args ...any) {
	r.problem(desired.Place{File: r.file, Line: n.Line, Column: n.Column}, hint, fmt.Sprintf(format, args...))
}

func (r *reader) problem(place desired.Place, hint, text string) {
	r.problems = append(r.problems, desired.Problem{
		Place: place, Severity: desired.SeverityError, Text: text, Hint: hint,
	})
}

// sorted are the problems by place, each said once.
func (r *reader) sorted() []desired.Problem {
	sort.SliceStable(r.problems, func(i, j int) bool {
		a, b := r.problems[i].Place, r.problems[j].Place
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return r.problems
}

// parse is the root map of the file, or nil when there is none to read.
func (r *reader) parse(data []byte) *yaml.Node {
	whole := desired.Place{File: r.file}
	if len(data) > maxBytes {
		r.problem(whole, "", fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), maxBytes))
		return nil
	}
	if !r.characters(data) {
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		r.problem(whole, "write at least trust:", "the file says nothing")
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		r.at(&second, "join them", "a second document begins; only one is read")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
	}
	root := doc.Content[0]
	if !r.plain(root, 0) {
		return nil
	}
	return root
}

// characters refuses bytes that an editor would not show.
func (r *reader) characters(data []byte) bool {
	line, column, ok := 1, 1, true
	for len(data) > 0 {
		char, size := utf8.DecodeRune(data)
		place := desired.Place{File: r.file, Line: line, Column: column}
		switch {
		case char == utf8.RuneError && size == 1:
			r.problem(place, "save the file as UTF-8", "not valid UTF-8")
			return false // the rest would only repeat it
		case char == '\t' || char == '\n' || char == '\r':
		case unicode.Is(unicode.Cc, char) || unicode.Is(unicode.Cf, char):
			r.problem(place, "delete it", fmt.Sprintf("invisible character %U", char))
			ok = false
		}
		column++
		if char == '\n' {
			line, column = line+1, 1
		}
		data = data[size:]
	}
	return ok
}

// syntax says what the parser says; it knows no column.
func (r *reader) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	place := desired.Place{File: r.file}
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); m != nil {
		place.Line, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(text, m[0])
	}
	hint := ""
	if strings.Contains(text, "did not find expected ',' or '") {
		hint = "quote strings that hold one of {}[],: inside {…} or […]"
	}
	r.problem(place, hint, "not YAML: "+text)
}

// plain walks the tree and refuses what is not a map, a list or a scalar
// written out. False means that the tree is not worth reading further.
func (r *reader) plain(n *yaml.Node, depth int) bool {
	if depth > maxDepth {
		r.at(n, "", "nested more than %d deep", maxDepth)
		return false
	}
	if n.Anchor != "" {
		r.at(n, "write the value out", "anchor &%s is not allowed", n.Anchor)
		return false
	}
	if n.Kind == yaml.AliasNode {
		r.at(n, "write the value out", "alias *%s is not allowed", n.Value)
		return false
	}
	if n.Style&yaml.TaggedStyle != 0 {
		r.at(n, "delete the tag", "tag %s is not allowed", n.Tag)
		return false
	}
	ok := true
	for _, child := range n.Content {
		ok = r.plain(child, depth+1) && ok
	}
	return ok
}
