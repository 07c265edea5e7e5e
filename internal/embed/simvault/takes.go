package simvault

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// place is a path with a method; a * in it is one name. What the simulator
// answers are the places of [local] and [leading], and nothing else.
type place string

func (p place) fits(q request) bool {
	method, pattern, _ := strings.Cut(string(p), " ")
	matched, err := path.Match(pattern, q.at)
	return err == nil && matched && method == q.method
}

// takes are the fields of a body that a place knows and, with a ? before them,
// the parameters of a query: each with the values that it knows.
type takes map[string]func(v any) bool

// asked is a place and what it takes.
type asked struct {
	place
	takes takes
}

func aText(v any) bool { _, ok := v.(string); return ok }

func aNumber(v any) bool { _, ok := v.(float64); return ok }

func texts(v any) bool {
	all, ok := v.([]any)
	return ok && !slices.ContainsFunc(all, func(v any) bool { return !aText(v) })
}

// only is one of some values.
func only(values ...any) func(v any) bool {
	return func(v any) bool {
		return slices.ContainsFunc(values, func(known any) bool { return known == v })
	}
}

// aName is the name of one policy. What two policies say together the simulator
// does not know.
func aName(v any) bool { return aText(v) && len(words(v)) == 1 }

// aFile is the options of an audit device of type file.
func aFile(v any) bool {
	options, ok := v.(object)
	return ok && len(options) == 1 && strings.HasPrefix(fmt.Sprint(options["file_path"]), "/")
}

// unknown says which part of a request the simulator has no answer to, or nil.
// What Vault answers there it does not pretend to know.
func (q request) unknown(query url.Values, header http.Header) error {
	at := slices.IndexFunc(places(), func(a asked) bool { return a.fits(q) })
	if at < 0 {
		return q.noAnswer("")
	}
	known := places()[at].takes
	for _, name := range slices.Sorted(maps.Keys(q.in)) {
		if fits := known[name]; fits == nil || !fits(q.in[name]) {
			return q.noAnswer(" with such a field " + name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if fits := known["?"+name]; fits == nil || len(query[name]) != 1 || !fits(query.Get(name)) {
			return q.noAnswer(" with such a parameter " + name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if strings.HasPrefix(name, "X-Vault-") && name != "X-Vault-Token" && name != "X-Vault-Request" {
			return q.noAnswer(" with a header " + name)
		}
	}
	return nil
}

// noAnswer is the answer where the simulator has none.
func (q request) noAnswer(with string) error {
	return refusal{http.StatusNotImplemented, fmt.Sprintf("the simulator does not know what Vault answers to %s %s%s", q.method, q.at, with)}
}
