package desired

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// readEnvironment reads as systemd does (parse_env_file_internal in
// src/basic/env-file.c): inside double quotes a backslash keeps ", \, ` and $
// literal, vanishes with a line break, and stays before anything else.
func readEnvironment(text string) map[string]string {
	vars := map[string]string{}
	for i := 0; i < len(text); {
		switch text[i] {
		case '\n':
			i++
			continue
		case '#', ';':
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		}
		key, rest, _ := strings.Cut(text[i:], `="`)
		i = len(text) - len(rest)
		var value strings.Builder
		for ; text[i] != '"'; i++ {
			if text[i] != '\\' {
				value.WriteByte(text[i])
				continue
			}
			i++
			if !strings.ContainsRune("\"\\`$\n", rune(text[i])) {
				value.WriteByte('\\')
			}
			if text[i] != '\n' {
				value.WriteByte(text[i])
			}
		}
		i++
		vars[key] = value.String()
	}
	return vars
}

// TestSystemdReadsWhatWasMeant: each value is refused or read back.
func TestSystemdReadsWhatWasMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vars := rapid.MapOfN(rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,6}`), genText(), 0, 5).Draw(t, "variables")
		c, n, in := productionNode()
		in.Environment = vars
		puts, problems := renderNode(c, n, in)
		refused := false
		for _, value := range vars {
			refused = refused || strings.ContainsFunc(value, isControl)
		}
		if refused != (len(problems) > 0) {
			t.Fatalf("refused: %v, problems: %v", refused, problems)
		}
		for _, put := range puts {
			if put.Role != RoleEnvironment {
				continue
			}
			if diff := cmp.Diff(vars, readEnvironment(string(put.Body))); diff != "" {
				t.Fatalf("systemd reads something else (-meant +read):\n%s\n%s", diff, put.Body)
			}
		}
	})
}

func TestEnvironmentProblemsDoNotShowTheValue(t *testing.T) {
	c, n, in := productionNode()
	in.Environment = map[string]string{"VAULT_TOKEN": "CANARY\n", "1X": "CANARY"}
	_, problems := renderNode(c, n, in)
	if len(problems) != 2 {
		t.Fatalf("got %v, want two problems", problems)
	}
	for _, p := range problems {
		if strings.Contains(p.Error(), "CANARY") {
			t.Errorf("the problem shows the value: %v", p)
		}
	}
}

func TestAnEmptyEnvironmentIsStillAFile(t *testing.T) {
	c, n, in := productionNode()
	in.Environment = nil
	body := mustRender(t, c, n, in)[RoleEnvironment].Body
	if got := readEnvironment(string(body)); len(got) > 0 || len(body) == 0 {
		t.Errorf("got %q", body)
	}
}
