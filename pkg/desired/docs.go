package desired

import (
	"strings"
)

// RuleDoc is one production rule as docs/spec.md lists it. Lifted says that
// `rules: learning` lifts it.
type RuleDoc struct {
	Name     string
	Severity Severity
	Why      string
	Lifted   bool
}

// RuleDocs are all rules, in the order of the documentation.
func RuleDocs() []RuleDoc {
	var docs []RuleDoc
	for _, r := range productionRules() {
		docs = append(docs, RuleDoc{Name: r.name, Severity: r.severity, Why: r.why, Lifted: r.broken != nil})
	}
	return docs
}

// KeyDoc is one key of the spec as docs/spec.md lists it.
type KeyDoc struct {
	Path    string // "vault.version", "files[].path"
	Type    string
	Fleet   bool // may stand at the top of fleet.yaml
	Layers  bool // in defaults and environments
	Cluster bool
	Node    bool
	Default string // empty: none
	Doc     string
	// Placeholders are those that its text may hold, empty when none.
	Placeholders string
	// Unbuilt says that the key is read and checked, but has no effect in this
	// release; Built are values of it that have.
	Unbuilt bool
	Built   []string
}

// KeyDocs are all keys, in the order of the table.
func KeyDocs() []KeyDoc {
	var docs []KeyDoc
	layers := map[string]string{}
	for _, k := range keys() {
		parent, isItem := parentPath(k.path)
		if k.layers == "" {
			k.layers = layers[parent]
		}
		layers[k.path] = k.layers
		if isItem {
			continue // its keys follow
		}
		d := KeyDoc{
			Path: k.path, Type: typeDoc(k),
			Fleet: strings.Contains(k.layers, "F"), Layers: strings.Contains(k.layers, "D"),
			Cluster: strings.Contains(k.layers, "C"), Node: strings.Contains(k.layers, "N"),
			Default: k.def, Doc: k.doc,
		}
		d.Unbuilt, d.Built = isUnbuilt(k.path)
		switch k.scope {
		case scopeCluster:
			d.Placeholders = "cluster"
		case scopeNode:
			d.Placeholders = "node"
		}
		docs = append(docs, d)
	}
	return docs
}

// typeDoc says what the value of a key must look like.
func typeDoc(k key) string {
	switch k.form {
	case formWord:
		return strings.Join(k.choices, " \\| ")
	case formTexts:
		return "map of texts"
	case formKind:
		return "one of the kinds below"
	case formLayer, formMap:
		return "map"
	case formNodes:
		return "list by name"
	case formList:
		if k.identity == "kind" {
			return "list by type and address"
		}
		if k.identity != "" {
			return "list by " + k.identity
		}
	}
	return string(k.form)
}
