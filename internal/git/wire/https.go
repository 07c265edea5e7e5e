package wire

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
)

const (
	service      = "git-upload-pack"
	maxRedirects = 3
	idle         = 2 * time.Minute // for how long a connection waits for the next poll
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
	client     *http.Client
	configured string // URL

	mu   sync.Mutex
	base string // where the repository was found to be
	v2   bool   // it knows ls-refs
}

// NewHTTPS is a repository at a URL. Nothing is sent yet.
func NewHTTPS(at string, o Options) *HTTPS {
	at = strings.TrimSuffix(at, "/")
	transport := outbound.Transport(o.Roots)
	transport.MaxIdleConns, transport.IdleConnTimeout = 1, idle
	return &HTTPS{Options: o, configured: at, base: at, client: &http.Client{
		CheckRedirect: sameHost,
		Transport:     transport,
	}}
}

// Tip is what a ref stands at.
func (h *HTTPS) Tip(ctx context.Context, ref string) (string, error) {
	tip, err := h.tip(ctx, ref)
	return tip, tame(err)
}

func (h *HTTPS) tip(ctx context.Context, ref string) (string, error) {
	if _, v2 := h.place(); !v2 {
		return h.meet(ctx, ref)
	}
	tip, err := h.listRef(ctx, ref)
	if _, none := errors.AsType[*NoRefError](err); err == nil || none {
		return tip, err
	}
	h.settle(h.configured, false) // it may be another server by now, or elsewhere
	if _, odd := errors.AsType[errSurprise](err); odd || gone(err) {
		return h.meet(ctx, ref)
	}
	return "", err
}

// meet asks for the first time: a server that knows protocol version 2 says so,
// and another one lists its refs.
func (h *HTTPS) meet(ctx context.Context, ref string) (string, error) {
	answer, err := h.ask(ctx, http.MethodGet, h.configured+"/info/refs?service="+service, nil, true)
	if err != nil {
		return "", err
	}
	defer answer.Close()
	var head bytes.Buffer
	if _, err := io.Copy(&head, io.LimitReader(answer, 4096)); err != nil {
		return "", answer.plain(err)
	}
	base := answer.base(h.configured)
	if speaksV2(head.Bytes()) {
		h.settle(base, true)
		return h.listRef(ctx, ref)
	}
	if !strings.HasPrefix(answer.kind(), "application/x-"+service+"-advertisement") {
		return "", errors.New("it answers, and not as a git repository does: is the URL that of `git clone`?")
	}
	h.settle(base, false)
	tip, err := readRefs(io.MultiReader(&head, answer), ref)
	return tip, answer.plain(err)
}

// listRef asks for one ref by protocol version 2, and, where it is not there, for
// the branches that are.
func (h *HTTPS) listRef(ctx context.Context, ref string) (string, error) {
	tip, err := h.list(ctx, ref, ref)
	if _, none := errors.AsType[*NoRefError](err); none {
		return h.list(ctx, "refs/heads/", ref)
	}
	return tip, err
}

func (h *HTTPS) list(ctx context.Context, prefix, ref string) (string, error) {
	request, err := listOf(prefix)
	if err != nil {
		return "", err
	}
	base, _ := h.place()
	answer, err := h.ask(ctx, http.MethodPost, base+"/"+service, request, true)
	if err != nil {
		return "", err
	}
	defer answer.Close()
	tip, err := readRefs(answer, ref)
	return tip, answer.plain(err)
}

// Pack gets all that a commit needs beyond what is had, as a pack.
func (h *HTTPS) Pack(ctx context.Context, want string, haves []string, to io.Writer) error {
	return tame(h.pack(ctx, want, haves, to))
}

func (h *HTTPS) pack(ctx context.Context, want string, haves []string, to io.Writer) error {
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

func (h *HTTPS) place() (base string, v2 bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.base, h.v2
}

// settle notes where the repository is, and what is spoken there.
func (h *HTTPS) settle(base string, v2 bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.base, h.v2 = base, v2
}

// ask sends a request; what comes back is an answer with content.
func (h *HTTPS) ask(ctx context.Context, method, at string, body []byte, v2 bool) (*answer, error) {
	a := &answer{}
	a.ctx, a.heard, a.end = outbound.Watch(ctx, h.Quiet)
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

// statusError is an answer that says no.
type statusError struct {
	status int
	what   string // to do
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s%s", e.status, http.StatusText(e.status), e.what)
}

// gone says that an answer means that the repository is elsewhere, or that this is
// not spoken there any more.
func gone(err error) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && slices.Contains([]int{400, 404, 405, 410, 415}, e.status)
}

// refused says what an answer without content means.
func refused(got *http.Response, loggedIn bool) error {
	after := outbound.RetryAfter(got.Header.Get("Retry-After"), time.Now())
	if after > 0 || got.StatusCode == http.StatusTooManyRequests || got.StatusCode == http.StatusServiceUnavailable {
		return &outbound.BusyError{Status: got.StatusCode, After: after}
	}
	e := &statusError{status: got.StatusCode}
	switch got.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.what = ": it wants to know who we are; give token_file"
		if loggedIn {
			e.what = ": does token_file hold a token that may read this repository, and has it expired?"
		}
	case http.StatusNotFound:
		e.what = ": there is no such repository, or this login may not see it"
	}
	return e
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

// base is the repository's URL by the request that was answered in the end, or
// what was asked where that is not one of a repository.
func (a *answer) base(asked string) string {
	at := *a.http.Request.URL
	at.RawQuery, at.Fragment, at.User = "", "", nil
	if base, ok := strings.CutSuffix(at.String(), "/info/refs"); ok {
		return base
	}
	return asked
}

// plain is an error of net/http as it may be shown.
func (a *answer) plain(err error) error {
	if err == nil {
		return nil
	}
	return outbound.Plain(a.ctx, err, "give the file of its CA as `ca` of the fleet")
}
