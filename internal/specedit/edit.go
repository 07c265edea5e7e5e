package specedit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Set writes a value: over the one that is written, else into the map or list that is
// written nearest above it.
func Set(text []byte, at Path, v Value) ([]byte, error) {
	return edited(text, at, "set", func(f *file) (change, error) { return f.set(at, v) })
}

// Remove takes a key away, and what would be empty without it. A comment stays.
func Remove(text []byte, at Path) ([]byte, error) {
	return edited(text, at, "remove", func(f *file) (change, error) { return f.remove(at) })
}

// change replaces a stretch of the text, and does the same to the nodes.
type change struct {
	from, to int
	with     string
	nodes    func()
}

// edited makes one change, and reads the outcome again: it must be what was read
// before, with that change made.
func edited(text []byte, at Path, doing string, make func(*file) (change, error)) ([]byte, error) {
	f, err := read(text)
	if err == nil && (len(at) == 0 || at[len(at)-1].isItem()) {
		err = errors.New("it is not the value of a key")
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", doing, at, err)
	}
	c, err := make(f)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", doing, at, err)
	}
	after := slices.Concat(text[:c.from], []byte(c.with), text[c.to:])
	c.nodes()
	if again, err := read(after); err != nil || !same(f.root, again.root) {
		return nil, fmt.Errorf("%s %s: the file is written in a way in which this cannot be done safely", doing, at)
	}
	return after, nil
}

func (f *file) set(at Path, v Value) (change, error) {
	way := at.find(f.root)
	n := way[len(way)-1]
	if len(way) == len(at)+1 {
		return f.replace(at, way, v)
	}
	rest := at[len(way)-1:]
	switch {
	case empty(n) || n.ShortTag() == nullTag:
		return f.replace(at[:len(way)-1], way, Value{made(rest, v)})
	case rest[0].isItem() && n.Kind == yaml.SequenceNode:
		return f.addItem(n, madeItem(rest[0], rest[1:], v))
	case !rest[0].isItem() && n.Kind == yaml.MappingNode:
		return f.addKey(n, rest[0].key, made(rest[1:], v))
	}
	return change{}, fmt.Errorf("%s is written on line %d as something else", at[:len(way)-1], n.Line)
}

// replace writes over a value.
func (f *file) replace(at Path, way []*yaml.Node, v Value) (change, error) {
	n := way[len(way)-1]
	nodes := func() { *n = *v.node }
	if empty(n) {
		key, _ := at[len(at)-1].below(way[len(way)-2])
		if key == nil {
			return change{}, errLines
		}
		colon, err := f.colon(key)
		return change{colon, colon, " " + written(v.node, 0), nodes}, err
	}
	if n.Kind != yaml.ScalarNode && n.Style&yaml.FlowStyle == 0 {
		return change{}, errLines
	}
	if n.Kind == yaml.MappingNode {
		return change{}, errors.New("it is a map")
	}
	end, err := f.end(n)
	from := f.start(n)
	if err == nil && hasComment(f.text[from:end]) {
		err = errLines
	}
	return change{from, end, written(v.node, n.Style), nodes}, err
}

// addKey adds a key behind the last one of a map.
func (f *file) addKey(n *yaml.Node, key string, value *yaml.Node) (change, error) {
	name := scalar("!!str", key)
	entry := written(name, 0) + ": " + written(value, 0)
	return f.add(n, entry, "", func() { n.Content = append(n.Content, name, value) })
}

// addItem adds an item behind the last one of a list.
func (f *file) addItem(n, item *yaml.Node) (change, error) {
	return f.add(n, written(item, 0), "- ", func() { n.Content = append(n.Content, item) })
}

// add writes an entry behind the last one: on the same line in flow style, else on a
// line of its own, as far in as the first.
func (f *file) add(n *yaml.Node, entry, dash string, nodes func()) (change, error) {
	if len(n.Content) == 0 { // {} or []
		at := f.start(n) + 1
		return change{at, at, entry, nodes}, nil
	}
	at, err := f.endLast(n)
	if err != nil {
		return change{}, err
	}
	if n.Style&yaml.FlowStyle != 0 {
		return change{at, at, ", " + entry, nodes}, nil
	}
	_, end := f.line(at)
	if !isFree(f.text[at:end]) {
		return change{}, errLines
	}
	in := n.Content[0].Column - 1
	if dash != "" {
		in = n.Column - 1
	}
	return change{end, end, f.newline() + strings.Repeat(" ", in) + dash + entry, nodes}, nil
}

func (f *file) remove(at Path) (change, error) {
	way := at.find(f.root)
	if len(way) != len(at)+1 {
		return change{}, errors.New("it is not written there")
	}
	i := len(at) - 1
	for i > 0 && !at[i].isItem() && !at[i-1].isItem() && len(way[i].Content) == 2 {
		i-- // what would be left is an empty map
	}
	parent := way[i]
	key, value := at[i].below(parent)
	k := slices.Index(parent.Content, key)
	nodes := func() { parent.Content = slices.Delete(parent.Content, k, k+2) }
	from := f.start(key)
	end, err := f.end(value)
	if empty(value) {
		end, err = f.colon(key)
	}
	switch {
	case err != nil:
		return change{}, err
	case hasComment(f.text[from:end]):
		return change{}, errors.New("a comment stands within it")
	case parent.Style&yaml.FlowStyle != 0:
		from, end = f.withComma(from, end)
		return change{from, end, "", nodes}, nil
	}
	from, end, err = f.lines(from, end)
	return change{from, end, "", nodes}, err
}

// withComma is a stretch of a flow map with the comma behind it, else the one before.
func (f *file) withComma(from, end int) (int, int) {
	behind := end
	for behind < len(f.text) && f.text[behind] == ' ' {
		behind++
	}
	if behind < len(f.text) && f.text[behind] == ',' {
		for behind++; behind < len(f.text) && f.text[behind] == ' '; {
			behind++
		}
		return from, behind
	}
	before := from
	for before > 0 && strings.IndexByte(" \t\r\n", f.text[before-1]) >= 0 {
		before--
	}
	if before > 0 && f.text[before-1] == ',' {
		return before - 1, end
	}
	return from, end
}

// lines is a stretch that fills its lines, with what ends the last; up to a comment
// that stands behind it.
func (f *file) lines(from, end int) (int, int, error) {
	begin, _ := f.line(from)
	_, last := f.line(end)
	switch {
	case strings.Trim(string(f.text[begin:from]), " ") != "":
		return 0, 0, errors.New("an item of a list begins with it")
	case !isFree(f.text[end:last]):
		return 0, 0, errLines
	case strings.TrimSpace(string(f.text[end:last])) != "":
		for f.text[end] == ' ' || f.text[end] == '\t' {
			end++
		}
		return from, end, nil
	}
	if last < len(f.text) {
		size, _ := f.character(last)
		last += size
	}
	return begin, last, nil
}

// hasComment says that a comment may stand in a stretch.
func hasComment(stretch []byte) bool {
	for i, c := range stretch {
		if c == '#' && i > 0 && strings.IndexByte(" \t\r\n", stretch[i-1]) >= 0 {
			return true
		}
	}
	return false
}
