package host

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Caps on what a node may say in one look.
const (
	frameCap = 2 << 20 // bytes
	lineCap  = 4096    // lines
)

// fact is one line of the script: a kind, what it is about, and the value, in
// which any byte may stand.
type fact struct {
	kind, of, value string
}

var errNoFrame = errors.New("the node script did not run")

// parseFrame reads the script's lines between "begin NONCE PROTOCOL" and "end
// NONCE". What stands around them (a banner, noise of a login shell) is not
// ours. A frame without its end was cut, and nothing of it is believed.
func parseFrame(out []byte, nonce string) ([]fact, error) {
	text := string(out)
	begin := "begin " + nonce + " "
	at := strings.Index(text, begin)
	for at > 0 && text[at-1] != '\n' {
		next := strings.Index(text[at+1:], begin)
		if next < 0 {
			at = -1
			break
		}
		at += 1 + next
	}
	if at < 0 {
		return nil, errNoFrame
	}
	_, rest, _ := strings.Cut(text[at:], "\n")
	facts := make([]fact, 0, 64)
	end := "end " + nonce
	for range lineCap {
		line, after, whole := strings.Cut(rest, "\n")
		if !whole {
			return nil, errors.New("the answer was cut")
		}
		if line == end {
			return facts, nil
		}
		f, err := parseFact(line)
		if err != nil {
			return nil, err
		}
		facts = append(facts, f)
		rest = after
	}
	return nil, fmt.Errorf("the answer has more than %d lines", lineCap)
}

// parseFact reads KIND [OF] TAB =TEXT or ~BASE64.
func parseFact(line string) (fact, error) {
	key, value, ok := strings.Cut(line, "\t")
	if !ok || value == "" || !printable(key) {
		return fact{}, fmt.Errorf("not a line of the node script: %s", clean(line, 80))
	}
	kind, of, _ := strings.Cut(key, " ")
	switch value[0] {
	case '=':
		if !printable(value) {
			return fact{}, fmt.Errorf("the value of %s has bytes that it cannot have", clean(key, 80))
		}
		return fact{kind, of, value[1:]}, nil
	case '~':
		b, err := base64.StdEncoding.DecodeString(value[1:])
		if err != nil {
			return fact{}, fmt.Errorf("the value of %s is not base64", clean(key, 80))
		}
		return fact{kind, of, string(b)}, nil
	}
	return fact{}, fmt.Errorf("the value of %s is of no known kind", clean(key, 80))
}

// printable says that s is plain ASCII text on one line.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// clean makes a short line for people of what a node said: no control
// characters, no escape sequences, no direction marks.
func clean(s string, most int) string {
	cut := len(s) > most
	if cut {
		s = s[:most]
	}
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= ' ' && c <= '~':
			b.WriteByte(c)
		case c == '\n' || c == '\t':
			b.WriteByte(' ')
		default:
			b.WriteByte('?')
		}
	}
	if cut {
		b.WriteString("…")
	}
	return strings.TrimSpace(b.String())
}
