package desired

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A secret that was committed is known to everybody who can read the repo, and
// stays in its history. So a plaintext secret is an error wherever it stands,
// also in files that nothing refers to. What is found is named by its kind and
// place; its text is never repeated.

const secretRule = "plaintext-secret"

// plaintextSecrets searches one file.
func plaintextSecrets(at string, body []byte) []Problem {
	if isAge(body) || !utf8.Valid(body) {
		return nil
	}
	var found []Problem
	number, armored := 0, false
	for line := range bytes.Lines(body) {
		number++
		text := string(line)
		switch {
		case strings.Contains(text, "-----BEGIN "):
			armored = true // certificates and the like: base64 that is no secret
		case strings.Contains(text, "-----END "):
			armored = false
			continue
		}
		what, column := secretIn(text, armored)
		if what == "" {
			continue
		}
		found = append(found, Problem{
			Place: Place{File: at, Line: number, Column: column}, Severity: SeverityError, Rule: secretRule, Cluster: clusterOf(at),
			Text: fmt.Sprintf("this looks like %s in plaintext", what),
			Hint: "take it out and revoke it, for it stays in git's history; refer to a secret as age:PATH or secret:NAME",
		})
	}
	return found
}

// secretIn is what a line gives away, and the column where.
func secretIn(line string, armored bool) (what string, column int) {
	if i := strings.Index(line, "-----BEGIN "); i >= 0 {
		if header := line[i:]; strings.Contains(header, "PRIVATE KEY-----") || strings.Contains(header, "PRIVATE KEY BLOCK-----") {
			return "a private key", i + 1
		}
	}
	if i := strings.Index(line, "AGE-SECRET-KEY-"); i >= 0 && len(line) >= i+40 {
		return "an age identity", i + 1
	}
	for start := 0; start < len(line); {
		if !isTokenByte(line[start]) {
			start++
			continue
		}
		end := start
		for end < len(line) && isTokenByte(line[end]) {
			end++
		}
		padded := end < len(line) && line[end] == '='
		if what := secretWord(line[start:end], armored || padded); what != "" {
			return what, start + 1
		}
		start = end
	}
	return "", 0
}

func isTokenByte(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("._-+/", c) >= 0
}

// secretWord tells a token or an unseal share by its form: service, batch and
// recovery tokens since Vault 1.10 (hvs. hvb. hvr.) and before (s. b. r. and
// 24 characters); a share is 33 bytes, in base64 or hex.
// Only outside of armor and padding is base64 a share.
func secretWord(word string, base64Armored bool) string {
	if len(word) >= 24 && word[0] == 'h' && (strings.HasPrefix(word, "hvs.") || strings.HasPrefix(word, "hvb.") || strings.HasPrefix(word, "hvr.")) {
		return "a Vault token"
	}
	if len(word) == 26 && word[1] == '.' && strings.IndexByte("sbr", word[0]) >= 0 && all(word[2:], isAlphanumeric) && mixed(word[2:]) {
		return "a Vault token"
	}
	if base64Armored {
		return ""
	}
	if len(word) == 44 && mixed(word) && strings.Count(word, "/") < 4 {
		if share, err := base64.StdEncoding.DecodeString(word); err == nil && len(share) == 33 {
			return "an unseal share"
		}
	}
	if len(word) == 66 && all(word, func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' }) {
		return "an unseal share"
	}
	return ""
}

// mixed says that a text has small and large letters and digits, as random
// ones of this length do and paths do not.
func mixed(s string) bool {
	var lower, upper, digit bool
	for i := 0; i < len(s); i++ {
		lower, upper, digit = lower || isLower(s[i]), upper || isUpper(s[i]), digit || isDigit(s[i])
	}
	return lower && upper && digit
}

// isAge says whether bytes are a file that age encrypted, binary or armored
// (age-encryption.org/v1).
func isAge(body []byte) bool {
	return bytes.HasPrefix(body, []byte("age-encryption.org/v1\n")) ||
		bytes.HasPrefix(body, []byte("-----BEGIN AGE ENCRYPTED FILE-----"))
}

// checkCredentials finds secrets by the names of their keys, in the parts of
// the spec that are Vault's own: a seal's token, a storage's password, a PIN in
// the environment. References are left to findUnbuilt; the path of a file and a
// number are no secrets.
func (b *builder) checkCredentials() {
	for _, top := range []string{"seal", "storage", "listener", "config", "environment_file"} {
		if v := b.spec.child(top); v != nil {
			b.checkCredential(top, top, v)
		}
		for _, n := range b.nodes {
			if v := n.spec.child(top); v != nil {
				b.checkCredential(top, top, v)
			}
		}
	}
}

func (b *builder) checkCredential(top, leaf string, v *value) {
	for _, f := range v.fields {
		b.checkCredential(top, f.name, f.value)
	}
	for _, item := range v.items {
		b.checkCredential(top, leaf, item)
	}
	if v.kind != kindText || isReference(v.text) {
		return
	}
	if isCredential(top, leaf) && !strings.HasPrefix(v.text, "/") || sensitiveValue(quoteYAML(v.text)) {
		b.draft.add(Problem{
			Place: v.place, Severity: SeverityError, Rule: secretRule,
			Text: "`" + printable(leaf) + "` looks like a secret in plaintext",
			Hint: "take it out and revoke it, for it stays in git's history; put it into a file that files places, as age:PATH or secret:NAME",
		})
	}
}

// isCredential goes by the name of a key.
func isCredential(top, leaf string) bool {
	name := strings.ToLower(leaf)
	switch {
	case !namesSecret(name), strings.HasSuffix(name, "_id"):
		return false
	case top == "seal":
		return !harmlessInSeal(name)
	case top == "storage":
		return !harmlessInStorage(name)
	}
	return true
}
