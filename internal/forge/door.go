package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
	"github.com/vaultfleet/reconciler/internal/secret"
)

const (
	maxAnswer    = 8 << 20 // bytes
	maxRedirects = 3
	shortestWait = time.Minute     // after a limit that GitHub gives no time for (its "Best practices for using the REST API")
	idle         = 2 * time.Minute // for how long a connection waits for the next poll
	longest      = 2 * time.Minute // that one request may take: a forge may not trickle for ever
	agent        = "reconciler"
)

// door is what every request to a forge goes through, whichever client makes it. It
// adds who we are, and nobody else gets that. What comes back was read to its end,
// and says yes: any other answer is an error here, in the same words for all.
type door struct {
	host    *url.URL
	maxBody int // of a text that the forge takes, in bytes
	sign    func(*http.Request) error
	denied  func() // who we are was not taken; may be nil
	next    http.RoundTripper
}

// newDoor leads to the forge of the options, as who they say.
func newDoor(o Options, host *url.URL) *door {
	transport := outbound.Transport(o.Roots)
	transport.MaxIdleConns, transport.IdleConnTimeout = 2, idle
	d := &door{host: host, maxBody: maxBody(o.Kind), next: transport}
	d.sign = func(r *http.Request) error { return sign(r, o.Kind, o.Token) }
	return d
}

// maxBody is how many bytes of a comment a forge takes. GitHub counts bytes, though
// its message speaks of 65,536 characters; GitLab counts characters; Gitea has no
// limit of its own, and gets none that would surprise the others.
func maxBody(kind Kind) int {
	if kind == GitHub {
		return 262_144
	}
	return 1_000_000
}

// sign adds the token, as it is now.
func sign(r *http.Request, kind Kind, token func() (secret.Bytes, error)) error {
	held, err := token()
	if err != nil {
		return fmt.Errorf("read the forge's token: %w", err)
	}
	text := strings.TrimSpace(string(held.Reveal()))
	if !isToken(text) {
		return errors.New("the forge's token is empty, or has spaces or lines in it")
	}
	switch kind {
	case GitLab:
		r.Header.Set("Private-Token", text)
	case GitHub:
		r.Header.Set("Authorization", "Bearer "+text)
	default:
		r.Header.Set("Authorization", "token "+text)
	}
	return nil
}

// isToken says that a text can be one, and stands in a header as it is.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// client goes through the door.
func (d *door) client() *http.Client {
	return &http.Client{Transport: d, CheckRedirect: sameHost, Timeout: longest}
}

func (d *door) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, heard, end := outbound.Watch(r.Context(), 0)
	defer end()
	answer, err := d.send(r.Clone(ctx))
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, outbound.Plain(ctx, err, "give the file of its CA as `ca`")
	}
	defer answer.Body.Close()
	content, err := outbound.ReadAll(answer.Body, maxAnswer, heard)
	if err != nil {
		return nil, outbound.Plain(ctx, err, "")
	}
	answer.Header.Del("RateLimit-Limit") // client-go of GitLab would have all requests wait by it, however little it says
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	if err := d.judge(answer, content); err != nil {
		return nil, err
	}
	return answer, nil
}

func (d *door) send(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != d.host.Scheme || r.URL.Host != d.host.Host {
		return nil, errors.New("a request to another host than the forge's") // its client follows what no redirect named
	}
	if err := d.sign(r); err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", agent)
	if known := knownOf(r.Context()); known != nil && known.etag != "" {
		r.Header.Set("If-None-Match", known.etag)
	}
	return d.next.RoundTrip(r)
}

// judge lets answers pass that say yes, and redirects, which the client may follow.
func (d *door) judge(answer *http.Response, content []byte) error {
	known := knownOf(answer.Request.Context())
	switch status := answer.StatusCode; {
	case status == http.StatusNotModified && known != nil && known.etag != "":
		return errUnchanged
	case status/100 == 3 && status != http.StatusNotModified && answer.Header.Get("Location") != "":
		return nil
	case status/100 != 2 || status == http.StatusAccepted: // GitHub's 202 says: not yet
		return d.refusal(answer, content, time.Now())
	}
	kind := answer.Header.Get("Content-Type")
	switch {
	case len(content) == 0 && answer.StatusCode == http.StatusNoContent:
		return nil
	case len(content) == 0:
		return errEmpty // a client may take it for a list without anything in it
	case !isJSON(kind):
		return fmt.Errorf("it answers with %s, and not as an API does: is the URL that of the forge, and its kind right?", quoted(kind))
	}
	if err := wellFormed(content); err != nil {
		return err
	}
	if known != nil {
		known.etag = answer.Header.Get("ETag")
	}
	return nil
}

// wellFormed takes JSON with something in it: not every client bears a null where it
// awaits an item of a list.
func wellFormed(content []byte) error {
	content = bytes.TrimSpace(content)
	if !bytes.HasPrefix(content, []byte("[")) {
		content = slices.Concat([]byte("["), content, []byte("]"))
	}
	var items []json.RawMessage
	if err := json.Unmarshal(content, &items); err != nil {
		return err
	}
	for _, item := range items {
		if string(item) == "null" {
			return errEmpty
		}
	}
	return nil
}

func isJSON(kind string) bool {
	media, _, _ := mime.ParseMediaType(kind)
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// refusal says what an answer that is no yes means.
func (d *door) refusal(answer *http.Response, content []byte, now time.Time) error {
	status, says := answer.StatusCode, message(content)
	if status == http.StatusUnauthorized && d.denied != nil {
		d.denied()
	}
	if after, busy := busy(status, answer.Header, says, now); busy {
		return &outbound.BusyError{Status: status, After: after}
	}
	lower := strings.ToLower(says)
	if status == http.StatusRequestEntityTooLarge ||
		(status == http.StatusUnprocessableEntity || status == http.StatusBadRequest) && strings.Contains(lower, "is too long") {
		return &TooLongError{d.maxBody}
	}
	return &refusal{status: status, says: says, needs: shown(answer.Header.Get("X-Accepted-GitHub-Permissions"))}
}

// busy says that an answer means "later", and how much later. GitHub says it with
// 403 as well: with Retry-After, with nothing remaining until X-RateLimit-Reset, or
// in words alone ("Rate limits for the REST API").
func busy(status int, header http.Header, says string, now time.Time) (after time.Duration, yes bool) {
	after = outbound.RetryAfter(header.Get("Retry-After"), now)
	if after == 0 && header.Get("X-RateLimit-Remaining") == "0" {
		after = until(header.Get("X-RateLimit-Reset"), now)
	}
	if after == 0 && header.Get("RateLimit-Remaining") == "0" { // GitLab's names
		after = until(header.Get("RateLimit-Reset"), now)
	}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return after, true
	case http.StatusForbidden:
		if limit := strings.Contains(strings.ToLower(says), "rate limit"); after == 0 && limit {
			after = shortestWait
		}
		return after, after > 0
	}
	return 0, false
}

// until is how long it is to a time in seconds since 1970, 0 where it is none.
func until(header string, now time.Time) time.Duration {
	at, err := strconv.ParseInt(header, 10, 64)
	if err != nil || at <= now.Unix() {
		return 0
	}
	return time.Duration(min(at-now.Unix(), int64(outbound.LongestWait/time.Second))) * time.Second
}

// message is what a forge says in an answer that is no yes: GitHub and Gitea have
// message and errors, GitLab message, which may be a list by field, or error.
func message(content []byte) string {
	var said struct {
		Message any `json:"message"`
		Error   any `json:"error"`
		Errors  any `json:"errors"`
	}
	if json.Unmarshal(content, &said) != nil {
		return "" // a page of some proxy
	}
	var all []string
	for _, part := range []any{said.Message, said.Error, said.Errors} {
		if text := words(part); text != "" {
			all = append(all, text)
		}
	}
	return shown(strings.Join(all, "; "))
}

// words are the text of a message of whatever shape.
func words(part any) string {
	switch part := part.(type) {
	case nil:
		return ""
	case string:
		return part
	}
	if list, ok := part.([]any); ok && len(list) == 0 {
		return ""
	}
	text, _ := json.Marshal(part)
	return strings.NewReplacer(`"`, "", "{", "", "}", "", "[", "", "]", "").Replace(string(text))
}

// sameHost follows a repository that was renamed, and nobody who would have the
// token sent to another host, or a text sent again.
func sameHost(next *http.Request, before []*http.Request) error {
	first := before[0]
	switch {
	case next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host:
		return fmt.Errorf("it redirects to %s; give that as the forge's URL, if it is meant", shown(next.URL.Scheme+"://"+next.URL.Host))
	case first.Method != http.MethodGet:
		return errors.New("it redirects a request that has content; was the repository renamed?")
	case len(before) > maxRedirects:
		return fmt.Errorf("it redirects more than %d times", maxRedirects)
	}
	return nil
}

// known is what we have of an answer: the forge may say that it is still right.
type known struct{ etag string }

type knownKey struct{}

var errUnchanged = errors.New("it is unchanged")

// withKnown has a request ask for what is not known yet. The mark is that of the new
// answer afterwards.
func withKnown(ctx context.Context, k *known) context.Context {
	return context.WithValue(ctx, knownKey{}, k)
}

func knownOf(ctx context.Context) *known {
	k, _ := ctx.Value(knownKey{}).(*known)
	return k
}
