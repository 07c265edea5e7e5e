package desired

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agext/levenshtein"
)

// Each layer is held against the table of keys as it was written, before
// anything is merged: then a mistake is told once, in its own file, and not
// once for every cluster that inherits it.

// checker holds one file against the table.
type checker struct {
	root     *schema
	layer    layer
	problems []Problem
}

func (c *checker) fail(place Place, text, hint string) {
	c.problems = append(c.problems, Problem{Place: place, Severity: SeverityError, Text: text, Hint: hint})
}

// check gives back the value as the table wants it (a bare `shamir` becomes a
// map), without what is wrong in it.
func (c *checker) check(s *schema, v *value) *value {
	if v.kind == kindNull {
		return v // takes an inherited value away; the merge knows whether there is one
	}
	switch s.form {
	case formMap, formOpen, formKind, formTexts:
		return c.checkMap(s, v)
	case formLayer:
		below := &checker{root: c.root, layer: layerDefaults}
		out := below.check(c.root, v)
		c.problems = append(c.problems, below.problems...)
		return out
	case formList, formNodes:
		return c.checkList(s, v)
	}
	return c.checkScalar(s, v)
}

func (c *checker) checkMap(s *schema, v *value) *value {
	if s.form == formKind && v.kind == kindText && s.item == nil {
		return c.bareKind(s, v)
	}
	if v.kind != kindMap {
		c.wrongType(s, v, "a map of keys")
		return nil
	}
	out := &value{kind: kindMap, place: v.place, fields: make([]field, 0, len(v.fields))}
	for _, f := range v.fields {
		if kept := c.checkField(s, f); kept != nil {
			out.fields = append(out.fields, field{f.name, f.place, kept})
		}
	}
	if s.form == formKind {
		c.checkKind(s, out, len(v.fields))
	}
	return out
}

func (c *checker) checkField(s *schema, f field) *value {
	if s.form == formTexts {
		if f.value.kind == kindList || f.value.kind == kindMap {
			c.fail(f.value.place, fmt.Sprintf("`%s` is a %s where one value belongs", printable(f.name), f.value.kind), "write one value")
			return nil
		}
		return f.value
	}
	child := s.child(f.name)
	switch {
	case child == nil && s.form == formOpen:
		return c.checkOpen(s, f)
	case child == nil && s.form == formKind && f.name == removeKey && s.path == "listener[]":
		if f.value.kind != kindBoolean {
			c.fail(f.value.place, "`remove` is a "+string(f.value.kind)+" where true or false belongs", "")
			return nil
		}
		return f.value
	case child == nil:
		c.unknownKey(s, f)
		return nil
	case !child.allows(c.layer):
		c.fail(f.place, fmt.Sprintf("`%s` may not stand %s", child.path, c.layer.where()), "it belongs "+whereAllowed(child))
		return nil
	}
	return c.check(child, f.value)
}

// checkOpen takes Vault's own keys as they are, but for those of vault.hcl that
// have a key of ours: of two places, one would silently win.
func (c *checker) checkOpen(s *schema, f field) *value {
	if s.path == "config" && slices.Contains([]string{"storage", "listener", "seal", "api_addr", "cluster_addr"}, f.name) {
		c.fail(f.place, "`"+f.name+"` may not stand in `config`", "it has a key of its own: write `"+f.name+"` beside `config`")
		return nil
	}
	if s.path == "config" && slices.Contains([]string{"backend", "hsm", "kms"}, f.name) {
		key := map[string]string{"backend": "storage"}[f.name]
		c.fail(f.place, "`"+f.name+"` may not stand in `config`: it is another name of `"+cmp.Or(key, "seal")+"`", "write `"+cmp.Or(key, "seal")+"` beside `config`")
		return nil
	}
	if s.path == "config" && !c.checkConfigKey(f) {
		return nil
	}
	return f.value
}

func (c *checker) bareKind(s *schema, v *value) *value {
	child := s.child(v.text)
	if child == nil || child.form != formMap {
		hint := "write one of " + strings.Join(s.names(c.layer), ", ") + " with its keys, as in `" + s.path + ": {" + s.children[0].name() + ": {…}}`"
		c.fail(v.place, fmt.Sprintf("`%s` is the text %q where a map belongs", s.path, printable(v.text)), hint)
		return nil
	}
	return &value{kind: kindMap, place: v.place, fields: []field{{v.text, v.place, &value{kind: kindMap, place: v.place}}}}
}

func (c *checker) checkKind(s *schema, v *value, written int) {
	kinds := 0
	for _, f := range v.fields {
		if f.name != removeKey {
			kinds++
		}
	}
	if kinds > 1 || written == 0 {
		c.fail(v.place, fmt.Sprintf("`%s` names %d kinds where exactly one belongs", strings.TrimSuffix(s.path, "[]"), kinds),
			"choose one of "+strings.Join(s.names(c.layer), ", "))
	}
}

func (c *checker) checkList(s *schema, v *value) *value {
	if v.kind != kindList {
		c.wrongType(s, v, "a list")
		return nil
	}
	below := c
	if s.form == formNodes {
		below = &checker{root: c.root, layer: layerNode}
	}
	out := &value{kind: kindList, place: v.place, items: make([]*value, 0, len(v.items))}
	seen := map[string]Place{}
	for _, item := range v.items {
		kept := below.check(s.item, item)
		if kept == nil {
			continue
		}
		id := identity(s, kept)
		if first, twice := seen[id]; twice && id != "" {
			below.fail(kept.place, fmt.Sprintf("`%s` has %s twice", s.path, printable(id)), fmt.Sprintf("keep one of the two; the first is on line %d", first.Line))
			continue
		}
		seen[id] = kept.place
		out.items = append(out.items, kept)
	}
	if below != c {
		c.problems = append(c.problems, below.problems...)
	}
	return out
}

// identity is what an item of a list is known by from layer to layer; empty
// when the list has no such thing, or the item lacks it.
func identity(s *schema, item *value) string {
	switch {
	case s.identity == "kind":
		name, options := item.only()
		if options.str("address") == "" {
			return ""
		}
		return name + " " + options.str("address")
	case s.identity != "":
		return item.str(s.identity)
	case s.item.form == formWord || s.item.form == formText:
		return item.text
	}
	return ""
}

func (c *checker) checkScalar(s *schema, v *value) *value {
	switch s.form {
	case formNumber:
		if v.kind != kindInteger {
			c.wrongType(s, v, "a whole number")
			return nil
		}
		if strings.HasPrefix(v.text, "-") {
			c.fail(v.place, "`"+s.path+"` is "+v.text+", which is below zero", "")
			return nil
		}
		if s.must != nil {
			if wrong, hint := s.must(v.text); wrong != "" {
				c.fail(v.place, "`"+s.path+"`: "+wrong, hint)
				return nil
			}
		}
	case formBoolean:
		if v.kind != kindBoolean {
			c.wrongType(s, v, "true or false")
			return nil
		}
	case formDuration:
		return c.checkDuration(s, v)
	case formWord:
		return c.checkWord(s, v)
	default:
		return c.checkText(s, v)
	}
	return v
}

func (c *checker) checkText(s *schema, v *value) *value {
	switch {
	case v.kind == kindFloat && s.name() == "version":
		shown, _ := strconv.ParseFloat(v.text, 64)
		c.fail(v.place, fmt.Sprintf("`%s: %s` is the number %s to YAML, not a version", s.path, v.text, strconv.FormatFloat(shown, 'g', -1, 64)),
			"write all three parts in quotes, as in \""+v.text+".0\"")
		return nil
	case v.kind != kindText:
		c.wrongType(s, v, "text")
		return nil
	case v.text == "":
		c.fail(v.place, "`"+s.path+"` is empty", "write a value, or remove the key")
		return nil
	case strings.ContainsAny(v.text, "\n\t"):
		c.fail(v.place, fmt.Sprintf("`%s` is %s, which holds a line break or a tab", s.path, strconv.QuoteToASCII(v.text)), "write it on one line")
		return nil
	}
	return v
}

func (c *checker) checkWord(s *schema, v *value) *value {
	if v.kind == kindText && slices.Contains(s.choices, v.text) {
		return v
	}
	if v.kind == kindList || v.kind == kindMap {
		c.wrongType(s, v, "one of "+strings.Join(s.choices, ", "))
		return nil
	}
	hint := "write one of " + strings.Join(s.choices, ", ")
	if near := nearest(v.text, s.choices); near != "" {
		hint = "did you mean " + near + "? " + hint
	}
	if len(s.choices) == 1 {
		hint = s.choices[0] + " is the only choice"
	}
	c.fail(v.place, fmt.Sprintf("`%s` cannot be %q", strings.TrimSuffix(s.path, "[]"), printable(v.text)), hint)
	return nil
}

// maxDuration is more than any window or soak needs, and small enough that
// sums of durations cannot overflow.
const maxDuration = 31 * 24 * time.Hour

func (c *checker) checkDuration(s *schema, v *value) *value {
	const hint = "write a number and a unit, as in 30s, 15m or 2h30m"
	if v.kind != kindText {
		c.wrongType(s, v, "a duration")
		c.problems[len(c.problems)-1].Hint = hint
		return nil
	}
	d, err := time.ParseDuration(v.text)
	switch {
	case err != nil:
		c.fail(v.place, fmt.Sprintf("`%s` is %q, which is no duration", s.path, printable(v.text)), hint)
		return nil
	case d <= 0:
		c.fail(v.place, fmt.Sprintf("`%s` is %s, which is not above zero", s.path, v.text), "remove the key when nothing is to be waited for")
		return nil
	case d > maxDuration:
		c.fail(v.place, fmt.Sprintf("`%s` is %s, which is more than 31 days", s.path, v.text), "write a shorter one")
		return nil
	}
	return v
}

func (c *checker) wrongType(s *schema, v *value, want string) {
	is, hint := "a "+string(v.kind), ""
	switch v.kind {
	case kindText:
		is = fmt.Sprintf("the text %q", printable(v.text))
	case kindInteger, kindFloat, kindBoolean:
		is = "the " + string(v.kind) + " " + v.text
		if v.kind == kindBoolean {
			is = v.text
		}
		if want == "text" {
			hint = "put it into quotes: \"" + v.text + "\""
		}
	}
	what := "`" + strings.TrimSuffix(s.path, "[]") + "`"
	switch {
	case s.path == "":
		what = "an item"
	case strings.HasSuffix(s.path, "[]"):
		what = "an item of " + what
	}
	c.fail(v.place, what+" is "+is+" where "+want+" belongs", hint)
}

func (c *checker) unknownKey(s *schema, f field) {
	text := "unknown key `" + printable(f.name) + "`"
	if s.path != "" {
		text += " in `" + strings.TrimSuffix(s.path, "[]") + "`"
	}
	names := s.names(c.layer)
	var hint string
	switch near, elsewhere := nearest(f.name, names), c.elsewhere(f.name); {
	case lookalike(f.name) != "":
		hint = lookalike(f.name) + "; type the key again, in ASCII"
	case near != "":
		hint = "did you mean `" + near + "`?"
	case elsewhere != "":
		hint = "`" + f.name + "` belongs into `" + elsewhere + "`"
	default:
		hint = "known here: " + strings.Join(names, ", ")
	}
	c.fail(f.place, text, hint)
}

// elsewhere is where the table has a key of that name, when only one place
// does.
func (c *checker) elsewhere(name string) string {
	found := ""
	for _, k := range keys() {
		parent, isItem := parentPath(k.path)
		if isItem || parent == "" || k.path != parent+"."+name {
			continue
		}
		if found != "" {
			return ""
		}
		found = strings.TrimSuffix(parent, "[]")
	}
	return found
}

// nearest is the candidate that a misspelt name was most likely meant to be;
// empty when none is near.
func nearest(name string, candidates []string) string {
	best, distance := "", 1+min(max(1, len(name)/2), 3)
	for _, candidate := range candidates {
		d := levenshtein.Distance(strings.ToLower(name), candidate, nil)
		if d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

func (l layer) where() string {
	switch l {
	case layerFleet:
		return "at the top of fleet.yaml"
	case layerDefaults:
		return "in defaults or an environment"
	case layerNode:
		return "in a node"
	}
	return "in a cluster"
}

func whereAllowed(s *schema) string {
	var places []string
	for _, l := range strings.Fields(s.layers) {
		switch layer(l) {
		case layerFleet:
			places = append(places, "at the top of fleet.yaml")
		case layerDefaults:
			places = append(places, "in defaults and environments")
		case layerCluster:
			places = append(places, "in clusters/NAME/cluster.yaml")
		case layerNode:
			places = append(places, "in a node")
		}
	}
	return strings.Join(places, ", ")
}
