package release

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
)

// Web is how https sources are reached: by https alone, also where a mirror
// redirects to, and through the proxy that HTTPS_PROXY and NO_PROXY name. Its
// zero value is ready for use.
type Web struct {
	Roots *x509.CertPool // that a mirror's certificate must be of; nil: those of this machine
	Quiet time.Duration  // for how long a mirror may send nothing; zero: 30 s
}

const maxRedirects = 5

// mirror is an https source.
type mirror struct {
	base *url.URL
	web  Web
}

func (m mirror) at(name string) string { return m.base.JoinPath(name).String() }

// open begins a download. It ends with the context, or when nothing comes for
// too long; how long it takes as a whole is the caller's affair. That a file is
// not there is [fs.ErrNotExist].
func (m mirror) open(ctx context.Context, name string) (io.ReadCloser, error) {
	ctx, heard, end := outbound.Watch(ctx, m.web.Quiet)
	transport := outbound.Transport(m.web.Roots)
	transport.DisableKeepAlives = true // no connection outlives its file
	d := &download{ctx: ctx, heard: heard, end: func() {
		end()
		transport.CloseIdleConnections()
	}}
	if err := d.begin(transport, m.at(name)); err != nil {
		d.end()
		return nil, fmt.Errorf("get %s: %w", m.at(name), err)
	}
	return d, nil
}

// download is the body of an answer.
type download struct {
	ctx   context.Context
	body  io.ReadCloser
	got   int64
	heard func()
	end   func()
}

func (d *download) begin(transport *http.Transport, from string) error {
	ask, err := http.NewRequestWithContext(d.ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	ask.Header.Set("User-Agent", "reconciler")
	client := http.Client{Transport: transport, CheckRedirect: onlyHTTPS}
	answer, err := client.Do(ask)
	if err != nil {
		return d.plain(err)
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return refused(answer.StatusCode)
	}
	d.body = answer.Body
	return nil
}

// onlyHTTPS follows a mirror to where its files really lie. What that address
// holds besides the host may be a signature that gives access: it is not shown.
func onlyHTTPS(next *http.Request, before []*http.Request) error {
	if next.URL.Scheme != "https" {
		return fmt.Errorf("it redirects to %s://%s, and only https is followed; name a mirror that has the files itself", next.URL.Scheme, next.URL.Host)
	}
	if len(before) > maxRedirects {
		return fmt.Errorf("it redirects more than %d times", maxRedirects)
	}
	return nil
}

// refused says what an answer without a file means. Object stores say 403 of
// what is not there.
func refused(status int) error {
	said := fmt.Sprintf("%d %s", status, http.StatusText(status))
	switch status {
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden:
		return &missingError{"it is not there (" + said + "): is there such a release, and is the mirror laid out like releases.hashicorp.com?"}
	case http.StatusUnauthorized:
		return fmt.Errorf("%s: logging in to a mirror is not built; let this machine read it without", said)
	}
	return errors.New(said)
}

// plain is an error of net/http as it may be shown.
func (d *download) plain(err error) error {
	return outbound.Plain(d.ctx, err, "add the CA of the mirror, or of the proxy that opens TLS, to this machine, or name its file in SSL_CERT_FILE")
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.body.Read(p)
	d.got += int64(n)
	if n > 0 {
		d.heard()
	}
	// A server that sees us leave may end its answer properly, so an end that comes
	// after we gave up is not the end of the file.
	if err != nil && (err != io.EOF || d.ctx.Err() != nil) {
		err = fmt.Errorf("the download broke off after %d bytes: %w", d.got, d.plain(err))
	}
	return n, err
}

func (d *download) Close() error {
	defer d.end()
	return d.body.Close()
}
