package forge

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/vaultfleet/reconciler/internal/secret"
)

// Kind is which forge it is.
type Kind string

// The forges that are known.
const (
	GitHub  Kind = "github"
	GitLab  Kind = "gitlab"
	Gitea   Kind = "gitea"
	Forgejo Kind = "forgejo"
)

// Options are which repository is asked about, and as who.
type Options struct {
	Kind Kind
	// URL is of the forge or of its API: https://git.example.com. It may be left out
	// for github.com and gitlab.com. http is for this machine's own addresses alone.
	URL string
	// Repo is owner/name; on GitLab group/name or group/sub/name.
	Repo string
	// Token is asked for at each request, so that a new one counts at once.
	Token func() (secret.Bytes, error)
	// App is who asks instead of the owner of a token; GitHub alone has it.
	App *App
	// Roots are those that the forge's certificate must be of; nil: this machine's.
	Roots *x509.CertPool
}

// New is a client of a repository's forge. Nothing is sent yet.
func New(o Options) (Client, error) {
	at, err := place(o.Kind, o.URL)
	if err != nil {
		return nil, err
	}
	if err := checkRepo(o.Kind, o.Repo); err != nil {
		return nil, err
	}
	switch {
	case (o.Token == nil) == (o.App == nil):
		return nil, errors.New("give either a token or an app")
	case o.App != nil && o.Kind != GitHub:
		return nil, fmt.Errorf("an app is something of github; give a token of an account on %s", o.Kind)
	}
	d := newDoor(o, at)
	c := &client{maxBody: d.maxBody, maxIssue: maxIssue(o.Kind), kept: map[string][]page{}, queues: map[string]queue{}}
	switch o.Kind {
	case GitHub:
		c.dialect, err = newGitHub(d, o)
	case GitLab:
		c.dialect, err = newGitLab(d, o.Repo)
	case Gitea, Forgejo:
		c.dialect = newGitea(d, o.Repo)
	default:
		return nil, fmt.Errorf("kind %s is not known; give github, gitlab, gitea or forgejo", quoted(string(o.Kind)))
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// place is where a forge's API is: without a / at its end, and for Gitea and GitLab
// without /api and the version, which their clients add.
func place(kind Kind, raw string) (*url.URL, error) {
	if raw == "" {
		raw = map[Kind]string{GitHub: "https://api.github.com", GitLab: "https://gitlab.com"}[kind]
	}
	at, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, errors.New("the forge's URL is missing; give for example https://git.example.com")
	case err != nil || at.Host == "" || at.Opaque != "":
		return nil, errors.New("the forge's URL is not one; give for example https://git.example.com") // it may hold a password
	case at.User != nil || at.RawQuery != "" || at.Fragment != "":
		return nil, errors.New("the forge's URL has a user, ? or #; give it without, and the token in a file")
	case at.Scheme != "https" && !(at.Scheme == "http" && isLoopback(at.Hostname())):
		return nil, fmt.Errorf("the forge's URL is of %s://: the token would be seen on the way; give one of https://", at.Scheme)
	}
	at.Host = strings.ToLower(at.Host)
	version := map[Kind]string{GitHub: "/api/v3", GitLab: "/api/v4"}[kind]
	if version == "" {
		version = "/api/v1"
	}
	at.RawPath = ""
	at.Path = strings.TrimSuffix(strings.TrimRight(at.Path, "/"), version)
	if kind == GitHub {
		placeGitHub(at)
	}
	return at, nil
}

// placeGitHub finds the API of github.com and of GHE.com beside their pages, and
// that of a server of one's own below.
func placeGitHub(at *url.URL) {
	switch {
	case at.Host == "github.com" || at.Host == "www.github.com":
		at.Host, at.Path = "api.github.com", ""
	case strings.HasPrefix(at.Host, "api."):
	case strings.HasSuffix(at.Host, ".ghe.com"):
		at.Host, at.Path = "api."+at.Host, ""
	default:
		at.Path += "/api/v3"
	}
}

func isLoopback(host string) bool {
	at, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && at.IsLoopback()
}

// checkRepo takes what can stand in a path without becoming another one.
func checkRepo(kind Kind, repo string) error {
	parts := strings.Split(repo, "/")
	if len(parts) < 2 || len(parts) > 2 && kind != GitLab {
		return fmt.Errorf("repo %s is not owner/name", quoted(repo))
	}
	for _, part := range parts {
		if !isName(part) {
			return fmt.Errorf("repo %s: %s is no name on a forge", quoted(repo), quoted(part))
		}
	}
	return nil
}
