package rooms

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEveryReasonIsInOperations: whoever reads a reason in a plan at night finds
// it, and the way out, in docs/operations.md.
func TestEveryReasonIsInOperations(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	reasons := reasonsOf(sources(t)["pkg/diff"])
	if len(reasons) < 30 {
		t.Fatalf("only %d reasons were found in pkg/diff: %v", len(reasons), reasons)
	}
	for _, reason := range reasons {
		if !strings.Contains(string(text), "\n| `"+reason+"` |") {
			t.Errorf("docs/operations.md has no row for %s: say what it means and what a person does", reason)
		}
	}
}

// reasonsOf are the values of all constants of type Reason.
func reasonsOf(files map[string]*ast.File) []string {
	var reasons []string
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Reason" {
				return true
			}
			for _, value := range spec.Values {
				if text, ok := value.(*ast.BasicLit); ok && text.Kind == token.STRING {
					if reason, err := strconv.Unquote(text.Value); err == nil {
						reasons = append(reasons, reason)
					}
				}
			}
			return true
		})
	}
	return reasons
}
