package desired

import (
	"strings"
)

// vars are what placeholders stand for on one node, or in one cluster (then
// those of a node are missing).
type vars struct {
	names  map[string]string
	labels map[string]string
	node   bool
}

func clusterVars(fleet string, v *value) vars {
	return vars{
		names:  map[string]string{"fleet": fleet, "environment": v.str("environment"), "cluster": v.str("cluster")},
		labels: v.texts("labels"),
	}
}

func (c vars) ofNode(v *value) vars {
	return vars{
		names: map[string]string{
			"fleet": c.names["fleet"], "environment": c.names["environment"], "cluster": c.names["cluster"],
			"node": v.str("name"), "address": v.str("address"), "zone": v.str("zone"),
		},
		labels: v.texts("labels"),
		node:   true,
	}
}

// expander fills placeholders in and holds the outcome against the table.
type expander struct {
	vars     vars
	scope    scope // values of this scope are expanded; scopeCluster leaves those of nodes alone
	problems []Problem
}

func (e *expander) fail(place Place, text, hint string) {
	e.problems = append(e.problems, Problem{Place: place, Severity: SeverityError, Text: text, Hint: hint})
}

// expand goes through a merged tree. What does not change is shared.
func (e *expander) expand(s *schema, v *value) *value {
	switch v.kind {
	case kindMap:
		return e.expandMap(s, v)
	case kindList:
		return e.expandList(s, v)
	case kindText:
		return e.expandText(s, v)
	}
	return v
}

func (e *expander) expandMap(s *schema, v *value) *value {
	out := v
	for i, f := range v.fields {
		if f.name == "nodes" && s.path == "" {
			continue
		}
		child := s.child(f.name)
		if child == nil {
			child = &schema{key: key{path: f.name, form: formText, scope: s.scope}}
			if f.value.kind == kindMap || f.value.kind == kindList {
				child.form, child.item = formOpen, child
			}
		}
		expanded := e.expand(child, f.value)
		if expanded == f.value {
			continue
		}
		if out == v {
			out = &value{kind: v.kind, place: v.place, fields: append([]field(nil), v.fields...)}
		}
		out.fields[i].value = expanded
	}
	return out
}

func (e *expander) expandList(s *schema, v *value) *value {
	out := v
	for i, item := range v.items {
		expanded := e.expand(s.item, item)
		if expanded == item {
			continue
		}
		if out == v {
			out = &value{kind: v.kind, place: v.place, items: append([]*value(nil), v.items...)}
		}
		out.items[i] = expanded
	}
	return out
}

func (e *expander) expandText(s *schema, v *value) *value {
	if s.scope > e.scope {
		return v
	}
	out := v
	if s.scope != scopeNone && strings.ContainsRune(v.text, '{') {
		text, ok := e.fill(v)
		if !ok {
			return v
		}
		if text != v.text {
			out = &value{kind: kindText, place: v.place, text: text}
		}
	}
	if s.must != nil {
		if wrong, hint := s.must(out.text); wrong != "" {
			e.fail(v.place, "`"+strings.TrimSuffix(s.path, "[]")+"`: "+wrong, hint)
		}
	}
	return out
}

// fill replaces the placeholders of one text. `{{ … }}` is a template of
// Vault's own and stays; a brace that opens no {word} is only a brace.
func (e *expander) fill(v *value) (string, bool) {
	var b strings.Builder
	rest, ok := v.text, true
	for {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			b.WriteString(rest)
			return b.String(), ok
		}
		b.WriteString(rest[:open])
		rest = rest[open:]
		if strings.HasPrefix(rest, "{{") {
			end := strings.Index(rest, "}}")
			if end < 0 {
				b.WriteString(rest)
				return b.String(), ok
			}
			b.WriteString(rest[:end+2])
			rest = rest[end+2:]
			continue
		}
		word, after, closed := strings.Cut(rest[1:], "}")
		if !closed || !all(word, isPlaceholderByte) {
			b.WriteByte('{')
			rest = rest[1:]
			continue
		}
		text, known := e.lookup(v, word)
		ok = ok && known
		b.WriteString(text)
		rest = after
	}
}

func (e *expander) lookup(v *value, word string) (string, bool) {
	if name, isLabel := strings.CutPrefix(word, "label."); isLabel {
		text, ok := e.vars.labels[name]
		if !ok {
			e.fail(v.place, "the placeholder {"+printable(word)+"} names a label that is not there", e.labelHint(name))
		}
		return text, ok
	}
	text, ok := e.vars.names[word]
	switch {
	case ok && text == "":
		e.fail(v.place, "the placeholder {"+word+"} stands for nothing here", "write `"+word+"`, or the value itself")
		return "", false
	case ok:
		return text, true
	case word == "node" || word == "address" || word == "zone":
		e.fail(v.place, "the placeholder {"+word+"} stands in a value of the whole cluster", "here only {fleet} {environment} {cluster} {label.X} can stand")
		return "", false
	}
	hint := "known are {fleet} {environment} {cluster} {node} {address} {zone} {label.X}; text with braces of its own is written with two: {{ }}"
	if near := nearest(word, []string{"fleet", "environment", "cluster", "node", "address", "zone"}); near != "" {
		hint = "did you mean {" + near + "}? " + hint
	}
	e.fail(v.place, "unknown placeholder {"+printable(word)+"}", hint)
	return "", false
}

func (e *expander) labelHint(name string) string {
	if near := nearest(name, sortedKeys(e.vars.labels)); near != "" {
		return "did you mean {label." + near + "}?"
	}
	return "write it under `labels`"
}
