package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	service      = "git-upload-pack"
	maxHeader    = 64 << 10 // bytes
	maxRedirects = 3
	idle         = 2 * time.Minute // for how long a connection waits for the next poll
	longestWait  = time.Hour       // that a server may ask for
)

// Options are how a server is reached.
type Options struct {
	// Login is who we are, asked for at each request so that a new token counts at
	// once; nil: nobody in particular.
	Login func() (user, password string, err error)
	Roots *x509.CertPool // that its certificate must be of; nil: those of this machine
	Quiet time.Duration  // for how long it may send nothing; zero: 30 s
}

// HTTPS is a repository on a web server. Its methods may be called from several
// goroutines.
type HTTPS struct {
	Options
	client *http.Client

	mu   sync.Mutex
	base string // where the repository was found to be
	v2   bool   // it knows ls-refs
}

// NewHTTPS is a repository at a URL. Nothing is sent yet.
func NewHTTPS(at string, o Options) *HTTPS {
	return &HTTPS{Options: o, base: strings.TrimSuffix(at, "/"), client: &http.Client{
		CheckRedirect: sameHost,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
			DisableCompression:     true, // what it sends is compressed, or small
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConns:           1,
			IdleConnTimeout:        idle,
		}}}
}

// Tip is what a ref stands at.
func (h *HTTPS) Tip(ctx context.Context, ref string) (string, error) {
	if _, v2 := h.place(); v2 {
		tip, err := h.listRef(ctx, ref)
		var none *NoRefError
		var busy *BusyError
		if err == nil || errors.As(err, &none) || errors.As(err, &busy) || ctx.Err() != nil {
			return tip, err
		}
		h.settle("", false) // it may be another server by now
	}
	return h.meet(ctx, ref)
}

// meet asks for the first time: a server that knows protocol version 2 says so,
// and another one lists its refs.
func (h *HTTPS) meet(ctx context.Context, ref string) (string, error) {
	base, _ := h.place()
	answer, err := h.ask(ctx, http.MethodGet, base+"/info/refs?service="+service, nil, true)
	if err != nil {
		return "", err
	}
	defer answer.Close()
	var head bytes.Buffer
	if _, err := io.Copy(&head, io.LimitReader(answer, 4096)); err != nil {
		return "", answer.plain(err)
	}
	if speaksV2(head.Bytes()) {
		h.settle(answer.base(), true)
		return h.listRef(ctx, ref)
	}
	if !strings.HasPrefix(answer.kind(), "application/x-"+service+"-advertisement") {
		return "", errors.New("it answers, and not as a git repository does: is the URL that of `git clone`?")
	}
	h.settle(answer.base(), false)
	return advertised(io.MultiReader(&head, answer), ref)
}

// listRef asks for one ref by protocol version 2, and, where it is not there, for
// the branches that are.
func (h *HTTPS) listRef(ctx context.Context, ref string) (string, error) {
	refs, err := h.list(ctx, ref)
	if err != nil {
		return "", err
	}
	if tip, ok := refs[ref]; ok {
		return tip, nil
	}
	if refs, err = h.list(ctx, "refs/heads/"); err != nil {
		return "", err
	}
	var there []string
	for name := range refs {
		there = append(there, name)
	}
	return "", noRef(ref, there)
}

func (h *HTTPS) list(ctx context.Context, prefix string) (map[string]string, error) {
	request, err := listOf(prefix)
	if err != nil {
		return nil, err
	}
	base, _ := h.place()
	answer, err := h.ask(ctx, http.MethodPost, base+"/"+service, request, true)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	refs, err := listed(answer)
	return refs, answer.plain(err)
}

// Pack gets all that a commit needs beyond what is had, as a pack.
func (h *HTTPS) Pack(ctx context.Context, want string, haves []string, to io.Writer) error {
	request, err := order(want, haves)
	if err != nil {
		return err
	}
	base, _ := h.place()
	answer, err := h.ask(ctx, http.MethodPost, base+"/"+service, request, false)
	if err != nil {
		return err
	}
	defer answer.Close()
	return answer.plain(receive(answer, to))
}

// Close lets go of the connection that waits for the next request.
func (h *HTTPS) Close() { h.client.CloseIdleConnections() }

func (h *HTTPS) place() (base string, v2 bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.base, h.v2
}

// settle notes where the repository is; "" is where it was.
func (h *HTTPS) settle(base string, v2 bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if base != "" {
		h.base = base
	}
	h.v2 = v2
}

// ask sends a request; what comes back is an answer with content.
func (h *HTTPS) ask(ctx context.Context, method, at string, body []byte, v2 bool) (*answer, error) {
	a := &answer{}
	a.ctx, a.heard, a.end = watch(ctx, h.Quiet)
	if err := h.send(a, method, at, body, v2); err != nil {
		a.end()
		return nil, err
	}
	return a, nil
}

func (h *HTTPS) send(a *answer, method, at string, body []byte, v2 bool) error {
	request, err := http.NewRequestWithContext(a.ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return errors.New("it is not a URL") // the text may hold a password
	}
	request.Header.Set("User-Agent", agent)
	if v2 {
		request.Header.Set("Git-Protocol", "version=2")
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-"+service+"-request")
		request.Header.Set("Accept", "application/x-"+service+"-result")
	}
	if h.Login != nil {
		user, password, err := h.Login()
		if err != nil {
			return err
		}
		request.SetBasicAuth(user, password)
	}
	if a.http, err = h.client.Do(request); err != nil {
		return a.plain(err)
	}
	if a.http.StatusCode != http.StatusOK {
		a.http.Body.Close()
		return refused(a.http, h.Login != nil)
	}
	return nil
}

// sameHost follows a repository that was renamed, and nobody who would have the
// login sent to another host.
func sameHost(next *http.Request, before []*http.Request) error {
	first := before[0]
	switch {
	case next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host:
		return fmt.Errorf("it redirects to %s://%s; write that into repo, if it is meant", next.URL.Scheme, next.URL.Host)
	case first.Method != http.MethodGet:
		return errors.New("it redirects a request that has content")
	case len(before) > maxRedirects:
		return fmt.Errorf("it redirects more than %d times", maxRedirects)
	}
	return nil
}

// BusyError says that a server asks to be left alone for a while.
type BusyError struct {
	Status int
	After  time.Duration // zero: it does not say for how long
}

func (e *BusyError) Error() string {
	if e.After == 0 {
		return fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%d %s; it asks to be left alone for %v", e.Status, http.StatusText(e.Status), e.After)
}

// RetryAfter is how long to wait, if the server says it.
func (e *BusyError) RetryAfter() time.Duration { return e.After }

// refused says what an answer without content means.
func refused(got *http.Response, loggedIn bool) error {
	status := fmt.Sprintf("%d %s", got.StatusCode, http.StatusText(got.StatusCode))
	switch got.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		if !loggedIn {
			return fmt.Errorf("%s: it wants to know who we are; give token_file", status)
		}
		return fmt.Errorf("%s: does token_file hold a token that may read this repository, and has it expired?", status)
	case http.StatusNotFound:
		return fmt.Errorf("%s: there is no such repository, or this login may not see it", status)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &BusyError{got.StatusCode, wait(got.Header.Get("Retry-After"), time.Now())}
	}
	return errors.New(status)
}

// wait is how long Retry-After asks for (RFC 9110 §10.2.3), 0 where it says
// nothing of use.
func wait(header string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, err := strconv.Atoi(header); err == nil {
		d = time.Duration(min(seconds, int(longestWait/time.Second))) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		d = at.Sub(now)
	}
	return max(0, min(d, longestWait))
}

// answer is what came back.
type answer struct {
	ctx   context.Context
	http  *http.Response
	heard func()
	end   func()
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.http.Body.Read(p)
	a.heard()
	if cause := context.Cause(a.ctx); err != nil && cause != nil {
		err = cause // net/http may take an end that we made for one of the answer's
	}
	return n, err
}

// Close lets the connection serve the next request, if the answer was read to
// nearly its end.
func (a *answer) Close() error {
	defer a.end()
	_, _ = io.CopyN(io.Discard, a.http.Body, 4096) // more is not worth it
	return a.http.Body.Close()
}

func (a *answer) kind() string { return a.http.Header.Get("Content-Type") }

// base is the repository's URL by the request that was answered in the end.
func (a *answer) base() string {
	at := *a.http.Request.URL
	at.RawQuery = ""
	return strings.TrimSuffix(at.String(), "/info/refs")
}

// plain is an error of net/http without the URL that it was about, which may hold
// a password.
func (a *answer) plain(err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(a.ctx); cause != nil {
		return cause
	}
	if about, ok := errors.AsType[*url.Error](err); ok {
		err = about.Err
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w; give the file of its CA as `ca` of the fleet", err)
	}
	return err
}
