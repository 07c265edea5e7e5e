package metrics

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of metrics into docs/operations.md")

var operations = filepath.Join("..", "..", "docs", "operations.md")

// row is a family as it is documented.
type row struct {
	name, help string
	labels     []string
}

// documented are all families of ours, those of the histograms at their place.
func documented() (all []row) {
	m := New(Ports{})
	for _, f := range m.families.all {
		all = append(all, row{f.name, f.help, f.labels})
		switch f {
		case m.families.turned:
			all = append(all, row{prefix + "turn_duration_seconds", "Histogram: " + turnHelp, nil})
		case m.families.steps:
			all = append(all, row{prefix + "step_duration_seconds", "Histogram: " + stepHelp, []string{labelAction}})
		}
	}
	return all
}

const (
	tableBegins = "<!-- metrics: go test ./internal/metrics -update -->\n"
	tableEnds   = "<!-- /metrics -->\n"
)

func TestTheTableOfMetricsIsThatOfTheRegistry(t *testing.T) {
	text, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	table, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table of metrics", operations)
	}
	var want strings.Builder
	want.WriteString("| metric | labels | what |\n|---|---|---|\n")
	for _, d := range documented() {
		labels := ""
		if len(d.labels) > 0 {
			labels = "`" + strings.Join(d.labels, "` `") + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", d.name, labels, strings.TrimSuffix(d.help, "."))
	}
	if table == want.String() {
		return
	}
	if !*update {
		t.Fatalf("the table of metrics in %s is another one; go test ./internal/metrics -update writes it", operations)
	}
	if err := os.WriteFile(operations, []byte(before+tableBegins+want.String()+tableEnds+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
