package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed pages/*.html
var pagesFS embed.FS

//go:embed static
var staticFS embed.FS

// Options are what the pages are made of.
type Options struct {
	Board   *Board
	History History // nil: none is kept
	Now     func() time.Time
}

type pages struct {
	Options
	templates func() map[string]*template.Template // once somebody looks: many daemons nobody does
}

// New answers GET and HEAD of the pages. Who may see them is asked by a [Guard].
func New(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &pages{Options: o, templates: sync.OnceValue(templates)}
	mux := http.NewServeMux()
	for path, page := range map[string]func(*http.Request) (page, error){
		"/{$}":             p.overview,
		"/clusters/{name}": p.cluster,
		"/drift":           p.drift,
		"/history":         p.history,
		"/history/{id}":    p.event,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { p.show(w, r, page) })
	}
	mux.HandleFunc("/events", p.events)
	mux.HandleFunc("/static/{file}", p.static)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.message(w, r, http.StatusNotFound, "There is no such page.")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			p.message(w, r, http.StatusMethodNotAllowed, "These pages only show: nothing can be sent to them.")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// page is one page: the name of its template, and what it is filled with.
type page struct {
	name   string
	status int // zero: 200

	Title   string
	Now     time.Time
	Section string // of the navigation
	User    string // who sees it; empty: nobody was asked
	LogOut  bool   // there is a session that can be ended
	N       uint64 // the counter of the board
	Live    bool   // it may be news at any time
	Cluster string // that it is about; empty: all of them
	Filter  string // above the part that is replaced
	Bare    bool   // nobody knows yet who asks: nothing of it leads anywhere
	Data    any
}

// lost is an error of a request: what is asked for is not there.
type lost string

func (l lost) Error() string { return string(l) }

func (p *pages) show(w http.ResponseWriter, r *http.Request, of func(*http.Request) (page, error)) {
	made, err := of(r)
	if err != nil {
		status := http.StatusServiceUnavailable
		if _, ok := err.(lost); ok {
			status = http.StatusNotFound
		}
		p.message(w, r, status, err.Error())
		return
	}
	p.write(w, r, made)
}

func (p *pages) message(w http.ResponseWriter, r *http.Request, status int, text string) {
	p.write(w, r, page{name: "message", status: status, Title: text, Data: text})
}

// onlyPart is the header of a request for what of a page may be news.
const onlyPart = "X-Part"

func (p *pages) write(w http.ResponseWriter, r *http.Request, made page) {
	made.Now = p.Now().UTC()
	if who, ok := whoAsks(r); ok {
		made.User, made.LogOut = who.name, who.session
	}
	layout := "layout"
	if r.Header.Get(onlyPart) != "" {
		layout = "part"
	}
	render(w, p.templates()[made.name], layout, made)
}

// render writes a page whole or, where it cannot be made, says so.
func render(w http.ResponseWriter, t *template.Template, layout string, made page) {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, layout, cleaned(made)); err != nil {
		http.Error(w, "this page cannot be made, please report it: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.Header().Add("Vary", onlyPart)
	if made.status != 0 {
		w.WriteHeader(made.status)
	}
	_, _ = w.Write(b.Bytes()) // who asked may have gone
}

// templates are those of the pages, each with the layout round it.
func templates() map[string]*template.Template {
	words := template.FuncMap{
		"clock":  func(t time.Time) string { return t.UTC().Format("15:04:05") },
		"moment": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"stamp":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"sign":   sign,
		"count":  count,
		"commit": func(c string) string { return c[:min(12, len(c))] },
		"join":   func(all []string) string { return strings.Join(all, " ") },
	}
	all := map[string]*template.Template{}
	base := template.Must(template.New("").Funcs(words).ParseFS(pagesFS, "pages/layout.html", "pages/pieces.html"))
	for _, name := range []string{"overview", "cluster", "drift", "history", "event", "message", "login"} {
		all[name] = template.Must(template.Must(base.Clone()).ParseFS(pagesFS, "pages/"+name+".html"))
	}
	return all
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// static is a file that every page needs; it says nothing of any fleet.
func (p *pages) static(w http.ResponseWriter, r *http.Request) {
	if !serveStatic(w, r, r.PathValue("file")) {
		p.message(w, r, http.StatusNotFound, "There is no such page.")
	}
}

func serveStatic(w http.ResponseWriter, r *http.Request, file string) bool {
	text, err := fs.ReadFile(staticFS, "static/"+file)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(text)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	w.Header().Set("Cache-Control", "no-cache") // ask each time whether it is the same: a new release has others
	http.ServeContent(w, r, file, time.Time{}, bytes.NewReader(text))
	return true
}

// linkTo is the path of a page about a name.
func linkTo(folder, name string) string { return folder + url.PathEscape(name) }
