package health

import (
	"net/http"
	"strings"
)

// Ports are what is asked. Both may be asked by many at a time, and must not wait.
type Ports struct {
	Late    func() []string // what does not go on, though it should; none: all does
	Waiting func() []string // what has no commit in force; none: everything has one
}

// The paths that are answered, and the answers when all is well.
const (
	Healthz = "/healthz"
	Readyz  = "/readyz"
	ok      = "ok\n"
)

// New answers GET and HEAD of the two paths, in plain text: 200 when all is well,
// 503 with a line for each thing that is not.
func New(p Ports) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var wrong []string
		switch path := r.URL.EscapedPath(); {
		case path != Healthz && path != Readyz:
			w.WriteHeader(http.StatusNotFound)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		case path == Healthz:
			wrong = lines("does not go on: ", p.Late())
		default:
			wrong = lines("has no commit in force: ", p.Waiting())
		}
		body := ok
		if len(wrong) > 0 {
			body = strings.Join(wrong, "")
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if len(wrong) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(body)) // who asked may have gone
	})
}

func lines(what string, all []string) (out []string) {
	for _, one := range all {
		out = append(out, what+one+"\n")
	}
	return out
}
