package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

var (
	// ErrNotFound says that something is not there, or that we may not see it: forges
	// do not tell these apart.
	ErrNotFound = errors.New("it is not there, or the token may not see it")
	// ErrForbidden says that the forge does not take our token for this.
	ErrForbidden = errors.New("the token may not do this")
)

// TooLongError says that a forge does not take a text of this length.
type TooLongError struct {
	MaxBody int // bytes that it takes for sure
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the text is too long; at most %d bytes are taken", e.MaxBody)
}

// refusal is an answer that says no.
type refusal struct {
	status int
	says   string // the forge, to be shown
	needs  string // rights that GitHub says would do
}

func (e *refusal) Error() string {
	text := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	if e.says != "" {
		text += ": " + e.says
	}
	return text
}

// refused says that an error is a refusal of this status.
func refused(err error, status int) bool {
	e, ok := errors.AsType[*refusal](err)
	return ok && e.status == status
}

// failure is an error that says what was being done, and what to do about it.
type failure struct {
	doing string
	err   error
}

func (f *failure) Error() string { return f.doing + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// failed is an error of a request with what was being done, and with the right that
// it needs where that may be the cause.
func failed(err error, right, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	doing = fmt.Sprintf(doing, args...)
	if inner, ok := errors.AsType[*failure](err); ok { // of what had to be done first
		return &failure{doing, inner}
	}
	if no, ok := errors.AsType[*refusal](err); ok {
		err = meaning(no, right)
	} else if about, ok := errors.AsType[*url.Error](err); ok {
		err = about.Err // the address says nothing to a reader
	}
	if isShape(err) {
		err = fmt.Errorf("it answers with what is not JSON of this kind (%s); is the URL that of the forge, and its kind right?", shown(err.Error()))
	}
	return &failure{doing, err}
}

// meaning is what a refusal means to who has to do something about it.
func meaning(no *refusal, right string) error {
	switch no.status {
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w (%w)", ErrNotFound, no)
	case http.StatusUnauthorized:
		return fmt.Errorf("%w (%w): has it expired, or is it of another forge?", ErrForbidden, no)
	case http.StatusForbidden:
		if no.needs != "" {
			right += "; the forge says " + no.needs
		}
		return fmt.Errorf("%w (%w): it needs %s", ErrForbidden, no, right)
	}
	return no
}

func isShape(err error) bool {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, kind := errors.AsType[*json.UnmarshalTypeError](err)
	_, when := errors.AsType[*time.ParseError](err)
	return syntax || kind || when || errors.Is(err, errEmpty)
}

// errEmpty is an answer without what was asked for.
var errEmpty = errors.New("nothing is there")

const maxText = 300 // runes of what a forge says

// shown is foreign text as it may stand in an error.
func shown(text string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, strings.ToValidUTF8(strings.TrimSpace(text), "�")))
	if len(runes) > maxText {
		runes = append(runes[:maxText], '…')
	}
	return string(runes)
}

func quoted(text string) string { return `"` + shown(text) + `"` }

// Busy says that a forge asks to be left alone, and for how long where it says that.
func Busy(err error) (after time.Duration, yes bool) {
	said, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err)
	if !ok {
		return 0, false
	}
	return said.RetryAfter(), true
}
