package ssh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// PhaseError says in which stage of connecting to a node something went wrong,
// and what a person can do about it.
type PhaseError struct {
	Phase actual.Phase // dns, tcp, trust, hostkey or auth
	Err   error
	Hint  string

	answered bool // the peer spoke, and it came to nothing
}

func (e *PhaseError) Error() string {
	s := fmt.Sprintf("%s: %v", e.Phase, e.Err)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

func (e *PhaseError) Unwrap() error { return e.Err }

// tamedError is an error whose text came, or may have come, from the peer.
type tamedError struct {
	text string
	err  error
}

func (e *tamedError) Error() string { return e.text }
func (e *tamedError) Unwrap() error { return e.err }

// maxErrorText is how much of a peer's words is passed on, in bytes.
const maxErrorText = 400

// tame makes an error safe to print: a peer's disconnect message may hold
// terminal sequences or a megabyte.
func tame(err error) error {
	text := strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(err.Error(), " "))
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return &tamedError{text: text, err: err}
}

// silence is the end of our own patience, in words for people.
type silence struct{ after time.Duration }

func (s silence) Error() string { return fmt.Sprintf("no answer within %v", s.after) }
func (s silence) Unwrap() error { return context.DeadlineExceeded }

// within is ctx with a deadline of ours: its cause then tells how long that was.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, silence{limit})
}

// waited prefers the reason why we stopped waiting over what the closed
// connection says.
func waited(ctx context.Context, err error, limit time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return silence{limit}
	}
	return tame(err)
}
