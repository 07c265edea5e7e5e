package conform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Answer is what a request got.
type Answer struct {
	Code int
	Body map[string]any
}

// Servers are three servers of Vault, "a", "b" and "c": the others have a in their
// retry_join. They run, and nothing was ever asked of them.
type Servers interface {
	// Ask sends a request to a server; the error says that it does not answer.
	Ask(ctx context.Context, server, method, path, token string, body any) (Answer, error)
	// Stop ends a server, and Start starts it again: it answers when that returns.
	Stop(server string) error
	Start(server string) error
}

// Options say what is held to the suite, and how.
type Options struct {
	Version string // of Vault
	// Exact: an answer may have no field that the suite does not name. It is for
	// the simulator; Vault has more.
	Exact bool
	// Brief ends the suite with the first thing that is not so.
	Brief bool
	// Patience is how long something may take that comes by itself: a quarter of a
	// minute at least, since that is how long Vault waits for a leader that is lost.
	Patience time.Duration
}

// run is one run of a suite.
type run struct {
	Options
	ctx      context.Context
	servers  Servers
	what     string // is being looked at
	findings []string

	keys []string // shares, base64
	root string   // token
	id   string   // cluster_id
	name string   // cluster_name
	// hosts are where the servers are, by their names, as the members of the cluster
	// tell.
	hosts map[string]string
}

// part is a sentence that is to be true.
type part struct {
	is   string
	look func()
}

func (r *run) all(parts []part) []string {
	for _, p := range parts {
		if r.Brief && len(r.findings) > 0 {
			break
		}
		if r.ctx.Err() != nil {
			r.find("nobody could look: %v", r.ctx.Err())
			break
		}
		r.what = p.is
		p.look()
	}
	return r.findings
}

func (r *run) find(format string, args ...any) {
	r.findings = append(r.findings, r.what+": "+fmt.Sprintf(format, args...))
}

// did is a step that has to come off.
func (r *run) did(errs ...error) bool {
	if err := errors.Join(errs...); err != nil {
		r.find("%v", err)
		return false
	}
	return true
}

// ask asks without judging.
func (r *run) ask(server, token, method, path string, body any) Answer {
	a, err := r.servers.Ask(r.ctx, server, method, path, token, body)
	if err != nil {
		r.find("%s %s on %s: %v", method, path, server, err)
	}
	return a
}

// fields are what an answer must hold: a value, or a [kind].
type fields map[string]any

// kind is a value that differs each time.
type kind string

const (
	text     kind = "a text"
	nonEmpty kind = "a text that is not empty"
	number   kind = "a number"
	moment   kind = "a time"
	list     kind = "a list"
	object   kind = "an object"
	whatever kind = "anything"
)

func (k kind) fits(v any) bool {
	s, isText := v.(string)
	switch k {
	case text:
		return isText
	case nonEmpty:
		return s != ""
	case number:
		_, ok := v.(float64)
		return ok
	case moment:
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil
	case list:
		_, ok := v.([]any)
		return ok
	case object:
		_, ok := v.(map[string]any)
		return ok
	}
	return true
}

// expect asks and holds the answer to a code and fields.
func (r *run) expect(server, token, method, path string, body any, code int, want fields) Answer {
	a := r.ask(server, token, method, path, body)
	if a.Code != code {
		r.find("%s %s on %s: %d %v, want %d", method, path, server, a.Code, a.Body, code)
		return a
	}
	r.holds(method+" "+path+" on "+server, a.Body, want)
	return a
}

// holds holds an object to fields.
func (r *run) holds(of string, got map[string]any, want fields) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		is, there := got[name]
		switch w := want[name].(type) {
		case kind:
			if !there || !w.fits(is) {
				r.find("%s: %s is %v, want %s", of, name, is, string(w))
			}
		default:
			if same(is) != same(w) {
				r.find("%s: %s is %s, want %s", of, name, same(is), same(w))
			}
		}
	}
	if !r.Exact {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, named := want[name]; !named {
			r.find("%s: %s is %v, and the suite does not name it", of, name, got[name])
		}
	}
}

// same is a value as JSON has it.
func same(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// refuses asks and wants one error, with a word in it; "": none.
func (r *run) refuses(server, token, method, path string, body any, code int, word string) {
	a := r.ask(server, token, method, path, body)
	errs, _ := a.Body["errors"].([]any)
	if a.Code != code || word != "" && !strings.Contains(fmt.Sprint(errs), word) || word == "" && len(errs) > 0 {
		r.find("%s %s on %s: %d %v, want %d and %q", method, path, server, a.Code, a.Body, code, word)
	}
	if r.Exact && (len(a.Body) != 1 || len(errs) > 1) {
		r.find("%s %s on %s: %v is more than an error", method, path, server, a.Body)
	}
}

// data is the field data of an answer.
func data(a Answer) map[string]any {
	d, _ := a.Body["data"].(map[string]any)
	return d
}

// wrapped are the fields round data.
func wrapped() fields { return fields{"request_id": nonEmpty, "data": object} }

// eventually waits for what comes by itself.
func (r *run) eventually(what string, holds func() bool) { r.within(r.Patience, what, holds) }

// within is eventually with a patience of its own. What comes soon is seen soon, and
// what takes long is not asked for all the time: each pause is twice the one before.
func (r *run) within(patience time.Duration, what string, holds func() bool) {
	deadline := time.Now().Add(patience)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second/2) {
		before := len(r.findings)
		if holds() && len(r.findings) == before {
			return
		}
		if time.Now().After(deadline) || r.ctx.Err() != nil {
			if len(r.findings) == before {
				r.find("%s never came", what)
			}
			return
		}
		r.findings = r.findings[:before]
		select {
		case <-r.ctx.Done():
		case <-time.After(pause):
		}
	}
}

const (
	get  = http.MethodGet
	put  = http.MethodPut
	del  = http.MethodDelete
	post = http.MethodPost
)
