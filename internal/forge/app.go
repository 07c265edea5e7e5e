package forge

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-github/v88/github"

	"github.com/vaultfleet/reconciler/internal/secret"
)

// What GitHub lets an app's own token be ("Generating a JSON Web Token (JWT) for a
// GitHub App"), and when one of an installation is renewed, which is good for an hour.
const (
	backdated   = time.Minute // clocks differ
	goodFor     = 9 * time.Minute
	renewBefore = 5 * time.Minute
	tokenMost   = time.Hour
)

// App is an app of GitHub that is installed where the repository is.
type App struct {
	ID           string // of the app, or its client id
	Installation int64  // 0: GitHub is asked which one has the repository
	// Key is the app's private key as GitHub hands it out (PEM), read whenever a token
	// is to be renewed.
	Key func() (secret.Bytes, error)
}

// installed is an app with the token of its installation, for one repository alone.
type installed struct {
	App
	api         *github.Client // asked as the app itself
	owner, name string

	mu    sync.Mutex
	token string
	until time.Time
}

// install has the requests of a door made as an installation of the app.
func install(d *door, app App, owner, name string) (*installed, error) {
	if app.ID == "" || strings.ContainsAny(app.ID, " \n") || app.Key == nil || app.Installation < 0 {
		return nil, errors.New("an app needs its id and its private key")
	}
	i := &installed{App: app, owner: owner, name: name}
	itself := *d
	itself.sign = func(r *http.Request) error {
		token, err := i.jwt(time.Now())
		r.Header.Set("Authorization", "Bearer "+token)
		return err
	}
	d.sign, d.denied = i.sign, i.forget
	var err error
	i.api, err = gitHubAPI(&itself)
	return i, err
}

// login is the name that an app comments by.
func (i *installed) login(ctx context.Context) (string, error) {
	app, _, err := i.api.Apps.Get(ctx, "")
	if err != nil || app.GetSlug() == "" {
		return "", err
	}
	return app.GetSlug() + "[bot]", nil
}

// sign adds a token that is good for a while yet.
func (i *installed) sign(r *http.Request) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now := time.Now(); !now.Before(i.until.Add(-renewBefore)) {
		if err := i.renew(withKnown(r.Context(), nil), now); err != nil {
			return failed(err, "an app that is installed for the repository", "get a token for the app %s", i.ID)
		}
	}
	r.Header.Set("Authorization", "Bearer "+i.token)
	return nil
}

// forget drops a token that was not taken: it may have been taken back, and the next
// request gets a new one.
func (i *installed) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.token, i.until = "", time.Time{}
}

// renew gets a token for this repository alone, whatever else the app may reach.
func (i *installed) renew(ctx context.Context, now time.Time) error {
	id := i.Installation
	if id == 0 {
		in, _, err := i.api.Apps.GetRepositoryInstallation(ctx, i.owner, i.name)
		if err != nil {
			return err
		}
		id = in.GetID()
	}
	got, _, err := i.api.Apps.CreateInstallationToken(ctx, id, &github.InstallationTokenOptions{Repositories: []string{i.name}})
	if err != nil {
		return err
	}
	token, until := got.GetToken(), got.GetExpiresAt().Time
	switch {
	case !isToken(token):
		return errEmpty
	case !until.After(now):
		return errors.New("the token has ended already; is the clock of this machine right?")
	}
	i.token, i.until = token, earlier(until, now.Add(tokenMost))
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// jwt is the app's own token, signed with RS256 (RFC 7518 §3.3).
func (i *installed) jwt(now time.Time) (string, error) {
	held, err := i.Key()
	if err != nil {
		return "", fmt.Errorf("read the key of the app %s: %w", i.ID, err)
	}
	key, err := rsaKey(held.Reveal())
	if err != nil {
		return "", fmt.Errorf("read the key of the app %s: %w", i.ID, err)
	}
	claims, err := json.Marshal(map[string]any{"iat": now.Add(-backdated).Unix(), "exp": now.Add(goodFor).Unix(), "iss": i.ID})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("sign as the app %s: %w", i.ID, err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// rsaKey reads a private key. Its errors tell nothing of what is in it.
func rsaKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not a key in PEM; take the file that GitHub gave for the app")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if any, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if key, ok := any.(*rsa.PrivateKey); ok {
			return key, nil
		}
	}
	return nil, errors.New("it is not an RSA private key; take the file that GitHub gave for the app")
}
