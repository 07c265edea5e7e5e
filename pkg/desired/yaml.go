package desired

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// One file of the repo becomes one tree of values, or problems. yaml.v3 gives
// the nodes; everything that makes YAML mean different things to different
// readers (anchors, tags, merge keys, second documents, words that are
// booleans to some) is refused here, so that a spec means what it looks like.

const (
	maxSpecBytes = 1 << 20 // of one YAML file; real ones have a few KiB
	maxDepth     = 32      // of nested lists and maps
)

// parseYAML reads one file. The value is nil when the file cannot be used at
// all; with problems it may still be good enough to find more of them.
func parseYAML(file string, body []byte) (*value, []Problem) {
	p := &yamlReader{file: file, lines: 1 + bytes.Count(body, []byte("\n"))}
	if len(body) > maxSpecBytes {
		p.fail(Place{File: file}, fmt.Sprintf("the file has %d bytes, more than the %d that a spec may have", len(body), maxSpecBytes), "split it into clusters and environments")
		return nil, p.problems
	}
	if p.problems = unreadable(file, body); len(p.problems) > 0 {
		return nil, p.problems
	}
	root := p.document(body)
	if root == nil {
		return nil, p.problems
	}
	v := p.value(root, 1)
	if v != nil && v.kind != kindMap {
		p.fail(v.place, "the file holds a "+string(v.kind)+" where a map of keys belongs", "write `key: value` lines")
		return nil, p.problems
	}
	return v, p.problems
}

type yamlReader struct {
	file     string
	lines    int
	problems []Problem
}

func (p *yamlReader) fail(place Place, text, hint string) {
	p.problems = append(p.problems, Problem{Place: place, Severity: SeverityError, Text: text, Hint: hint})
}

// document is the root node of the file's only document, or nil.
func (p *yamlReader) document(body []byte) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(body))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		p.fail(Place{File: p.file, Line: 1, Column: 1}, "the file is empty", "write the spec, or delete the file")
		return nil
	}
	if err != nil {
		p.problems = append(p.problems, syntaxProblem(p.file, body, err))
		return nil
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		p.fail(p.place(&second), "a second document begins in this file", "one file holds one document: remove the `---` and what follows it")
	case !errors.Is(err, io.EOF):
		p.problems = append(p.problems, syntaxProblem(p.file, body, err))
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// place is where a node stands; an empty one at the end of the file stands
// behind its last line to yaml.v3.
func (p *yamlReader) place(n *yaml.Node) Place {
	return Place{File: p.file, Line: min(n.Line, p.lines), Column: n.Column}
}

func (p *yamlReader) value(n *yaml.Node, depth int) *value {
	place := p.place(n)
	if depth > maxDepth {
		p.fail(place, fmt.Sprintf("lists and maps are nested deeper than %d", maxDepth), "write it flatter")
		return nil
	}
	if n.Kind == yaml.AliasNode {
		p.fail(place, "`*"+n.Value+"` is a YAML alias, which specs may not use", "write the value out, or put it into a layer")
		return nil
	}
	if n.Anchor != "" {
		p.fail(place, "`&"+n.Anchor+"` is a YAML anchor, which specs may not use", "write the value out where it is needed, or put it into a layer")
	}
	if n.Style&yaml.TaggedStyle != 0 {
		p.fail(place, "`"+n.Tag+"` is a YAML tag, which specs may not use", "remove the tag, and put text into quotes")
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		return p.mapping(n, depth)
	case yaml.SequenceNode:
		v := &value{kind: kindList, place: place, items: make([]*value, 0, len(n.Content))}
		for _, item := range n.Content {
			child := p.value(item, depth+1)
			if child == nil {
				continue
			}
			if child.kind == kindNull {
				p.fail(child.place, "an item of a list is empty", "write the item, or remove its dash or comma")
				continue
			}
			v.items = append(v.items, child)
		}
		return v
	}
	return p.scalar(n)
}

func (p *yamlReader) mapping(n *yaml.Node, depth int) *value {
	v := &value{kind: kindMap, place: p.place(n), fields: make([]field, 0, len(n.Content)/2)}
	seen := make(map[string]Place, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, ok := p.key(n.Content[i])
		child := p.value(n.Content[i+1], depth+1)
		if !ok || child == nil {
			continue
		}
		place := p.place(n.Content[i])
		if first, twice := seen[name]; twice {
			p.fail(place, "the key `"+printable(name)+"` stands twice in this map", fmt.Sprintf("keep one of the two; the first is on line %d", first.Line))
			continue
		}
		seen[name] = place
		v.fields = append(v.fields, field{name, place, child})
	}
	return v
}

func (p *yamlReader) key(n *yaml.Node) (string, bool) {
	place := p.place(n)
	switch {
	case n.Kind != yaml.ScalarNode:
		hint := "a key is one word"
		if n.Kind == yaml.MappingNode {
			hint = "text that begins with `{` needs quotes: \"{node}.crt\""
		}
		p.fail(place, "a "+nodeKind(n)+" stands where a key belongs", hint)
	case n.Tag == "!!merge":
		p.fail(place, "`<<` is a YAML merge key, which specs may not use", "layers do this: put what clusters share into defaults or environments/NAME.yaml")
	case n.Anchor != "":
		p.fail(place, "`&"+n.Anchor+"` is a YAML anchor, which specs may not use", "remove it")
	case n.Style&yaml.TaggedStyle != 0:
		p.fail(place, "`"+n.Tag+"` is a YAML tag, which specs may not use", "remove it")
	case n.Tag == "!!null" || n.Value == "":
		p.fail(place, "a key is empty", "write its name before the colon")
	case hidden(n.Value) != "":
		p.fail(place, "the key "+strconv.QuoteToASCII(n.Value)+" holds "+hidden(n.Value), "type the key again, in ASCII")
	default:
		return n.Value, true
	}
	return "", false
}

func nodeKind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "map"
	case yaml.SequenceNode:
		return "list"
	case yaml.AliasNode:
		return "alias"
	}
	return "value"
}

// scalar reads what is no list or map. YAML 1.1 and 1.2 disagree about many
// plain scalars; those are refused instead of guessed.
func (p *yamlReader) scalar(n *yaml.Node) *value {
	v := &value{kind: kindText, place: p.place(n), text: n.Value}
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if what := hiddenBeside(n.Value, "\n\t"); what != "" {
		p.fail(v.place, strconv.QuoteToASCII(n.Value)+" holds "+what, "type the value again without it")
		return nil
	}
	if quoted {
		return v
	}
	switch n.Tag {
	case "!!null":
		v.kind = kindNull
	case "!!bool":
		v.kind, v.text = kindBoolean, strings.ToLower(n.Value)
	case "!!int":
		v.kind = kindInteger
		return p.integer(v)
	case "!!float":
		v.kind = kindFloat
		return p.float(v)
	default:
		return p.plainText(v)
	}
	return v
}

func (p *yamlReader) integer(v *value) *value {
	digits := strings.TrimPrefix(v.text, "-")
	if !all(digits, isDigit) || len(digits) > 1 && digits[0] == '0' {
		p.fail(v.place, "`"+v.text+"` is a number to YAML, but not the one that it looks like", "text belongs in quotes: \""+v.text+"\"; a number is written in decimal digits alone")
		return nil
	}
	if _, err := strconv.ParseInt(v.text, 10, 64); err != nil {
		p.fail(v.place, "the number "+v.text+" is too large", "text belongs in quotes: \""+v.text+"\"")
		return nil
	}
	return v
}

func (p *yamlReader) float(v *value) *value {
	if all(strings.TrimPrefix(v.text, "-"), isDigit) {
		return p.integer(v)
	}
	whole, fraction, dotted := strings.Cut(strings.TrimPrefix(v.text, "-"), ".")
	if f, err := strconv.ParseFloat(v.text, 64); err != nil || math.IsInf(f, 0) || math.IsNaN(f) ||
		!dotted || !all(whole, isDigit) || !all(fraction, isDigit) {
		p.fail(v.place, "`"+v.text+"` is a number to YAML, but not the one that it looks like", "text belongs in quotes: \""+v.text+"\"; a number is written in decimal digits, with one point")
		return nil
	}
	return v
}

// plainText refuses the unquoted words that other YAML readers take for
// something else.
func (p *yamlReader) plainText(v *value) *value {
	switch strings.ToLower(v.text) {
	case "yes", "on":
		p.fail(v.place, "`"+v.text+"` is true to some YAML readers and text to others", "write true, or \""+v.text+"\"")
		return nil
	case "no", "off":
		p.fail(v.place, "`"+v.text+"` is false to some YAML readers and text to others", "write false, or \""+v.text+"\"")
		return nil
	}
	if left, right, ok := strings.Cut(v.text, ":"); ok && all(left, isDigit) && len(right) <= 2 && all(right, isDigit) {
		p.fail(v.place, "`"+v.text+"` is a number of base 60 to some YAML readers and text to others", "write \""+v.text+"\"")
		return nil
	}
	if _, err := strconv.ParseFloat(v.text, 64); errors.Is(err, strconv.ErrRange) {
		p.fail(v.place, "the number "+v.text+" is too large", "text belongs in quotes: \""+v.text+"\"")
		return nil
	}
	return v
}
