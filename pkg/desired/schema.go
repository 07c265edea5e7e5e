package desired

import (
	"slices"
	"strings"
)

// schema is the table of keys as a tree.
type schema struct {
	key
	children []*schema // in the order of the table
	item     *schema   // of a list
}

// newSchema builds the tree; the rows of the table stand in the order of their
// depth, each below the key above it.
func newSchema() *schema {
	root := &schema{key: key{form: formMap}}
	byPath := map[string]*schema{"": root}
	for _, k := range keys() {
		parent, isItem := parentPath(k.path)
		above := byPath[parent]
		if k.layers == "" {
			k.layers = above.layers
		}
		s := &schema{key: k}
		byPath[k.path] = s
		if isItem {
			above.item = s
			continue
		}
		above.children = append(above.children, s)
	}
	byPath["nodes"].item = root
	return root
}

// parentPath is "files" of "files[]", "files[]" of "files[].path" and "" of
// "files"; true says that the key is a list's item.
func parentPath(path string) (parent string, isItem bool) {
	if list, ok := strings.CutSuffix(path, "[]"); ok {
		return list, true
	}
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], false
	}
	return "", false
}

func (s *schema) name() string {
	if i := strings.LastIndexByte(s.path, '.'); i >= 0 {
		return s.path[i+1:]
	}
	return s.path
}

func (s *schema) child(name string) *schema {
	if s == nil {
		return nil
	}
	for _, c := range s.children {
		if c.name() == name {
			return c
		}
	}
	return nil
}

func (s *schema) allows(l layer) bool {
	return slices.Contains(strings.Fields(s.layers), string(l))
}

// names are the keys that may stand here in one layer.
func (s *schema) names(l layer) []string {
	var names []string
	for _, c := range s.children {
		if c.allows(l) {
			names = append(names, c.name())
		}
	}
	return names
}
