package desired

import (
	"maps"
	"slices"
	"strconv"
)

// kind is what a value of the repo is, as YAML tells it.
type kind string

const (
	kindNull    kind = "null"
	kindText    kind = "text"
	kindInteger kind = "number"
	kindFloat   kind = "fraction"
	kindBoolean kind = "true or false"
	kindList    kind = "list"
	kindMap     kind = "map"
)

// value is one value of a spec and the place that it was written at. Layers
// are merged as values, so that every line of the outcome still knows its file
// and line. A value is never changed once it is read: a merge shares what it
// takes over whole.
type value struct {
	kind   kind
	place  Place
	text   string // a scalar, quotes and escapes undone
	items  []*value
	fields []field
}

// field is one key of a map.
type field struct {
	name  string
	place Place
	value *value
}

// builtIn says that no file holds the value: it is a default or derived.
func (v *value) builtIn() bool { return v.place.Line == 0 }

// get walks down maps by key; nil when a key is missing on the way.
func (v *value) get(path ...string) *value {
	for _, name := range path {
		if v = v.child(name); v == nil {
			return nil
		}
	}
	return v
}

func (v *value) child(name string) *value {
	if v == nil {
		return nil
	}
	for i := range v.fields {
		if v.fields[i].name == name {
			return v.fields[i].value
		}
	}
	return nil
}

// str is the scalar at a path, empty when there is none.
func (v *value) str(path ...string) string {
	if found := v.get(path...); found != nil {
		return found.text
	}
	return ""
}

// num is the whole number at a path, 0 when there is none.
func (v *value) num(path ...string) int {
	n, _ := strconv.Atoi(v.str(path...))
	return n
}

// flag is whether true stands at a path.
func (v *value) flag(path ...string) bool {
	found := v.get(path...)
	return found != nil && found.kind == kindBoolean && found.text == "true"
}

// list is the items at a path.
func (v *value) list(path ...string) []*value {
	if found := v.get(path...); found != nil {
		return found.items
	}
	return nil
}

// names are the texts of the list at a path.
func (v *value) names(path ...string) []string {
	var names []string
	for _, item := range v.list(path...) {
		names = append(names, item.text)
	}
	return names
}

// texts is the map of texts at a path; nil when there is none.
func (v *value) texts(path ...string) map[string]string {
	found := v.get(path...)
	if found == nil || len(found.fields) == 0 {
		return nil
	}
	texts := make(map[string]string, len(found.fields))
	for _, f := range found.fields {
		texts[f.name] = f.value.text
	}
	return texts
}

// only is the one key of a map that holds a choice (storage, seal, a
// listener) and what stands under it.
func (v *value) only() (string, *value) {
	if v == nil {
		return "", nil
	}
	for _, f := range v.fields {
		if f.name != removeKey {
			return f.name, f.value
		}
	}
	return "", nil
}

// at is the place of the value at a path, else that of the nearest value above
// it: where a person would look for the missing key.
func (v *value) at(path ...string) Place {
	place := v.place
	for _, name := range path {
		if v = v.child(name); v == nil {
			return place
		}
		if !v.builtIn() {
			place = v.place
		}
	}
	return place
}

// with is the map with one key set.
func (v *value) with(name string, place Place, child *value) *value {
	out := *v
	out.fields = slices.Clone(v.fields)
	for i := range out.fields {
		if out.fields[i].name == name {
			out.fields[i].value = child
			return &out
		}
	}
	out.fields = append(out.fields, field{name, place, child})
	return &out
}

// without is the map without one key.
func (v *value) without(name string) *value {
	out := *v
	out.fields = slices.DeleteFunc(slices.Clone(v.fields), func(f field) bool { return f.name == name })
	return &out
}

// plain is the value as Go's own types: string, int64, float64, bool, []any,
// map[string]any.
func (v *value) plain() any {
	switch v.kind {
	case kindMap:
		m := make(map[string]any, len(v.fields))
		for _, f := range v.fields {
			m[f.name] = f.value.plain()
		}
		return m
	case kindList:
		list := make([]any, len(v.items))
		for i, item := range v.items {
			list[i] = item.plain()
		}
		return list
	case kindInteger:
		n, _ := strconv.ParseInt(v.text, 10, 64)
		return n
	case kindFloat:
		n, _ := strconv.ParseFloat(v.text, 64)
		return n
	case kindBoolean:
		return v.text == "true"
	case kindNull:
		return nil
	}
	return v.text
}

// plainMap is plain for a map; empty, never nil, where there is none.
func (v *value) plainMap() map[string]any {
	if v == nil || v.kind != kindMap {
		return map[string]any{}
	}
	return v.plain().(map[string]any)
}

// sortedKeys is for whoever puts a map into words.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
