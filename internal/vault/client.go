package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// Dial connects to the API's listener of one node.
type Dial func(ctx context.Context) (net.Conn, error)

// Bounds of one request.
const (
	requestTimeout = 10 * time.Second // dialling and TLS included
	maxBody        = 1 << 20          // bytes
	maxHeader      = 64 << 10         // bytes
)

// maxAge is how long a connection is kept. A listener that reloads its
// certificate shows the new one to new connections only.
const maxAge = 30 * time.Second

// Client reads the API of one node. Its methods may be called from several
// goroutines.
type Client struct {
	look  *channel // believes a certificate that has run out
	token *channel // does not
}

// New makes a client of the Vault that dial reaches. Its certificate must name
// serverName and be issued under one of cas (PEM); with none of them nothing
// is believed.
func New(dial Dial, serverName string, cas [][]byte) *Client {
	v := newVerifier(serverName, cas)
	return &Client{look: newChannel(dial, v, true), token: newChannel(dial, v, false)}
}

// Renew makes the next request connect anew: for whoever has just made the
// listener load another certificate.
func (c *Client) Renew() {
	c.look.transport.CloseIdleConnections()
	c.token.transport.CloseIdleConnections()
}

// Close ends the connections that are kept.
func (c *Client) Close() { c.Renew() }

// channel is one api.Client and its kept connection. The two of a Client are
// apart so that a token cannot travel over a connection that was only good
// enough to look.
type channel struct {
	verifier  verifier
	transport *http.Transport
	url       string

	mu   sync.Mutex // one request at a time; the token is a field of api
	api  *api.Client
	born time.Time // of the kept connection
}

func newChannel(dial Dial, v verifier, expired bool) *channel {
	host := v.name
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	c := &channel{verifier: v, url: "https://" + host}
	c.transport = &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, requestTimeout)
			defer cancel()
			raw, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			return v.shake(ctx, raw, expired)
		},
		Proxy:                  nil,
		DisableCompression:     true, // what is capped is what comes in
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        maxAge,
	}
	return c
}

// client is the api.Client, made when it is first needed.
func (c *channel) client() (*api.Client, error) {
	if c.api != nil {
		return c.api, nil
	}
	made, err := newAPI(c.url, capped{c.transport})
	if err != nil {
		return nil, fmt.Errorf("make a Vault client for %q: %w", c.url, err)
	}
	c.api = made
	return made, nil
}

// newAPI makes an api.Client that takes nothing from the environment.
// NewClient reads VAULT_TOKEN, VAULT_NAMESPACE and VAULT_HEADERS even when it
// is given a whole Config (undone below), and it fails on variables that only
// its unused default configuration would need, such as a VAULT_CACERT that is
// not there. Those are hidden from it, but only if it fails: the environment
// belongs to the whole process.
func newAPI(url string, transport http.RoundTripper) (*api.Client, error) {
	config := func() *api.Config {
		return &api.Config{
			Address:          url,
			HttpClient:       &http.Client{Transport: transport, CheckRedirect: stay},
			MaxRetries:       0,
			MinRetryWait:     time.Nanosecond, // 0 would mean the default
			MaxRetryWait:     time.Nanosecond,
			DisableRedirects: true,
		}
	}
	client, err := api.NewClient(config())
	if err != nil {
		client, err = hidden(func() (*api.Client, error) { return api.NewClient(config()) })
	}
	if err != nil {
		return nil, err
	}
	client.ClearToken()
	client.SetHeaders(http.Header{api.RequestHeaderName: []string{"true"}}) // the namespace was one
	client.SetWrappingLookupFunc(func(string, string) string { return "" }) // else VAULT_WRAP_TTL
	return client, nil
}

// environment is held while variables are hidden: there is one environment, so
// there is one lock.
var environment sync.Mutex

// hidden runs make without what NewClient may stumble over. Not without
// VAULT_TOKEN: a secret of reconciler.yaml may be read from it at this moment.
func hidden(make func() (*api.Client, error)) (*api.Client, error) {
	environment.Lock()
	defer environment.Unlock()
	for _, name := range []string{
		api.EnvVaultAddress, api.EnvVaultAgentAddr, api.EnvVaultCACert, api.EnvVaultCACertBytes, api.EnvVaultCAPath,
		api.EnvVaultClientCert, api.EnvVaultClientKey, api.EnvVaultClientTimeout, api.EnvVaultHeaders, api.EnvVaultInsecure,
		api.EnvVaultSkipVerify, api.EnvVaultSRVLookup, api.EnvVaultMaxRetries, api.EnvVaultTLSServerName, api.EnvHTTPProxy,
		api.EnvVaultProxyAddr, api.EnvRateLimit, api.EnvVaultDisableRedirects,
	} {
		if value, set := os.LookupEnv(name); set {
			os.Unsetenv(name)
			defer os.Setenv(name, value)
		}
	}
	return make()
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// capped ends answers that are too long.
type capped struct{ http.RoundTripper }

var errTooLong = fmt.Errorf("the answer has more than %d bytes", maxBody)

func (c capped) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answer.ContentLength > maxBody {
		answer.Body.Close()
		return nil, errTooLong
	}
	answer.Body = &cappedBody{ReadCloser: answer.Body, left: maxBody}
	return answer, nil
}

// CloseIdleConnections is what http.Client looks for.
func (c capped) CloseIdleConnections() {
	if t, ok := c.RoundTripper.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

type cappedBody struct {
	io.ReadCloser
	left int
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One byte more tells an end from too much.
		var one [1]byte
		if n, err := b.ReadCloser.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// CertificateError says that the server is not to be believed. Nothing was
// sent to it beyond the handshake.
type CertificateError struct {
	Problem string // as in actual.Certificate
	Err     error
	leaf    []byte
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("Vault's certificate is not to be believed (%s): %v", e.Problem, e.Err)
}

func (e *CertificateError) Unwrap() error { return e.Err }

// StatusError is an answer that says no.
type StatusError struct {
	Path string
	Code int
	Text string // Vault's own words, tamed; empty: none
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s answers %d", e.Path, e.Code)
	if e.Text != "" {
		s += ": " + e.Text
	}
	if e.Code == http.StatusForbidden {
		s += "; does the policy of our credential allow it?"
	}
	return s
}

// errRedirect: a node must answer for itself, and a token must not travel.
var errRedirect = errors.New("the answer is a redirect, which is not followed; is this a load balancer instead of the node?")
