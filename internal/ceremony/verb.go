package ceremony

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// verb runs a verb on the step's node and clears what it was given by stdin.
func (a act) verb(ctx context.Context, verb string, args []string, stdin []byte) ([]byte, error) {
	return a.verbOn(ctx, a.node, verb, args, stdin)
}

func (a act) verbOn(ctx context.Context, n desired.Node, verb string, args []string, stdin []byte) ([]byte, error) {
	defer clear(stdin)
	out, err := a.Verb(ctx, n, a.try, verb, args, bytes.NewReader(stdin))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	if len(out) > maxObject {
		return nil, fmt.Errorf("%s: more than %d bytes came", verb, maxObject)
	}
	return out, nil
}

// initState is how far a node is with an init. Closed set.
type initState string

const (
	initNone      initState = "none"
	initRunning   initState = "running"
	initDone      initState = "done"
	initFailed    initState = "failed"
	initForgotten initState = "forgotten"
)

// result asks the node how an init went: its state, and the answer or why it
// failed.
func (a act) result(ctx context.Context, nonce string) (initState, []byte, error) {
	out, err := a.verb(ctx, "vault-init-result", []string{nonce}, nil)
	if err != nil {
		return "", nil, err
	}
	line, body, _ := bytes.Cut(out, []byte("\n"))
	switch state := initState(bytes.TrimSpace(line)); state {
	case initNone, initRunning, initDone, initFailed, initForgotten:
		return state, body, nil
	}
	return "", nil, fmt.Errorf("vault-init-result: %s gave no state that is known", a.node.Name)
}

// forget deletes the answer on the seed. It is a ciphertext, and safe elsewhere.
// A seed that the spec dropped took it along.
func (a act) forget(ctx context.Context, birth diff.Birth) error {
	seed, ok := a.want.Node(birth.Seed)
	if !ok {
		return nil
	}
	_, err := a.verbOn(ctx, seed, "vault-init-forget", []string{birth.Nonce}, nil)
	return err
}

// withToken is what a verb reads that acts by a token: its line, then the rest.
func withToken(token, rest []byte) []byte {
	out := make([]byte, 0, len(token)+1+len(rest))
	out = append(out, token...)
	out = append(out, '\n')
	return append(out, rest...)
}

// longest is how much of a foreign text is shown, in bytes.
const longest = 300

// harmless is a foreign text as evidence may hold it: short, printable, on one
// line, and without anything that is as long as a key.
func harmless(text []byte) string {
	var out []string
	for _, word := range strings.FieldsFunc(string(text), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		if isKeyLike(word) {
			word = "[redacted]"
		}
		out = append(out, word)
	}
	s := strings.Join(out, " ")
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

// isKeyLike says that a word holds 20 characters in a row that a token or a
// share could be made of, a path or a host name apart.
func isKeyLike(word string) bool {
	run, digits := 0, false
	for _, r := range word {
		switch {
		case '0' <= r && r <= '9', r == '+', r == '=':
			run, digits = run+1, true
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == '_':
			run++
		default:
			run, digits = 0, false
		}
		if run >= 20 && (digits || run >= 26) {
			return true
		}
	}
	return strings.Contains(word, "hvs.") || strings.Contains(word, "hvb.")
}
