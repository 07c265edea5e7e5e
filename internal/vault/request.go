package vault

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/vault/api"
)

// answer is what came back, its body read to the end.
type answer struct {
	code int
	body []byte
	tls  *tls.ConnectionState
}

// get reads a path. An HTTP status that says no is an answer, not an error.
func (c *channel) get(ctx context.Context, path, token string) (answer, error) {
	return c.send(ctx, path, token, func(ctx context.Context, client *api.Client) (*api.Response, error) {
		return client.Logical().ReadRawWithContext(ctx, path)
	})
}

// send does one request over a connection that is not too old.
func (c *channel) send(ctx context.Context, path, token string, request func(context.Context, *api.Client) (*api.Response, error)) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	client, err := c.client()
	if err != nil {
		return answer{}, err
	}
	if time.Since(c.born) > maxAge {
		c.transport.CloseIdleConnections()
		c.born = time.Now()
	}
	client.SetToken(token)
	defer client.ClearToken()
	response, err := request(ctx, client)
	if response == nil || response.Response == nil {
		return answer{}, fmt.Errorf("ask for %s: %w", path, plain(err))
	}
	defer response.Body.Close()
	// With an HTTP status that says no there is both an answer and an error.
	var said *api.ResponseError
	if err != nil && !errors.As(err, &said) {
		return answer{}, fmt.Errorf("ask for %s: %w", path, plain(err))
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read %s: %w", path, plain(err))
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return answer{}, fmt.Errorf("ask for %s: %w", path, errRedirect)
	}
	return answer{code: response.StatusCode, body: body, tls: response.TLS}, nil
}

// decode reads a JSON object.
func (a answer) decode(path string, into any) error {
	body := strings.TrimSpace(string(a.body))
	if !strings.HasPrefix(body, "{") {
		return fmt.Errorf("read %s: the answer (HTTP %d) is no JSON object; is this Vault?", path, a.code)
	}
	decoder := json.NewDecoder(strings.NewReader(body))
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", path, tame(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: something follows the answer", path)
	}
	return nil
}

// no is the error of an answer that says no.
func (a answer) no(path string) error {
	var words struct {
		Errors []string `json:"errors"`
	}
	_ = a.decode(path, &words) // without words the code speaks
	return &StatusError{Path: path, Code: a.code, Text: clean(strings.Join(words.Errors, ", "), maxText)}
}

// read is get for paths that must answer 200.
func (c *channel) read(ctx context.Context, path, token string, into any) error {
	a, err := c.get(ctx, path, token)
	if err != nil {
		return err
	}
	if a.code != http.StatusOK {
		return a.no(path)
	}
	return a.decode(path, into)
}

// plain makes what the network or the server said safe to print, and keeps
// what callers branch on.
func plain(err error) error {
	var wrong *CertificateError
	switch {
	case err == nil:
		return errors.New("no answer")
	case errors.As(err, &wrong):
		return wrong
	}
	return &tamedError{text: clean(err.Error(), maxText), err: err}
}

type tamedError struct {
	text string
	err  error
}

func (e *tamedError) Error() string { return e.text }
func (e *tamedError) Unwrap() error { return e.err }

// maxText bounds a string that a server sent, in bytes.
const maxText = 300

// clean strips what is not printable and cuts what is too long.
func clean(s string, limit int) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
