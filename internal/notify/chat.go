package notify

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
	"github.com/vaultfleet/reconciler/internal/secret"
)

// Service is whose chat a URL is of.
type Service string

// The services that have settings of their own. Any takes the URL of every service.
const (
	Slack Service = "slack"
	Teams Service = "teams"
	Any   Service = ""
)

// Chat sends messages to a chat, by a URL in the notation of shoutrrr
// (shoutrrr.nickfedor.com). Its services make HTTP clients of their own, which follow
// redirects, and know no context. So each message is sent by a process of its own
// ([Relay]), which gets the URL on its standard input, and which can be ended.
type Chat struct {
	service Service
	url     func() (secret.Bytes, error)
	relay   []string
	client  *http.Client
}

// NewChat sends to a service. The URL is read for each message; relay is the program,
// with its arguments, that calls [Relay].
func NewChat(service Service, url func() (secret.Bytes, error), roots *x509.CertPool, relay ...string) *Chat {
	return &Chat{service, url, relay, poster(roots)}
}

const maxChat = 3500 // bytes of a text: Slack shows about 4,000 characters, and takes 40,000

// Send sends the title and the plain text. More lines than a chat shows are not sent.
func (c *Chat) Send(ctx context.Context, m Message) error {
	held, err := c.url()
	if err != nil {
		return fmt.Errorf("read the url of the chat: %w", err)
	}
	raw := strings.TrimSpace(string(held.Reveal()))
	scheme, _, ok := strings.Cut(raw, "://")
	switch {
	case !ok || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("the file of the chat's url does not hold one URL on one line")
	case c.service == Teams && scheme == "https":
		return c.card(ctx, raw, m)
	case c.service == Slack && scheme == "https":
		if raw, err = slackURL(raw); err != nil {
			return err
		}
		scheme = string(Slack)
	}
	name, _, _ := strings.Cut(scheme, "+")
	service := Service(name)
	if c.service != Any && service != c.service {
		return fmt.Errorf("the url of the chat is of %.20q, and not of %s", service, c.service)
	}
	return c.hand(ctx, order{URL: raw, Title: service.plain(m.Title), Text: service.plain(chatText(m))})
}

func chatText(m Message) string {
	text := fit(m.Text, maxChat, leftOut(""))
	if m.Link != "" {
		text = strings.TrimRight(text, "\n") + "\n" + m.Link
	}
	return text
}

// slackURL is a webhook as Slack shows it, in the notation of shoutrrr.
func slackURL(raw string) (string, error) {
	parts := regexp.MustCompile(`^https://hooks\.slack\.com/services/([A-Z0-9]+)/([A-Z0-9]+)/([A-Za-z0-9]+)$`).FindStringSubmatch(raw)
	if parts == nil {
		return "", errors.New("the url of the chat is not https://hooks.slack.com/services/T…/B…/…, as Slack shows it")
	}
	return fmt.Sprintf("slack://hook:%s-%s-%s@webhook", parts[1], parts[2], parts[3]), nil
}

// plain is text that calls nobody and links to nothing. Slack and Teams read &, < and >
// as their own.
func (s Service) plain(text string) string {
	if s == Slack || s == Teams {
		text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	}
	return strings.ReplaceAll(text, "@", "@\u200b")
}

// card posts to a workflow of Teams, which takes an Adaptive Card ("Create incoming
// webhooks with Workflows for Microsoft Teams"). shoutrrr knows only the connectors
// that were there before.
func (c *Chat) card(ctx context.Context, raw string, m Message) error {
	at, err := url.Parse(raw)
	if err != nil || at.Host == "" {
		return errors.New("the url of the chat is not one of a workflow of Teams")
	}
	type object map[string]any
	line := func(text string, more object) object {
		block := object{"type": "TextBlock", "text": strings.ReplaceAll(text, "@", "@\u200b"), "wrap": true}
		for k, v := range more {
			block[k] = v
		}
		return block
	}
	body, err := json.Marshal(object{"type": "message", "attachments": []object{{
		"contentType": "application/vnd.microsoft.card.adaptive",
		"content": object{
			"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
			"body": []object{line(m.Title, object{"weight": "bolder"}), line(chatText(m), object{"fontType": "monospace"})},
		},
	}}})
	if err != nil {
		return &RefusedError{err}
	}
	return post(ctx, c.client, at, http.Header{}, body)
}

// order is what the process that sends is told, and reply what it says.
type order struct {
	URL   string `json:"url"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

type reply struct {
	Error   string        `json:"error,omitempty"` // empty: the message was taken
	Busy    int           `json:"busy,omitempty"`  // status with which the service asks for time
	After   time.Duration `json:"after,omitempty"` // for how much
	Refused bool          `json:"refused,omitempty"`
}

func (r reply) err() error {
	switch {
	case r.Busy != 0:
		return &outbound.BusyError{Status: r.Busy, After: max(0, min(r.After, outbound.LongestWait))}
	case r.Error == "":
		return nil
	case r.Refused:
		return &RefusedError{errors.New(shown(r.Error))}
	}
	return errors.New(shown(r.Error))
}

// hand has a process of its own send the message.
func (c *Chat) hand(ctx context.Context, o order) error {
	told, err := json.Marshal(o)
	if err != nil {
		return &RefusedError{err}
	}
	ctx, end := context.WithTimeoutCause(ctx, longest, fmt.Errorf("it takes longer than %v", longest))
	defer end()
	cmd := exec.CommandContext(ctx, c.relay[0], c.relay[1:]...)
	cmd.Env = relayed(os.Environ())
	cmd.Stdin = bytes.NewReader(told)
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stdout = &said
	err = cmd.Run()
	var r reply
	switch cause := context.Cause(ctx); {
	case err == nil && json.Unmarshal(said.Bytes(), &r) == nil:
		err = r.err()
	case cause != nil:
		err = cause
	case err == nil:
		err = errors.New("the process that sends did not say how it went")
	default:
		err = fmt.Errorf("the process that sends ended: %w", err)
	}
	if err != nil {
		return fmt.Errorf("send to the chat: %w", err)
	}
	return nil
}

// relayed is the environment of the process that sends: the ways out, and nothing else.
func relayed(all []string) []string {
	kept := []string{} // nil would be all of it
	for _, v := range all {
		name, _, _ := strings.Cut(v, "=")
		switch strings.ToUpper(name) {
		case "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "PATH", "TZ":
			kept = append(kept, v)
		}
	}
	return kept
}
