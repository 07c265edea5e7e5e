package notify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/vaultfleet/reconciler/internal/outbound"
)

// Relay is a process that sends one message through shoutrrr, and does nothing else:
// it reads an order, has every request go through a door of ours, and writes a reply.
// It changes the transport of the whole process, and leaves behind what the service
// started.
func Relay(in io.Reader, out io.Writer) error {
	var o order
	if err := json.NewDecoder(io.LimitReader(in, maxMessage)).Decode(&o); err != nil {
		return errors.New("what is to be sent did not come") // its text may be the URL
	}
	d := &door{next: outbound.Transport(nil), fault: make(chan error, 1)}
	http.DefaultTransport = d
	sent := make(chan error, 1)
	go func() {
		sent <- caught(func() error { return d.send(o) })
	}()
	var err error
	select {
	case err = <-sent:
		if last := d.last(); err != nil && last != nil {
			err = last // the service may have lost what it was
		}
	case err = <-d.fault: // the service would try again, and sleep until then
	}
	return json.NewEncoder(out).Encode(replied(err, o.URL))
}

// replied is an error as it may leave this process. The service, or who answers it, may
// have put pieces of the URL into it.
func replied(err error, raw string) reply {
	if err == nil {
		return reply{}
	}
	if busy, ok := errors.AsType[*outbound.BusyError](err); ok {
		return reply{Error: busy.Error(), Busy: busy.Status, After: busy.After}
	}
	_, refused := errors.AsType[*RefusedError](err)
	return reply{Error: without(shown(err.Error()), pieces(raw)...), Refused: refused}
}

// pieces are what of a URL may be secret, the longest first.
func pieces(raw string) []string {
	all := []string{raw}
	for _, form := range []func(string) string{func(s string) string { return s }, unescaped} {
		for _, separators := range []string{"/?&=@", "/?&=@:,-+#."} {
			all = append(all, strings.FieldsFunc(form(raw), func(r rune) bool { return strings.ContainsRune(separators, r) })...)
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < 6 }) // no secret, and words have it too
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return slices.Compact(all)
}

func unescaped(s string) string {
	if text, err := url.PathUnescape(s); err == nil {
		return text
	}
	return s
}

// send has shoutrrr send the message, with the door in every client that it has.
func (d *door) send(o order) error {
	to, err := service(o.URL)
	if err != nil {
		return err
	}
	if s, ok := to.(interface{ SetHTTPClient(*http.Client) }); ok {
		s.SetHTTPClient(&http.Client{Transport: d})
	}
	if s, ok := to.(interface{ GetHTTPClient() *http.Client }); ok && s.GetHTTPClient() != nil {
		s.GetHTTPClient().Transport = d
	}
	switch to.GetID() {
	case string(Slack), string(Teams):
		return to.Send(o.Text, &types.Params{types.TitleKey: o.Title})
	}
	return to.Send(o.Title+"\n\n"+o.Text, &types.Params{})
}

// door is what every request of a service goes through: to https, or to this machine;
// to whom it was sent and to nobody else; to an end.
type door struct {
	next  http.RoundTripper
	fault chan error // what ends the sending at once

	mu     sync.Mutex
	lastNo error
}

const maxReply = 256 << 10 // bytes

func (d *door) last() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lastNo
}

// no notes why a request did not succeed.
func (d *door) no(err error, ends bool) error {
	d.mu.Lock()
	d.lastNo = err
	d.mu.Unlock()
	if ends {
		select {
		case d.fault <- err:
		default:
		}
	}
	return err
}

func (d *door) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !(r.URL.Scheme == "http" && isLoopback(r.URL.Hostname())) {
		return nil, d.no(errors.New("the url of the chat leads to one that is not https: whoever is on the way could read it"), true)
	}
	ctx, heard, end := outbound.Watch(r.Context(), 0)
	defer end()
	answer, err := d.next.RoundTrip(r.Clone(ctx))
	if err != nil {
		return nil, d.no(outbound.Plain(ctx, err, "add its CA to those of this machine"), true)
	}
	defer answer.Body.Close()
	content, err := outbound.ReadAll(answer.Body, maxReply, heard)
	if err != nil {
		return nil, d.no(outbound.Plain(ctx, err, ""), true)
	}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	if err := judge(answer); err != nil {
		client := answer.StatusCode/100 == 4 && answer.StatusCode != http.StatusTooManyRequests
		if client {
			err = saying(err, answer, content)
			d.no(err, false) // the service may have asked only whether something is there
			return answer, nil
		}
		return nil, d.no(err, true)
	}
	return answer, nil
}

// saying adds what a service says in words.
func saying(err error, answer *http.Response, content []byte) error {
	if len(content) == 0 || len(content) > maxShown || strings.Contains(answer.Header.Get("Content-Type"), "html") {
		return err
	}
	said := fmt.Errorf("%w: %s", err, shown(string(content)))
	if _, refused := errors.AsType[*RefusedError](err); refused {
		return &RefusedError{said}
	}
	return said
}
