package desired

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a person cannot see must not decide what a fleet runs: encodings other
// than plain UTF-8, control characters, and the characters that reorder or
// hide text (Trojan Source, CVE-2021-42574) are errors wherever they stand.

// unreadable finds what keeps a file from being the plain text it looks like.
// The first finding is enough: the rest of such a file is noise.
func unreadable(file string, body []byte) []Problem {
	refuse := func(place Place, text, hint string) []Problem {
		return []Problem{{Place: place, Severity: SeverityError, Text: text, Hint: hint}}
	}
	start := Place{File: file, Line: 1, Column: 1}
	switch {
	case bytes.HasPrefix(body, []byte{0xFE, 0xFF}), bytes.HasPrefix(body, []byte{0xFF, 0xFE}), bytes.HasPrefix(body, []byte{0, 0, 0xFE, 0xFF}):
		return refuse(start, "the file is UTF-16 or UTF-32", "save it as UTF-8 without a byte order mark")
	case bytes.HasPrefix(body, []byte{0xEF, 0xBB, 0xBF}):
		return refuse(start, "the file begins with a byte order mark", "save it as UTF-8 without a byte order mark")
	}
	line, column := 1, 1
	for i := 0; i < len(body); {
		r, size := rune(body[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(body[i:])
		}
		place := Place{File: file, Line: line, Column: column}
		switch {
		case r == '\n':
			line, column = line+1, 0
		case r == 0:
			return refuse(place, "the file holds a NUL byte", "save it as UTF-8 text")
		case r == utf8.RuneError && size == 1:
			return refuse(place, fmt.Sprintf("the byte 0x%02x is not UTF-8", body[i]), "save the file as UTF-8")
		case r == '\r' && i+1 < len(body) && body[i+1] == '\n', r == '\t':
		case invisible(r):
			return refuse(place, "the file holds "+describeRune(r), "remove it")
		}
		i, column = i+size, column+1
	}
	return nil
}

// invisible says that a rune controls, reorders or hides text.
func invisible(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7F && r < 0xA0:
		return true
	case r >= 0x200B && r <= 0x200F, r >= 0x202A && r <= 0x202E, r >= 0x2060 && r <= 0x206F:
		return true
	case r == 0x00AD, r == 0x034F, r == 0x061C, r == 0x180E, r == 0x2028, r == 0x2029, r == 0xFEFF:
		return true
	case r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0000 && r <= 0xE0FFF:
		return true
	}
	return false
}

// hidden describes the first rune of a text that a person cannot see; empty
// when there is none.
func hidden(s string) string { return hiddenBeside(s, "") }

// hiddenBeside is hidden, where some characters are allowed.
func hiddenBeside(s, allowed string) string {
	for _, r := range s {
		if invisible(r) && !strings.ContainsRune(allowed, r) {
			return describeRune(r)
		}
	}
	return ""
}

func describeRune(r rune) string {
	code := fmt.Sprintf("U+%04X", r)
	switch {
	case r < 0x20, r >= 0x7F && r < 0xA0:
		return "the control character " + code
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0x200E, r == 0x200F, r == 0x061C:
		return "the character " + code + ", which reorders text"
	}
	return "the invisible character " + code
}

// lookalike names the first rune of a name that is not ASCII, and the Latin
// letter that it passes for; empty when all is ASCII.
func lookalike(s string) string {
	for _, r := range s {
		if r < utf8.RuneSelf {
			continue
		}
		code := fmt.Sprintf("U+%04X", r)
		script := ""
		switch {
		case unicode.Is(unicode.Cyrillic, r):
			script = "Cyrillic "
		case unicode.Is(unicode.Greek, r):
			script = "Greek "
		}
		if latin := latinTwin(r); latin != 0 {
			return fmt.Sprintf("%q holds the %sletter %s, which looks like %q", s, script, code, string(latin))
		}
		return fmt.Sprintf("%q holds the %scharacter %s", s, script, code)
	}
	return ""
}

// latinTwin is the ASCII letter that a Cyrillic, Greek or full-width one is
// most often mistaken for (Unicode TR 39, confusables); 0 when there is none.
func latinTwin(r rune) byte {
	const (
		others = "аеіјорсухѕһԁԛԝүαιονρυτκ"
		latins = "aeijopcyxshdqwyaiovputk"
	)
	if r >= 0xFF41 && r <= 0xFF5A {
		return byte('a' + r - 0xFF41)
	}
	for i, other := range []rune(others) {
		if other == r {
			return latins[i]
		}
	}
	return 0
}

// printable is a text that is safe to put into a message.
func printable(s string) string {
	if hidden(s) != "" || !utf8.ValidString(s) {
		return strings.Trim(strconv.QuoteToASCII(s), `"`)
	}
	if len(s) > 80 {
		return s[:77] + "…"
	}
	return s
}

func all(s string, is func(byte) bool) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

func isAlphanumeric(c byte) bool { return isDigit(c) || isLower(c) || isUpper(c) }

func isPlaceholderByte(c byte) bool {
	return isAlphanumeric(c) || c == '.' || c == '_' || c == '-'
}
