package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/web"
)

// door is who is let in over http, and how the way there is encrypted.
type door struct {
	guard *web.Guard
	tls   *tls.Config // nil: it is not
}

// leastToken is how short a token may be, in bytes.
const leastToken = 16

// openDoor opens what settings name. Sessions are of the key.
func openDoor(h settings.HTTP, key []byte) (door, error) {
	access := web.Access{Key: key, TLS: h.TLS.Cert != ""}
	if len(h.Proxy.Networks) > 0 {
		access.Proxy = &web.Proxy{Networks: h.Proxy.Networks, Header: h.Proxy.Header}
	}
	if h.TokenFile != "" {
		var err error
		if access.Token, err = pageToken(h.TokenFile); err != nil {
			return door{}, &exitError{code: exitFailed, err: err, hint: "write one into it, as: (umask 077; openssl rand -hex 32 > FILE)"}
		}
	}
	var d door
	if access.TLS {
		pair, err := tls.LoadX509KeyPair(h.TLS.Cert, h.TLS.Key)
		if err != nil {
			return door{}, &exitError{code: exitFailed, err: fmt.Errorf("read http.tls: %w", err), hint: "cert is a PEM file with the certificate and those between it and its CA, key the PEM file of its key"}
		}
		d.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	}
	d.guard = web.NewGuard(access)
	return d, nil
}

func pageToken(file string) (secret.Bytes, error) {
	text, err := secret.ReadFile(file)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("read http.token_file: %w", err)
	}
	token := bytes.TrimSpace(text.Reveal())
	switch {
	case len(token) < leastToken:
		err = fmt.Errorf("http.token_file %s holds a token of fewer than %d characters", file, leastToken)
	case bytes.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		err = errors.New("http.token_file " + file + " must hold a token in one line, without spaces")
	}
	return secret.Of(token), err
}

// encrypting is a listener whose connections are encrypted while there is something to
// do it with. Newer settings may begin or end that at the same address.
type encrypting struct {
	net.Listener
	by *atomic.Pointer[tls.Config]
}

func (l encrypting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if by := l.by.Load(); err == nil && by != nil {
		conn = tls.Server(conn, by)
	}
	return conn, err
}
