package specedit

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Path leads from the top of a file to a value.
type Path []step

// step is one step down: to the value of a key, or, where it has an identity, to the
// item of a list that has it.
type step struct {
	key   string
	field []string // keys that lead to an item's identity
	is    string
}

// Key leads to the value of a key of a map.
func (p Path) Key(key string) Path { return append(p[:len(p):len(p)], step{key: key}) }

// Item leads to the item of a list that has a text at a field, as the one whose
// "name" is "eu-1"; the field of an item may lie deeper.
func (p Path) Item(is string, field ...string) Path {
	return append(p[:len(p):len(p)], step{field: field, is: is})
}

func (s step) isItem() bool { return len(s.field) > 0 }

func (p Path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch {
		case s.isItem():
			fmt.Fprintf(&b, "[%s]", s.is)
		case b.Len() > 0:
			b.WriteString("." + s.key)
		default:
			b.WriteString(s.key)
		}
	}
	return b.String()
}

// below is the node that a step leads to, and the node of its key where it has one;
// nil: there is none.
func (s step) below(n *yaml.Node) (key, value *yaml.Node) {
	if s.isItem() {
		if n.Kind == yaml.SequenceNode {
			for _, item := range n.Content {
				if textAt(item, s.field) == s.is {
					return nil, item
				}
			}
		}
		return nil, nil
	}
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == s.key {
				return n.Content[i], n.Content[i+1]
			}
		}
	}
	return nil, nil
}

// textAt is the text that some keys lead to; "" where there is none.
func textAt(n *yaml.Node, keys []string) string {
	for _, key := range keys {
		if _, n = (step{key: key}).below(n); n == nil {
			return ""
		}
	}
	if n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// find walks as far down as there is something: the nodes on the way, from the top on.
// There is one more of them than steps when the path leads to a value.
func (p Path) find(root *yaml.Node) []*yaml.Node {
	way := []*yaml.Node{root}
	for _, s := range p {
		_, next := s.below(way[len(way)-1])
		if next == nil {
			break
		}
		way = append(way, next)
	}
	return way
}

// Has says that a path leads to a value that is no null. A file that cannot be read has
// none.
func Has(text []byte, at Path) bool {
	f, err := read(text)
	if err != nil {
		return false
	}
	way := at.find(f.root)
	return len(way) == len(at)+1 && way[len(at)].ShortTag() != nullTag
}

// Writes says that a path leads to a value, or to a null.
func Writes(text []byte, at Path) bool {
	f, err := read(text)
	return err == nil && len(at.find(f.root)) == len(at)+1
}
