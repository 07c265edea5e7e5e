package desired

import (
	"bytes"
	"errors"
	"testing"

	"gopkg.in/yaml.v3"
)

// FuzzYAML holds the reader of files to this, whatever the bytes are: it ends;
// without problems there is a map; every value and every problem has a place
// in the file; and what it accepts means the same to yaml.v3's own decoder.
func FuzzYAML(f *testing.F) {
	for _, seed := range []string{
		"", "a: b", "a: {b: [c, {d: e}], f: 1, g: 1.5, h: true, i: ~}", "a: *b", "a: &a [*a]", "<<: {a: b}", "? [a]\n: b", "? a\n",
		"%YAML 1.1\n---\na: b\n...\n", "!!map {a: b}", "a: ! b", "source: {node}.crt", "a: |\n  b\n  c\n", "a: >-\n  b\n\n  c", "a: 'b\n", "\ta: b",
		"- a\nb: c", "a: 0x1F\nb: 1_000\nc: 08\nd: +1\ne: 1.5e3\nf: 2001-01-01", "a: \"\\u202e\"", "\ufeffa: b", "a: b\r\nc: d\r\n", "---\na: b\n---\nc: d", "a: yes\nb: 1:20\nc: 1e999",
		"a: [~]", "a: b # c\n#d\n", "\"a\": b\n'a': c", "a: {", "--- ",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		lines := 1 + bytes.Count(body, []byte("\n"))
		v, problems := parseYAML("f.yaml", body)
		for _, p := range problems {
			if p.Place.File != "f.yaml" || p.Place.Line > lines || p.Text == "" || p.Severity != SeverityError {
				t.Errorf("%+v in a file of %d lines", p, lines)
			}
		}
		if v == nil {
			if len(problems) == 0 {
				t.Error("neither a value nor a problem")
			}
			return
		}
		checkPlaces(t, v, lines)
		if len(problems) == 0 {
			sameMeaning(t, body, v)
		}
	})
}

func checkPlaces(t *testing.T, v *value, lines int) {
	if v.place.Line < 1 || v.place.Line > lines || v.place.Column < 1 {
		t.Errorf("%s %q is at %v of %d lines", v.kind, v.text, v.place, lines)
	}
	for _, f := range v.fields {
		checkPlaces(t, f.value, lines)
	}
	for _, item := range v.items {
		checkPlaces(t, item, lines)
	}
}

// sameMeaning compares the keys and the number of items with what yaml.v3 makes
// of the same bytes.
func sameMeaning(t *testing.T, body []byte, v *value) {
	var other yaml.Node
	if err := yaml.Unmarshal(body, &other); err != nil {
		t.Errorf("accepted, and yaml.v3 says: %v", err)
		return
	}
	if err := alike(other.Content[0], v); err != nil {
		t.Error(err)
	}
}

func alike(n *yaml.Node, v *value) error {
	switch {
	case n.Kind == yaml.MappingNode && v.kind == kindMap && len(n.Content) == 2*len(v.fields):
		for i, f := range v.fields {
			if n.Content[2*i].Value != f.name {
				return errors.New("key " + f.name + " is " + n.Content[2*i].Value)
			}
			if err := alike(n.Content[2*i+1], f.value); err != nil {
				return err
			}
		}
	case n.Kind == yaml.SequenceNode && v.kind == kindList && len(n.Content) == len(v.items):
		for i, item := range v.items {
			if err := alike(n.Content[i], item); err != nil {
				return err
			}
		}
	case n.Kind == yaml.ScalarNode && v.kind != kindMap && v.kind != kindList:
		if v.kind == kindText && n.Value != v.text {
			return errors.New(v.text + " is " + n.Value)
		}
	default:
		return errors.New("a " + string(v.kind) + " is of another shape")
	}
	return nil
}
