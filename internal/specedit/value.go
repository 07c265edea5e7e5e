package specedit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Value is what is written: a text, a number, a boolean, a null, or a list of such.
type Value struct{ node *yaml.Node }

// Null takes away what was inherited.
func Null() Value { return Value{scalar(nullTag, "null")} }

// Text is text, whatever it looks like.
func Text(text string) Value { return Value{scalar("!!str", text)} }

// OfJSON is a value as JSON has it: a scalar, or a list of scalars.
func OfJSON(text string) (Value, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return Value{}, errors.New("it is no value that can be written")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Value{}, errors.New("it is more than one value")
	}
	list, isList := v.([]any)
	if !isList {
		n, err := nodeOf(v)
		return Value{n}, err
	}
	out := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for _, item := range list {
		n, err := nodeOf(item)
		if err != nil {
			return Value{}, err
		}
		out.Content = append(out.Content, n)
	}
	return Value{out}, nil
}

func nodeOf(v any) (*yaml.Node, error) {
	switch v := v.(type) {
	case string:
		return Text(v).node, nil
	case bool:
		return scalar("!!bool", fmt.Sprint(v)), nil
	case json.Number:
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(v), &n); err != nil || len(n.Content) != 1 {
			return nil, errors.New("it is a number that YAML does not have")
		}
		return scalar(n.Content[0].ShortTag(), v.String()), nil
	case nil:
		return Null().node, nil
	}
	return nil, errors.New("it is a list of blocks, or a block")
}

func scalar(tag, text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
}

// made is a value below some steps: the maps that lead to it, and the items with
// their identity.
func made(steps Path, v Value) *yaml.Node {
	if len(steps) == 0 {
		return v.node
	}
	s, rest := steps[0], steps[1:]
	if !s.isItem() {
		return mapping(scalar("!!str", s.key), made(rest, v))
	}
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle, Content: []*yaml.Node{madeItem(s, rest, v)}}
}

// madeItem is an item with its identity and, below the steps, a value.
func madeItem(s step, rest Path, v Value) *yaml.Node {
	item := Text(s.is).node
	for _, key := range slices.Backward(s.field) {
		item = mapping(scalar("!!str", key), item)
	}
	at := item
	for len(rest) > 0 {
		_, next := rest[0].below(at)
		if next == nil || next.Kind != yaml.MappingNode {
			break
		}
		at, rest = next, rest[1:]
	}
	at.Content = append(at.Content, made(rest, v).Content...)
	return item
}

func mapping(key, value *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle, Content: []*yaml.Node{key, value}}
}

// written is a value as it stands in a file; like is the style of the one that it
// takes the place of, 0 where there is none.
func written(n *yaml.Node, like yaml.Style) string {
	switch n.Kind {
	case yaml.MappingNode:
		var parts []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, written(n.Content[i], 0)+": "+written(n.Content[i+1], 0))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		var parts []string
		for _, item := range n.Content {
			parts = append(parts, written(item, 0))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	switch {
	case n.Tag != "!!str":
		return n.Value
	case like&yaml.DoubleQuotedStyle != 0:
		return quoted(n.Value)
	case like&yaml.SingleQuotedStyle != 0 && !strings.ContainsFunc(n.Value, isControl):
		return "'" + strings.ReplaceAll(n.Value, "'", "''") + "'"
	case isPlain(n.Value):
		return n.Value
	}
	return quoted(n.Value)
}

// isControl says that a character cannot stand in single quotes as it is.
func isControl(r rune) bool {
	return r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' || r == '\ufeff'
}

// quoted is a JSON string, which is a YAML string too.
func quoted(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return `""` // unreachable: a string always encodes
	}
	escape := strings.NewReplacer("\u007f", `\u007f`, "\u0085", `\u0085`, "\ufeff", `\ufeff`)
	return escape.Replace(strings.TrimSuffix(b.String(), "\n"))
}

// isPlain says that a text needs no quotes anywhere: no reader takes it for anything
// else.
func isPlain(text string) bool {
	for _, c := range []byte(text) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("/._-+", c) < 0 {
			return false
		}
	}
	if text == "" || strings.IndexByte("._-+", text[0]) >= 0 {
		return false
	}
	switch strings.ToLower(text) {
	case "yes", "no", "on", "off", "y", "n":
		return false
	}
	var n yaml.Node
	return yaml.Unmarshal([]byte(text), &n) == nil && len(n.Content) == 1 && n.Content[0].ShortTag() == "!!str" && n.Content[0].Value == text
}
