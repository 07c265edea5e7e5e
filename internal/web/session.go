package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A session is the time at which it ends and a signature of that: nothing is kept of
// it here. Its key is made anew with each process and goes with the token, so a
// restart or another token ends all of them.

// sessionLasts is how long a browser that showed the token is not asked again.
const sessionLasts = 12 * time.Hour

// NewKey is a key of sessions, for as long as this process lives.
func NewKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails: the process would end
	return key
}

type sessions struct {
	key    []byte
	cookie http.Cookie // without a value
}

func newSessions(a Access) sessions {
	mac := hmac.New(sha256.New, a.Key)
	mac.Write(a.Token.Reveal())
	c := http.Cookie{Name: "reconciler", Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if a.TLS {
		c.Name, c.Secure = "__Host-reconciler", true
	}
	return sessions{mac.Sum(nil), c}
}

func (s sessions) begin(w http.ResponseWriter, now time.Time) {
	c := s.cookie
	end := binary.BigEndian.AppendUint64(nil, uint64(now.Add(sessionLasts).Unix()))
	c.Value, c.MaxAge = base64.RawURLEncoding.EncodeToString(append(end, s.sign(end)...)), int(sessionLasts.Seconds())
	http.SetCookie(w, &c)
}

func (s sessions) end(w http.ResponseWriter) {
	c := s.cookie
	c.MaxAge = -1
	http.SetCookie(w, &c)
}

func (s sessions) sign(end []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(end)
	return mac.Sum(nil)
}

// holds says that a request carries a session of ours that has not ended.
func (s sessions) holds(r *http.Request, now time.Time) bool {
	c, err := r.Cookie(s.cookie.Name)
	if err != nil {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(raw) != 8+sha256.Size {
		return false
	}
	ours := subtle.ConstantTimeCompare(raw[8:], s.sign(raw[:8])) == 1
	return ours && now.Unix() < int64(binary.BigEndian.Uint64(raw[:8]))
}

// longestForm is how much of a login is read.
const longestForm = 4 << 10

// logIn shows a form and takes it.
func (g *Guard) logIn(w http.ResponseWriter, r *http.Request) {
	next, wrong, status := ours(r.URL.Query().Get("next")), "", 0
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, longestForm)
		next = ours(r.PostFormValue("next"))
		from := addressOf(r)
		switch {
		case !g.tries.may(from):
			wrong, status = "Too many wrong tokens came from there. Try again in a minute.", http.StatusTooManyRequests
		case !g.right(strings.TrimSpace(r.PostFormValue("token"))):
			g.tries.wrong(from)
			wrong, status = "That is not the token.", http.StatusUnauthorized
		default:
			g.session.begin(w, g.now())
			http.Redirect(w, r, next, http.StatusSeeOther)
			return
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		refuse(w, http.StatusMethodNotAllowed, "Only a form is taken here.")
		return
	}
	render(w, g.pages()["login"], "layout", page{name: "login", status: status, Title: "Log in", Now: g.now(), Bare: true, Data: struct{ Next, Wrong string }{next, wrong}})
}

func (g *Guard) logOut(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "Only a form is taken here.")
		return
	}
	g.session.end(w)
	http.Redirect(w, r, loginPath, http.StatusSeeOther)
}

// ours is a path of ours to go on to; whatever else somebody wrote into a link is the
// first page.
func ours(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}
