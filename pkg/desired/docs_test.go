package desired_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

const specDoc = "../../docs/spec.md"

// TestSpecDoc keeps the tables of docs/spec.md in step with the code.
func TestSpecDoc(t *testing.T) {
	body, err := os.ReadFile(specDoc)
	if err != nil {
		t.Fatal(err)
	}
	got := string(body)
	for name, table := range map[string]string{"keys": keyTable(), "rules": ruleTable()} {
		begin, end := "<!-- "+name+": made by go test ./pkg/desired -update -->\n", "<!-- end of "+name+" -->\n"
		before, rest, ok := strings.Cut(got, begin)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("docs/spec.md has no marks %q and %q", begin, end)
		}
		got = before + begin + table + end + after
	}
	if updating() {
		write(t, specDoc, []byte(got))
		return
	}
	if diff := cmp.Diff(string(body), got); diff != "" {
		t.Errorf("docs/spec.md is behind the code, see with -update (-file +code):\n%s", diff)
	}
}

func keyTable() string {
	var b strings.Builder
	b.WriteString("| key | type | F | L | C | N | default | what it is |\n|---|---|---|---|---|---|---|---|\n")
	for _, k := range desired.KeyDocs() {
		doc := k.Doc
		switch k.Placeholders {
		case "cluster":
			doc += " ¹"
		case "node":
			doc += " ²"
		}
		switch {
		case k.Unbuilt && len(k.Built) > 0:
			doc += " *(built: " + strings.Join(k.Built, ", ") + "; else a Block in the plan)*"
		case k.Unbuilt:
			doc += " *(not built yet: a Block in the plan)*"
		}
		def := ""
		if k.Default != "" {
			def = "`" + k.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n",
			k.Path, k.Type, mark(k.Fleet), mark(k.Layers), mark(k.Cluster), mark(k.Node), def, doc)
	}
	return b.String()
}

func mark(yes bool) string {
	if yes {
		return "●"
	}
	return ""
}

func ruleTable() string {
	var b strings.Builder
	b.WriteString("| rule | is | lifted by `learning` | because |\n|---|---|---|---|\n")
	for _, r := range desired.RuleDocs() {
		lifted := "no"
		if r.Lifted {
			lifted = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Name, r.Severity, lifted, r.Why)
	}
	return b.String()
}
