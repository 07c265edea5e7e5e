package desired

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// environment is vault.env, in the grammar of systemd's EnvironmentFile=
// (systemd.exec(5)): KEY="value", where a backslash keeps its four special
// characters literal. The file is there even when it is empty: one that the
// spec no longer fills would otherwise stay in force.
func (r *renderer) environment(vars map[string]string) []byte {
	var b strings.Builder
	b.WriteString(r.header())
	for _, key := range slices.Sorted(maps.Keys(vars)) {
		if !r.checkVariable(key, vars[key]) {
			continue
		}
		b.WriteString(key)
		b.WriteString(`="`)
		b.WriteString(environmentEscapes().Replace(vars[key]))
		b.WriteString("\"\n")
	}
	return []byte(b.String())
}

// environmentEscapes are the characters that systemd unescapes inside double
// quotes (SHELL_NEED_ESCAPE); before any other it would keep the backslash.
func environmentEscapes() *strings.Replacer {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`)
}

// checkVariable refuses what systemd would drop with no more than a line in its
// log. The value is not in the text: it may be a credential.
func (r *renderer) checkVariable(key, value string) bool {
	if !isVariable(key) {
		r.problem(environmentRule, "environment_file: "+quoteText(key)+" is no variable name",
			"letters, digits and _, not beginning with a digit")
		return false
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, isControl) {
		r.problem(environmentRule, "environment_file: the value of "+key+" has a line break, a NUL or another control character",
			"write it on one line; put several lines into a file and name its path")
		return false
	}
	return true
}

func isVariable(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && harmless(s, "_")
}

// isControl is true for control characters, the tab apart.
func isControl(r rune) bool {
	return r < ' ' && r != '\t' || 0x7f <= r && r < 0xa0
}

// quoteText quotes a value for a person.
func quoteText(s string) string { return strconv.Quote(s) }
