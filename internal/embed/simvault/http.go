package simvault

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// refusal is an answer that is an error.
type refusal struct {
	code int
	text string
}

func (r refusal) Error() string { return r.text }

var (
	sealed    = refusal{http.StatusServiceUnavailable, "Vault is sealed"}
	forbidden = refusal{http.StatusForbidden, "permission denied"}
	nothing   = refusal{http.StatusNotFound, ""}
)

// object is a JSON object.
type object = map[string]any

// ServeHTTP answers as the API of Vault.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 32<<20))
	in := object{}
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		answerError(w, refusal{http.StatusBadRequest, "failed to parse JSON input: " + err.Error()})
		return
	}
	at := strings.TrimPrefix(r.URL.Path, "/v1/")
	p.mu.Lock()
	defer p.mu.Unlock()
	code, out, err := p.answer(r, at, in)
	if err != nil {
		answerError(w, err)
		return
	}
	answerJSON(w, code, out)
}

func answerJSON(w http.ResponseWriter, code int, out any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if out == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(out) // whoever asked may be gone
}

func answerError(w http.ResponseWriter, err error) {
	var no refusal
	if !errors.As(err, &no) {
		no = refusal{http.StatusInternalServerError, err.Error()}
	}
	errs := []string{}
	if no.text != "" {
		errs = append(errs, no.text)
	}
	answerJSON(w, no.code, object{"errors": errs})
}

// answer is what one request gets. No answer and no error is 204.
func (p *process) answer(r *http.Request, at string, in object) (int, any, error) {
	q := request{method: method(r), at: at, in: in, token: r.Header.Get("X-Vault-Token"), standbyOK: r.URL.Query().Get("standbyok") == "true"}
	if err := q.unknown(r.URL.Query(), r.Header); err != nil {
		return 0, nil, err
	}
	for _, route := range local() {
		if route.fits(q) {
			return route.serve(p, q)
		}
	}
	var out any
	err := p.led(func(c *cluster) (err error) {
		out, err = p.logical(c, q)
		return err
	})
	if errors.Is(err, sealed) && !p.open && sealPlace.fits(q) {
		err = nil
	}
	return http.StatusOK, out, err
}

// led does something with the cluster of an open server that somebody leads.
func (p *process) led(do func(c *cluster) error) error {
	return p.with(func(c *cluster) error {
		switch {
		case c == nil || p.me(c) == nil || !p.me(c).Open:
			return sealed
		case c.leader() == nil:
			return p.unled(c)
		}
		return do(c)
	})
}

// unled is the answer of an open server that nobody leads: it asks the one that
// led, if that one was another.
func (p *process) unled(c *cluster) error {
	if l := c.Servers[p.followed]; l != nil && l.Up {
		return sealed
	}
	return refusal{http.StatusInternalServerError, "local node not active but active cluster node not found"}
}

func wrap(data any) object { return object{"request_id": uuid(), "data": data} }
