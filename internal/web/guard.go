package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/secret"
)

// Access says who may see the pages. Where neither a token nor a proxy is given nobody
// is asked who he is, and only browsers of this host may ask.
type Access struct {
	Token secret.Bytes // what people and programs show; empty: none is taken
	Proxy *Proxy       // who says who asks; nil: nobody does
	Key   []byte       // of sessions, see [NewKey]; only where there is a token
	TLS   bool         // the way here is encrypted
}

// Proxy is one in front of us that asks people who they are.
type Proxy struct {
	Networks []netip.Prefix // where it may ask from
	Header   string         // what it says the person's name in
}

// Guard asks whoever comes.
type Guard struct {
	Access
	tries   *tries
	session sessions
	pages   func() map[string]*template.Template
	now     func() time.Time
}

// NewGuard is a guard.
func NewGuard(a Access) *Guard {
	return &Guard{Access: a, tries: newTries(), session: newSessions(a), pages: sync.OnceValue(templates), now: time.Now}
}

// policy is all that a page may load, send to, and be framed by.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// The paths that a guard answers itself.
const (
	loginPath  = "/login"
	logoutPath = "/logout"
	staticPath = "/static/" // without these the login would not look like a page, and they tell nothing
)

// who asks.
type who struct {
	name    string
	session bool
}

type whoKey struct{}

func whoAsks(r *http.Request) (who, bool) {
	w, ok := r.Context().Value(whoKey{}).(who)
	return w, ok
}

// Protect lets only those through who may see what is behind it.
func (g *Guard) Protect(behind http.Handler) http.Handler {
	asked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if static, ok := strings.CutPrefix(r.URL.Path, staticPath); ok && !strings.Contains(static, "/") && r.Method == http.MethodGet {
			if serveStatic(w, r, static) {
				return
			}
		}
		switch {
		case g.Proxy != nil:
			g.proxied(w, r, behind)
		case len(g.Token.Reveal()) > 0:
			g.tokened(w, r, behind)
		case !ofThisHost(r.Host):
			refuse(w, http.StatusMisdirectedRequest, "Nobody is asked here who he is, so only localhost is answered, and not "+host(r.Host)+". Behind a proxy, give http.trusted_proxy in reconciler.yaml.")
		default:
			behind.ServeHTTP(w, r)
		}
	})
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "Another page sent this.")
	}))
	inner := foreign.Handler(asked)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guarded(w.Header())
		inner.ServeHTTP(w, r)
	})
}

// guarded are the headers of every answer.
func guarded(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin") // without any, browsers would send forms of our own as another's
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// refuse is for programs, and for people whom no page can help.
func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // who asked may have gone
}

// proxied takes the proxy's word for who asks, and nobody else's.
func (g *Guard) proxied(w http.ResponseWriter, r *http.Request, behind http.Handler) {
	from := addressOf(r)
	if !slices.ContainsFunc(g.Proxy.Networks, func(p netip.Prefix) bool { return p.Contains(from) }) {
		refuse(w, http.StatusForbidden, "Only the proxy is answered here: "+from.String()+" is not in http.trusted_proxy.networks.")
		return
	}
	names := r.Header.Values(g.Proxy.Header)
	if len(names) != 1 || strings.TrimSpace(names[0]) == "" {
		refuse(w, http.StatusUnauthorized, "The proxy did not say who asks: it has to set "+g.Proxy.Header+", once.")
		return
	}
	behind.ServeHTTP(w, as(r, who{name: strings.TrimSpace(names[0])}))
}

func as(r *http.Request, w who) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), whoKey{}, w))
}

// tokened takes the token from programs, and a session of it from browsers.
func (g *Guard) tokened(w http.ResponseWriter, r *http.Request, behind http.Handler) {
	switch {
	case r.URL.Path == loginPath:
		g.logIn(w, r)
	case r.URL.Path == logoutPath:
		g.logOut(w, r)
	case r.Header.Get("Authorization") != "":
		g.program(w, r, behind)
	case g.session.holds(r, g.now()):
		behind.ServeHTTP(w, as(r, who{session: true}))
	case r.Header.Get(onlyPart) == "" && strings.Contains(r.Header.Get("Accept"), "text/html") && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		http.Redirect(w, r, loginPath+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="reconciler"`)
		refuse(w, http.StatusUnauthorized, "Who asks? Send Authorization: Bearer and the token of http.token_file.")
	}
}

func (g *Guard) program(w http.ResponseWriter, r *http.Request, behind http.Handler) {
	from := addressOf(r)
	if !g.tries.may(from) {
		refuse(w, http.StatusTooManyRequests, "Too many wrong tokens came from there. Try again in a minute.")
		return
	}
	scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || !g.right(strings.TrimSpace(shown)) {
		g.tries.wrong(from)
		w.Header().Set("WWW-Authenticate", `Bearer realm="reconciler", error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "That is not the token.")
		return
	}
	behind.ServeHTTP(w, as(r, who{}))
}

// right compares in a time that tells nothing of the token.
func (g *Guard) right(shown string) bool {
	a, b := sha256.Sum256([]byte(shown)), sha256.Sum256(g.Token.Reveal())
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// addressOf is who is at the other end of the connection; the zero one where it has no
// address.
func addressOf(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at.Addr().Unmap().WithZone("")
}

// ofThisHost says that a browser means this host by what it asked for. Any other name
// can be one that somebody lets lead here (DNS rebinding).
func ofThisHost(asked string) bool {
	name := strings.TrimSuffix(strings.ToLower(host(asked)), ".")
	if name == "localhost" {
		return true
	}
	at, err := netip.ParseAddr(name)
	return err == nil && at.IsLoopback()
}

func host(asked string) string {
	if name, _, err := net.SplitHostPort(asked); err == nil {
		return name
	}
	return strings.Trim(asked, "[]")
}
