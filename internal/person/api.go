package person

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// API is how somebody asks Vault on any node, at port 8200 of its address.
type API struct {
	Client *http.Client
	Token  string // "": none
}

// StatusError is an answer that is not 2xx.
type StatusError struct {
	Asked  string // method, path and address
	Code   int
	Errors []string // Vault's words; some answers have none
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s: %d %q", e.Asked, e.Code, e.Errors) }

// Ask sends body as JSON, and reads the answer into answer; both may be nil. An
// answer that is not 2xx is a [*StatusError]; where a standby names the leader
// instead (307), the leader is asked.
func (a API) Ask(ctx context.Context, method, address, path string, body, answer any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return err
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, "https://"+address+":8200/v1/"+path, &content)
	if err != nil {
		return err
	}
	if a.Token != "" {
		q.Header.Set("X-Vault-Token", a.Token)
	}
	got, err := a.Client.Do(q)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return err
	}
	if got.StatusCode/100 != 2 {
		e := &StatusError{Asked: method + " " + path + " on " + address, Code: got.StatusCode}
		_ = json.Unmarshal(text, e) // one without errors has only its status to tell
		return e
	}
	if answer == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// Health is the status of sys/health: 200 leads, 429 stands by, 503 sealed, 501 not
// initialised. An error: nobody answered.
func (a API) Health(ctx context.Context, address string) (int, error) {
	err := a.Ask(ctx, http.MethodGet, address, "sys/health", nil, nil)
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.Code, nil
	}
	return http.StatusOK, err
}

// GenerateRoot makes a root token with enough shares, and is the API with it.
func (a API) GenerateRoot(ctx context.Context, address string, shares []string) (API, error) {
	var begun struct{ Nonce, OTP string }
	if err := a.Ask(ctx, http.MethodPut, address, "sys/generate-root/attempt", struct{}{}, &begun); err != nil {
		return a, err
	}
	var done struct {
		Complete bool
		Encoded  string `json:"encoded_token"`
	}
	for _, share := range shares {
		if done.Complete {
			break
		}
		if err := a.Ask(ctx, http.MethodPut, address, "sys/generate-root/update", map[string]string{"key": share, "nonce": begun.Nonce}, &done); err != nil {
			return a, err
		}
	}
	token, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(done.Encoded, "="))
	if err != nil {
		return a, err
	}
	if len(token) == 0 || len(token) > len(begun.OTP) {
		return a, fmt.Errorf("no root token was made with %d shares on %s", len(shares), address)
	}
	for i := range token {
		token[i] ^= begun.OTP[i]
	}
	return API{a.Client, string(token)}, nil
}

// Unseal gives shares to a server. Whether it is open then a look must tell: it
// may take a moment.
func (a API) Unseal(ctx context.Context, address string, shares []string) error {
	for _, share := range shares {
		if err := a.Ask(ctx, http.MethodPut, address, "sys/unseal", map[string]string{"key": share}, nil); err != nil {
			return err
		}
	}
	return nil
}
