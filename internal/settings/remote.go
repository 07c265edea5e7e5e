package settings

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Host is where a repo is served, and as whom we come.
type Host struct {
	Scheme string // https or ssh
	User   string // of ssh
	Name   string // or address
	Port   int    // of ssh; 0: its own
	Path   string // of ssh, as the host takes it
}

// remote reads fleets[].repo: a folder of this host, https, or ssh in either
// notation of git.
func (r *reader) remote(n *yaml.Node, f *Fleet) {
	var s string
	if !r.text(n, "fleets[].repo", &s) {
		return
	}
	switch scheme, _, _ := strings.Cut(s, "://"); {
	case strings.HasPrefix(s, "-"):
		r.at(n, "write ./NAME if it is a folder", "fleets[].repo must not begin with a dash")
	case scheme == "file":
		r.repoFile(n, s, f)
	case scheme == "https", scheme == "ssh":
		r.repoURL(n, s, f)
	case scheme == "http", scheme == "git":
		r.at(n, "use https or ssh", "fleets[].repo %q: whoever is on the way could put commits of their own into it", withoutUser(s))
	case strings.Contains(s, "://"):
		r.at(n, "use https, ssh or file", "fleets[].repo %q: %s is not known as a way to a repo", withoutUser(s), scheme)
	default:
		if m := regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.-]*)@([A-Za-z0-9_][A-Za-z0-9_.-]*):([^-].*)$`).FindStringSubmatch(s); m != nil {
			f.Repo, f.Host = s, Host{Scheme: "ssh", User: m[1], Name: m[2], Path: m[3]}
			return
		}
		if strings.Contains(strings.SplitN(s, "/", 2)[0], ":") {
			r.at(n, "write ssh://git@HOST/PATH", "fleets[].repo %q is not USER@HOST:PATH", withoutUser(s))
			return
		}
		r.path(n, "fleets[].repo", &f.Repo)
	}
}

func (r *reader) repoFile(n *yaml.Node, s string, f *Fleet) {
	if local := strings.TrimPrefix(s, "file://"); !filepath.IsAbs(local) || strings.ContainsAny(local, "%?#") {
		r.at(n, "write it as file:///srv/git/fleet.git", "fleets[].repo %q is not the URL of an absolute path", s)
		return
	}
	f.Repo = s
}

// repoURL reads https and ssh. What is shown of it is never a password.
func (r *reader) repoURL(n *yaml.Node, s string, f *Fleet) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") == "" || strings.ContainsAny(s, "?#") || u.Opaque != "" ||
		strings.HasPrefix(u.Hostname(), "-") || strings.ContainsFunc(u.Path, unicode.IsControl) {
		r.at(n, "write it as https://HOST/PATH or ssh://git@HOST/PATH", "fleets[].repo %q is not the URL of a repo", withoutUser(s))
		return
	}
	h := Host{Scheme: u.Scheme, User: u.User.Username(), Name: u.Hostname(), Path: u.Path}
	if u.Port() != "" {
		if h.Port, err = strconv.Atoi(u.Port()); err != nil || h.Port < 1 || h.Port > 65535 {
			r.at(n, "", "fleets[].repo: %q is not a port", u.Port())
			return
		}
	}
	_, password := u.User.Password()
	switch {
	case u.Scheme == "https" && u.User != nil:
		r.at(n, "put the token into a file of mode 600 and name it as token_file", "fleets[].repo holds a login, which would show in logs")
	case password:
		r.at(n, "log in with ssh_key", "fleets[].repo holds a password")
	case u.Scheme == "ssh" && h.User == "":
		r.at(n, "write ssh://git@HOST/PATH", "fleets[].repo %q names no user", s)
	default:
		f.Repo, f.Host = s, h
		if rest, home := strings.CutPrefix(h.Path, "/~"); home {
			f.Host.Path = "~" + rest // as git itself does
		}
	}
}

// fits checks that a repo is reached with what it takes, and with nothing else.
func (r *reader) fits(n *yaml.Node, f Fleet) {
	type setting struct{ name, value, of string }
	for _, s := range []setting{{"ssh_key", f.SSHKey, "ssh"}, {"known_hosts", f.KnownHosts, "ssh"}, {"token_file", f.TokenFile, "https"}, {"username", f.Username, "https"}, {"ca", f.CA, "https"}} {
		switch {
		case s.value != "" && f.Host.Scheme != s.of:
			r.at(n, "delete it", "fleets[].%s is for a repo that is reached by %s, and %s is not", s.name, s.of, withoutUser(f.Repo))
		case s.value == "" && s.of == "ssh" && f.Host.Scheme == "ssh":
			r.at(n, fmt.Sprintf("add %s: FILE", s.name), "the fleet at %s is reached by ssh and has no %s", f.Repo, s.name)
		}
	}
	if f.Username != "" && f.TokenFile == "" {
		r.at(n, "add token_file: FILE", "fleets[].username comes with no token_file")
	}
}

// withoutUser cuts what may be a password or a token out of what was written as a
// repo, before it is shown: all up to the last @, and what a URL asks for.
func withoutUser(repo string) string {
	if at := strings.LastIndex(repo, "@"); at >= 0 {
		repo = "…" + repo[at:]
	}
	if at := strings.IndexAny(repo, "?#"); at >= 0 {
		repo = repo[:at] + "…"
	}
	return repo
}
