package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how much of one foreign text is shown, in runes.
const longest = 300

// clean makes foreign text harmless on one line of a terminal: a banner or a
// commit must not move the cursor, reorder a line, forge a second one, or bury
// what stands behind it.
func clean(s string) string {
	var b strings.Builder
	shown := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if shown == longest {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || r == '\r' || r == '\t':
			b.WriteByte(' ')
		case hides(r):
			b.WriteString(escaped(r))
		default:
			b.WriteRune(r)
		}
		i, shown = i+size, shown+1
	}
	return strings.TrimSpace(b.String())
}

// hides says that a rune controls, reorders or hides text (Unicode categories
// Cc, Cf, Zl, Zp, and the variation selectors and tags).
func hides(r rune) bool {
	switch {
	case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
		return true
	case r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0100 && r <= 0xE01EF, r == 0x034F, r == 0x115F, r == 0x1160, r == 0x3164:
		return true
	}
	return false
}

func escaped(r rune) string {
	switch {
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}
