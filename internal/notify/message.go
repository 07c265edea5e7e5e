package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Kind is why a message is sent.
type Kind string

// All kinds. Of the first four somebody is told at once; the last one sums up.
const (
	New       Kind = "new"
	Worse     Kind = "worse"
	Resolved  Kind = "resolved"
	Unchecked Kind = "unchecked" // what should have been looked at could not be, again and again
	Digest    Kind = "digest"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{New, Worse, Resolved, Unchecked, Digest} }

// Severity is how much it matters.
type Severity string

// All severities, the worst first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
)

// Severities are all of them.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low} }

// Message is something that people are told. Every text but Key and Source is shown,
// and what is foreign in it has been escaped in the way of that text.
type Message struct {
	// Key names the news. A sink is never sent a second message of the same key within
	// 30 days.
	Key      string          `json:"key"`
	At       time.Time       `json:"at"` // of the news; zero: when it is put
	Kind     Kind            `json:"kind"`
	Severity Severity        `json:"severity"`
	Fleet    string          `json:"fleet"`            // its name
	Source   string          `json:"source,omitempty"` // which of the fleets that are followed it is of
	Title    string          `json:"title"`            // one line
	Text     string          `json:"text"`             // plain
	Markdown string          `json:"markdown,omitempty"`
	HTML     string          `json:"html,omitempty"` // a body, of nothing that is fetched
	Link     string          `json:"link,omitempty"` // to more about it
	JSON     json.RawMessage `json:"json,omitempty"` // a document with a schema of its own
	// Page is Markdown of all that is open now, for a sink that keeps one page; empty:
	// Markdown.
	Page  string `json:"page,omitempty"`
	Clear bool   `json:"clear,omitempty"` // nothing is open any more
}

const (
	maxMessage = 1 << 20 // bytes, as JSON
	maxTitle   = 200     // characters
)

// ID is what a receiver tells the same message by.
func (m Message) ID() string {
	sum := sha256.Sum256([]byte(m.Key))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// valid is a message as it may be sent.
func (m Message) valid(now time.Time) (Message, error) {
	m.Title, m.Fleet = oneLine(m.Title), oneLine(m.Fleet)
	if runes := []rune(m.Title); len(runes) > maxTitle {
		m.Title = string(runes[:maxTitle-1]) + "…"
	}
	if m.At.IsZero() {
		m.At = now
	}
	switch {
	case m.Key == "":
		return Message{}, errors.New("a message has no key")
	case !slices.Contains(Kinds(), m.Kind):
		return Message{}, fmt.Errorf("%q is no kind of message", m.Kind)
	case !slices.Contains(Severities(), m.Severity):
		return Message{}, fmt.Errorf("%q is no severity", m.Severity)
	case m.Title == "" || strings.TrimSpace(m.Text) == "":
		return Message{}, errors.New("a message has no title, or no text")
	case m.Link != "" && !isLink(m.Link):
		return Message{}, errors.New("the link of a message is no http or https address")
	case len(m.JSON) > 0 && !json.Valid(m.JSON):
		return Message{}, errors.New("the document of a message is not JSON")
	}
	for _, text := range []*string{&m.Text, &m.Markdown, &m.HTML, &m.Page} {
		*text = strings.ToValidUTF8(*text, "�")
	}
	return m, nil
}

func isLink(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && oneLine(text) == text
}

// oneLine is text without anything that would end a line, a header or steer a
// terminal.
func oneLine(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "�")))
}
