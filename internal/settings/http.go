package settings

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"gopkg.in/yaml.v3"
)

// defaultUserHeader is what proxies are told to say a person's name in.
const defaultUserHeader = "X-Forwarded-User"

// http reads where the daemon tells how it is, and who may ask. Where nobody is asked
// who he is only this host may ask, and a token does not cross a network in the clear.
func (r *reader) http(n *yaml.Node, to *HTTP) {
	before := len(r.problems)
	var read HTTP
	var listen, token, proxy *yaml.Node
	r.fields(n, "http",
		key{"listen", func(n *yaml.Node) { listen = n; r.listen(n, "http.listen", &read.Listen) }},
		key{"url", func(n *yaml.Node) { r.pageURL(n, &read.URL) }},
		key{"token_file", func(n *yaml.Node) {
			token = n
			if r.path(n, "http.token_file", &read.TokenFile) {
				r.private(n, read.TokenFile)
			}
		}},
		key{"trusted_proxy", func(n *yaml.Node) { proxy = n; r.proxy(n, &read.Proxy) }},
		key{"tls", func(n *yaml.Node) { r.tls(n, &read.TLS) }},
	)
	if listen == nil {
		r.at(n, `add listen: "127.0.0.1:9180"`, "http does not say where to listen")
	}
	if token != nil && proxy != nil {
		r.at(proxy, "delete one of them", "http has a token_file and a trusted_proxy: it is one of them that says who asks")
	}
	if at, err := netip.ParseAddrPort(read.Listen); read.Listen != "" && (err != nil || !at.Addr().IsLoopback()) {
		switch {
		case token == nil && proxy == nil:
			r.at(listen, "write it as 127.0.0.1:9180, and reach it through SSH; or add token_file: FILE with tls: {cert: FILE, key: FILE}, or trusted_proxy: {networks: [10.1.0.5]}",
				"http.listen %q is not a loopback address, and whoever asks there is not asked who he is", read.Listen)
		case token != nil && read.TLS == (TLS{}):
			r.at(token, "add tls: {cert: FILE, key: FILE}", "http.listen %q is not a loopback address, and the token would go there in the clear", read.Listen)
		}
	}
	if len(r.problems) == before {
		*to = read
	}
}

// pageURL reads where people reach the page: news and statuses lead there.
func (r *reader) pageURL(n *yaml.Node, to *string) {
	var s string
	if !r.text(n, "http.url", &s) {
		return
	}
	u, err := url.Parse(s)
	whole := err == nil && (u.Scheme == "https" || u.Scheme == "http") && isSite(u) && u.User == nil
	if !whole || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, "?#") {
		r.at(n, "write it as https://reconciler.example.com; the page has to be at its root", "http.url is not the address of a site")
		return
	}
	*to = u.Scheme + "://" + u.Host
}

// isSite says that a URL is of a host by its name or address, and of a port if of any.
func isSite(u *url.URL) bool {
	name := u.Hostname()
	strange := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	}
	at, err := netip.ParseAddr(name)
	if named := name != "" && strings.IndexFunc(name, strange) < 0 && strings.Trim(name, ".-") != ""; !named && (err != nil || at.Zone() != "") {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return !strings.HasSuffix(u.Host, ":") && (u.Port() == "" || err == nil && port > 0)
}

func (r *reader) proxy(n *yaml.Node, to *TrustedProxy) {
	before := len(r.problems)
	to.Header = defaultUserHeader
	r.fields(n, "http.trusted_proxy",
		key{"networks", func(n *yaml.Node) { r.proxyNetworks(n, &to.Networks) }},
		key{"header", func(n *yaml.Node) {
			if !r.text(n, "http.trusted_proxy.header", &to.Header) {
				return
			}
			if !httpguts.ValidHeaderFieldName(to.Header) {
				r.at(n, "write it as "+defaultUserHeader, "http.trusted_proxy.header %q is not the name of a header", to.Header)
			}
			to.Header = http.CanonicalHeaderKey(to.Header)
		}},
	)
	if len(r.problems) == before && len(to.Networks) == 0 {
		r.at(n, "add networks: [10.1.0.5], the addresses that the proxy asks from", "http.trusted_proxy has no networks: anybody could say that he is somebody")
	}
}

// proxyNetworks reads where a proxy asks from. Whoever asks from there can say that he
// is anybody, so it is not the whole world.
func (r *reader) proxyNetworks(n *yaml.Node, to *[]netip.Prefix) {
	r.networks(n, "http.trusted_proxy.networks", to)
	for _, p := range *to {
		if p.Bits() == 0 {
			r.at(n, "write the addresses that the proxy asks from, as [10.1.0.5]", "http.trusted_proxy.networks: %s is everybody", p)
		}
	}
}

func (r *reader) tls(n *yaml.Node, to *TLS) {
	before := len(r.problems)
	r.fields(n, "http.tls",
		key{"cert", func(n *yaml.Node) { r.path(n, "http.tls.cert", &to.Cert) }},
		key{"key", func(n *yaml.Node) {
			if r.path(n, "http.tls.key", &to.Key) {
				r.private(n, to.Key)
			}
		}},
	)
	if len(r.problems) == before && (to.Cert == "" || to.Key == "") {
		r.at(n, "write it as tls: {cert: FILE, key: FILE}", "http.tls needs both a cert and a key")
	}
}
