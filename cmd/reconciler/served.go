package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/wire"
	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/ssh"
	"github.com/vaultfleet/reconciler/pkg/actual"
)

// serverOf is who serves a fleet's repo; nil: it lies on this host.
func serverOf(f settings.Fleet) (git.Server, error) {
	switch f.Host.Scheme {
	case "ssh":
		return wire.SSH{Path: f.Host.Path, Run: sshTo(f)}, nil
	case "https":
		roots, err := rootsOf(f.CA)
		if err != nil {
			return nil, err
		}
		o := wire.Options{Roots: roots}
		if f.TokenFile != "" {
			o.Login = func() (string, string, error) { return readToken(f) }
		}
		return wire.NewHTTPS(f.Repo, o), nil
	}
	return nil, nil
}

// sshTo runs commands on the host of a repo, each on a connection of its own: a
// poll is seldom, and a host that is asked seldom closes what it keeps open.
func sshTo(f settings.Fleet) func(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) error {
	return func(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) error {
		pool := ssh.New(ssh.Settings{
			Names: ssh.Names{KnownHosts: "known_hosts of the fleet", Key: "ssh_key of the fleet"}, KnownHosts: f.KnownHosts, Key: f.SSHKey,
			Allow: func(actual.Target, []netip.Addr) error { return nil }, // reconciler.yaml itself names it
		})
		defer pool.Close()
		conn, err := pool.Connect(ctx, actual.Target{Node: f.Host.Name, Address: f.Host.Name, Port: f.Host.Port, User: f.Host.User})
		if err != nil {
			return err
		}
		out, err := conn.Stream(ctx, command, stdin, stdout)
		if err == nil && out.Exit != 0 {
			err = fmt.Errorf("git-upload-pack exits %d: %s", out.Exit, tail(out.Stderr))
		}
		return err
	}
}

// tail is the end of what a program of others complained of, as one line.
func tail(text []byte) string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(text), "�")), "\n")
	last := strings.Join(lines[max(0, len(lines)-3):], "; ")
	return fmt.Sprintf("%.300q", last)
}

// rootsOf are the certificates of a CA's file; nil: this host's.
func rootsOf(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %s holds no certificate", file)
	}
	return pool, nil
}

// maxToken caps a token, in bytes.
const maxToken = 16 << 10

// readToken reads who we are to a web server. Its errors do not quote the file.
func readToken(f settings.Fleet) (user, token string, err error) {
	text, err := secret.ReadFile(f.TokenFile)
	if err != nil {
		return "", "", fmt.Errorf("read token_file of the fleet: %w", err)
	}
	token = strings.TrimSpace(string(text.Reveal()))
	if token == "" || len(token) > maxToken || strings.ContainsAny(token, " \t\r\n\x00") {
		return "", "", errors.New("token_file of the fleet must hold a token in one line: " + f.TokenFile)
	}
	if user = f.Username; user == "" {
		user = "git"
	}
	return user, token, nil
}
