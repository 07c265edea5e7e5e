package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
	"github.com/vaultfleet/reconciler/internal/secret"
)

// Webhook posts messages to a URL, signed as Standard Webhooks say
// (github.com/standard-webhooks/standard-webhooks, "Signature scheme").
type Webhook struct {
	at     func() (string, error)
	secret func() (secret.Bytes, error)
	client *http.Client
}

// NewWebhook posts to a URL of https, or of http on this machine. Both the URL and the
// secret are read for each message, so that new ones count at once. Roots are those that
// the receiver's certificate must be of; nil: this machine's.
func NewWebhook(at func() (string, error), secret func() (secret.Bytes, error), roots *x509.CertPool) *Webhook {
	return &Webhook{at, secret, poster(roots)}
}

// poster follows no redirect, and keeps no connection.
func poster(roots *x509.CertPool) *http.Client {
	transport := outbound.Transport(roots)
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport, Timeout: longest,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// document is what is posted.
type document struct {
	Schema        string          `json:"schema"`
	FormatVersion string          `json:"formatVersion"`
	ID            string          `json:"id"` // of the message: whoever has seen it has seen this
	At            time.Time       `json:"at"`
	Kind          Kind            `json:"kind"`
	Severity      Severity        `json:"severity"`
	Fleet         string          `json:"fleet"`
	Clear         bool            `json:"clear"`
	Title         string          `json:"title"`
	Text          string          `json:"text"`
	Link          string          `json:"link,omitempty"`
	Report        json.RawMessage `json:"report,omitempty"` // has a schema of its own
}

// Send posts the message once.
func (w *Webhook) Send(ctx context.Context, m Message) error {
	raw, err := w.at()
	if err != nil {
		return fmt.Errorf("read the webhook's url: %w", err)
	}
	at, err := webhookURL(strings.TrimSpace(raw))
	if err != nil {
		return err
	}
	keys, err := w.keys()
	if err != nil {
		return err
	}
	body, err := json.Marshal(document{"reconciler/notification", "1.0", m.ID(), m.At.UTC(), m.Kind, m.Severity, m.Fleet, m.Clear, m.Title, m.Text, m.Link, m.JSON})
	if err != nil {
		return &RefusedError{fmt.Errorf("write the message as JSON: %w", err)}
	}
	header := http.Header{}
	sign(header, keys, m.ID(), time.Now(), body)
	return post(ctx, w.client, at, header, body)
}

// post sends a document, and reads no more of the answer than its status.
func post(ctx context.Context, client *http.Client, at *url.URL, header http.Header, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the address is none")
	}
	r.Header = header
	header.Set("Content-Type", "application/json")
	header.Set("User-Agent", "reconciler")
	answer, err := client.Do(r)
	if err == nil {
		answer.Body.Close()
		err = judge(answer)
	} else {
		err = outbound.Plain(ctx, err, "give the file of its CA as `ca`")
	}
	if err != nil {
		return fmt.Errorf("post to %s: %w", at.Host, err)
	}
	return nil
}

// sign adds what a receiver checks: one signature for each key.
func sign(header http.Header, keys [][]byte, id string, now time.Time, body []byte) {
	at := strconv.FormatInt(now.Unix(), 10)
	var signatures []string
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + at + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", at)
	header.Set("Webhook-Signature", strings.Join(signatures, " "))
}

// Bounds of a key (Standard Webhooks: 24 to 64 bytes), and of how many there are while
// one is being replaced.
const (
	keyPrefix = "whsec_"
	leastKey  = 24
	mostKey   = 64
	mostKeys  = 4
)

// keys are those of the secret file, one a line. Errors do not quote it.
func (w *Webhook) keys() ([][]byte, error) {
	text, err := w.secret()
	if err != nil {
		return nil, fmt.Errorf("read the webhook's secret: %w", err)
	}
	var keys [][]byte
	for line := range strings.Lines(string(text.Reveal())) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		coded, ok := strings.CutPrefix(line, keyPrefix)
		key, err := base64.StdEncoding.DecodeString(coded)
		if !ok || err != nil || len(key) < leastKey || len(key) > mostKey {
			return nil, fmt.Errorf("the webhook's secret file has a line that is not %s and %d to %d bytes in base64; make one with: echo %s$(openssl rand -base64 32)",
				keyPrefix, leastKey, mostKey, keyPrefix)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > mostKeys {
		return nil, fmt.Errorf("the webhook's secret file has %d secrets; give 1 to %d, one a line", len(keys), mostKeys)
	}
	return keys, nil
}

// webhookURL takes the URL of a webhook: of https, or of http on this machine's
// own addresses. Its errors do not quote it: it may be a secret.
func webhookURL(raw string) (*url.URL, error) {
	at, err := url.Parse(raw)
	switch {
	case err != nil || at.Hostname() == "" || at.Opaque != "":
		return nil, errors.New("the webhook's url is not one; write https://HOST/PATH")
	case at.User != nil || at.Fragment != "":
		return nil, errors.New("the webhook's url holds a login, or a #; write https://HOST/PATH")
	case at.Scheme != "https" && !(at.Scheme == "http" && isLoopback(at.Hostname())):
		return nil, errors.New("the webhook's url is not of https: whoever is on the way could read and change what is sent")
	}
	return at, nil
}

func isLoopback(host string) bool {
	at, err := netip.ParseAddr(host)
	return err == nil && at.IsLoopback()
}
