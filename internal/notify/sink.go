package notify

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// Sink is where messages go. Send returns nil once somebody else has taken the
// message. A [*RefusedError] says that this message will never be taken, a
// [*PartlyError] that it was taken and not by all. Anything else may pass, and is tried
// again; an outbound.BusyError among its causes says when. Errors hold no secret.
type Sink interface {
	Send(ctx context.Context, m Message) error
}

// RefusedError says that a sink does not take this message, however often it is sent.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// PartlyError says that a message was taken, and that not everybody gets it.
type PartlyError struct{ Err error }

func (e *PartlyError) Error() string { return e.Err.Error() }
func (e *PartlyError) Unwrap() error { return e.Err }

// longest is how long one message may take to be sent.
const longest = time.Minute

const maxShown = 300 // characters of what a sink answers

// shown is foreign text as it may stand in an error.
func shown(text string) string {
	runes := []rune(oneLine(text))
	if len(runes) > maxShown {
		runes = append(runes[:maxShown], '…')
	}
	return string(runes)
}

// without takes secrets out of a text that somebody else wrote, who may know them.
func without(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) < 4 {
			continue // it would take words apart, and is no secret
		}
		quoted := strconv.Quote(s)
		for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)), quoted[1 : len(quoted)-1]} {
			text = strings.ReplaceAll(text, form, "[redacted]")
		}
	}
	return text
}
