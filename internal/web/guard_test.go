package web_test

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/internal/web/webtest"
)

const token = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

func tokened(tls bool) web.Access {
	return web.Access{Token: secret.Of([]byte(token)), Key: []byte("a key of tests"), TLS: tls}
}

func proxied() web.Access {
	return web.Access{Proxy: &web.Proxy{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}, Header: "X-Forwarded-User"}}
}

// asked is a request and its answer.
type asked struct {
	method, path, host, from string
	header                   []string // name, value, …
	form                     url.Values
}

func (a asked) of(h http.Handler) *httptest.ResponseRecorder {
	method := cmp.Or(a.method, http.MethodGet)
	r := httptest.NewRequest(method, "http://placeholder"+cmp.Or(a.path, "/"), strings.NewReader(a.form.Encode()))
	if a.form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Host, r.RemoteAddr = "reconciler.example", "192.0.2.9:4000"
	if a.host != "" {
		r.Host = a.host
	}
	if a.from != "" {
		r.RemoteAddr = a.from
	}
	for i := 0; i < len(a.header); i += 2 {
		r.Header.Add(a.header[i], a.header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func protected(a web.Access) http.Handler {
	return web.NewGuard(a).Protect(web.New(web.Options{Board: webtest.Board(webtest.Sick()...), History: webtest.Past{Count: 3}, Now: webtest.Noon}))
}

// TestWhoMaySeeWhat is every way in, and what is answered there.
func TestWhoMaySeeWhat(t *testing.T) {
	nobody, byToken, byProxy := protected(web.Access{}), protected(tokened(false)), protected(proxied())
	page := []string{"Accept", "text/html,*/*"}
	for name, row := range map[string]struct {
		h    http.Handler
		ask  asked
		code int
		want string
	}{
		"localhost":                    {nobody, asked{host: "localhost:9180"}, 200, "prod-ap"},
		"localhost in capitals":        {nobody, asked{host: "LOCALHOST."}, 200, "prod-ap"},
		"a loopback address":           {nobody, asked{host: "127.0.0.1:9180"}, 200, "prod-ap"},
		"another loopback address":     {nobody, asked{host: "127.1.2.3"}, 200, "prod-ap"},
		"a loopback address of IPv6":   {nobody, asked{host: "[::1]:9180"}, 200, "prod-ap"},
		"a name that leads here":       {nobody, asked{host: "evil.example:9180"}, 421, "not evil.example"},
		"a name that begins so":        {nobody, asked{host: "localhost.evil.example"}, 421, "only localhost"},
		"an address of this host":      {nobody, asked{host: "10.1.0.5:9180"}, 421, "only localhost"},
		"no name":                      {nobody, asked{host: " "}, 421, "only localhost"},
		"the events, by another name":  {nobody, asked{host: "evil.example", path: "/events"}, 421, "only localhost"},
		"the style, by another name":   {nobody, asked{host: "evil.example", path: "/static/page.css"}, 200, ":root"},
		"something sent":               {nobody, asked{host: "localhost", method: "POST"}, 405, "only show"},
		"something sent by a page":     {nobody, asked{host: "localhost", method: "POST", header: []string{"Sec-Fetch-Site", "cross-site"}}, 403, "Another page"},
		"another origin":               {nobody, asked{host: "localhost", method: "DELETE", header: []string{"Origin", "https://evil.example"}}, 403, "Another page"},
		"a browser without a session":  {byToken, asked{path: "/drift?a=b", header: page}, 303, ""},
		"a script without a session":   {byToken, asked{header: append([]string{"X-Part", "1"}, page...)}, 401, "Who asks?"},
		"events without a session":     {byToken, asked{path: "/events"}, 401, "Who asks?"},
		"the style, before the login":  {byToken, asked{path: "/static/page.css"}, 200, ":root"},
		"what is no style":             {byToken, asked{path: "/static/../drift"}, 401, "Who asks?"},
		"the login":                    {byToken, asked{path: "/login"}, 200, "http.token_file"},
		"a program":                    {byToken, asked{header: []string{"Authorization", "Bearer " + token}}, 200, "prod-ap"},
		"a program, otherwise spelled": {byToken, asked{header: []string{"Authorization", "bearer  " + token}}, 200, "prod-ap"},
		"another token":                {byToken, asked{header: []string{"Authorization", "Bearer " + token + "0"}}, 401, "not the token"},
		"no token":                     {byToken, asked{header: []string{"Authorization", "Bearer "}}, 401, "not the token"},
		"a password":                   {byToken, asked{header: []string{"Authorization", "Basic " + token}}, 401, "not the token"},
		"a cookie of nobody":           {byToken, asked{header: []string{"Cookie", "reconciler=AAAAAAAAAAAA"}}, 401, "Who asks?"},
		"a user from the proxy":        {byProxy, asked{from: "10.1.0.7:999", header: []string{"X-Forwarded-User", "ada"}}, 200, "ada"},
		"a user from elsewhere":        {byProxy, asked{header: []string{"X-Forwarded-User", "ada"}}, 403, "192.0.2.9 is not in"},
		"a user from beside the proxy": {byProxy, asked{from: "10.1.1.7:999", header: []string{"X-Forwarded-User", "ada"}}, 403, "is not in"},
		"nobody from the proxy":        {byProxy, asked{from: "10.1.0.7:999"}, 401, "set X-Forwarded-User"},
		"an empty user":                {byProxy, asked{from: "10.1.0.7:999", header: []string{"X-Forwarded-User", " "}}, 401, "set X-Forwarded-User"},
		"two users":                    {byProxy, asked{from: "10.1.0.7:999", header: []string{"X-Forwarded-User", "eve", "X-Forwarded-User", "ada"}}, 401, "once"},
		"the proxy, by IPv6":           {byProxy, asked{from: "[::ffff:10.1.0.7]:999", header: []string{"X-Forwarded-User", "ada"}}, 200, "ada"},
		"no address":                   {byProxy, asked{from: "@", header: []string{"X-Forwarded-User", "ada"}}, 403, "is not in"},
		"a token at the proxy":         {byProxy, asked{from: "10.1.0.7:999", header: []string{"Authorization", "Bearer " + token}}, 401, "set X-Forwarded-User"},
		"a user where there is none":   {byToken, asked{header: []string{"X-Forwarded-User", "ada"}}, 401, "Who asks?"},
		"a name with a mark":           {byProxy, asked{from: "10.1.0.7:999", header: []string{"X-Forwarded-User", "<b>ada"}}, 200, "&lt;b&gt;ada"},
	} {
		w := row.ask.of(row.h)
		if w.Code != row.code || !strings.Contains(w.Body.String(), row.want) {
			t.Errorf("%s: %d, and not %d %q: %.300s", name, w.Code, row.code, row.want, w.Body)
		}
		if row.code/100 != 2 && strings.Contains(w.Body.String(), "prod-ap") {
			t.Errorf("%s sees the fleet", name)
		}
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
			"X-Content-Type-Options":  "nosniff",
			"X-Frame-Options":         "DENY",
		} {
			if got := w.Header().Values(header); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		if cache := w.Header().Get("Cache-Control"); cache != "no-store" && !strings.HasPrefix(row.ask.path, "/static/") {
			t.Errorf("%s may be kept: %q", name, cache)
		}
	}
}

// TestASessionBeginsByTheTokenAndEnds is a login as a browser does it.
func TestASessionBeginsByTheTokenAndEnds(t *testing.T) {
	for _, tls := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := protected(tokened(tls))
			sent := asked{path: "/drift?a=b", header: []string{"Accept", "text/html"}}.of(h)
			form, err := url.Parse(sent.Header().Get("Location"))
			if err != nil || form.Path != "/login" {
				t.Fatalf("it is led to %q", sent.Header().Get("Location"))
			}
			shown := asked{path: form.String()}.of(h)
			if !strings.Contains(shown.Body.String(), `name="next" value="/drift?a=b"`) {
				t.Errorf("where it came from is lost:\n%s", shown.Body)
			}
			wrong := asked{method: "POST", path: "/login", form: url.Values{"token": {"guessed"}, "next": {"/drift"}}}.of(h)
			if wrong.Code != 401 || len(wrong.Result().Cookies()) > 0 || !strings.Contains(wrong.Body.String(), "not the token") {
				t.Errorf("a wrong token is answered %d %v", wrong.Code, wrong.Result().Cookies())
			}
			in := asked{method: "POST", path: "/login", form: url.Values{"token": {token}, "next": {"/drift?a=b"}}}.of(h)
			cookies := in.Result().Cookies()
			if in.Code != 303 || in.Header().Get("Location") != "/drift?a=b" || len(cookies) != 1 {
				t.Fatalf("the token is answered %d %v", in.Code, in.Header())
			}
			c := cookies[0]
			if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != tls || c.Path != "/" || strings.HasPrefix(c.Name, "__Host-") != tls {
				t.Errorf("the cookie is %v", c)
			}
			if strings.Contains(c.Value, token) {
				t.Error("the cookie has the token in it")
			}
			mine := []string{"Cookie", c.Name + "=" + c.Value, "Accept", "text/html"}
			if w := (asked{path: "/drift", header: mine}).of(h); w.Code != 200 || !strings.Contains(w.Body.String(), "Log out") {
				t.Errorf("with a session: %d", w.Code)
			}
			other := tokened(tls)
			other.Key = []byte("of another process")
			renewed := tokened(tls)
			renewed.Token = secret.Of([]byte(token + "2"))
			for what, h := range map[string]http.Handler{"another process": protected(other), "another token": protected(renewed)} {
				if w := (asked{header: mine}).of(h); w.Code != 303 {
					t.Errorf("a session outlives %s: %d", what, w.Code)
				}
			}
			for i := range len(c.Value) {
				forged := []byte(c.Value)
				forged[i] ^= 4
				if w := (asked{header: []string{"Cookie", c.Name + "=" + string(forged)}}).of(h); w.Code == 200 && i < len(c.Value)-1 {
					t.Errorf("a cookie that is changed at %d is taken", i)
				}
			}
			out := asked{method: "POST", path: "/logout", header: mine}.of(h)
			if out.Code != 303 || len(out.Result().Cookies()) != 1 || out.Result().Cookies()[0].MaxAge >= 0 {
				t.Errorf("a logout is answered %d %v", out.Code, out.Result().Cookies())
			}
			if w := (asked{path: "/logout", header: mine}).of(h); w.Code != 405 {
				t.Errorf("a link can log out: %d", w.Code)
			}
			if w := (asked{method: "POST", path: "/logout", header: append([]string{"Sec-Fetch-Site", "cross-site"}, mine...)}).of(h); w.Code != 403 {
				t.Errorf("another page can log out: %d", w.Code)
			}
			time.Sleep(12*time.Hour - 2*time.Second)
			if w := (asked{header: mine}).of(h); w.Code != 200 {
				t.Errorf("a session ends too early: %d", w.Code)
			}
			time.Sleep(4 * time.Second)
			if w := (asked{header: mine}).of(h); w.Code != 303 {
				t.Errorf("a session does not end: %d", w.Code)
			}
		})
	}
}

func TestALoginLeadsNowhereElse(t *testing.T) {
	h := protected(tokened(false))
	for next, want := range map[string]string{
		"/clusters/a": "/clusters/a", "/?q=a%20b": "/?q=a%20b", "": "/", "drift": "/",
		"https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", "/\tevil": "/", "javascript:alert(1)": "/",
	} {
		w := asked{method: "POST", path: "/login", form: url.Values{"token": {token}, "next": {next}}}.of(h)
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%q leads to %q", next, got)
		}
	}
	w := asked{method: "POST", path: "/login", form: url.Values{"token": {token}, "next": {strings.Repeat("a", 5000)}}}.of(h)
	if w.Code != 401 || len(w.Result().Cookies()) > 0 {
		t.Errorf("a form without end is answered %d", w.Code)
	}
}

// TestWrongTokensAreCountedByWhereTheyComeFrom: whoever guesses is not listened to, not
// even with the right one; others are.
func TestWrongTokensAreCountedByWhereTheyComeFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := protected(tokened(false))
		program := func(from, token string) int {
			return asked{from: from, header: []string{"Authorization", "Bearer " + token}}.of(h).Code
		}
		form := func(from, token string) int {
			return asked{from: from, method: "POST", path: "/login", form: url.Values{"token": {token}}}.of(h).Code
		}
		for i := range 10 {
			guess := program
			if i%2 == 1 {
				guess = form
			}
			if got := guess("198.51.100.7:1", "guess"); got != 401 {
				t.Errorf("guess %d is answered %d", i, got)
			}
		}
		if a, b := program("198.51.100.7:1", token), form("198.51.100.7:1", token); a != 429 || b != 429 {
			t.Errorf("after many guesses the token is answered %d and %d", a, b)
		}
		if a, b := program("198.51.100.8:1", token), form("198.51.100.8:1", token); a != 200 || b != 303 {
			t.Errorf("somebody else is answered %d and %d", a, b)
		}
		for range 10 {
			program("[2001:db8:1:2::7]:1", "guess")
		}
		if a, b := program("[2001:db8:1:2::8]:1", token), program("[2001:db8:1:3::8]:1", token); a != 429 || b != 200 {
			t.Errorf("of the same network of IPv6 %d, of another %d", a, b)
		}
		time.Sleep(7 * time.Second)
		if got := program("198.51.100.7:1", token); got != 200 {
			t.Errorf("some time after it is answered %d", got)
		}
	})
}
