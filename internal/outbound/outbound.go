// Package outbound is what the requests of ours to web servers have in common: they
// go through the proxy that HTTPS_PROXY and NO_PROXY name, they end when the server
// goes quiet, and their errors do not tell the address, which may give access.
//
// It must not know what is asked for, nor whom.
//
//	ctx, heard, end := outbound.Watch(ctx, 0)
//	defer end()
//	client := http.Client{Transport: outbound.Transport(nil)}
package outbound

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
	"time"
)

// quiet is for how long a server may send nothing, where nobody says otherwise.
const quiet = 30 * time.Second

const maxHeader = 64 << 10 // bytes

// Transport reaches servers whose certificates are of these roots; nil: of those of
// this machine. What is sent is taken as it comes: nothing is inflated on the way.
func Transport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// Watch ends a context when nothing was heard for too long; 0: 30 s. The caller
// ends it in any case.
func Watch(ctx context.Context, most time.Duration) (watched context.Context, heard, end func()) {
	if most == 0 {
		most = quiet
	}
	ctx, cancel := context.WithCancelCause(ctx)
	silent := time.AfterFunc(most, func() { cancel(fmt.Errorf("nothing came for %v", most)) })
	return ctx, func() { silent.Reset(most) }, func() { silent.Stop(); cancel(nil) }
}

// Plain is an error of net/http without the address that it was about: the cause
// where the context has ended, and with a way out where the server's certificate is
// of a CA that is not known.
func Plain(ctx context.Context, err error, unknownCA string) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if about, ok := errors.AsType[*url.Error](err); ok {
		err = about.Err
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w; %s", err, unknownCA)
	}
	return err
}

// ReadAll reads an answer of at most so many bytes, and says each time that more of it
// was heard.
func ReadAll(from io.Reader, most int, heard func()) ([]byte, error) {
	size := fmt.Sprintf("%d KiB", most>>10)
	if most%(1<<20) == 0 {
		size = fmt.Sprintf("%d MiB", most>>20)
	}
	var all bytes.Buffer
	for {
		_, err := io.CopyN(&all, from, 16<<10)
		heard()
		switch {
		case all.Len() > most:
			return nil, fmt.Errorf("its answer is larger than %s", size)
		case err == io.EOF:
			return all.Bytes(), nil
		case err != nil:
			return nil, fmt.Errorf("its answer ends after %d bytes: %w", all.Len(), err)
		}
	}
}
