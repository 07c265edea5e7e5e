package signature

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// The allowed signers are lines of PRINCIPALS [OPTIONS] KEYTYPE BASE64-KEY
// [COMMENT], as ALLOWED SIGNERS in ssh-keygen(1) has them. ssh-keygen reads on
// behind a line that it cannot read, or never comes to it; here such a line
// refuses the file, because what it was to forbid would be allowed.

// maxAllowed caps a file of allowed signers, in bytes.
const maxAllowed = 1 << 20

// line is a key of the allowed signers, and what it counts for.
type line struct {
	number     int
	principals string // a list of patterns
	options
	key ssh.PublicKey
}

// options are what stands before a key.
type options struct {
	namespaces    *string   // a list of patterns; nil: all
	after, before time.Time // to the second, both included; zero: open
}

// ParseAllowedSigners reads a file of allowed signers. Times that do not end in
// Z are read in the given zone; ssh-keygen takes that of its machine. The error
// says in which line it is; nothing else of the file is taken then.
func ParseAllowedSigners(text []byte, zone *time.Location) (Signers, error) {
	if len(text) > maxAllowed {
		return Signers{}, fmt.Errorf("the allowed signers have %d bytes, more than the %d that are allowed", len(text), maxAllowed)
	}
	var s Signers
	number := 0
	for raw := range strings.Lines(string(text)) {
		number++
		text := strings.Trim(raw, " \t\r\n")
		if text == "" || text[0] == '#' {
			continue
		}
		l, err := parseLine(text, zone)
		if err != nil {
			return Signers{}, fmt.Errorf("line %d: %w", number, err)
		}
		l.number = number
		s.lines = append(s.lines, l)
	}
	if len(s.lines) == 0 {
		return Signers{}, errors.New("it allows no signer; add a line such as: alice@example.com ssh-ed25519 AAAA…")
	}
	return s, nil
}

func parseLine(text string, zone *time.Location) (line, error) {
	principals, rest, err := cutPrincipals(text)
	if err != nil {
		return line{}, err
	}
	switch {
	case isKeyType(principals):
		return line{}, errors.New("it begins with a key; write whose it is before it, such as alice@example.com")
	case rest == "":
		return line{}, errors.New("it has no key, as ssh-ed25519 AAAA…")
	}
	l := line{principals: principals}
	if !isKeyType(word(rest)) {
		var list string
		list, rest, err = cutOptions(rest)
		if err == nil {
			l.options, err = parseOptions(list, zone)
		}
		if err != nil {
			return line{}, err
		}
	}
	l.key, err = parseKey(rest)
	return l, err
}

// cutPrincipals takes the first field of a line, which may be quoted as a whole.
func cutPrincipals(text string) (principals, rest string, err error) {
	principals = word(text)
	rest = text[len(principals):]
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		if principals, rest, ok = strings.Cut(quoted, `"`); !ok {
			return "", "", errors.New("the principals have no closing quote")
		}
	}
	if strings.Contains(principals, `"`) || rest != "" && !isBlank(rest[0]) {
		return "", "", errors.New("a quote stands amid the principals; quote all of them or none")
	}
	for pattern := range strings.SplitSeq(principals, ",") {
		if pattern == "" || pattern == "!" {
			return "", "", errors.New("one of the principals is empty")
		}
	}
	if !canMatch(principals) {
		return "", "", fmt.Errorf("the principals %q are nobody: each is forbidden by one with an exclamation mark", principals)
	}
	return principals, strings.TrimLeft(rest, " \t"), nil
}

// canMatch says whether a key of these principals counts. Nobody tells git whom
// to look for: it takes each pattern of the list for a name.
func canMatch(principals string) bool {
	for name := range strings.SplitSeq(principals, ",") {
		if matchesList(name, principals) {
			return true
		}
	}
	return false
}

// cutOptions takes the options, which end at the first blank outside of quotes.
func cutOptions(text string) (list, rest string, err error) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && strings.HasPrefix(text[i+1:], `"`):
			i++
		case text[i] == '"':
			quoted = !quoted
		case isBlank(text[i]) && !quoted:
			return text[:i], strings.TrimLeft(text[i:], " \t"), nil
		}
	}
	if quoted {
		return "", "", errors.New("the options have no closing quote")
	}
	return text, "", nil
}

// parseKey reads a key and leaves the comment behind it.
func parseKey(text string) (ssh.PublicKey, error) {
	kind := word(text)
	blob := word(strings.TrimLeft(text[len(kind):], " \t"))
	if blob == "" {
		return nil, errors.New("it has no key, as ssh-ed25519 AAAA…")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(blob)
	if err != nil {
		return nil, fmt.Errorf("the key is not base64: %w", err)
	}
	key, err := ssh.ParsePublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("read the key: %.100q", err)
	}
	if key.Type() != kind {
		return nil, fmt.Errorf("the key is of the type %s, and the line says %.40q", key.Type(), kind)
	}
	return key, checkKey(key)
}

// isKeyType says whether a field is the type of a key rather than options.
func isKeyType(field string) bool {
	return strings.HasPrefix(field, "ssh-") || strings.HasPrefix(field, "ecdsa-") || strings.HasPrefix(field, "sk-")
}

// word is the beginning of a text, up to the first blank.
func word(text string) string {
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		return text[:i]
	}
	return text
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
