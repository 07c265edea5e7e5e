package settings

import (
	"maps"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Sink is where messages may be sent.
type Sink struct {
	Kind       SinkKind
	URLFile    string // file: of slack, teams, shoutrrr, or of webhook
	URL        string // of webhook, where it is no secret
	SecretFile string // of webhook
	Mail       Mail
	CA         string // PEM file of mail, webhook and teams; empty: those of this host
}

// SinkKind is what a sink is.
type SinkKind string

// All kinds of sinks.
const (
	SinkMail       SinkKind = "mail"
	SinkSlack      SinkKind = "slack"
	SinkTeams      SinkKind = "teams"
	SinkShoutrrr   SinkKind = "shoutrrr" // any other chat that it knows
	SinkWebhook    SinkKind = "webhook"
	SinkForgeIssue SinkKind = "forge_issue"
)

// Mail is a server that takes mails, and whose they are.
type Mail struct {
	Server       string // HOST:PORT
	TLS          string // starttls, implicit or none
	Username     string // empty: nobody in particular
	PasswordFile string
	From         string
	To           []string
}

// Files are those that a sink needs.
func (s Sink) Files() []string {
	return slices.DeleteFunc([]string{s.URLFile, s.SecretFile, s.Mail.PasswordFile, s.CA}, func(file string) bool { return file == "" })
}

// SinkNames are the names of notify, sorted: what may be told where.
func (s Settings) SinkNames() []string { return slices.Sorted(maps.Keys(s.Notify)) }

// notify reads where messages go, by name.
func (r *reader) notify(n *yaml.Node, s *Settings) {
	s.Notify = map[string]Sink{}
	r.pairs(n, "notify", func(k, v *yaml.Node) {
		if !r.name(k, "notify") {
			return
		}
		where, before := join("notify", k.Value), len(r.problems)
		var sink Sink
		kinds := 0
		kind := func(is SinkKind, read func(n *yaml.Node, where string, to *Sink)) key {
			return key{string(is), func(n *yaml.Node) {
				kinds++
				sink.Kind = is
				read(n, join(where, string(is)), &sink)
			}}
		}
		r.fields(v, where, kind(SinkMail, r.mail), kind(SinkSlack, r.chat), kind(SinkTeams, r.chat), kind(SinkShoutrrr, r.chat),
			kind(SinkWebhook, r.outgoing), kind(SinkForgeIssue, func(n *yaml.Node, where string, _ *Sink) { r.fields(n, where) }))
		switch {
		case len(r.problems) > before:
		case kinds != 1:
			r.at(k, "give one of mail, slack, teams, shoutrrr, webhook, forge_issue", "%s is %d things", where, kinds)
		case sink.Kind == SinkForgeIssue && before == 0 && !slices.ContainsFunc(s.Fleets, func(f Fleet) bool { return f.Forge.Kind != "" }):
			r.at(v, "add forge: {…} to a fleet", "%s would open issues, and no fleet has a forge", where)
		default:
			s.Notify[k.Value] = sink
		}
	})
}

// chat reads a URL that is a secret: it stands in a file.
func (r *reader) chat(n *yaml.Node, where string, to *Sink) {
	before := len(r.problems)
	keys := []key{r.secretFile(where, "url_file", &to.URLFile), r.noURL(where)}
	if to.Kind == SinkTeams {
		keys = append(keys, r.sinkCA(where, to))
	}
	r.fields(n, where, keys...)
	if len(r.problems) == before && to.URLFile == "" {
		r.at(n, "add url_file: FILE, with the URL on one line", "%s has no url_file", where)
	}
}

// noURL refuses a URL that gives access to whoever reads reconciler.yaml.
func (r *reader) noURL(where string) key {
	return key{"url", func(n *yaml.Node) {
		r.at(n, "write it into a file of mode 600, give that as url_file, and replace the URL if others could read it", "%s.url: such a URL is a secret", where)
	}}
}

func (r *reader) secretFile(where, name string, to *string) key {
	return key{name, func(n *yaml.Node) {
		if r.path(n, where+"."+name, to) {
			r.private(n, *to)
		}
	}}
}

func (r *reader) sinkCA(where string, to *Sink) key {
	return key{"ca", func(n *yaml.Node) {
		if r.path(n, where+".ca", &to.CA) {
			r.guarded(n, to.CA)
		}
	}}
}

// outgoing reads a webhook of ours. Its URL may be a secret, and may be none.
func (r *reader) outgoing(n *yaml.Node, where string, to *Sink) {
	before := len(r.problems)
	r.fields(n, where,
		key{"url", func(n *yaml.Node) { r.outgoingURL(n, where+".url", &to.URL) }},
		r.secretFile(where, "url_file", &to.URLFile),
		r.secretFile(where, "secret_file", &to.SecretFile),
		r.sinkCA(where, to),
	)
	switch {
	case len(r.problems) > before:
	case (to.URL == "") == (to.URLFile == ""):
		r.at(n, "give url: https://HOST/PATH, or url_file: FILE where the URL is a secret", "%s needs one of url and url_file", where)
	case to.SecretFile == "":
		r.at(n, "add secret_file: FILE, made by: (umask 077; echo whsec_$(openssl rand -base64 32) > FILE)", "%s has no secret_file: the receiver could not tell who posts", where)
	}
}

// outgoingURL takes https, and http to this very host. What is shown of it holds no
// token.
func (r *reader) outgoingURL(n *yaml.Node, where string, to *string) {
	var s string
	if !r.text(n, where, &s) {
		return
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || u.Fragment != "":
		r.at(n, "write it as https://HOST/PATH", "%s is not the URL of a webhook", where)
	case u.User != nil || u.RawQuery != "":
		r.at(n, "write it into a file of mode 600, and give that as url_file", "%s holds a login or a ?, which may be a secret", where)
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		r.at(n, "use https", "%s: whoever is on the way to %s could read what is sent", where, u.Host)
	default:
		*to = s
	}
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// mail reads who takes our mails.
func (r *reader) mail(n *yaml.Node, where string, to *Sink) {
	before := len(r.problems)
	m := &to.Mail
	m.TLS = "starttls"
	r.fields(n, where,
		key{"server", func(n *yaml.Node) { r.mailServer(n, where+".server", &m.Server) }},
		key{"tls", func(n *yaml.Node) {
			if r.text(n, where+".tls", &m.TLS) && !slices.Contains([]string{"starttls", "implicit", "none"}, m.TLS) {
				r.at(n, "choose one of starttls, implicit, none", "%s.tls cannot be %q", where, m.TLS)
			}
		}},
		key{"from", func(n *yaml.Node) { r.mailAddress(n, where+".from", &m.From) }},
		key{"to", func(n *yaml.Node) {
			r.items(n, where+".to", func(n *yaml.Node) {
				var address string
				if r.mailAddress(n, "an item of "+where+".to", &address); address != "" {
					m.To = append(m.To, address)
				}
			})
		}},
		key{"username", func(n *yaml.Node) { r.text(n, where+".username", &m.Username) }},
		r.secretFile(where, "password_file", &m.PasswordFile),
		key{"password", func(n *yaml.Node) {
			r.at(n, "write it into a file of mode 600, give that as password_file, and replace the password if others could read it", "%s.password: a password does not stand here", where)
		}},
		r.sinkCA(where, to),
	)
	if len(r.problems) > before {
		return
	}
	host, _, _ := net.SplitHostPort(m.Server)
	switch {
	case m.Server == "":
		r.at(n, `add server: "smtp.internal:587"`, "%s does not say which server takes the mails", where)
	case m.From == "":
		r.at(n, "add from: reconciler@example.com", "%s does not say whom the mails are from", where)
	case len(m.To) == 0:
		r.at(n, "add to: [ops@example.com]", "%s does not say whom the mails are to", where)
	case (m.Username == "") != (m.PasswordFile == ""):
		r.at(n, "give both, or none", "%s has only one of username and password_file", where)
	case m.TLS == "none" && !isLoopback(host):
		r.at(n, `delete tls, or use a server at 127.0.0.1 or [::1]`, "%s: without TLS whoever is on the way to %s could read the mails", where, host)
	}
}

func (r *reader) mailServer(n *yaml.Node, where string, to *string) {
	var s string
	if !r.text(n, where, &s) {
		return
	}
	host, port, err := net.SplitHostPort(s)
	number, bad := strconv.Atoi(port)
	if err != nil || bad != nil || number < 1 || number > 65535 || host == "" || strings.ContainsAny(host, "/@ ") {
		r.at(n, `write it as "smtp.internal:587"`, "%s is not a host with a port", where)
		return
	}
	*to = s
}

func (r *reader) mailAddress(n *yaml.Node, where string, to *string) {
	var s string
	if !r.text(n, where, &s) {
		return
	}
	if a, err := mail.ParseAddress(s); err != nil || !strings.Contains(a.Address, "@") {
		r.at(n, "write it as ops@example.com, or \"Ops <ops@example.com>\"", "%s %q is not the address of a mail", where, s)
		return
	}
	*to = s
}
