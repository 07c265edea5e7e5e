package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"
)

// maxToken bounds a token; service tokens have about 100 bytes, batch tokens
// some hundreds.
const maxToken = 8 << 10

// Login exchanges the reconciler's AppRole credential for a token and says how
// long that lasts. The caller keeps it; no error holds any of the three.
func (c *Client) Login(ctx context.Context, roleID, secretID string) (token string, lasts time.Duration, err error) {
	const path = "auth/approle/login"
	credential, err := json.Marshal(map[string]string{"role_id": roleID, "secret_id": secretID})
	if err != nil {
		return "", 0, errors.New("write the credential as JSON")
	}
	a, err := c.token.send(ctx, path, "", func(ctx context.Context, client *api.Client) (*api.Response, error) {
		return client.Logical().WriteRawWithContext(ctx, path, credential)
	})
	if err != nil {
		return "", 0, err
	}
	if a.code != 200 {
		// Not its words: a server may repeat what it was sent.
		return "", 0, &StatusError{Path: path, Code: a.code}
	}
	var got struct {
		Auth *struct {
			Token string `json:"client_token"`
			Lease int64  `json:"lease_duration"` // seconds
		} `json:"auth"`
	}
	if a.decode(path, &got) != nil || got.Auth == nil {
		return "", 0, errors.New("read " + path + ": the answer holds no token")
	}
	t := got.Auth.Token
	if t == "" || len(t) > maxToken || clean(t, maxToken) != t || got.Auth.Lease < 0 || got.Auth.Lease > int64(10*365*24*time.Hour/time.Second) {
		return "", 0, fmt.Errorf("read %s: the token makes no sense", path)
	}
	return t, time.Duration(got.Auth.Lease) * time.Second, nil
}
