package history

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestLibcIsTheOneThatSQLiteWasMadeFor: the C library is translated together with
// SQLite, and any other version of it may break it in silence.
func TestLibcIsTheOneThatSQLiteWasMadeFor(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", "modernc.org/sqlite").Output()
	must(t, err)
	var module struct{ GoMod string }
	must(t, json.Unmarshal(out, &module))
	wants := func(file string) string {
		text, err := os.ReadFile(file)
		must(t, err)
		found := regexp.MustCompile(`modernc\.org/libc (v\S+)`).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s does not name modernc.org/libc", file)
		}
		return string(found[1])
	}
	if ours, its := wants("../../go.mod"), wants(module.GoMod); ours != its {
		t.Errorf("go.mod has modernc.org/libc %s, and modernc.org/sqlite wants %s: bump sqlite alone", ours, its)
	}
}
