package ceremony

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A token comes from the reconciler's own credential. Until that one exists
// there is the root token of the birth, and none before and after.

const (
	spare       = time.Minute      // a session that ends sooner is not used any more
	loginAgain  = 15 * time.Second // after a login that failed
	longSession = time.Hour        // whatever Vault grants, we log in again
)

// session is a login that worked until a time, or one that did not.
type session struct {
	token  secret.Bytes
	until  time.Time
	failed error
}

// Token is what may read raft and audit of a cluster now. The zero value and
// no error: there is none, because the cluster was not born by us.
func (c *Ceremony) Token(ctx context.Context, want desired.Cluster) (secret.Bytes, error) {
	m, err := c.load(ctx, want.Name)
	if err != nil {
		return secret.Bytes{}, err
	}
	switch m.Birth.Phase {
	case diff.BirthKeys:
		return c.rootToken(ctx, want, m.Birth)
	case diff.BirthCredential, diff.BirthConfirmed:
		token, err := c.loginToken(ctx, want)
		if err == nil {
			return token, nil
		}
		root, other := c.rootToken(ctx, want, m.Birth)
		if other != nil {
			return secret.Bytes{}, errors.Join(err, other)
		}
		return root, nil
	case diff.BirthDone:
		return c.loginToken(ctx, want)
	}
	return secret.Bytes{}, nil
}

// Forget drops the session of a cluster: its Vault did not take the token.
func (c *Ceremony) Forget(cluster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, cluster)
}

// Retry lets the next look log in where the last login failed: a step may have
// mended what it failed by.
func (c *Ceremony) Retry(cluster string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[cluster].failed != nil {
		delete(c.sessions, cluster)
	}
}

// rootToken is the root token of a birth that is not over. The caller's copy is
// its own.
func (c *Ceremony) rootToken(ctx context.Context, want desired.Cluster, birth diff.Birth) (secret.Bytes, error) {
	ans, err := c.keys(ctx, want, birth.Nonce)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer ans.clear()
	return secret.Of(bytes.Clone(ans.root)), nil
}

// loginToken is a token of our own, of a session that goes on or of a new one
// on the first node that answers.
func (c *Ceremony) loginToken(ctx context.Context, want desired.Cluster) (secret.Bytes, error) {
	now := c.Clock.Now()
	c.mu.Lock()
	s, ok := c.sessions[want.Name]
	c.mu.Unlock()
	if ok && now.Before(s.until) {
		if s.failed != nil {
			return secret.Bytes{}, s.failed
		}
		return secret.Of(bytes.Clone(s.token.Reveal())), nil
	}
	cred, err := c.credentialOf(ctx, want.Name)
	if err != nil {
		return secret.Bytes{}, err
	}
	var failed []error
	for _, n := range want.Nodes {
		if n.Absent {
			continue
		}
		token, err := c.login(ctx, want.Name, n, cred)
		if err == nil {
			return token, nil
		}
		failed = append(failed, err)
	}
	err = fmt.Errorf("log in to %s: %w", want.Name, errors.Join(failed...))
	c.mu.Lock()
	c.sessions[want.Name] = session{failed: err, until: now.Add(loginAgain)}
	c.mu.Unlock()
	return secret.Bytes{}, err
}

// login opens a session on one node and keeps it.
func (c *Ceremony) login(ctx context.Context, cluster string, n desired.Node, cred credentialBody) (secret.Bytes, error) {
	now := c.Clock.Now()
	s, err := c.Login(ctx, n, secret.Of([]byte(cred.RoleID)), secret.Of([]byte(cred.SecretID)))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("through %s: %w", n.Name, err)
	}
	token := s.Token.Reveal()
	if !isToken(token) {
		return secret.Bytes{}, fmt.Errorf("through %s: what came is no token", n.Name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions[cluster] = session{token: secret.Of(bytes.Clone(token)), until: now.Add(min(s.TTL, longSession) - spare)}
	return secret.Of(bytes.Clone(token)), nil
}

// actingToken is what an act on Vault is done with: the root token while the
// birth goes on, our own afterwards.
func (a act) actingToken(ctx context.Context, birth diff.Birth) (secret.Bytes, error) {
	switch birth.Phase {
	case diff.BirthKeys, diff.BirthCredential, diff.BirthConfirmed:
		return a.rootToken(ctx, a.want, birth)
	case diff.BirthDone:
		return a.loginToken(ctx, a.want)
	}
	return secret.Bytes{}, fmt.Errorf("there is no token for %s, which was not born by this reconciler (birth %q)", a.want.Name, birth.Phase)
}

// credentialOf opens our own way in. [fs.ErrNotExist] among the errors: there
// is none.
func (c *Ceremony) credentialOf(ctx context.Context, cluster string) (credentialBody, error) {
	var body credentialBody
	_, err := c.first(ctx, cluster, kindCredential, &body)
	if err != nil && missing(err) {
		return body, fmt.Errorf("the credential for %s is in no key store: %w", cluster, fs.ErrNotExist)
	}
	if err != nil {
		return body, fmt.Errorf("open the credential for %s: %w", cluster, err)
	}
	return body, nil
}
