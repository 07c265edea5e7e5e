package desired

import (
	"slices"
	"strings"
)

// unbuiltKey is a key that is read, checked and then not acted on: it becomes
// a Block in the plan. Whoever builds its effect deletes its line.
type unbuiltKey struct {
	path  string
	built []string // values whose effect is there
}

func unbuiltKeys() []unbuiltKey {
	return []unbuiltKey{
		{path: "config_file"},
		{path: "service.unit"},
		{path: "keys.held_by", built: []string{"reconciler"}},
		{path: "keys.holders"},
		{path: "storage.consul"},
		{path: "seal.transit"},
		{path: "seal.awskms"},
		{path: "seal.gcpckms"},
		{path: "seal.azurekeyvault"},
		{path: "seal.ocikms"},
		{path: "seal.pkcs11"},
		{path: "nodes[].state", built: []string{"present"}},
		{path: "ssh.api", built: []string{"tunnel", "direct"}},
		{path: "nodes[].ssh.api", built: []string{"tunnel", "direct"}},
	}
}

// isUnbuilt says whether the effect of a key is missing, and for which values
// it is there all the same; docs/spec.md tells both.
func isUnbuilt(path string) (unbuilt bool, built []string) {
	for _, k := range unbuiltKeys() {
		if strings.TrimPrefix(k.path, "nodes[].") == path {
			return true, k.built
		}
	}
	return false, nil
}

// findUnbuilt lists what a merged spec uses of the table, and every reference
// to a secret where only files can hold one.
func findUnbuilt(spec *value) []Unbuilt {
	var found []Unbuilt
	for _, k := range unbuiltKeys() {
		for _, v := range findAll(spec, k.path) {
			if v.builtIn() || slices.Contains(k.built, v.text) && v.kind == kindText {
				continue
			}
			found = append(found, Unbuilt{Key: k.path, Place: v.place})
		}
	}
	for _, open := range []string{"config", "environment_file", "storage", "listener", "seal"} {
		if v := spec.child(open); v != nil {
			found = append(found, secretTexts(open, v)...)
		}
	}
	return found
}

// findAll is every value at a path of the table.
func findAll(v *value, path string) []*value {
	if v == nil {
		return nil
	}
	if list, rest, ok := strings.Cut(path, "[]."); ok {
		var found []*value
		for _, item := range v.list(strings.Split(list, ".")...) {
			found = append(found, findAll(item, rest)...)
		}
		return found
	}
	if found := v.get(strings.Split(path, ".")...); found != nil {
		return []*value{found}
	}
	return nil
}

// secretTexts finds age: and secret: references outside of files:, which would
// be rendered as the text that they are.
func secretTexts(path string, v *value) []Unbuilt {
	var found []Unbuilt
	for _, f := range v.fields {
		found = append(found, secretTexts(path+"."+f.name, f.value)...)
	}
	for _, item := range v.items {
		found = append(found, secretTexts(path+"[]", item)...)
	}
	if v.kind == kindText && isReference(v.text) {
		found = append(found, Unbuilt{Key: path, Place: v.place})
	}
	return found
}
