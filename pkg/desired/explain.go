package desired

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
)

// Line is one line of a merged spec as YAML. Origin says where its value was
// written, "file:line"; "default" when nobody wrote it; "derived" when it
// follows from other values; empty on lines that hold no value.
type Line struct {
	Text   string
	Origin string
}

// Explain is a cluster's spec as it holds after merging: layers, defaults,
// placeholders of the cluster, derived addresses. With errors among the
// problems there are no lines.
func Explain(fsys fs.FS, opts Options, cluster string) ([]Line, []Problem) {
	l := newLoader(fsys, opts)
	l.fleet()
	l.environments()
	folders := l.repo.folders[clustersFolder]
	if _, there := l.repo.types[clustersFolder+"/"+cluster]; !there {
		p := Problem{Place: Place{File: clustersFolder}, Severity: SeverityError, Text: fmt.Sprintf("there is no cluster %q", printable(cluster))}
		if near := nearest(cluster, folders); near != "" {
			p.Hint = "did you mean " + near + "?"
		}
		return nil, []Problem{p}
	}
	b := l.cluster(cluster)
	problems := sortProblems(append(l.problems, b.draft.problems...))
	if hasErrors(problems) {
		return nil, problems
	}
	w := &explainer{}
	w.fields(b.explained(), 0)
	return w.lines, problems
}

// explained is the merged spec with what is derived written out.
func (b *builder) explained() *value {
	derived := func(text string) *value { return &value{kind: kindText, text: text, place: Place{File: "derived"}} }
	v := b.spec
	if v.get("service", "unit_path") == nil {
		v = v.with("service", Place{}, v.child("service").with("unit_path", Place{}, derived(b.draft.cluster.Service.UnitPath)))
	}
	nodes := &value{kind: kindList, place: v.child("nodes").place}
	items := map[string]*value{}
	for _, item := range v.list("nodes") {
		items[item.str("name")] = item
	}
	for _, n := range b.nodes {
		item := items[n.Name]
		for _, d := range []struct{ key, text string }{
			{"node_id", n.ID}, {"api_addr", n.APIAddr}, {"cluster_addr", n.ClusterAddr}, {"tls_server_name", n.TLSServerName},
		} {
			shown := derived(d.text)
			if written := n.spec.child(d.key); written != nil {
				shown = written
			}
			item = item.with(d.key, Place{}, shown)
		}
		nodes.items = append(nodes.items, item)
	}
	return b.l.schema.inOrder(v.with("nodes", Place{}, nodes))
}

// inOrder is a map with its keys in the order of the table.
func (s *schema) inOrder(v *value) *value {
	out := &value{kind: v.kind, place: v.place}
	for _, child := range s.children {
		for _, f := range v.fields {
			if f.name == child.name() {
				out.fields = append(out.fields, f)
			}
		}
	}
	return out
}

// explainer writes values as YAML that reads the same to every reader.
type explainer struct {
	lines []Line
}

func (w *explainer) fields(v *value, depth int) {
	for _, f := range v.fields {
		w.entry(strings.Repeat("  ", depth)+keyYAML(f.name)+":", f.value, depth)
	}
}

func (w *explainer) entry(head string, v *value, depth int) {
	switch {
	case v.kind == kindMap && len(v.fields) > 0:
		w.lines = append(w.lines, Line{Text: head})
		w.fields(v, depth+1)
	case v.kind == kindList && len(v.items) > 0:
		w.lines = append(w.lines, Line{Text: head})
		for _, item := range v.items {
			w.item(item, depth+1)
		}
	case v.kind == kindMap:
		w.lines = append(w.lines, Line{head + " {}", origin(v)})
	case v.kind == kindList:
		w.lines = append(w.lines, Line{head + " []", origin(v)})
	default:
		w.lines = append(w.lines, Line{head + " " + scalarYAML(v), origin(v)})
	}
}

// item writes one item of a list; the first line of a map stands beside the
// dash.
func (w *explainer) item(v *value, depth int) {
	indent := strings.Repeat("  ", depth)
	if v.kind != kindMap || len(v.fields) == 0 {
		w.entry(indent+"-", v, depth)
		return
	}
	first := len(w.lines)
	w.fields(v, depth+1)
	w.lines[first].Text = indent + "- " + strings.TrimPrefix(w.lines[first].Text, indent+"  ")
}

func origin(v *value) string {
	switch {
	case v.place.File == "derived":
		return "derived"
	case v.builtIn():
		return "default"
	}
	return fmt.Sprintf("%s:%d", v.place.File, v.place.Line)
}

func keyYAML(name string) string {
	if all(name, isPlaceholderByte) && !isDigit(name[0]) {
		return name
	}
	return quoteYAML(name)
}

// scalarYAML quotes text unless nobody can take it for anything else.
func scalarYAML(v *value) string {
	if v.kind != kindText {
		return v.text
	}
	plain := all(v.text, func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("/._-", c) >= 0 }) &&
		(isLower(v.text[0]) || isUpper(v.text[0]) || v.text[0] == '/')
	switch strings.ToLower(v.text) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		plain = false
	}
	if plain {
		return v.text
	}
	return quoteYAML(v.text)
}

// quoteYAML writes a JSON string, which is a YAML string too.
func quoteYAML(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		return `""` // unreachable: a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}
